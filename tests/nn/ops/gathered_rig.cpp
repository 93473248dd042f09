#include "tests/nn/ops/gathered_rig.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "nn/fusion_gather_batch.h"
#include "nn/ops/gemm.h"
#include "nn/ops/gemm_variants.h"
#include "nn/ops/reshape.h"
#include "nn/optimizers/gemm_update.h"
#include "nn/optimizers/optimizer_operation.h"
#include "tests/nn/optimizers/optimizer_rig.h"

namespace vktrain::testing {

using namespace nn;

namespace {

constexpr std::int64_t kImages = 41;
constexpr std::int64_t kEntries = 12;  // of the step table

std::vector<std::uint32_t> below(std::size_t count, std::uint32_t end, PhiloxRng rng) {
  std::vector<std::uint32_t> words(count);
  for (std::uint32_t& word : words) word = rng.below(end);
  return words;
}

template <class T>
std::vector<double> to_doubles(const std::vector<std::uint32_t>& words) {
  std::vector<double> values(words.size());
  std::ranges::transform(words, values.begin(), [](std::uint32_t word) {
    return static_cast<double>(std::bit_cast<T>(word));
  });
  return values;
}

}  // namespace

std::string to_string(const GatheredCase& c) {
  return fmt::format("{} outputs of {} images {} by {}", c.out, c.batch, nn::to_string(c.image),
                     c.kernel);
}

GatheredGraph::GatheredGraph(const GatheredCase& c, const runtime::DeviceProfile& device)
    : c_(c), ops_(operation_case(device)) {}

OpCase GatheredGraph::operation_case(const runtime::DeviceProfile& device) {
  OpCase c;
  c.batch = c_.batch;
  c.replicas = c_.replicas;
  c.seed = c_.seed;
  if (!c_.update.empty()) c.optimizer_fill = optimizer_fill(combine_optimizers(c_.update));
  c.build_whole = [&](Graph& graph) { build(graph, device); };
  c.fill = [this](const Value& value, std::size_t count, std::uint32_t replica, PhiloxRng& rng) {
    return fill(value, count, replica, rng);
  };
  return c;
}

// An epoch's indices end with the last step's.
void GatheredGraph::build(Graph& graph, const runtime::DeviceProfile& device) {
  step_ = add_step_inputs(graph, kEntries);
  const std::int64_t last = c_.step_in_epoch + (c_.update.empty() ? c_.replicas - 1 : 2);
  dataset_ = add_dataset_inputs(graph, c_.image, kImages, last * c_.batch_stride + c_.batch);
  batch_ = gather_batch(graph, dataset_, step_, c_.normalization, c_.batch_stride);
  const ValueId x = flatten(graph, batch_.x, "flatten");
  const auto declare = [&graph](const char* name, const Shape& shape) {
    return graph.add_parameter({.name = name, .shape = shape});
  };
  others_["front"] = declare("front", {5, 7});
  weight_ = declare("weight", {c_.out, c_.image.elements()});
  others_["between"] = declare("between", {3, 6});
  if (c_.bias) bias_ = declare("bias", {c_.out});
  others_["behind"] = declare("behind", {9, 3});
  dy_ = graph.add_external("dy", {kBatch, c_.out}, DType::f32, false);
  if (c_.update.empty()) {
    add_products(graph, x);
  } else {
    add_update(graph, x);
  }
  set_precision(graph, c_.precision);
  const auto before = static_cast<ValueId>(graph.value_count());
  fuse_gather_batch(graph, device);
  places_ = before;
  ASSERT_EQ(graph.value_count(), before + 1) << "nothing is gathered";
}

void GatheredGraph::add_products(Graph& graph, ValueId x) {
  const ValueId y = graph.add_activation("y", {kBatch, c_.out});
  GemmEpilogue forward, backward;
  forward.bias = bias_;
  forward.activation = c_.activation;
  if (c_.bias) backward.column_sum = graph.gradient_slot(bias_);
  graph.add(std::make_unique<Gemm>(GemmForm::nt, x, weight_, y, forward));
  graph.add(std::make_unique<Gemm>(GemmForm::tn, dy_, x, graph.gradient_slot(weight_), backward));
}

void GatheredGraph::add_update(Graph& graph, ValueId x) {
  OptimizerValues values = {
      .step = step_, .parameters = {weight_}, .gradients = {graph.gradient_slot(weight_)}};
  ValueId bias_gradient = kNoValue;
  if (c_.bias) {
    bias_gradient = graph.gradient_slot(bias_);
    values.parameters.push_back(bias_);
    values.gradients.push_back(bias_gradient);
  }
  graph.add(std::make_unique<GemmUpdate>(
      dy_, x, bias_gradient, make_optimizer(combine_optimizers(c_.update), std::move(values))));
}

// The bytes behind an image's last pixel are not 0.
GatheredGraph::Words GatheredGraph::images(std::size_t count) const {
  PhiloxRng rng(c_.seed + 100);
  Words words(count);
  for (std::uint32_t& word : words) {
    word = rng.next_u32();
    if (c_.exact) word = (word & 0x01010101u) * 255;
  }
  return words;
}

// Optimizers want the same step of all replicas; a batch's products do not.
GatheredGraph::Words GatheredGraph::state(std::uint32_t step, std::uint32_t replica) const {
  const std::uint32_t ahead = step + (c_.update.empty() ? replica : 0);
  return {77 + ahead, c_.step_in_epoch + ahead, 0, 0};
}

GatheredGraph::Words GatheredGraph::gradients(std::uint32_t step, std::uint32_t replica) const {
  PhiloxRng rng(c_.seed + 200 + step, replica);
  std::vector<float> values(static_cast<std::size_t>(c_.batch * c_.out));
  for (float& value : values) {
    value = c_.exact ? 0.25f * (static_cast<float>(rng.below(5)) - 2)
                     : static_cast<float>(rng.normal());
  }
  return words_of(values);
}

std::optional<GatheredGraph::Words> GatheredGraph::fill(const Value& value, std::size_t count,
                                                        std::uint32_t replica,
                                                        PhiloxRng& rng) const {
  if (value.name == "images") return images(count);
  if (value.name == "labels") return below(count, 10, PhiloxRng(c_.seed + 300));
  if (value.name == "indices") return below(count, kImages, PhiloxRng(c_.seed + 400, replica));
  if (value.name == "step_state") return state(0, replica);
  if (value.name == "dy") return gradients(0, replica);
  if (value.kind == ValueKind::parameter && value.name == "weight") {
    return words_of(
        normal_values(count, rng, 0, 1 / std::sqrt(static_cast<double>(c_.image.elements()))));
  }
  if (c_.update.empty()) return std::nullopt;
  if (value.name == "step_table") return words_of(falling_step_table(c_.update[replica], kEntries));
  if (value.name != "hyperparameters") return std::nullopt;
  Hyperparameters numbers;
  fill_hyperparameters(c_.update[replica], numbers);
  return words_of_block(numbers);
}

// Of that name, however K is split.
std::shared_ptr<const VariantChoices> GatheredGraph::choices(runtime::Device& device,
                                                             std::uint32_t replicas) const {
  VariantChoices choices;
  const ParameterLayout layout(ops_.parameters);
  const PlanOptions options = {
      .batch = c_.batch, .replicas = replicas, .keep_all = true, .plan_for = ops_.plan_for};
  const Plan proposed(ops_.graph, layout, device.profile(), options);
  for (const VariantQuestion& question : proposed.questions()) {
    if (question.family.starts_with("gemm update ")) {
      choices.answer(question.family, question.shape, c_.merged ? "merged" : "apart");
      continue;
    }
    if (question.family.ends_with(" of a batch")) {
      choices.answer(question.family, question.shape, c_.stored ? "stored" : "gathered");
      continue;
    }
    const bool tn = question.family.starts_with("gemm tn") && !c_.kernel_tn.empty();
    const std::string& kernel = tn ? c_.kernel_tn : c_.kernel;
    if (kernel.empty()) continue;
    const auto found =
        std::ranges::find_if(question.candidates, [&kernel](const std::string& name) {
          return name == kernel || name.starts_with(kernel + " split ");
        });
    if (found == question.candidates.end()) {
      ADD_FAILURE() << question.family << " has no " << kernel;
    } else {
      choices.answer(question.family, question.shape, *found);
    }
  }
  return std::make_shared<const VariantChoices>(std::move(choices));
}

std::unique_ptr<OpRun> GatheredGraph::start(runtime::Device& device, std::uint32_t replicas,
                                            std::uint32_t first) const {
  return std::make_unique<OpRun>(device, ops_, c_.batch, replicas, first,
                                 choices(device, replicas));
}

void GatheredGraph::step(OpRun& run, std::uint32_t step, std::uint32_t first) const {
  for (std::uint32_t r = 0; r < run.storage().replicas(); ++r) {
    run.write(step_.state, state(step, first + r), r);
    run.write(dy_, gradients(step, first + r), r);
  }
  run.run();
}

void GatheredGraph::step(ReferenceMemory& memory, std::uint32_t step, std::uint32_t replica) const {
  memory[step_.state] = to_doubles<std::uint32_t>(state(step, replica));
  memory[dy_] = to_doubles<float>(gradients(step, replica));
  run_reference(ops_.graph, memory);
}

ReferenceMemory GatheredGraph::reference(std::uint32_t replica) const {
  ReferenceMemory memory = reference_memory(ops_, c_.batch, replica);
  if (!c_.update.empty()) {
    memory[step_.hyperparameters] =
        to_doubles<float>(ops_.inputs[replica].at(step_.hyperparameters));
  }
  return memory;
}

// But for x, which is not stored, and gradients that only an update of the same operation reads.
std::vector<ValueId> GatheredGraph::compared(const Operation& operation) const {
  std::vector<ValueId> ids;
  for (const ValueId id : operation.outputs()) {
    if (id == kNoValue || ops_.graph.root(id) == batch_.x) continue;
    const bool gradient = ops_.graph.value(id).kind == ValueKind::gradient;
    if (!gradient || c_.update.empty()) ids.push_back(id);
  }
  return ids;
}

void GatheredGraph::expect_reference(const OpRun& run, std::uint32_t replica,
                                     ReferenceMemory& memory) const {
  expect_batch(memory);
  for (const auto& operation : ops_.graph.operations()) {
    for (const ValueId id : compared(*operation)) {
      expect_output(run, replica, memory, *operation, id);
    }
  }
  for (std::size_t i = 0; i < ops_.parameters.size(); ++i) {
    const std::string& name = ops_.parameters[i].name;
    if (name != "weight" && name != "bias") {
      const std::vector<float> found = run.storage().read(i, replica);
      EXPECT_EQ(std::vector<double>(found.begin(), found.end()), memory[others_.at(name)]) << name;
    }
    for (std::uint32_t slot = 0; slot < run.storage().optimizer_slots(); ++slot) {
      expect_close(run.storage().read_optimizer_state(slot, i, replica),
                   memory.optimizer_state(slot, i), 1e-3,
                   fmt::format("slot {} of {}", slot, name).c_str());
    }
  }
}

// The reference's batch, from the case alone.
void GatheredGraph::expect_batch(const ReferenceMemory& memory) const {
  const auto integers = [&memory](ValueId id) {
    return Words(memory[id].begin(), memory[id].end());
  };
  const Words images = integers(dataset_.images), indices = integers(dataset_.indices);
  const std::int64_t pixels = c_.image.elements(), stride = divide_up(pixels, 4);
  const auto first = static_cast<std::int64_t>(memory[step_.state][1]) * c_.batch_stride;
  for (std::int64_t row = 0; row < c_.batch; ++row) {
    const auto at = [row](const std::vector<double>& v, std::int64_t columns, std::int64_t i) {
      return v[static_cast<std::size_t>(row * columns + i)];
    };
    const std::uint32_t image = indices[static_cast<std::size_t>(first + row)];
    ASSERT_EQ(at(memory[batch_.labels], 1, 0), memory[dataset_.labels][image]);
    ASSERT_EQ(at(memory[places_], 1, 0), image * static_cast<double>(round_up(stride, 4)));
    for (std::int64_t i = 0; i < pixels; ++i) {
      const std::uint32_t word = images[static_cast<std::size_t>(image * stride + i / 4)];
      const double byte = word >> (8 * (i % 4)) & 255;
      ASSERT_NEAR(at(memory[batch_.x], pixels, i),
                  (byte / 255 - c_.normalization.mean) / c_.normalization.std, 1e-12);
    }
  }
}

void GatheredGraph::expect_output(const OpRun& run, std::uint32_t replica,
                                  const ReferenceMemory& memory, const Operation& operation,
                                  ValueId id) const {
  const Value& value = ops_.graph.value(id);
  const bool integers = value.dtype == DType::u32;
  const Words words = run.words(id, replica);
  const OutputComparison output = {
      &operation, id, 0,
      compare_values(memory[id],
                     integers ? to_doubles<std::uint32_t>(words) : to_doubles<float>(words),
                     value.dtype, tolerance_of(operation, id, memory))};
  EXPECT_TRUE(output.worst.within())
      << nn::to_string(output, ops_.graph) << "; replica " << replica;
  const Words padding = run.padding(id, replica);
  EXPECT_TRUE(integers || padding == Words(padding.size())) << value.name << ": padding";
}

std::vector<std::vector<std::uint32_t>> GatheredGraph::results(const OpRun& run,
                                                               std::uint32_t replica) const {
  std::vector<Words> all;
  for (const auto& operation : ops_.graph.operations()) {
    for (const ValueId id : compared(*operation)) all.push_back(run.words(id, replica));
  }
  for (std::size_t i = 0; i < ops_.parameters.size(); ++i) {
    for (std::uint32_t slot = 0; slot < run.storage().optimizer_slots(); ++slot) {
      all.push_back(words_of(run.storage().read_optimizer_state(slot, i, replica)));
    }
  }
  return all;
}

}  // namespace vktrain::testing
