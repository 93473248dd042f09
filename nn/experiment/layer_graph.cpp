// See layer_graph.h. The shapes are in layer_shapes.cpp.
#include "nn/experiment/layer_graph.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <utility>

#include "nn/experiment/layer_shapes.h"
#include "nn/experiment/toml_value.h"

namespace vktrain::nn {

namespace {

using Inputs = std::vector<std::vector<std::size_t>>;  // of each layer of the list

constexpr std::string_view kInputName = "input";

std::string name_at(const ModelSpec& model, std::size_t index) {
  if (index == kModelInput) return std::string(kInputName);
  const std::string& name = model.layers[index].name;
  return name.empty() ? std::to_string(index) : name;
}

std::map<std::string, std::size_t> indices_by_name(const ModelSpec& model) {
  std::map<std::string, std::size_t> indices = {{std::string(kInputName), kModelInput}};
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    const auto [place, fresh] = indices.emplace(name_at(model, i), i);
    if (fresh) continue;
    throw UsageError(fmt::format(
        "{} needs a name of its own, but {} is the name of {} too.", layer_subject(model, i),
        quoted(place->first),
        place->second == kModelInput ? "the images" : layer_subject(model, place->second)));
  }
  return indices;
}

bool joins(LayerType type) { return type == LayerType::add || type == LayerType::concat; }

void check_input_count(const ModelSpec& model, std::size_t index, std::size_t count) {
  const bool many = joins(model.layers[index].type);
  if (many ? count >= 2 : count == 1) return;
  throw UsageError(
      fmt::format("{} needs {}, but it has {}.", layer_subject(model, index),
                  many ? "the names of at least two inputs, as inputs=a,b" : "one input", count));
}

Inputs inputs_of(const ModelSpec& model) {
  const std::map<std::string, std::size_t> indices = indices_by_name(model);
  Inputs inputs(model.layers.size());
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    const LayerSpec& layer = model.layers[i];
    if (layer.inputs.empty() && !joins(layer.type)) {
      inputs[i] = {i == 0 ? kModelInput : i - 1};
    }
    for (const std::string& name : layer.inputs) {
      const auto found = indices.find(name);
      if (found == indices.end()) {
        std::vector<std::string> known;
        for (const auto& entry : indices) known.push_back(entry.first);
        throw UsageError(fmt::format("{} has a wrong input: {}", layer_subject(model, i),
                                     unknown_name("layer", name, known)));
      }
      inputs[i].push_back(found->second);
    }
    check_input_count(model, i, inputs[i].size());
  }
  return inputs;
}

// Some cycle among the layers that could not run, first layer first and last.
[[noreturn]] void refuse_cycle(const ModelSpec& model, const Inputs& inputs,
                               const std::vector<bool>& done) {
  std::vector<std::size_t> path = {
      static_cast<std::size_t>(std::find(done.begin(), done.end(), false) - done.begin())};
  for (;;) {
    const std::vector<std::size_t>& from = inputs[path.back()];
    const std::size_t next = *std::find_if(
        from.begin(), from.end(), [&](std::size_t i) { return i != kModelInput && !done[i]; });
    const bool closes = std::find(path.begin(), path.end(), next) != path.end();
    path.push_back(next);
    if (closes) break;
  }
  path.erase(path.begin(), std::find(path.begin(), path.end(), path.back()));
  std::reverse(path.begin(), path.end());  // from an input to its reader
  std::vector<std::string> names;
  for (const std::size_t index : path) names.push_back(name_at(model, index));
  throw UsageError(fmt::format("{} cannot run, because it needs its own output: {}.",
                               layer_subject(model, path[0]), fmt::join(names, " -> ")));
}

// An order in which the layers can run; of those that could, the first of the list is next.
std::vector<std::size_t> running_order(const ModelSpec& model, const Inputs& inputs) {
  std::vector<std::size_t> order;
  std::vector<bool> done(inputs.size(), false);
  const auto ready = [&](std::size_t index) {
    return !done[index] && std::all_of(inputs[index].begin(), inputs[index].end(),
                                       [&](std::size_t i) { return i == kModelInput || done[i]; });
  };
  while (order.size() < inputs.size()) {
    std::size_t next = 0;
    while (next < inputs.size() && !ready(next)) ++next;
    if (next == inputs.size()) refuse_cycle(model, inputs, done);
    done[next] = true;
    order.push_back(next);
  }
  return order;
}

void require_one_output(const ModelSpec& model, const Inputs& inputs) {
  std::vector<bool> used(inputs.size(), false);
  for (const auto& from : inputs) {
    for (const std::size_t i : from) {
      if (i != kModelInput) used[i] = true;
    }
  }
  const auto first = std::find(used.begin(), used.end(), false);
  const auto second = std::find(first + 1, used.end(), false);
  if (second == used.end()) return;
  throw UsageError(
      fmt::format("{} gives an output that no layer uses, and so does {}, but a model has one "
                  "output; name the other among the inputs of a layer, or leave it out.",
                  layer_subject(model, static_cast<std::size_t>(first - used.begin())),
                  layer_subject(model, static_cast<std::size_t>(second - used.begin()))));
}

}  // namespace

std::string layer_subject(const ModelSpec& model, std::size_t index) {
  const LayerSpec& layer = model.layers[index];
  return fmt::format("model.layers[{}] ({}{}{})", index, name_of(layer.type),
                     layer.name.empty() ? "" : " ", layer.name);
}

LayerGraph resolve_layers(const ModelSpec& model) {
  if (model.layers.empty()) {
    throw UsageError(
        "model.layers must name at least one layer, as [\"flatten\", \"linear 10\"], but it is "
        "empty.");
  }
  const Inputs inputs = inputs_of(model);
  const std::vector<std::size_t> order = running_order(model, inputs);
  require_one_output(model, inputs);
  LayerGraph graph;
  std::vector<Extent> extents(model.layers.size());
  for (const std::size_t index : order) {
    const std::string subject = layer_subject(model, index);
    std::vector<Extent> given;
    for (const std::size_t i : inputs[index]) {
      given.push_back(i == kModelInput ? Extent(model.input.begin(), model.input.end())
                                       : extents[i]);
    }
    if (model.layers[index].type == LayerType::softmax && index != order.back()) {
      throw UsageError(fmt::format(
          "{} must be the last layer, because the loss computes it, but another layer reads it.",
          subject));
    }
    const LayerResult result = result_of(model.layers[index], given, subject);
    extents[index] = result.output;
    graph.nodes.push_back(
        {index, name_at(model, index), inputs[index], result.output, result.parameters});
  }
  return graph;
}

}  // namespace vktrain::nn
