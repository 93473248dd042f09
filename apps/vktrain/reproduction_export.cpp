// The parts of reproduction_report.h that programs read: CSV and JSON.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "apps/vktrain/reproduction_report.h"
#include "apps/vktrain/text.h"
#include "nn/experiment/experiment_toml.h"

namespace vktrain::app {
namespace {

using Json = nlohmann::ordered_json;  // keys keep the order of writing
using Number = std::optional<double>;

Json or_null(const Number& value) { return value ? Json(*value) : Json(nullptr); }

std::string_view name_of(nn::Completeness completeness) {
  switch (completeness) {
    case nn::Completeness::complete:
      return "complete";
    case nn::Completeness::assumed_details:
      return "assumed-details";
    case nn::Completeness::prose_only:
      return "prose-only";
  }
  return "";
}

std::string_view name_of(Basis basis) {
  switch (basis) {
    case Basis::test_accuracy:
      return "test_accuracy";
    case Basis::unnamed_accuracy:
      return "accuracy of an unnamed set";
    case Basis::val_accuracy:
      return "val_accuracy";
    case Basis::none:
      break;
  }
  return "";
}

// A measured quantity beside the report's.
struct Quantity {
  std::string_view name;
  Number RunRecord::*reached;
  Number nn::ReportedResults::*reported;
};

constexpr Quantity kQuantities[] = {
    {"test_accuracy", &RunRecord::test_accuracy, &nn::ReportedResults::test_accuracy},
    {"val_accuracy", &RunRecord::val_accuracy, &nn::ReportedResults::val_accuracy},
    {"test_sigma", &RunRecord::batch_sigma, &nn::ReportedResults::sigma},
    {"train_loss", &RunRecord::train_loss, &nn::ReportedResults::train_loss},
    {"val_loss", &RunRecord::val_loss, &nn::ReportedResults::val_loss},
    {"test_loss", &RunRecord::test_loss, &nn::ReportedResults::test_loss},
    {"train_seconds", &RunRecord::train_seconds, &nn::ReportedResults::train_seconds},
    {"weights_per_second", &RunRecord::weights_per_second, &nn::ReportedResults::efficiency},
};

std::string csv_number(const Number& value) { return value ? fmt::format("{}", *value) : ""; }

std::vector<std::string> csv_titles() {
  std::vector<std::string> titles = {
      "experiment",    "report",   "completeness", "weights",         "optimizer",
      "learning_rate", "epochs",   "batch_size",   "seeds_asked_for", "seeds",
      "mark",          "compared", "difference"};
  for (const Quantity& quantity : kQuantities) {
    titles.emplace_back(quantity.name);
    titles.push_back(fmt::format("{}_deviation", quantity.name));
    titles.push_back(fmt::format("reported_{}", quantity.name));
  }
  titles.insert(titles.end(), {"reported_accuracy_of_unnamed_set", "trained_together", "device",
                               "program", "failure"});
  return titles;
}

std::vector<std::string> csv_cells(const ReproductionRow& row) {
  const nn::Experiment& e = row.experiment;
  std::vector<std::string> cells = {e.id,
                                    e.report,
                                    std::string(name_of(e.reported.completeness)),
                                    std::to_string(nn::parameter_count(e)),
                                    std::string(nn::name_of(e.optimizer.kind)),
                                    fmt::format("{}", e.optimizer.learning_rate),
                                    std::to_string(e.training.epochs),
                                    std::to_string(e.training.batch_size),
                                    std::to_string(row.seeds),
                                    std::to_string(row.runs.size()),
                                    app::name_of(verdict_of(row)),
                                    std::string(name_of(basis_of(e.reported))),
                                    csv_number(difference_of(row))};
  for (const Quantity& quantity : kQuantities) {
    const std::optional<Spread> spread = spread_of(row, quantity.reached);
    cells.push_back(spread ? csv_number(spread->mean) : "");
    cells.push_back(spread ? csv_number(spread->deviation) : "");
    cells.push_back(csv_number(e.reported.*quantity.reported));
  }
  cells.push_back(csv_number(e.reported.accuracy));
  const RunRecord* first = row.runs.empty() ? nullptr : &row.runs.front();
  cells.push_back(first ? std::to_string(first->trained_together) : "");
  cells.push_back(first ? first->device : "");
  cells.push_back(first ? first->program : "");
  cells.push_back(row.failure);
  return cells;
}

Json run_object(const RunRecord& run) {
  Json json;
  json["seed"] = run.seed;
  for (const Quantity& quantity : kQuantities) {
    json[std::string(quantity.name)] = or_null(run.*quantity.reached);
  }
  json["confusion"] = Json::array();
  for (std::size_t truth = 0; truth < run.confusion.classes(); ++truth) {
    Json row = Json::array();
    for (std::size_t p = 0; p < run.confusion.classes(); ++p) {
      row.push_back(run.confusion.count(truth, p));
    }
    json["confusion"].push_back(std::move(row));
  }
  json["trained_together"] = run.trained_together;
  json["device"] = run.device;
  json["program"] = run.program;
  return json;
}

Json row_object(const ReproductionRow& row) {
  const nn::Experiment& e = row.experiment;
  Json json;
  json["experiment"] = e.id;
  json["description"] = e.description;
  json["report"] = e.report;
  json["completeness"] = name_of(e.reported.completeness);
  json["weights"] = nn::parameter_count(e);
  json["optimizer"] = nn::name_of(e.optimizer.kind);
  json["learning_rate"] = e.optimizer.learning_rate;
  json["epochs"] = e.training.epochs;
  json["batch_size"] = e.training.batch_size;
  json["seeds_asked_for"] = row.seeds;
  json["mark"] = app::name_of(verdict_of(row));
  json["compared"] = name_of(basis_of(e.reported));
  json["difference"] = or_null(difference_of(row));
  for (const Quantity& quantity : kQuantities) {
    const std::optional<Spread> spread = spread_of(row, quantity.reached);
    json[std::string(quantity.name)] = {
        {"mean", spread ? Json(spread->mean) : Json(nullptr)},
        {"deviation", spread ? or_null(spread->deviation) : Json(nullptr)},
        {"reported", or_null(e.reported.*quantity.reported)}};
  }
  json["reported_accuracy_of_unnamed_set"] = or_null(e.reported.accuracy);
  json["reported_repeats"] = e.reported.repeats;
  json["assumed"] = e.reported.assumed;
  json["notes"] = e.notes;
  json["failure"] = row.failure.empty() ? Json(nullptr) : Json(row.failure);
  json["runs"] = Json::array();
  for (const RunRecord& run : row.runs) json["runs"].push_back(run_object(run));
  return json;
}

}  // namespace

std::string report_csv(const Reproduction& reproduction) {
  std::string text = csv_line(csv_titles());
  for (const ReproductionRow& row : reproduction.rows) text += csv_line(csv_cells(row));
  return text;
}

std::string report_json(const Reproduction& reproduction) {
  Json json;
  json["command"] = reproduction.command;
  json["date"] = reproduction.date;
  json["program"] = reproduction.program;
  json["devices"] = devices_of(reproduction);
  json["changes"] = reproduction.changes;
  json["tolerance"] = kTolerance;
  json["experiments"] = Json::array();
  for (const ReproductionRow& row : reproduction.rows) {
    json["experiments"].push_back(row_object(row));
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace vktrain::app
