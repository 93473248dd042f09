#include "nn/check/operation_case.h"

#include <algorithm>
#include <bit>
#include <set>

#include "nn/differentiate.h"
#include "nn/ops/add.h"
#include "nn/ops/bias_add.h"

namespace vktrain::nn {
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

// What no operation makes and somebody may read.
std::set<ValueId> inputs_of(const Graph& graph) {
  std::set<ValueId> made;
  for (const auto& operation : graph.operations()) {
    const std::vector<ValueId>& reads = operation->inputs();
    for (const ValueId id : operation->outputs()) {
      // What is only updated in place has to be there before.
      if (std::ranges::count(reads, id) == 0) made.insert(id);
    }
  }
  std::set<ValueId> inputs;
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    const ValueKind kind = graph.value(id).kind;
    if (kind == ValueKind::activation || (kind == ValueKind::gradient && made.contains(id))) {
      continue;
    }
    inputs.insert(id);
  }
  return inputs;
}

double to_double(std::uint32_t word, DType dtype) {
  return dtype == DType::u32 ? word : static_cast<double>(std::bit_cast<float>(word));
}

PlanOptions plan_options(const runtime::Device& device, const CaseGraph& ops,
                         const ParameterLayout& layout, std::int64_t batch, std::uint32_t replicas,
                         const std::shared_ptr<const VariantChoices>& variants) {
  PlanOptions options = {
      .batch = batch, .replicas = replicas, .keep_all = true, .plan_for = ops.plan_for};
  options.variants = variants;
  if (variants || ops.kernel.empty()) return options;
  VariantChoices choices;
  const Plan proposed(ops.graph, layout, device.profile(), options);
  for (const VariantQuestion& question : proposed.questions()) {
    const auto found = std::ranges::find_if(question.candidates, [&](std::string_view name) {
      if (!name.starts_with(ops.kernel)) return false;
      name.remove_prefix(ops.kernel.size());
      return !name.starts_with(" transposed");  // another kernel
    });
    if (found != question.candidates.end()) {
      choices.answer(question.family, question.shape, *found);
    }
  }
  options.variants = std::make_shared<const VariantChoices>(std::move(choices));
  return options;
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

std::vector<std::uint32_t> draw_below(std::size_t count, std::uint32_t n, PhiloxRng& rng) {
  std::vector<std::uint32_t> words(count);
  for (std::uint32_t& word : words) word = rng.below(n);
  return words;
}

std::vector<std::uint32_t> scaled_normals(std::size_t count, double scale, PhiloxRng& rng) {
  return words_of(normal_values(count, rng, 0, scale));
}

CaseGraph::CaseGraph(const OperationCase& c)
    : plan_for(c.plan_for), kernel(c.kernel), optimizer_fill(c.optimizer_fill) {
  if (c.build_whole) {
    c.build_whole(graph);
  } else {
    build_chain(c);
  }
  if (c.rewrite) c.rewrite(graph);
  draw_inputs(c);
}

void CaseGraph::build_chain(const OperationCase& c) {
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
}

void CaseGraph::draw_inputs(const OperationCase& c) {
  const std::set<ValueId> ids = inputs_of(graph);
  for (std::uint32_t replica = 0; replica < c.replicas; ++replica) {
    PhiloxRng rng(c.seed, replica);
    auto& words = inputs.emplace_back();
    for (const ValueId id : ids) {
      const Value& value = graph.value(id);
      const auto count = static_cast<std::size_t>(value.shape.with_batch(c.batch).elements());
      std::optional<std::vector<std::uint32_t>> filled;
      if (c.fill) filled = c.fill(value, count, replica, rng);
      if (!filled && value.dtype == DType::u32) filled.emplace(count, 0);
      words[id] = filled ? *filled : words_of(normal_values(count, rng));
    }
  }
}

CaseRun::CaseRun(runtime::Device& device, const CaseGraph& ops, std::int64_t batch,
                 std::uint32_t replicas, std::uint32_t first,
                 std::shared_ptr<const VariantChoices> variants)
    : device_(&device),
      ops_(&ops),
      batch_(batch),
      replicas_(replicas),
      storage_(device, ops.parameters, replicas,
               static_cast<std::uint32_t>(ops.optimizer_fill.size())),
      executable_(device, ops.graph, storage_,
                  plan_options(device, ops, storage_.layout(), batch, replicas, variants)) {
  poison();
  for (std::uint32_t replica = 0; replica < replicas; ++replica) {
    for (std::size_t i = 0; i < ops.parameters.size(); ++i) {
      if (!ops.parameters[i].trainable) continue;
      const auto count = static_cast<std::size_t>(ops.parameters[i].shape.elements());
      for (std::uint32_t slot = 0; slot < storage_.optimizer_slots(); ++slot) {
        storage_.write_optimizer_state(slot, i, replica,
                                       std::vector<float>(count, ops.optimizer_fill[slot]));
      }
    }
    for (const auto& [id, words] : ops.inputs[first + replica]) write(id, words, replica);
  }
}

void CaseRun::run() { executable_.run(); }

bool CaseRun::has(ValueId id) const {
  return ops_->graph.value(id).kind != ValueKind::activation ||
         executable_.plan().placement(id).offset >= 0;
}

Lowering CaseRun::layouts() const {
  return {ops_->graph, storage_.layout(), device_->profile(), batch_, replicas_};
}

void CaseRun::poison() {
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

void CaseRun::write(ValueId id, const std::vector<std::uint32_t>& words, std::uint32_t replica) {
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

std::vector<std::uint32_t> CaseRun::download(ValueId id, std::uint32_t replica) const {
  std::vector<std::uint32_t> padded(static_cast<std::size_t>(layouts().layout(id).size()));
  const std::uint64_t offset = std::uint64_t{layouts().replica_stride(id)} * replica * 4;
  device_->download(executable_.memory_of(id).part(offset, padded.size() * 4),
                    std::as_writable_bytes(std::span(padded)));
  return padded;
}

std::vector<std::uint32_t> CaseRun::words(ValueId id, std::uint32_t replica) const {
  const Layout layout = layouts().layout(id);
  const std::vector<std::uint32_t> padded = download(id, replica);
  std::vector<std::uint32_t> result;
  for (std::int64_t row = 0; row < layout.rows; ++row) {
    const auto begin = padded.begin() + row * layout.row_stride;
    result.insert(result.end(), begin, begin + layout.columns);
  }
  return result;
}

std::vector<float> CaseRun::floats(ValueId id, std::uint32_t replica) const {
  const std::vector<std::uint32_t> bits = words(id, replica);
  std::vector<float> values(bits.size());
  std::transform(bits.begin(), bits.end(), values.begin(),
                 [](std::uint32_t word) { return std::bit_cast<float>(word); });
  return values;
}

std::vector<std::uint32_t> CaseRun::padding(ValueId id, std::uint32_t replica) const {
  const Layout layout = layouts().layout(id);
  const std::vector<std::uint32_t> padded = download(id, replica);
  std::vector<std::uint32_t> result;
  for (std::int64_t row = 0; row < layout.rows; ++row) {
    const auto begin = padded.begin() + row * layout.row_stride;
    result.insert(result.end(), begin + layout.columns, begin + layout.row_stride);
  }
  return result;
}

ReferenceMemory reference_memory(const CaseGraph& ops, std::int64_t batch, std::uint32_t replica) {
  ReferenceMemory memory(ops.graph, batch);
  for (const auto& [id, words] : ops.inputs[replica]) {
    const DType dtype = ops.graph.value(id).dtype;
    std::transform(words.begin(), words.end(), memory[id].begin(),
                   [dtype](std::uint32_t word) { return to_double(word, dtype); });
  }
  return memory;
}

}  // namespace vktrain::nn
