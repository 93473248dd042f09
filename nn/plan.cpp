#include "nn/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "nn/operation.h"
#include "runtime/error.h"

namespace vktrain::nn {
namespace {

// A block of memory and the operations [first, last] during which it must hold.
struct Block {
  Placement* placement;
  std::size_t first;
  std::size_t last;
};

bool overlap_in_time(const Block& a, const Block& b) {
  return a.first <= b.last && b.first <= a.last;
}

// The first offset from this one on at which a block lies in one allocation.
std::int64_t in_one_allocation(std::int64_t offset, std::int64_t size, std::int64_t allocation) {
  const bool crosses = offset / allocation != (offset + size - 1) / allocation;
  return crosses ? round_up(offset, allocation) : offset;
}

// Largest blocks first, each at the lowest offset where it collides with no block of its time
// (greedy by size; Pisarchyk & Lee 2020, "Efficient memory management for deep neural net
// inference"). Allocations of `allocation` elements lie one behind the other.
void place_blocks(std::vector<Block>& blocks, std::int64_t allocation) {
  std::stable_sort(blocks.begin(), blocks.end(), [](const Block& a, const Block& b) {
    return a.placement->size > b.placement->size;
  });
  std::vector<const Block*> placed;  // by offset
  for (const Block& block : blocks) {
    const std::int64_t size = block.placement->size;
    std::int64_t offset = 0;
    for (const Block* other : placed) {
      if (!overlap_in_time(block, *other)) continue;
      if (offset + size <= other->placement->offset) break;
      offset = std::max(offset, other->placement->offset + other->placement->size);
      offset = in_one_allocation(offset, size, allocation);
    }
    block.placement->offset = offset;
    const auto position =
        std::upper_bound(placed.begin(), placed.end(), offset,
                         [](std::int64_t o, const Block* b) { return o < b->placement->offset; });
    placed.insert(position, &block);
  }
}

// From offsets over all allocations to those within one; returns how much of each is used.
std::vector<std::int64_t> divide_into_allocations(const std::vector<Block>& blocks,
                                                  std::int64_t allocation) {
  std::vector<std::int64_t> sizes;
  for (const Block& block : blocks) {
    Placement& place = *block.placement;
    place.allocation = static_cast<std::size_t>(place.offset / allocation);
    place.offset %= allocation;
    if (sizes.size() <= place.allocation) sizes.resize(place.allocation + 1, 0);
    sizes[place.allocation] = std::max(sizes[place.allocation], place.offset + place.size);
  }
  return sizes;
}

std::int64_t largest_live_sum(const std::vector<Block>& blocks, std::size_t operations) {
  std::int64_t largest = 0;
  for (std::size_t i = 0; i < operations; ++i) {
    std::int64_t sum = 0;
    for (const Block& block : blocks) {
      if (block.first <= i && i <= block.last) sum += block.placement->size;
    }
    largest = std::max(largest, sum);
  }
  return largest;
}

// What one value or scratch memory may take.
struct MemoryLimit {
  std::uint64_t bytes;
  const char* what;
  std::string device;
};

MemoryLimit memory_limit(const runtime::DeviceProfile& planned, const runtime::DeviceProfile& own) {
  MemoryLimit limit = {planned.max_storage_range, "buffer range", planned.name};
  for (const runtime::DeviceProfile* device : {&planned, &own}) {
    if (device->max_allocation >= limit.bytes) continue;
    limit = {device->max_allocation, "allocation", device->name};
  }
  return limit;
}

void check_size(const MemoryLimit& limit, const std::string& subject, std::int64_t elements,
                const PlanOptions& options) {
  const std::uint64_t bytes = static_cast<std::uint64_t>(elements) * 4;
  if (bytes <= limit.bytes) return;
  throw Error(fmt::format(
      "{} for a batch of {} and {} replica(s) needs {:.1f} MiB in one {}, but {} allows {:.1f} "
      "MiB; use a smaller batch size or fewer replicas",
      subject, options.batch, options.replicas, static_cast<double>(bytes) / 0x1p20, limit.what,
      limit.device, static_cast<double>(limit.bytes) / 0x1p20));
}

}  // namespace

Plan::Plan(const Graph& graph, const ParameterLayout& parameters,
           const runtime::DeviceProfile& own_device, const PlanOptions& options)
    : options_(options), values_(graph.value_count()) {
  const runtime::DeviceProfile& device = options.plan_for ? *options.plan_for : own_device;
  const MemoryLimit limit = memory_limit(device, own_device);
  Lowering layouts(graph, parameters, device, options.batch, options.replicas);
  for (const auto& operation : graph.operations()) {
    Lowering lowering(graph, parameters, device, options.batch, options.replicas,
                      options.variants.get());
    operation->lower(lowering);
    PlannedOperation planned;
    for (VariantQuestion& question : lowering.take_questions()) {
      planned.asked.emplace_back(question.family, question.shape);
      add_question(std::move(question));
    }
    planned.dispatches = lowering.take_dispatches();
    for (std::int64_t size : lowering.take_scratches()) {
      planned.scratches.push_back({-1, size * options.replicas});
      check_size(limit, fmt::format("scratch memory of {} {}", operation->label, operation->kind()),
                 planned.scratches.back().size, options);
    }
    operations_.push_back(std::move(planned));
  }
  place(graph, layouts, std::min(device.max_allocation, own_device.max_allocation));
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    if (values_[id].offset < 0) continue;
    const Value& value = graph.value(id);
    check_size(limit, fmt::format("{} of shape {}", value.name, to_string(value.shape)),
               values_[id].size, options);
  }
}

// Whether a dispatch reads or writes each value; merged kernels leave some out.
std::vector<bool> Plan::used_values(const Graph& graph) const {
  std::vector<bool> used(graph.value_count(), false);
  for (const PlannedOperation& operation : operations_) {
    for (const PlannedDispatch& dispatch : operation.dispatches) {
      for (const PlannedBinding& binding : dispatch.bindings) {
        if (binding.source == PlannedBinding::Source::value) used[graph.root(binding.id)] = true;
      }
    }
  }
  return used;
}

void Plan::place(const Graph& graph, const Lowering& layouts, std::uint64_t max_allocation) {
  const auto& operations = graph.operations();
  const std::vector<bool> used = used_values(graph);
  std::vector<Block> blocks;
  std::vector<int> block_of(graph.value_count(), -1);
  for (std::size_t i = 0; i < operations.size(); ++i) {
    const auto touch = [&](ValueId view) {
      if (view == kNoValue) return;
      const ValueId id = graph.root(view);
      if (graph.value(id).kind != ValueKind::activation) return;
      if (!used[id] && !graph.kept(view) && !options_.keep_all) return;
      if (block_of[id] < 0) {
        block_of[id] = static_cast<int>(blocks.size());
        values_[id].size = std::int64_t{layouts.replica_stride(id)} * options_.replicas;
        blocks.push_back({&values_[id], i, i});
      }
      Block& block = blocks[static_cast<std::size_t>(block_of[id])];
      block.last = i;
      if (options_.keep_all || graph.kept(view)) {
        block.first = 0;
        block.last = operations.size();
      }
    };
    for (ValueId id : operations[i]->inputs()) touch(id);
    for (ValueId id : operations[i]->outputs()) touch(id);
    for (Placement& scratch : operations_[i].scratches) blocks.push_back({&scratch, i, i});
  }
  constexpr std::uint64_t kMost = std::uint64_t{1} << 40;  // bytes: more than any device has
  const std::int64_t units =
      static_cast<std::int64_t>(std::min(max_allocation, kMost)) / (kAlignmentElements * 4);
  const std::int64_t allocation = std::max<std::int64_t>(units, 1) * kAlignmentElements;
  place_blocks(blocks, allocation);
  allocations_ = divide_into_allocations(blocks, allocation);
  for (ValueId id = 0; id < graph.value_count(); ++id) values_[id] = values_[graph.root(id)];
  lower_bound_ = largest_live_sum(blocks, operations.size());
}

void Plan::check_workgroups(const runtime::DeviceProfile& device) const {
  const auto& most = device.max_workgroup_count;
  for (const PlannedOperation& operation : operations_) {
    for (const PlannedDispatch& d : operation.dispatches) {
      if (d.groups[0] <= most[0] && d.groups[1] <= most[1] && d.groups[2] <= most[2]) continue;
      throw Error(fmt::format(
          "{}: a batch of {} and {} replica(s) take {} x {} x {} workgroups of its kernel {}, but "
          "{} runs at most {} x {} x {} in one dispatch; use fewer replicas or a smaller batch "
          "size",
          d.label, options_.batch, options_.replicas, d.groups[0], d.groups[1], d.groups[2],
          d.shader, device.name, most[0], most[1], most[2]));
    }
  }
}

std::int64_t Plan::arena_size() const {
  return std::accumulate(allocations_.begin(), allocations_.end(), std::int64_t{0});
}

void Plan::add_question(VariantQuestion question) {
  const bool known = std::ranges::any_of(questions_, [&](const VariantQuestion& q) {
    return q.family == question.family && q.shape == question.shape;
  });
  if (!known) questions_.push_back(std::move(question));
}

std::size_t Plan::dispatch_count() const {
  std::size_t count = 0;
  for (const PlannedOperation& operation : operations_) count += operation.dispatches.size();
  return count;
}

}  // namespace vktrain::nn
