#include "tests/nn/ops/dropout_rig.h"

#include <algorithm>
#include <cstring>

#include "nn/ops/step_state.h"

namespace vktrain::testing {

using namespace nn;

namespace {

std::vector<std::uint32_t> hyperparameter_words(float probability, std::uint32_t slots,
                                                std::uint32_t seed) {
  Hyperparameters h;
  h.seed[0] = seed;
  std::fill_n(&h.dropout[kSlot], slots, probability);
  std::vector<std::uint32_t> words(sizeof h / 4);
  std::memcpy(words.data(), &h, sizeof h);
  return words;
}

}  // namespace

std::optional<std::vector<std::uint32_t>> fill_dropout(const DropoutCase& settings,
                                                       const Value& value, std::size_t count,
                                                       std::uint32_t replica) {
  constexpr float kProbabilities[] = {0.5f, 0.1f, 0.0f};
  if (value.name == "step_state") return std::vector<std::uint32_t>{settings.step, 0, 0, 0};
  if (value.name == "hyperparameters") {
    return hyperparameter_words(settings.probability.value_or(kProbabilities[replica % 3]),
                                settings.slots, 1000 + replica);
  }
  if (!settings.ones) return std::nullopt;
  if (value.name == "pre.bias") return std::vector<std::uint32_t>(count, 0);
  if (value.name == "input") return words_of(std::vector<float>(count, 1.0f));
  return std::nullopt;
}

ValueId backward_output(const OpGraph& ops, std::string_view kind) {
  ValueId output = kNoValue;
  for (const auto& operation : ops.graph.operations()) {
    if (operation->kind() == kind) output = operation->outputs()[0];
  }
  return output;
}

double zeros(const std::vector<float>& values) {
  return static_cast<double>(std::count(values.begin(), values.end(), 0.0f)) /
         static_cast<double>(values.size());
}

double agreement(const std::vector<float>& a, const std::vector<float>& b) {
  std::size_t same = 0;
  for (std::size_t i = 0; i < a.size(); ++i) same += (a[i] == 0) == (b[i] == 0);
  return static_cast<double>(same) / static_cast<double>(a.size());
}

}  // namespace vktrain::testing
