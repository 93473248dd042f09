#include "apps/vktrain/data_set.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/error.h"

namespace vktrain::app {
namespace {

constexpr std::string_view kFashionMnist = "fashion-mnist";

void check_labels(const nn::ImageSet& set, std::string_view name, std::int64_t classes,
                  const std::filesystem::path& folder) {
  const int largest = *std::max_element(set.labels.begin(), set.labels.end());
  if (largest < classes) return;
  throw Error(fmt::format(
      "the {} labels in '{}' go up to {}, but the experiment has {} classes; set data.classes and "
      "the width of the last layer to at least {}.",
      name, folder.string(), largest, classes, largest + 1));
}

}  // namespace

nn::FashionMnist load_data(const nn::Experiment& experiment,
                           const std::optional<std::string>& folder) {
  if (experiment.data.dataset != kFashionMnist) {
    throw UsageError(fmt::format("data.dataset is '{}', but the only known data set is '{}'.",
                                 experiment.data.dataset, kFashionMnist));
  }
  nn::FashionMnist data = nn::load_fashion_mnist(nn::find_fashion_mnist(folder));
  check_labels(data.train, "training", experiment.data.classes, data.folder);
  check_labels(data.test, "test", experiment.data.classes, data.folder);
  return data;
}

}  // namespace vktrain::app
