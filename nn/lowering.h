// What an operation sees when it turns itself into dispatches: resolved layouts, the device's
// limits, and a list to add planned dispatches to. Memory is given out later, by the plan.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "nn/graph.h"
#include "nn/tuning/variant_choices.h"
#include "runtime/command_graph.h"
#include "runtime/device.h"

namespace vktrain::nn {

// Contiguous ranges over all parameters, for optimizers.
enum class Range : std::uint32_t {
  parameters,
  gradients,
  states,
  optimizer_state_0,
  optimizer_state_1,
  optimizer_states  // all slots; a part reaches from the first slot and replica to the last
};

// Of each replica's range; elements, multiples of kAlignmentElements.
struct RangePart {
  std::int64_t offset = 0;
  std::int64_t elements = 0;  // 0: the whole range
};

// Of a parameter, a gradient or a state.
RangePart part_of(const ParameterLayout& layout, const Value& value);

struct PlannedBinding {
  enum class Source { value, scratch, range } source = Source::value;
  std::uint32_t id = 0;  // ValueId, scratch number, or Range
  RangePart part = {};
  runtime::Access access = runtime::Access::read;
  runtime::TexelFormat texels = runtime::TexelFormat::rgba32f;  // for kernels that read it so

  PlannedBinding as_texels(runtime::TexelFormat format) const {
    PlannedBinding binding = *this;
    binding.texels = format;
    return binding;
  }
};

struct PlannedDispatch {
  std::string label;
  std::string shader;
  std::vector<std::uint32_t> constants;
  std::vector<PlannedBinding> bindings;
  std::vector<std::byte> push;
  // Workgroups for one replica; z must be 1, the lowering sets it to the number of replicas.
  std::array<std::uint32_t, 3> groups{1, 1, 1};
  double flops = 0;  // of one replica
  double bytes = 0;
  // Turns that the loops of an invocation take at most (nn/loop_turns.h), where they depend on
  // sizes, and what a user can do for fewer.
  std::int64_t turns = 0;
  std::string_view for_fewer_turns = "use a smaller batch size";
};

class Lowering {
 public:
  // All that it refers to must outlive it.
  Lowering(const Graph& graph, const ParameterLayout& parameters,
           const runtime::DeviceProfile& device, std::int64_t batch, std::uint32_t replicas,
           const VariantChoices* variants = nullptr);
  Lowering(const Graph&, ParameterLayout&&, const runtime::DeviceProfile&, std::int64_t,
           std::uint32_t, const VariantChoices* = nullptr) = delete;

  const Graph& graph() const { return *graph_; }
  const runtime::DeviceProfile& device() const { return *device_; }
  const ParameterLayout& parameters() const { return *parameters_; }
  std::int64_t batch() const { return batch_; }
  std::uint32_t replicas() const { return replicas_; }

  Layout layout(ValueId id) const;
  // Distance in elements between two replicas of a value; 0 for a shared one. Fits 32 bits.
  std::uint32_t replica_stride(ValueId id) const;

  PlannedBinding read(ValueId id) const { return bind(id, runtime::Access::read); }
  PlannedBinding write(ValueId id) const { return bind(id, runtime::Access::write); }
  PlannedBinding read_write(ValueId id) const { return bind(id, runtime::Access::read_write); }
  static PlannedBinding range(Range range, runtime::Access access, RangePart part = {});

  // Memory for this operation alone: `elements` 4-byte words per replica. Returns its number; its
  // replica stride is `elements` rounded up to kAlignmentElements.
  std::uint32_t scratch(std::int64_t elements);
  PlannedBinding scratch_binding(std::uint32_t number, runtime::Access access) const;

  // Workgroups of `per_group` items each for `items` items; folded over x and y where x alone
  // would pass the device's limit. Shaders recover the index with group_index() of common.glsl.
  std::array<std::uint32_t, 3> groups_for(std::int64_t items, std::int64_t per_group) const;

  // For each replica. Throws Error where the device would end a loop of it before its work is done.
  void dispatch(PlannedDispatch dispatch);

  // Which of a question's candidates does the work: the tuned one, else the first. The question is
  // recorded. Throws std::logic_error when there is no candidate.
  std::size_t choose(VariantQuestion question);

  std::vector<PlannedDispatch> take_dispatches() { return std::move(dispatches_); }
  std::vector<std::int64_t> take_scratches() { return std::move(scratches_); }
  std::vector<VariantQuestion> take_questions() { return std::move(questions_); }

 private:
  PlannedBinding bind(ValueId id, runtime::Access access) const;

  const Graph* graph_;
  const ParameterLayout* parameters_;
  const runtime::DeviceProfile* device_;
  std::int64_t batch_;
  std::uint32_t replicas_;
  const VariantChoices* variants_;  // null: always the first candidate
  std::vector<PlannedDispatch> dispatches_;
  std::vector<std::int64_t> scratches_;
  std::vector<VariantQuestion> questions_;
};

// Whether kernels that read texel buffers instead of storage buffers are taken: on CPU drivers that
// can read so whatever they can bind. On lavapipe a load from a storage buffer is a loop over the
// lanes.
bool reads_texels(const runtime::DeviceProfile& device);

// The form of a shader that the device takes: itself, or `shader`_texels.
std::string by_texels(const runtime::DeviceProfile& device, std::string_view shader);

// The bytes of a push-constant block; its layout must be std430's (4-byte members only).
template <class T>
std::vector<std::byte> push_bytes(const T& block) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 128 && sizeof(T) % 4 == 0);
  std::vector<std::byte> bytes(sizeof(T));
  std::memcpy(bytes.data(), &block, sizeof(T));
  return bytes;
}

// For push constants and group counts, which fit 32 bits.
inline std::uint32_t to_u32(std::int64_t value) { return static_cast<std::uint32_t>(value); }

inline double bytes_of(std::int64_t elements) { return 4.0 * static_cast<double>(elements); }

// Invocations of a workgroup that share `items` terms of sums and then add up what each has, a
// power of two. A GPU wants as many as the kernel allows, `most`, at least 64. A CPU driver runs a
// workgroup on one core and pays for each vector of invocations at a barrier: there it is a few
// with about 64 terms each.
std::uint32_t reducing_workgroup(const runtime::DeviceProfile& device, std::int64_t items,
                                 std::uint32_t most);

// Invocations of a workgroup of elementwise kernels.
inline constexpr std::uint32_t kElementwiseWorkgroup = 64;

// A float as a word of a buffer or specialization constant.
inline std::uint32_t float_bits(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

}  // namespace vktrain::nn
