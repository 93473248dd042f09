#include "apps/vktrain/class_report.h"

#include <fmt/format.h>

#include <vector>

#include "apps/vktrain/text.h"
#include "nn/data/fashion_mnist.h"

namespace vktrain::app {
namespace {

std::string class_accuracy(const nn::Confusion& confusion, std::size_t label) {
  const std::optional<double> accuracy = confusion.class_accuracy(label);
  return accuracy ? fmt::format("{:.4f}", *accuracy) : "-";
}

}  // namespace

std::string class_name(const nn::Experiment& experiment, std::size_t label) {
  const auto names = nn::label_names();
  if (experiment.data.classes != static_cast<std::int64_t>(names.size())) {
    return fmt::format("class {}", label);
  }
  return std::string(names[label]);
}

std::string largest_confusion_text(const nn::Experiment& experiment,
                                   const nn::Confusion& confusion) {
  const std::optional<nn::Confusion::Pair> largest = confusion.largest();
  if (!largest) return "";
  return fmt::format("{} taken for {}: {} of {}", class_name(experiment, largest->truth),
                     class_name(experiment, largest->predicted), grouped(largest->count),
                     grouped(confusion.images(largest->truth)));
}

std::string class_lines(const nn::Experiment& experiment, const nn::Confusion& confusion) {
  std::string text = "accuracy by class:";
  for (std::size_t label = 0; label < confusion.classes(); ++label) {
    text += fmt::format("{} {} {}", label > 0 ? "," : "", class_name(experiment, label),
                        class_accuracy(confusion, label));
  }
  text += "\n";
  const std::string largest = largest_confusion_text(experiment, confusion);
  return largest.empty() ? text : text + "most often confused: " + largest + "\n";
}

std::string confusion_table(const nn::Experiment& experiment, const nn::Confusion& confusion) {
  std::vector<TextTable::Column> columns = {{"true \\ predicted"}};
  for (std::size_t p = 0; p < confusion.classes(); ++p) {
    columns.push_back({std::to_string(p), Align::right});
  }
  columns.push_back({"accuracy", Align::right});
  TextTable table(std::move(columns));
  for (std::size_t t = 0; t < confusion.classes(); ++t) {
    std::vector<std::string> row = {fmt::format("{} {}", t, class_name(experiment, t))};
    for (std::size_t p = 0; p < confusion.classes(); ++p) {
      row.push_back(std::to_string(confusion.count(t, p)));
    }
    row.push_back(class_accuracy(confusion, t));
    table.add_row(std::move(row));
  }
  return table.text();
}

std::string confusion_csv(const nn::Experiment& experiment, const nn::Confusion& confusion) {
  std::vector<std::string> titles = {"true \\ predicted"};
  for (std::size_t p = 0; p < confusion.classes(); ++p) {
    titles.push_back(class_name(experiment, p));
  }
  std::string text = csv_line(std::move(titles));
  for (std::size_t t = 0; t < confusion.classes(); ++t) {
    std::vector<std::string> cells = {class_name(experiment, t)};
    for (std::size_t p = 0; p < confusion.classes(); ++p) {
      cells.push_back(std::to_string(confusion.count(t, p)));
    }
    text += csv_line(std::move(cells));
  }
  return text;
}

}  // namespace vktrain::app
