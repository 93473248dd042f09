// The parameters and states (running statistics) of a model: a list that the training graph and
// the evaluation graph share, and its storage on the device.
//
// Parameters, gradients and each slot of optimizer state are one contiguous range per replica with
// the same offsets. Penalised parameters (the kernels of linear layers) come first in the range.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nn/initializers/initializer.h"
#include "nn/tensor.h"
#include "runtime/memory.h"

namespace vktrain::nn {

struct Parameter {
  std::string name;  // as PyTorch's state_dict: "1.weight"
  Shape shape;       // as PyTorch's: [out, in]
  Initializer initializer = {};
  std::int64_t fan_in = 0;
  std::int64_t fan_out = 0;
  bool trainable = true;   // false: a state such as running_mean
  bool penalised = false;  // L1 and L2 penalties apply

  bool operator==(const Parameter&) const = default;
};

class ParameterSet {
 public:
  // Adds a parameter and returns its index; the same declaration again returns the same index, so
  // that graphs of one model share it. Throws Error when it differs from the first.
  std::size_t declare(const Parameter& parameter);

  std::size_t size() const { return parameters_.size(); }
  const Parameter& operator[](std::size_t index) const { return parameters_[index]; }
  std::size_t index_of(std::string_view name) const;  // throws Error for an unknown name
  std::int64_t trainable_elements() const;            // as papers count: without padding and states

 private:
  std::vector<Parameter> parameters_;
};

// Offsets of a ParameterSet's members in their ranges; in elements, per replica.
class ParameterLayout {
 public:
  explicit ParameterLayout(const ParameterSet& set);

  std::size_t size() const { return offsets_.size(); }  // members of the set when it was laid out
  std::int64_t offset(std::size_t index) const { return offsets_.at(index); }
  std::int64_t trainable_size() const { return trainable_size_; }  // replica stride of the range
  std::int64_t state_size() const { return state_size_; }
  // Elements [0, penalised_size) of the trainable range carry penalties.
  std::int64_t penalised_size() const { return penalised_size_; }

 private:
  std::vector<std::int64_t> offsets_;
  std::int64_t trainable_size_ = 0;
  std::int64_t state_size_ = 0;
  std::int64_t penalised_size_ = 0;
};

// Ranges on the device, each [replicas][range size]. The slots of optimizer state lie one behind
// the other where the device binds them at once.
class ParameterStorage {
 public:
  // `optimizer_slots`: state values per parameter that the optimizer keeps (Adam: 2). The set must
  // be complete and outlive the storage. Throws DeviceError when a range does not fit the device.
  ParameterStorage(runtime::Device& device, const ParameterSet& set, std::uint32_t replicas,
                   std::uint32_t optimizer_slots);

  const ParameterSet& set() const { return *set_; }
  const ParameterLayout& layout() const { return layout_; }
  std::uint32_t replicas() const { return replicas_; }
  std::uint32_t optimizer_slots() const {
    return static_cast<std::uint32_t>(optimizer_state_.size());
  }

  runtime::Slice parameters() const { return parameters_; }
  runtime::Slice gradients() const { return gradients_; }
  runtime::Slice states() const { return states_; }
  runtime::Slice optimizer_state(std::uint32_t slot) const { return optimizer_state_.at(slot); }
  // All slots, one behind the other; throws std::logic_error unless `joins_slots`.
  runtime::Slice optimizer_states() const;
  // Whether all slots of such a storage are one allocation that the device binds at once: where
  // kernels want that (nn/optimizers/gemm_update.h) and the device's limits allow it.
  static bool joins_slots(const runtime::DeviceProfile& device, const ParameterLayout& layout,
                          std::uint32_t replicas, std::uint32_t slots);

  // Values of one member of one replica, row-major without padding. A wrong number of values throws
  // Error; a member, replica or slot that does not exist throws std::invalid_argument or
  // std::out_of_range.
  void write(std::size_t index, std::uint32_t replica, std::span<const float> values);
  std::vector<float> read(std::size_t index, std::uint32_t replica) const;
  void write_gradient(std::size_t index, std::uint32_t replica, std::span<const float> values);
  std::vector<float> read_gradient(std::size_t index, std::uint32_t replica) const;
  void write_optimizer_state(std::uint32_t slot, std::size_t index, std::uint32_t replica,
                             std::span<const float> values);
  std::vector<float> read_optimizer_state(std::uint32_t slot, std::size_t index,
                                          std::uint32_t replica) const;

  // Draws every member's initial values for a replica (member i from stream i of the seed) and
  // clears its optimizer state to `optimizer_fill[slot]`.
  void initialize(std::uint32_t replica, std::uint64_t seed, std::span<const float> optimizer_fill);

 private:
  runtime::Slice range_of(std::size_t index, std::uint32_t replica, runtime::Slice base) const;
  runtime::Slice home_of(std::size_t index) const;
  const Parameter& trainable_member(std::size_t index) const;  // throws for a state
  void write_to(std::size_t index, std::uint32_t replica, runtime::Slice base,
                std::span<const float> values);
  std::vector<float> read_from(std::size_t index, std::uint32_t replica, runtime::Slice base) const;

  runtime::Device* device_;
  const ParameterSet* set_;
  ParameterLayout layout_;
  std::uint32_t replicas_;
  runtime::Arena arena_;
  runtime::Slice parameters_, gradients_, states_;
  std::vector<runtime::Slice> optimizer_state_;
  runtime::Slice optimizer_states_;  // without a buffer where the slots have buffers of their own
};

}  // namespace vktrain::nn
