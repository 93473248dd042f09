#include "nn/training/run_json.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "nn/experiment/experiment_toml.h"
#include "nn/training/statistics.h"
#include "runtime/profile_json.h"

namespace vktrain::nn {
namespace {

using Json = nlohmann::ordered_json;  // keys keep the order of writing

Json or_null(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

Json epoch_object(const EpochMetrics& m) {
  Json json;
  json["epoch"] = m.epoch;
  json["learning_rate"] = m.learning_rate;
  json["train_loss"] = m.train_loss;
  json["train_accuracy"] = m.train_accuracy;
  json["val_loss"] = m.validation ? Json(m.validation->loss) : Json(nullptr);
  json["val_accuracy"] = m.validation ? Json(m.validation->accuracy) : Json(nullptr);
  json["test_loss"] = m.test.loss;
  json["test_accuracy"] = m.test.accuracy;
  json["seconds"] = m.seconds;
  json["images_per_second"] = m.images_per_second;
  return json;
}

Json evaluation_object(const EvaluationMetrics& m) {
  Json json;
  json["loss"] = m.loss;
  json["accuracy"] = m.accuracy;
  json["exact_accuracy"] = m.exact_accuracy;
  json["batch_mean_accuracy"] = m.batch_mean_accuracy;
  json["batch_sigma"] = m.batch_sigma;
  json["correct"] = m.correct;
  json["images"] = m.images;
  json["class_accuracy"] = Json::array();
  json["confusion"] = Json::array();
  for (std::size_t truth = 0; truth < m.confusion.classes(); ++truth) {
    json["class_accuracy"].push_back(or_null(m.confusion.class_accuracy(truth)));
    Json row = Json::array();
    for (std::size_t p = 0; p < m.confusion.classes(); ++p) {
      row.push_back(m.confusion.count(truth, p));
    }
    json["confusion"].push_back(std::move(row));
  }
  return json;
}

Json reported_object(const ReportedResults& r) {
  Json json;
  json["test_accuracy"] = or_null(r.test_accuracy);
  json["val_accuracy"] = or_null(r.val_accuracy);
  json["accuracy"] = or_null(r.accuracy);
  json["sigma"] = or_null(r.sigma);
  json["train_loss"] = or_null(r.train_loss);
  json["val_loss"] = or_null(r.val_loss);
  json["test_loss"] = or_null(r.test_loss);
  json["train_seconds"] = or_null(r.train_seconds);
  json["efficiency"] = or_null(r.efficiency);
  json["parameter_count"] = r.parameter_count ? Json(*r.parameter_count) : Json(nullptr);
  return json;
}

Json early_stop_object(const std::optional<EarlyStop>& stop) {
  if (!stop) return nullptr;
  Json json;
  json["best_epoch"] = stop->best_epoch > 0 ? Json(stop->best_epoch) : Json(nullptr);
  json["stopped_epoch"] = stop->stopped_epoch ? Json(*stop->stopped_epoch) : Json(nullptr);
  json["restored"] = stop->restored;
  return json;
}

Json result_object(const Experiment& experiment, const RunResult& result) {
  Json json;
  json["experiment"] = experiment.id;
  json["seed"] = experiment.training.seed;
  json["learning_rate"] = experiment.optimizer.learning_rate;
  json["parameter_count"] = result.parameter_count;
  json["steps"] = result.steps;
  json["train_seconds"] = result.train_seconds;
  json["weights_per_second"] = result.weights_per_second();
  json["test_accuracy"] = result.last.test.accuracy;
  json["val_accuracy"] =
      result.last.validation ? Json(result.last.validation->accuracy) : Json(nullptr);
  json["overfitting_gap"] = or_null(result.overfitting_gap());
  json["early_stopping"] = early_stop_object(result.early_stop);
  json["final"] = epoch_object(result.last);
  json["best"] = epoch_object(result.best);
  json["best_by"] = result.last.validation ? "val_accuracy" : "test_accuracy";
  json["test"] = evaluation_object(result.last.test);
  json["validation"] =
      result.last.validation ? evaluation_object(*result.last.validation) : Json(nullptr);
  json["reported"] = reported_object(experiment.reported);
  return json;
}

// Device and file names may hold bytes that are not UTF-8; they are replaced, never an exception.
std::string text(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}
std::string document(const Json& json) { return text(json, 2) + "\n"; }

template <class Value>
Json spread(std::span<const RunResult> results, Value value) {
  std::vector<double> values;
  for (const RunResult& result : results) {
    const std::optional<double> v = value(result);
    if (!v) return nullptr;
    values.push_back(*v);
  }
  return {{"mean", mean_of(values)}, {"std", or_null(sample_deviation(values))}};
}

using Number = std::optional<double>;

}  // namespace

std::string to_json_line(const EpochMetrics& metrics) { return text(epoch_object(metrics), -1); }

std::string to_json_line(const StepRecord& record) {
  const Json json = {{"step", record.step}, {"loss", record.loss}, {"accuracy", record.accuracy}};
  return text(json, -1);
}

std::string result_json(const Experiment& experiment, const RunResult& result) {
  return document(result_object(experiment, result));
}

std::string replicas_json(const Experiment& experiment, std::span<const std::string> names,
                          std::span<const Experiment> replicas,
                          std::span<const RunResult> results) {
  Json json;
  json["experiment"] = experiment.id;
  json["replicas"] = results.size();
  const auto add = [&](std::string_view name, auto value) {
    json[std::string(name)] = spread(results, value);
  };
  add("test_accuracy", [](const RunResult& r) { return Number(r.last.test.accuracy); });
  add("val_accuracy", [](const RunResult& r) {
    return r.last.validation ? Number(r.last.validation->accuracy) : Number();
  });
  add("test_loss", [](const RunResult& r) { return Number(r.last.test.loss); });
  add("val_loss", [](const RunResult& r) {
    return r.last.validation ? Number(r.last.validation->loss) : Number();
  });
  add("train_loss", [](const RunResult& r) { return Number(r.last.train_loss); });
  add("overfitting_gap", [](const RunResult& r) { return r.overfitting_gap(); });
  add("batch_sigma", [](const RunResult& r) { return Number(r.last.test.batch_sigma); });
  add("train_seconds", [](const RunResult& r) { return Number(r.train_seconds); });
  add("weights_per_second", [](const RunResult& r) { return Number(r.weights_per_second()); });
  Json runs = Json::array();
  for (std::size_t i = 0; i < results.size(); ++i) {
    Json run = {{"folder", names[i]}};
    run.update(result_object(replicas[i], results[i]));
    run.erase("reported");
    runs.push_back(std::move(run));
  }
  json["runs"] = std::move(runs);
  json["reported"] = reported_object(experiment.reported);
  return document(json);
}

std::string device_json(const runtime::DeviceProfile& device, const ProgramInfo& program,
                        const KernelNames& kernels) {
  Json json;
  json["device"] = runtime::profile_object(device);
  json["program"] = {{"name", "vktrain"},
                     {"version", program.version},
                     {"commit", program.commit.empty() ? Json(nullptr) : Json(program.commit)}};
  json["kernels"] = Json::array();
  for (const auto& [operation, kernel] : kernels) {
    json["kernels"].push_back(
        {{"operation", operation.first}, {"shape", operation.second}, {"kernel", kernel}});
  }
  return document(json);
}

std::string devices_json(std::span<const runtime::DeviceProfile> devices) {
  Json json = Json::array();
  for (const runtime::DeviceProfile& device : devices)
    json.push_back(runtime::profile_object(device));
  return document(json);
}

std::string evaluation_json(const EvaluationMetrics& metrics) {
  return document(evaluation_object(metrics));
}

}  // namespace vktrain::nn
