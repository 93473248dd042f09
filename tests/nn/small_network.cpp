#include "tests/nn/small_network.h"

#include <fmt/format.h>

#include <bit>

#include "nn/differentiate.h"
#include "nn/layers/linear.h"
#include "nn/ops/add.h"
#include "nn/ops/batch_norm.h"
#include "nn/ops/dropout.h"

namespace vktrain::testing {

using namespace nn;

namespace {

using Kind = NetworkLayer::Kind;

std::string to_string(const NetworkLayer& layer) {
  switch (layer.kind) {
    case Kind::linear:
      return fmt::format("linear {}{}", layer.out, layer.bias ? "" : " without bias");
    case Kind::activation:
      return std::string(nn::to_string(layer.activation.kind));
    case Kind::batch_norm:
      return "batch_norm";
    case Kind::dropout:
      return "dropout";
    case Kind::skip:
      return "skip";
  }
  return "?";
}

std::uint32_t word(double value) { return std::bit_cast<std::uint32_t>(static_cast<float>(value)); }

bool is_input(const Value& value) {
  return value.kind == ValueKind::external || value.kind == ValueKind::parameter ||
         value.kind == ValueKind::state;
}

}  // namespace

std::string to_string(const std::vector<NetworkLayer>& layers) {
  std::string text;
  for (const NetworkLayer& layer : layers) text += (text.empty() ? "" : ", ") + to_string(layer);
  return text;
}

std::vector<NetworkLayer> random_layers(PhiloxRng& rng, std::int64_t classes) {
  constexpr Activation kActivations[] = {
      Activation::relu,       Activation::tanh, Activation::sigmoid, Activation::elu,
      Activation::leaky_relu, Activation::gelu, Activation::silu};
  std::vector<NetworkLayer> layers;
  const std::uint32_t hidden = 1 + rng.below(3);
  for (std::uint32_t i = 0; i < hidden; ++i) {
    layers.push_back(NetworkLayer::linear(1 + rng.below(40), rng.below(4) > 0));
    const std::uint32_t others = rng.below(4);
    for (std::uint32_t j = 0; j < others; ++j) {
      switch (rng.below(6)) {
        case 0:
          layers.push_back(NetworkLayer::batch_norm());
          break;
        case 1:
          layers.push_back(NetworkLayer::dropout());
          break;
        case 2:
          layers.push_back(NetworkLayer::skip());
          break;
        default:
          layers.push_back(NetworkLayer::act(kActivations[rng.below(7)], 0.5f));
      }
    }
  }
  layers.push_back(NetworkLayer::linear(classes, rng.below(4) > 0));
  return layers;
}

Network::Network(std::int64_t columns, const std::vector<NetworkLayer>& layers) {
  step = add_step_inputs(graph, 1);
  x = graph.add_external("x", {kBatch, columns}, DType::f32, false);
  labels = graph.add_external("labels", {kBatch}, DType::u32, false);
  ValueId value = x;
  std::uint32_t slots = 0;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::string label = fmt::format("{}", i);
    switch (layers[i].kind) {
      case Kind::linear:
        value = linear(graph, value, {.out = layers[i].out, .bias = layers[i].bias}, label);
        break;
      case Kind::activation:
        value = activation(graph, value, layers[i].activation, label);
        break;
      case Kind::batch_norm:
        value = batch_norm_train(graph, value, BatchNormOptions{}, label);
        break;
      case Kind::dropout:
        value = nn::dropout(graph, value, slots++, step, label);
        break;
      case Kind::skip:
        value = add(graph, value, activation(graph, value, {Activation::tanh}, label), label);
        break;
    }
    outputs.push_back(value);
  }
  loss = softmax_cross_entropy(graph, value, labels);
  differentiate(graph, loss.loss);
  graph.keep(loss.loss);
}

NetworkInputs Network::inputs(std::int64_t batch, std::uint64_t seed) const {
  NetworkInputs inputs;
  PhiloxRng rng(seed);
  const ValueId logits = outputs.back();
  const auto classes = static_cast<std::uint32_t>(graph.value(logits).shape.elements_per_row());
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    const Value& value = graph.value(id);
    if (!is_input(value)) continue;
    std::vector<std::uint32_t>& words = inputs[id];
    const std::int64_t count = value.shape.with_batch(batch).elements();
    // Weights about as large as initialisers make them; variances positive.
    const bool weight = value.kind == ValueKind::parameter && value.shape.rank() == 2;
    const double scale =
        weight ? 1.5 / std::sqrt(static_cast<double>(value.shape.elements_per_row())) : 1.0;
    for (std::int64_t i = 0; i < count; ++i) {
      const double number = value.kind == ValueKind::state ? 0.5 + rng.uniform() : rng.normal();
      words.push_back(value.dtype == DType::u32 ? 0 : word(scale * number));
    }
  }
  for (std::uint32_t& label : inputs[labels]) label = rng.below(classes);
  Hyperparameters numbers;
  numbers.seed[0] = rng.next_u32();
  for (float& probability : numbers.dropout) probability = 0.25f;
  const auto words = std::bit_cast<std::array<std::uint32_t, 32>>(numbers);
  inputs[step.hyperparameters].assign(words.begin(), words.end());
  return inputs;
}

std::vector<std::pair<ValueId, ValueId>> Network::gradients() const {
  std::vector<std::pair<ValueId, ValueId>> pairs;
  for (ValueId parameter = 0; parameter < graph.value_count(); ++parameter) {
    if (graph.value(parameter).kind != ValueKind::parameter) continue;
    for (ValueId gradient = 0; gradient < graph.value_count(); ++gradient) {
      if (graph.value(gradient).kind == ValueKind::gradient &&
          graph.value(gradient).parameter == graph.value(parameter).parameter) {
        pairs.emplace_back(parameter, gradient);
      }
    }
  }
  return pairs;
}

std::vector<NetworkResults> run_on_device(runtime::Device& device, Network& network,
                                          const std::vector<NetworkInputs>& inputs,
                                          PlanOptions options) {
  options.replicas = static_cast<std::uint32_t>(inputs.size());
  ParameterStorage storage(device, network.parameters, options.replicas, 0);
  Executable executable(device, network.graph, storage, options);
  for (std::uint32_t r = 0; r < options.replicas; ++r) {
    for (const auto& [id, words] : inputs[r]) executable.write_words(id, words, r);
  }
  executable.run();
  std::vector<NetworkResults> results(options.replicas);
  for (std::uint32_t r = 0; r < options.replicas; ++r) {
    results[r].push_back(executable.read(network.loss.loss, r));
    for (const auto& [parameter, gradient] : network.gradients()) {
      results[r].push_back(executable.read(gradient, r));
    }
  }
  return results;
}

ReferenceMemory reference_memory(const Graph& graph, const NetworkInputs& inputs,
                                 std::int64_t batch) {
  ReferenceMemory memory(graph, batch);
  for (const auto& [id, words] : inputs) {
    const bool integers = graph.value(id).dtype == DType::u32;
    for (std::size_t i = 0; i < words.size(); ++i) {
      memory[id][i] = integers ? words[i] : static_cast<double>(std::bit_cast<float>(words[i]));
    }
  }
  return memory;
}

}  // namespace vktrain::testing
