#include "nn/check/reference_training.h"

#include <bit>
#include <numeric>
#include <span>

#include "nn/check/operation_case.h"
#include "nn/initializers/initializer.h"
#include "nn/reference/reference_memory.h"
#include "nn/training/replica_course.h"
#include "nn/training/step_graph.h"

namespace vktrain::nn {
namespace {

void set_parameters(ReferenceMemory& memory, const Graph& graph, std::uint64_t seed) {
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    const Value& value = graph.value(id);
    if (value.kind != ValueKind::parameter && value.kind != ValueKind::state) continue;
    const Parameter& p = graph.parameters()[value.parameter];
    const std::vector<float> values =
        initial_values(p.initializer, p.shape.elements(), p.fan_in, p.fan_out, seed,
                       static_cast<std::uint32_t>(value.parameter));
    memory[id].assign(values.begin(), values.end());
  }
}

// Four pixels a word, the first lowest; rows of whole words.
void set_images(ReferenceMemory& memory, const DatasetInputs& inputs, const ImageSet& images) {
  std::vector<double>& words = memory[inputs.images];
  const std::int64_t pixels = images.pixels_per_image(), stride = divide_up(pixels, 4);
  for (std::int64_t i = 0; i < images.count * pixels; ++i) {
    const auto word = static_cast<std::size_t>(i / pixels * stride + i % pixels / 4);
    words[word] += images.pixels[static_cast<std::size_t>(i)] *
                   static_cast<double>(std::uint32_t{1} << (8 * (i % pixels % 4)));
  }
  memory[inputs.labels].assign(images.labels.begin(), images.labels.end());
  std::iota(memory[inputs.indices].begin(), memory[inputs.indices].end(), 0.0);
}

void set_step(ReferenceMemory& memory, const StepInputs& inputs, const Experiment& experiment,
              std::int64_t steps) {
  std::vector<double>& table = memory[inputs.table];
  table.clear();
  for (const StepTableEntry& entry : ReplicaCourse(experiment, steps).step_table(0, 1, steps)) {
    table.insert(table.end(), {entry.learning_rate, entry.bias_correction1,
                               entry.sqrt_bias_correction2, entry.reserved});
  }
  std::vector<double>& numbers = memory[inputs.hyperparameters];
  numbers.clear();
  for (const std::uint32_t word : words_of_block(hyperparameters_of(experiment))) {
    numbers.push_back(double{std::bit_cast<float>(word)});
  }
}

}  // namespace

std::vector<double> reference_losses(const Experiment& experiment, const ImageSet& images) {
  const std::int64_t steps = images.count / experiment.training.batch_size;
  ParameterSet parameters;
  StepGraph g = build_step_graph(parameters, experiment, experiment.optimizer, images.count,
                                 images.count, FusionOptions::none());
  ReferenceMemory memory(g.graph, experiment.training.batch_size);
  set_parameters(memory, g.graph, experiment.training.seed);
  set_images(memory, g.dataset, images);
  set_step(memory, g.step, experiment, steps);
  for (std::int64_t step = 0; step < steps; ++step) run_reference(g.graph, memory);
  std::vector<double> losses;
  for (std::int64_t step = 0; step < steps; ++step) {
    losses.push_back(memory[g.step.metrics].at(static_cast<std::size_t>(4 * step)));
  }
  return losses;
}

}  // namespace vktrain::nn
