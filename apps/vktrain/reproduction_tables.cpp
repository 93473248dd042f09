#include "apps/vktrain/reproduction_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "apps/vktrain/class_report.h"
#include "nn/experiment/experiment_toml.h"

namespace vktrain::app {
namespace {

bool convolutional(const nn::Experiment& experiment) {
  const auto& layers = experiment.model.layers;
  return std::any_of(layers.begin(), layers.end(), [](const nn::LayerSpec& layer) {
    return layer.type == nn::LayerType::conv2d;
  });
}

ReportRows rows_with_runs(const ReportRows& rows) {
  ReportRows result = rows;
  std::erase_if(result, [](const ReproductionRow* row) { return row->runs.empty(); });
  return result;
}

using Cell = std::string (*)(const std::optional<double>&);

// A column of what was reached, and one of what the report prints where it prints any.
void add_pair(std::vector<Column>& columns, const ReportRows& rows, const std::string& title,
              RunValue reached, ReportedValue reported, Cell cell) {
  add_column(columns, rows, title,
             [&](const ReproductionRow& row) { return cell(mean(row, reached)); });
  std::vector<Column> printed;
  add_column(printed, rows, "report",
             [&](const ReproductionRow& row) { return cell(row.experiment.reported.*reported); });
  drop_empty(printed);
  columns.insert(columns.end(), printed.begin(), printed.end());
}

void add_accuracy(std::vector<Column>& columns, const ReportRows& rows, const std::string& title,
                  RunValue reached, ReportedValue reported) {
  add_pair(columns, rows, title, reached, reported,
           [](const std::optional<double>& value) { return percent(value); });
}

// ---- A

// "100k" of "a-cnn-100k": the budget that a network was made for.
std::string size_of(const nn::Experiment& experiment) {
  return experiment.id.substr(experiment.id.rfind('-') + 1);
}

struct SizePair {
  const ReproductionRow* fcn = nullptr;
  const ReproductionRow* cnn = nullptr;
};

// By size, the smallest first.
std::map<std::pair<std::size_t, std::string>, SizePair> by_size(const ReportRows& rows) {
  std::map<std::pair<std::size_t, std::string>, SizePair> sizes;
  for (const ReproductionRow* row : rows) {
    const std::string size = size_of(row->experiment);
    SizePair& pair = sizes[{size.size(), size}];
    (convolutional(row->experiment) ? pair.cnn : pair.fcn) = row;
  }
  return sizes;
}

OwnTable size_table(const ReportRows& rows) {
  const auto sizes = by_size(rows);
  std::vector<Column> columns = {{"weights", Align::left}};
  for (const auto& [size, pair] : sizes) columns[0].cells.push_back(size.second);
  const auto add = [&](const std::string& title, const ReproductionRow* SizePair::*row,
                       const auto& cell) {
    Column column{title};
    for (const auto& [size, pair] : sizes) {
      column.cells.push_back(pair.*row ? cell(*(pair.*row)) : std::string(kNone));
    }
    columns.push_back(std::move(column));
  };
  for (const auto& [kind, row] : {std::pair{"FCN", &SizePair::fcn}, {"CNN", &SizePair::cnn}}) {
    add(fmt::format("{} test %", kind), row,
        [](const ReproductionRow& r) { return percent(mean(r, &RunRecord::test_accuracy)); });
    add("report", row,
        [](const ReproductionRow& r) { return percent(r.experiment.reported.test_accuracy); });
    add("val %", row,
        [](const ReproductionRow& r) { return percent(mean(r, &RunRecord::val_accuracy)); });
    add("report", row,
        [](const ReproductionRow& r) { return percent(r.experiment.reported.val_accuracy); });
  }
  return {"Accuracy by size, FCN beside CNN (Tables 1 and 2)", std::move(columns)};
}

OwnTable efficiency_table(const ReportRows& rows) {
  std::vector<Column> columns;
  add_names(columns, rows);
  add_column(columns, rows, "train s", train_seconds);
  add_column(columns, rows, "report", [](const ReproductionRow& row) {
    return seconds(row.experiment.reported.train_seconds);
  });
  add_pair(columns, rows, "weights/s", &RunRecord::weights_per_second,
           &nn::ReportedResults::efficiency, rate);
  return {"Efficiency: weights per second of training (Table 3)", std::move(columns)};
}

// ---- B

OwnTable batch_table(const ReportRows& rows) {
  std::vector<Column> columns;
  add_names(columns, rows);
  const auto spread = [](const std::optional<double>& mean, const std::optional<double>& sigma) {
    return mean && sigma ? fmt::format("{} ± {}", percent(mean), percent(sigma)) : percent(mean);
  };
  add_column(columns, rows, "test %", [&](const ReproductionRow& row) {
    return spread(mean(row, &RunRecord::test_accuracy), mean(row, &RunRecord::batch_sigma));
  });
  add_column(columns, rows, "report", [&](const ReproductionRow& row) {
    const nn::ReportedResults& reported = row.experiment.reported;
    return spread(reported.test_accuracy, reported.sigma);
  });
  add_column(columns, rows, "train s", train_seconds);
  add_column(columns, rows, "report", [](const ReproductionRow& row) {
    return seconds(row.experiment.reported.train_seconds);
  });
  return {"Test accuracy, mean ± sigma over the test batches (Table 2)", std::move(columns)};
}

// ---- C

OwnTable optimizer_table(const ReportRows& rows) {
  std::vector<Column> columns;
  add_column(
      columns, rows, "optimizer",
      [](const ReproductionRow& row) {
        return std::string(nn::name_of(row.experiment.optimizer.kind));
      },
      Align::left);
  add_column(columns, rows, "learning rate", [](const ReproductionRow& row) {
    return fmt::format("{:g}", row.experiment.optimizer.learning_rate);
  });
  add_accuracy(columns, rows, "val %", &RunRecord::val_accuracy,
               &nn::ReportedResults::val_accuracy);
  add_accuracy(columns, rows, "test %", &RunRecord::test_accuracy,
               &nn::ReportedResults::test_accuracy);
  return {"Optimizers and learning rates (Tables 2 to 4)", std::move(columns)};
}

// Runs that only an optimizer and its rate tell apart, as their ids say: "c-fcn-adam-lr0.01".
ReportRows optimizer_rows(const ReportRows& rows) {
  ReportRows result;
  for (const ReproductionRow* row : rows) {
    const nn::OptimizerConfig& optimizer = row->experiment.optimizer;
    const std::string id =
        fmt::format("c-fcn-{}-lr{:g}", nn::name_of(optimizer.kind), optimizer.learning_rate);
    if (row->experiment.id == id) result.push_back(row);
  }
  return result;
}

// ---- D

OwnTable loss_table(const ReportRows& rows) {
  std::vector<Column> columns;
  add_names(columns, rows);
  add_pair(columns, rows, "train", &RunRecord::train_loss, &nn::ReportedResults::train_loss, loss);
  add_pair(columns, rows, "val", &RunRecord::val_loss, &nn::ReportedResults::val_loss, loss);
  add_pair(columns, rows, "test", &RunRecord::test_loss, &nn::ReportedResults::test_loss, loss);
  return {"Losses after the last epoch (Tables 1 to 4)", std::move(columns)};
}

std::vector<Column> accuracy_columns(const ReportRows& rows) {
  std::vector<Column> columns;
  add_names(columns, rows);
  add_accuracy(columns, rows, "val %", &RunRecord::val_accuracy,
               &nn::ReportedResults::val_accuracy);
  add_accuracy(columns, rows, "test %", &RunRecord::test_accuracy,
               &nn::ReportedResults::test_accuracy);
  return columns;
}

OwnTable minutes_table(const ReportRows& rows) {
  std::vector<Column> columns = accuracy_columns(rows);
  add_pair(columns, rows, "min", &RunRecord::train_seconds, &nn::ReportedResults::train_seconds,
           [](const std::optional<double>& seconds_taken) {
             return seconds_taken ? fmt::format("{:.2f}", *seconds_taken / 60) : std::string(kNone);
           });
  return {"Accuracies after the last epoch and computation time (Tables 1 to 4)",
          std::move(columns)};
}

// ---- E

OwnTable accuracy_table(const ReportRows& rows) {
  return {"Validation and test accuracy", accuracy_columns(rows)};
}

// Rows are true classes.
OwnTable confusion_table_of(const ReproductionRow& row, std::string title,
                            const nn::Confusion& confusion) {
  std::vector<Column> columns = {{"true \\ predicted", Align::left}};
  for (std::size_t p = 0; p < confusion.classes(); ++p) columns.push_back({std::to_string(p)});
  columns.push_back({"accuracy"});
  for (std::size_t t = 0; t < confusion.classes(); ++t) {
    columns.front().cells.push_back(fmt::format("{} {}", t, class_name(row.experiment, t)));
    for (std::size_t p = 0; p < confusion.classes(); ++p) {
      columns[p + 1].cells.push_back(std::to_string(confusion.count(t, p)));
    }
    columns.back().cells.push_back(percent(confusion.class_accuracy(t)));
  }
  const std::string largest = largest_confusion_text(row.experiment, confusion);
  if (!largest.empty()) title += ": most often " + largest;
  return {std::move(title), std::move(columns)};
}

}  // namespace

std::vector<OwnTable> own_tables(const std::string& report, const ReportRows& all) {
  const ReportRows rows = rows_with_runs(all);
  if (rows.empty()) return {};
  if (report == "a") return {size_table(rows), efficiency_table(rows)};
  if (report == "b") return {batch_table(rows)};
  if (report == "c") {
    const ReportRows grid = optimizer_rows(rows);
    if (grid.empty()) return {};
    return {optimizer_table(grid)};
  }
  if (report == "d") return {loss_table(rows), minutes_table(rows)};
  if (report == "e") return {accuracy_table(rows)};
  return {};
}

std::vector<OwnTable> confusion_tables(const std::string& report, const ReportRows& rows) {
  std::vector<OwnTable> tables;
  if (report != "e") return tables;
  for (const ReproductionRow* row : rows) {
    nn::Confusion sum;
    for (const RunRecord& run : row->runs) sum += run.confusion;
    if (sum.classes() == 0) continue;
    std::string title = fmt::format("Confusion of {}", row->experiment.id);
    if (row->runs.size() > 1) title += fmt::format(", {} seeds together", row->runs.size());
    tables.push_back(confusion_table_of(*row, std::move(title), sum));
    const std::vector<std::int64_t>& reported = row->experiment.reported.confusion_matrix;
    if (reported.empty()) continue;
    title = fmt::format("Confusion that the report prints for {}", row->experiment.id);
    tables.push_back(
        confusion_table_of(*row, std::move(title), nn::Confusion(sum.classes(), reported)));
  }
  return tables;
}

}  // namespace vktrain::app
