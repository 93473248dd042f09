#include "apps/vktrain/evaluate_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "apps/vktrain/data_set.h"
#include "apps/vktrain/device_session.h"
#include "apps/vktrain/saved_run.h"
#include "apps/vktrain/text.h"
#include "nn/data/split.h"
#include "nn/training/run_json.h"
#include "runtime/error.h"

namespace vktrain::app {
namespace {

using Confusion = std::vector<std::vector<std::int64_t>>;

struct EvaluateArguments {
  SavedRunOptions run;
  ComputeOptions compute;
  std::string set = "test";
  bool json = false;
};

// The images that `--set` names, as the training split them.
struct EvaluationSet {
  const nn::ImageSet* images = nullptr;
  std::vector<std::uint32_t> indices;
  std::int64_t batch_size = 0;
};

EvaluationSet choose_set(const std::string& name, const nn::Experiment& experiment,
                         const nn::FashionMnist& data) {
  const nn::TrainingSpec& training = experiment.training;
  if (name == "test") {
    std::vector<std::uint32_t> all(static_cast<std::size_t>(data.test.count));
    std::iota(all.begin(), all.end(), 0U);
    return {&data.test, std::move(all), training.test_batch_size};
  }
  nn::Split split = nn::make_split(experiment.data.split, data.train.labels, training.seed);
  if (name == "train") return {&data.train, std::move(split.train), training.val_batch_size};
  if (split.validation.empty()) {
    throw UsageError("--set val needs validation images, but the run's data.split is none.");
  }
  return {&data.train, std::move(split.validation), training.val_batch_size};
}

double class_accuracy(const Confusion& confusion, std::size_t label) {
  const auto& row = confusion[label];
  const auto images = std::accumulate(row.begin(), row.end(), std::int64_t{0});
  return static_cast<double>(row[label]) / static_cast<double>(images);  // NaN without images
}

struct LargestConfusion {
  std::size_t truth = 0;
  std::size_t predicted = 0;
  std::int64_t count = 0;
};

LargestConfusion largest_confusion(const Confusion& confusion) {
  LargestConfusion largest;
  for (std::size_t t = 0; t < confusion.size(); ++t) {
    for (std::size_t p = 0; p < confusion.size(); ++p) {
      if (t != p && confusion[t][p] > largest.count) largest = {t, p, confusion[t][p]};
    }
  }
  return largest;
}

std::string as_json(const EvaluateArguments& arguments, const nn::Experiment& experiment,
                    const nn::EvaluationMetrics& metrics, const Confusion& confusion) {
  nlohmann::ordered_json json;
  json["experiment"] = experiment.id;
  json["set"] = arguments.set;
  json.update(nlohmann::ordered_json::parse(nn::evaluation_json(metrics)));
  auto classes = nlohmann::ordered_json::array();
  for (std::size_t label = 0; label < confusion.size(); ++label) {
    classes.push_back({{"label", label},
                       {"name", class_name(experiment, label)},
                       {"accuracy", class_accuracy(confusion, label)}});
  }
  json["classes"] = std::move(classes);
  json["confusion"] = confusion;
  return json.dump(2) + "\n";
}

std::string as_text(const EvaluateArguments& arguments, const nn::Experiment& experiment,
                    const nn::EvaluationMetrics& metrics, const Confusion& confusion) {
  std::string text = fmt::format(
      "{}: loss {:.4f}, accuracy {:.4f}: exact {:.4f} ({} of {}), batches {:.4f} ± {:.4f}\n\n",
      arguments.set, metrics.loss, metrics.accuracy, metrics.exact_accuracy,
      grouped(metrics.correct), grouped(metrics.images), metrics.batch_mean_accuracy,
      metrics.batch_sigma);
  std::vector<TextTable::Column> columns = {{"true \\ predicted"}};
  for (std::size_t p = 0; p < confusion.size(); ++p) {
    columns.push_back({std::to_string(p), Align::right});
  }
  columns.push_back({"accuracy", Align::right});
  TextTable table(std::move(columns));
  for (std::size_t t = 0; t < confusion.size(); ++t) {
    std::vector<std::string> row = {fmt::format("{} {}", t, class_name(experiment, t))};
    for (const std::int64_t count : confusion[t]) row.push_back(std::to_string(count));
    row.push_back(fmt::format("{:.4f}", class_accuracy(confusion, t)));
    table.add_row(std::move(row));
  }
  text += table.text();
  const LargestConfusion largest = largest_confusion(confusion);
  if (largest.count == 0) return text;
  return text + fmt::format("\nmost often confused: {} taken for {}, {} times\n",
                            class_name(experiment, largest.truth),
                            class_name(experiment, largest.predicted), largest.count);
}

void evaluate(const EvaluateArguments& arguments, Console& console) {
  const nn::SavedRun run = load_saved_run(arguments.run);
  const nn::FashionMnist data = load_data(run.experiment, arguments.run.data);
  EvaluationSet set = choose_set(arguments.set, run.experiment, data);
  std::vector<std::uint8_t> labels;
  for (const std::uint32_t index : set.indices) labels.push_back(set.images->labels[index]);

  DeviceSession session(arguments.compute, console.err);
  nn::EvaluationMetrics metrics;
  Confusion confusion;
  {
    const auto inference = open_inference(session.device(), arguments.run, run, *set.images,
                                          std::move(set.indices), set.batch_size);
    metrics = inference->evaluate();
    confusion = nn::confusion_matrix(inference->logits(), labels,
                                     static_cast<std::size_t>(run.experiment.data.classes));
  }
  console.out << (arguments.json ? as_json(arguments, run.experiment, metrics, confusion)
                                 : as_text(arguments, run.experiment, metrics, confusion));
  session.close();
}

}  // namespace

void add_evaluate_command(CLI::App& app, Console& console) {
  auto arguments = std::make_shared<EvaluateArguments>();
  CLI::App* command =
      app.add_subcommand("evaluate", "Loss, accuracy and confusion matrix of a trained model");
  add_saved_run_options(*command, arguments->run);
  command->add_option("--set", arguments->set, "The images, split as in the training")
      ->check(CLI::IsMember({"test", "val", "train"}))
      ->capture_default_str()
      ->type_name("SET");
  command->add_flag("--json", arguments->json, "Print JSON");
  add_compute_options(*command, arguments->compute);
  command->callback([arguments, &console] { evaluate(*arguments, console); });
}

}  // namespace vktrain::app
