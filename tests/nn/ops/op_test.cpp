#include "tests/nn/ops/op_test.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "nn/differentiate.h"
#include "nn/ops/activation.h"
#include "nn/ops/add.h"
#include "nn/ops/bias_add.h"

namespace vktrain::testing {

using namespace nn;

namespace {

constexpr std::uint32_t kNaN = 0x7fc00000;

// loss[n] = batch * sum over c of z[n, c] * dz[n, c], whose mean has the gradient dz. Starts the
// chain; the device computes no loss.
class WeightedLoss : public Operation {
 public:
  WeightedLoss(ValueId z, ValueId dz, ValueId loss) : Operation({z, dz}, {loss}) {}
  std::string_view kind() const override { return "weighted_loss"; }
  void differentiate(Differentiator& differentiator) const override {
    differentiator.pass_gradient(inputs_[0], inputs_[1]);
  }
  void lower(Lowering&) const override {}
  void reference(ReferenceMemory& memory) const override {
    const std::vector<double>&z = memory[inputs_[0]], &dz = memory[inputs_[1]];
    std::vector<double>& loss = memory[outputs_[0]];
    const std::size_t columns = z.size() / loss.size();
    std::fill(loss.begin(), loss.end(), 0.0);
    for (std::size_t i = 0; i < z.size(); ++i) {
      loss[i / columns] += z[i] * dz[i] * static_cast<double>(loss.size());
    }
  }
};

bool is_input(const Value& value) {
  return value.kind == ValueKind::external || value.kind == ValueKind::parameter ||
         value.kind == ValueKind::state;
}

double to_double(std::uint32_t word, DType dtype) {
  return dtype == DType::u32 ? word : static_cast<double>(std::bit_cast<float>(word));
}

std::vector<double> to_doubles(const std::vector<std::uint32_t>& words, DType dtype) {
  std::vector<double> values(words.size());
  for (std::size_t i = 0; i < words.size(); ++i) values[i] = to_double(words[i], dtype);
  return values;
}

// Vulkan grants exp an error of 3 + 2 |x| units; tanh and elu need it for |x| around 1 only, where
// e^x still counts, sigmoid and silu over the whole range, gelu (whose argument is x^2 / 2, itself
// rounded) up to 13 deviations.
double activation_units(Activation kind, double range) {
  if (kind == Activation::sigmoid || kind == Activation::silu) {
    return 8 + 2 * std::min(range, 88.0);
  }
  return kind == Activation::gelu ? 8 + 3 * std::min(range * range / 2, 85.0) : 16;
}

// 1 - y^2 and y (1 - y) cancel: an error of a rounding of 1 (or y) times the gradient. So do the
// two terms of the derivatives of gelu and silu, around their minimum.
std::optional<Tolerance> activation_tolerance(const Operation& operation,
                                              const ReferenceMemory& memory) {
  // What is left past the range of exp: x times the smallest normal number.
  constexpr double kUnderflow = 1e-28;
  if (const auto* forward = dynamic_cast<const ActivationForward*>(&operation)) {
    return Tolerance{
        .relative = activation_units(forward->activation().kind, largest(memory[forward->x()])),
        .absolute = kUnderflow};
  }
  const auto* backward = dynamic_cast<const ActivationBackward*>(&operation);
  if (!backward) return std::nullopt;
  const Activation kind = backward->activation().kind;
  const double scale = largest(memory[backward->dy()]);
  if (!derivative_needs_input(kind)) return Tolerance{.relative = 4, .absolute = scale};
  return Tolerance{.relative = activation_units(kind, largest(memory[backward->operand()])),
                   .absolute = 4 * scale};
}

// Elementwise operations round once or evaluate a function; sums add the terms' roundings, which
// grow like the square root of their number.
Tolerance default_tolerance(const Operation& operation, const ReferenceMemory& memory) {
  if (operation.kind() == "add" || operation.kind() == "bias_add") return {.relative = 1};
  if (operation.kind() == "column_sum" || operation.kind() == "channel_sum") {
    const ValueId x = operation.inputs()[0], sum = operation.outputs()[0];
    const auto terms = static_cast<double>(memory[x].size() / memory[sum].size());
    return {.relative = 2, .absolute = 4 * std::sqrt(terms) * largest(memory[x])};
  }
  return activation_tolerance(operation, memory).value_or(Tolerance{});
}

void compare(const std::string& what, const std::vector<double>& reference,
             const std::vector<std::uint32_t>& words, DType dtype, const Tolerance& tolerance) {
  ASSERT_EQ(reference.size(), words.size()) << what;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const double value = to_double(words[i], dtype);
    const double limit =
        dtype == DType::u32
            ? 0
            : 0x1p-24 * (tolerance.relative * std::abs(reference[i]) + tolerance.absolute) + 1e-37;
    if (std::abs(value - reference[i]) <= limit) continue;
    ADD_FAILURE() << fmt::format("{} [{}]: device {:.9g}, reference {:.9g}, allowed {:.3g}", what,
                                 i, value, reference[i], limit);
    return;
  }
}

void check_padding(const OpGraph& ops, const OpRun& run, std::uint32_t replica) {
  for (ValueId id = 0; id < ops.graph.value_count(); ++id) {
    const Value& value = ops.graph.value(id);
    if (id == ops.loss || value.dtype != DType::f32 || value.kind == ValueKind::external) continue;
    if (!run.has(id)) continue;
    for (std::uint32_t word : run.padding(id, replica)) {
      const float number = std::bit_cast<float>(word);
      const bool good = value.kind == ValueKind::activation ? std::isfinite(number) : number == 0;
      if (good) continue;
      ADD_FAILURE() << value.name << ": padding holds " << number;
      break;
    }
  }
}

void check_same_bits(const OpGraph& ops, const OpRun& all, const OpRun& single,
                     std::uint32_t replica) {
  for (ValueId id = 0; id < ops.graph.value_count(); ++id) {
    if (id == ops.loss || !all.has(id)) continue;
    EXPECT_TRUE(all.words(id, replica) == single.words(id, 0))
        << ops.graph.value(id).name << " of replica " << replica << " differs from the single run";
  }
}

// One pass over the operations: loads what the device has, applies the reference, compares.
void check_operations(const OpCase& c, const OpGraph& ops, const OpRun& run, std::uint32_t replica,
                      ReferenceMemory& memory) {
  for (const auto& operation : ops.graph.operations()) {
    if (operation->kind() == "weighted_loss") continue;
    for (ValueId id : operation->inputs()) {
      const Value& value = ops.graph.value(id);
      // States are overwritten in place; the reference carries its own.
      if (value.kind == ValueKind::state) continue;
      memory[id] = to_doubles(run.words(id, replica), value.dtype);
    }
    operation->reference(memory);
    for (ValueId id : operation->outputs()) {
      const Value& value = ops.graph.value(id);
      if (c.ignore && c.ignore(value)) continue;
      std::optional<Tolerance> tolerance;
      if (c.tolerance) tolerance = c.tolerance(*operation, id, memory);
      compare(fmt::format("{} -> {}, batch {}, columns {}, replica {}", operation->kind(),
                          value.name, c.batch, c.columns, replica),
              memory[id], run.words(id, replica), value.dtype,
              tolerance.value_or(default_tolerance(*operation, memory)));
    }
  }
}

ReferenceMemory reference_memory(const OpGraph& ops, std::int64_t batch, std::uint32_t replica) {
  ReferenceMemory memory(ops.graph, batch);
  for (const auto& [id, words] : ops.inputs[replica]) {
    memory[id] = to_doubles(words, ops.graph.value(id).dtype);
  }
  return memory;
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

}  // namespace

std::vector<std::uint32_t> words_of(const std::vector<float>& values) {
  std::vector<std::uint32_t> words(values.size());
  std::transform(values.begin(), values.end(), words.begin(),
                 [](float value) { return std::bit_cast<std::uint32_t>(value); });
  return words;
}

std::vector<float> normal_values(std::size_t count, PhiloxRng& rng, double mean, double deviation) {
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(mean + deviation * rng.normal());
  return values;
}

double largest(const std::vector<double>& values) {
  double result = 0;
  for (double value : values) result = std::max(result, std::abs(value));
  return result;
}

std::vector<std::pair<std::int64_t, std::int64_t>> odd_shapes(std::size_t count,
                                                              std::uint64_t seed) {
  constexpr std::int64_t kSizes[] = {1, 3, 4, 5, 63, 64, 65, 127, 128, 129, 511, 512, 513};
  std::vector<std::pair<std::int64_t, std::int64_t>> shapes = {
      {1, 1}, {1, 513}, {513, 1}, {64, 64}, {513, 513}};
  PhiloxRng rng(seed);
  while (shapes.size() < count) {
    shapes.emplace_back(kSizes[rng.below(std::size(kSizes))], kSizes[rng.below(std::size(kSizes))]);
  }
  return shapes;
}

OpGraph::OpGraph(const OpCase& c) : plan_for(c.plan_for), kernel(c.kernel) {
  x = graph.add_external("input", {kBatch, c.columns}, DType::f32, false);
  if (c.input_gradient) {
    const ValueId bias =
        graph.add_parameter({.name = "pre.bias", .shape = {c.columns}, .fan_in = 1, .fan_out = 1});
    x = bias_add(graph, x, bias, "pre");
  }
  y = c.build(graph, x);
  const Shape shape = graph.value(y).shape;
  const ValueId z = shape == graph.value(x).shape ? add(graph, y, x, "post") : y;
  const ValueId dz = graph.add_external("dz", shape, DType::f32, false);
  loss = graph.add_activation("loss", {kBatch});
  graph.add(std::make_unique<WeightedLoss>(z, dz, loss));
  differentiate(graph, loss);
  if (c.rewrite) c.rewrite(graph);

  for (std::uint32_t replica = 0; replica < c.replicas; ++replica) {
    PhiloxRng rng(c.seed, replica);
    auto& words = inputs.emplace_back();
    for (ValueId id = 0; id < graph.value_count(); ++id) {
      const Value& value = graph.value(id);
      if (!is_input(value)) continue;
      const auto count = static_cast<std::size_t>(value.shape.with_batch(c.batch).elements());
      std::optional<std::vector<std::uint32_t>> filled;
      if (c.fill) filled = c.fill(value, count, replica, rng);
      if (!filled && value.dtype == DType::u32) filled.emplace(count, 0);
      words[id] = filled ? *filled : words_of(normal_values(count, rng));
    }
  }
}

namespace {

PlanOptions plan_options(const runtime::Device& device, const OpGraph& ops,
                         const ParameterLayout& layout, std::int64_t batch,
                         std::uint32_t replicas) {
  PlanOptions options = {
      .batch = batch, .replicas = replicas, .keep_all = true, .plan_for = ops.plan_for};
  if (ops.kernel.empty()) return options;
  VariantChoices choices;
  const Plan proposed(ops.graph, layout, device.profile(), options);
  for (const VariantQuestion& question : proposed.questions()) {
    const auto found = std::ranges::find_if(
        question.candidates, [&](const std::string& name) { return name.starts_with(ops.kernel); });
    if (found != question.candidates.end()) {
      choices.answer(question.family, question.shape, *found);
    }
  }
  options.variants = std::make_shared<const VariantChoices>(std::move(choices));
  return options;
}

}  // namespace

OpRun::OpRun(runtime::Device& device, const OpGraph& ops, std::int64_t batch,
             std::uint32_t replicas, std::uint32_t first)
    : device_(&device),
      ops_(&ops),
      batch_(batch),
      replicas_(replicas),
      storage_(device, ops.parameters, replicas, 0),
      executable_(device, ops.graph, storage_,
                  plan_options(device, ops, storage_.layout(), batch, replicas)) {
  poison();
  for (std::uint32_t replica = 0; replica < replicas; ++replica) {
    for (const auto& [id, words] : ops.inputs[first + replica]) write(id, words, replica);
  }
}

void OpRun::run() { executable_.run(); }

bool OpRun::has(ValueId id) const {
  return ops_->graph.value(id).kind != ValueKind::activation ||
         executable_.plan().placement(id).offset >= 0;
}

Lowering OpRun::layouts() const {
  return {ops_->graph, storage_.layout(), device_->profile(), batch_, replicas_};
}

void OpRun::poison() {
  for (ValueId id = 0; id < ops_->graph.value_count(); ++id) {
    const Value& value = ops_->graph.value(id);
    if (!has(id)) continue;
    if (value.kind == ValueKind::activation) device_->fill(executable_.memory_of(id), kNaN);
    if (value.kind != ValueKind::gradient) continue;
    for (std::uint32_t replica = 0; replica < replicas_; ++replica) {
      const std::uint64_t offset = std::uint64_t{layouts().replica_stride(id)} * replica * 4;
      const auto size = static_cast<std::uint64_t>(layouts().layout(id).size()) * 4;
      device_->fill(executable_.memory_of(id).part(offset, size), kNaN);
    }
  }
}

void OpRun::write(ValueId id, const std::vector<std::uint32_t>& words, std::uint32_t replica) {
  const Value& value = ops_->graph.value(id);
  const Layout layout = layouts().layout(id);
  const bool poisoned = value.kind == ValueKind::external && value.dtype == DType::f32;
  std::vector<std::uint32_t> padded(static_cast<std::size_t>(layout.size()),
                                    poisoned ? std::bit_cast<std::uint32_t>(1e30f) : 0);
  for (std::int64_t row = 0; row < layout.rows; ++row) {
    std::copy_n(words.begin() + row * layout.columns, layout.columns,
                padded.begin() + row * layout.row_stride);
  }
  const std::uint64_t offset = std::uint64_t{layouts().replica_stride(id)} * replica * 4;
  device_->upload(executable_.memory_of(id).part(offset, padded.size() * 4),
                  std::as_bytes(std::span(padded)));
}

std::vector<std::uint32_t> OpRun::download(ValueId id, std::uint32_t replica) const {
  std::vector<std::uint32_t> padded(static_cast<std::size_t>(layouts().layout(id).size()));
  const std::uint64_t offset = std::uint64_t{layouts().replica_stride(id)} * replica * 4;
  device_->download(executable_.memory_of(id).part(offset, padded.size() * 4),
                    std::as_writable_bytes(std::span(padded)));
  return padded;
}

std::vector<std::uint32_t> OpRun::words(ValueId id, std::uint32_t replica) const {
  const Layout layout = layouts().layout(id);
  const std::vector<std::uint32_t> padded = download(id, replica);
  std::vector<std::uint32_t> result;
  for (std::int64_t row = 0; row < layout.rows; ++row) {
    const auto begin = padded.begin() + row * layout.row_stride;
    result.insert(result.end(), begin, begin + layout.columns);
  }
  return result;
}

std::vector<float> OpRun::floats(ValueId id, std::uint32_t replica) const {
  const std::vector<std::uint32_t> bits = words(id, replica);
  std::vector<float> values(bits.size());
  std::transform(bits.begin(), bits.end(), values.begin(),
                 [](std::uint32_t word) { return std::bit_cast<float>(word); });
  return values;
}

std::vector<std::uint32_t> OpRun::padding(ValueId id, std::uint32_t replica) const {
  const Layout layout = layouts().layout(id);
  const std::vector<std::uint32_t> padded = download(id, replica);
  std::vector<std::uint32_t> result;
  for (std::int64_t row = 0; row < layout.rows; ++row) {
    const auto begin = padded.begin() + row * layout.row_stride;
    result.insert(result.end(), begin + layout.columns, begin + layout.row_stride);
  }
  return result;
}

void OpTest::check(const OpCase& c) {
  const OpGraph ops(c);
  OpRun all(device(), ops, c.batch, c.replicas);
  const std::uint32_t last = c.replicas - 1;
  OpRun single(device(), ops, c.batch, 1, last);
  std::vector<ReferenceMemory> memories;
  for (std::uint32_t replica = 0; replica < c.replicas; ++replica) {
    memories.push_back(reference_memory(ops, c.batch, replica));
  }
  for (std::uint32_t run = 0; run < c.runs; ++run) {
    all.run();
    single.run();
    for (std::uint32_t replica = 0; replica < c.replicas; ++replica) {
      check_operations(c, ops, all, replica, memories[replica]);
      check_padding(ops, all, replica);
    }
    check_same_bits(ops, all, single, last);
  }
}

void OpTest::check_gradients(const OpCase& c) {
  const OpGraph ops(c);
  ReferenceMemory memory = reference_memory(ops, c.batch, 0);
  run_reference(ops.graph, memory);
  const auto loss_at = [&](ValueId id, std::size_t element, double shift) {
    ReferenceMemory moved = reference_memory(ops, c.batch, 0);
    moved[id][element] += shift;
    run_reference(ops.graph, moved);
    return mean(moved[ops.loss]);
  };
  for (ValueId gradient = 0; gradient < ops.graph.value_count(); ++gradient) {
    if (ops.graph.value(gradient).kind != ValueKind::gradient) continue;
    ValueId parameter = 0;
    while (ops.graph.value(parameter).kind != ValueKind::parameter ||
           ops.graph.value(parameter).parameter != ops.graph.value(gradient).parameter) {
      ++parameter;
    }
    const double scale = 1 + largest(memory[gradient]);
    for (std::size_t i = 0; i < std::min<std::size_t>(memory[gradient].size(), 6); ++i) {
      constexpr double kStep = 1e-5;
      const double difference =
          (loss_at(parameter, i, kStep) - loss_at(parameter, i, -kStep)) / (2 * kStep);
      EXPECT_NEAR(memory[gradient][i], difference, 1e-6 * scale)
          << ops.graph.value(gradient).name << " [" << i << "]";
    }
  }
}

}  // namespace vktrain::testing
