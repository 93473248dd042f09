#include "apps/vktrain/data_set.h"

#include <fmt/format.h>

#include "runtime/error.h"
#include "runtime/platform.h"

namespace vktrain::app {
namespace {

constexpr std::string_view kFashionMnist = "fashion-mnist";

}  // namespace

std::filesystem::path find_data(const std::optional<std::string>& folder) {
  return nn::find_fashion_mnist(folder ? std::optional(path_of(*folder)) : std::nullopt);
}

nn::FashionMnist load_data(const nn::Experiment& experiment,
                           const std::optional<std::string>& folder) {
  if (experiment.data.dataset != kFashionMnist) {
    throw UsageError(fmt::format("data.dataset is '{}', but the only known data set is '{}'.",
                                 experiment.data.dataset, kFashionMnist));
  }
  return nn::load_fashion_mnist(find_data(folder));
}

}  // namespace vktrain::app
