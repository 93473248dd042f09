#include "apps/vktrain/evaluate_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "apps/vktrain/class_report.h"
#include "apps/vktrain/data_set.h"
#include "apps/vktrain/device_session.h"
#include "apps/vktrain/saved_run.h"
#include "apps/vktrain/text.h"
#include "nn/data/split.h"
#include "nn/training/run_json.h"
#include "runtime/atomic_file.h"
#include "runtime/error.h"
#include "runtime/platform.h"

namespace vktrain::app {
namespace {

struct EvaluateArguments {
  SavedRunOptions run;
  ComputeOptions compute;
  std::string set = "test";
  std::optional<std::string> confusion_file;
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

std::string as_json(const EvaluateArguments& arguments, const nn::Experiment& experiment,
                    const nn::EvaluationMetrics& metrics) {
  nlohmann::ordered_json json;
  json["experiment"] = experiment.id;
  json["set"] = arguments.set;
  json.update(nlohmann::ordered_json::parse(nn::evaluation_json(metrics)));
  auto classes = nlohmann::ordered_json::array();
  for (std::size_t label = 0; label < metrics.confusion.classes(); ++label) {
    classes.push_back({{"label", label},
                       {"name", class_name(experiment, label)},
                       {"accuracy", json["class_accuracy"][label]}});
  }
  json.erase("class_accuracy");
  json["classes"] = std::move(classes);
  return json.dump(2) + "\n";
}

std::string as_text(const EvaluateArguments& arguments, const nn::Experiment& experiment,
                    const nn::EvaluationMetrics& metrics) {
  const std::string text = fmt::format(
      "{}: loss {:.4f}, accuracy {:.4f}: exact {:.4f} ({} of {}), batches {:.4f} ± {:.4f}\n\n{}",
      arguments.set, metrics.loss, metrics.accuracy, metrics.exact_accuracy,
      grouped(metrics.correct), grouped(metrics.images), metrics.batch_mean_accuracy,
      metrics.batch_sigma, confusion_table(experiment, metrics.confusion));
  const std::string largest = largest_confusion_text(experiment, metrics.confusion);
  return largest.empty() ? text : text + "\nmost often confused: " + largest + "\n";
}

void evaluate(const EvaluateArguments& arguments, Console& console) {
  if (arguments.confusion_file) require_folder_of(*arguments.confusion_file, "--confusion-matrix");
  const nn::SavedRun run = load_saved_run(arguments.run);
  const nn::FashionMnist data = load_data(run.experiment, arguments.run.data);
  EvaluationSet set = choose_set(arguments.set, run.experiment, data);

  DeviceSession session(arguments.compute, console.err);
  const nn::EvaluationMetrics metrics = open_inference(session, arguments.run, run, *set.images,
                                                       std::move(set.indices), set.batch_size)
                                            ->evaluate();
  if (arguments.confusion_file) {
    write_file_atomically(path_of(*arguments.confusion_file),
                          confusion_csv(run.experiment, metrics.confusion));
  }
  console.out << (arguments.json ? as_json(arguments, run.experiment, metrics)
                                 : as_text(arguments, run.experiment, metrics));
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
  command
      ->add_option("--confusion-matrix", arguments->confusion_file,
                   "Also write the confusion matrix here, as CSV")
      ->type_name("F.csv");
  command->add_flag("--json", arguments->json, "Print JSON");
  add_compute_options(*command, arguments->compute);
  command->callback([arguments, &console] { evaluate(*arguments, console); });
}

}  // namespace vktrain::app
