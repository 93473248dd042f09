#include "apps/vktrain/predict_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
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
#include "nn/data/idx.h"
#include "runtime/error.h"
#include "runtime/platform.h"

namespace vktrain::app {
namespace {

struct PredictArguments {
  SavedRunOptions run;
  ComputeOptions compute;
  std::optional<std::string> images;
  std::int64_t index = 0;
  std::optional<std::int64_t> count;
  std::size_t top = 3;
  bool json = false;
};

// Images to predict; those of a file of the user's have no labels.
struct Images {
  nn::ImageSet set;
  bool labelled = false;
};

nn::ImageSet read_unlabelled(const std::string& path, const nn::Experiment& experiment) {
  nn::IdxArray array = nn::read_idx(path_of(path));
  const std::size_t rank = array.dims.size();
  if ((rank != 3 && rank != 4) || array.dims[0] == 0) {
    throw Error(fmt::format(
        "'{}' must hold images [count, height, width] or [count, channels, height, width], but it "
        "has {} dimensions and {} bytes.",
        path, rank, array.bytes.size()));
  }
  nn::ImageSet set;
  set.count = array.dims[0];
  set.channels = rank == 4 ? array.dims[1] : 1;
  set.height = array.dims[rank - 2];
  set.width = array.dims[rank - 1];
  set.pixels = std::move(array.bytes);
  set.labels.assign(static_cast<std::size_t>(set.count), 0);
  set.classes = static_cast<int>(experiment.data.classes);
  return set;
}

Images load_images(const PredictArguments& arguments, const nn::Experiment& experiment) {
  if (arguments.images) return {read_unlabelled(*arguments.images, experiment), false};
  return {load_data(experiment, arguments.run.data).test, true};
}

// Indices of the images that are asked for: by default one test image, or all of a file.
std::vector<std::uint32_t> choose_indices(const PredictArguments& arguments, const Images& images) {
  const std::int64_t all = images.set.count;
  if (arguments.index < 0 || arguments.index >= all) {
    throw UsageError(
        fmt::format("--index must be from 0 to {}, as there are {} images, but it is {}.", all - 1,
                    all, arguments.index));
  }
  const std::int64_t rest = all - arguments.index;
  const std::int64_t count = arguments.count.value_or(images.labelled ? 1 : rest);
  if (count < 1 || count > rest) {
    throw UsageError(fmt::format(
        "--count must be from 1 to {}, as there are {} images from index {} on, but it is {}.",
        rest, rest, arguments.index, count));
  }
  std::vector<std::uint32_t> indices(static_cast<std::size_t>(count));
  std::iota(indices.begin(), indices.end(), static_cast<std::uint32_t>(arguments.index));
  return indices;
}

struct Prediction {
  std::uint32_t index = 0;
  std::optional<std::size_t> label;
  std::vector<double> probabilities;     // by class
  std::vector<std::size_t> most_likely;  // classes, the likeliest first
};

Prediction make_prediction(const Images& images, std::uint32_t index, std::span<const float> logits,
                           std::size_t top) {
  Prediction result;
  result.index = index;
  if (images.labelled) result.label = images.set.labels[index];
  result.probabilities = nn::softmax(logits);
  result.most_likely.resize(logits.size());
  std::iota(result.most_likely.begin(), result.most_likely.end(), std::size_t{0});
  std::stable_sort(result.most_likely.begin(), result.most_likely.end(),
                   [&](std::size_t a, std::size_t b) { return logits[a] > logits[b]; });
  result.most_likely.resize(std::min(top, logits.size()));
  return result;
}

std::string as_text(const nn::Experiment& experiment, std::span<const Prediction> predictions) {
  std::string text;
  for (const Prediction& prediction : predictions) {
    text += fmt::format("{}:", prediction.index);
    for (const std::size_t label : prediction.most_likely) {
      text += fmt::format(" {} {:.4f},", class_name(experiment, label),
                          prediction.probabilities[label]);
    }
    text.pop_back();
    if (prediction.label) {
      text += fmt::format(" (is {})", class_name(experiment, *prediction.label));
    }
    text += "\n";
  }
  return text;
}

std::string as_json(const nn::Experiment& experiment, std::span<const Prediction> predictions) {
  auto json = nlohmann::ordered_json::array();
  for (const Prediction& prediction : predictions) {
    nlohmann::ordered_json item;
    item["index"] = prediction.index;
    item["label"] = nullptr;
    item["label_name"] = nullptr;
    if (prediction.label) {
      item["label"] = *prediction.label;
      item["label_name"] = class_name(experiment, *prediction.label);
    }
    for (const std::size_t label : prediction.most_likely) {
      item["predictions"].push_back({{"class", label},
                                     {"name", class_name(experiment, label)},
                                     {"probability", prediction.probabilities[label]}});
    }
    json.push_back(std::move(item));
  }
  return json.dump(2) + "\n";
}

void predict(const PredictArguments& arguments, Console& console) {
  if (arguments.top < 1) throw UsageError("--top must be at least 1, but it is 0.");
  const nn::SavedRun run = load_saved_run(arguments.run);
  const Images images = load_images(arguments, run.experiment);
  const std::vector<std::uint32_t> indices = choose_indices(arguments, images);

  DeviceSession session(arguments.compute, console.err);
  const std::vector<float> logits = open_inference(session, arguments.run, run, images.set, indices,
                                                   run.experiment.training.test_batch_size)
                                        ->logits();
  const auto classes = static_cast<std::size_t>(run.experiment.data.classes);
  std::vector<Prediction> predictions;
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const auto row = std::span(logits).subspan(i * classes, classes);
    predictions.push_back(make_prediction(images, indices[i], row, arguments.top));
  }
  console.out << (arguments.json ? as_json(run.experiment, predictions)
                                 : as_text(run.experiment, predictions));
  session.close();
}

}  // namespace

void add_predict_command(CLI::App& app, Console& console) {
  auto arguments = std::make_shared<PredictArguments>();
  CLI::App* command = app.add_subcommand("predict", "The likeliest classes of images");
  add_saved_run_options(*command, arguments->run);
  command
      ->add_option("--images", arguments->images,
                   "Images in an IDX file [default: the test images]")
      ->type_name("FILE");
  command->add_option("--index", arguments->index, "First image")->capture_default_str();
  command->add_option("--count", arguments->count,
                      "Number of images [default: 1 test image, all of a file]");
  command->add_option("--top", arguments->top, "Classes to name")->capture_default_str();
  command->add_flag("--json", arguments->json, "Print JSON");
  add_compute_options(*command, arguments->compute);
  command->callback([arguments, &console] { predict(*arguments, console); });
}

}  // namespace vktrain::app
