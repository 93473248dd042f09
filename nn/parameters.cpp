// Declaring, placing and storing parameters; see parameters.h.
#include "nn/parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "nn/lowering.h"
#include "nn/row_padding.h"
#include "runtime/error.h"

namespace vktrain::nn {

namespace {

constexpr std::uint64_t kBytes = sizeof(float);

std::uint64_t byte_size(std::int64_t elements) {
  return static_cast<std::uint64_t>(elements) * kBytes;
}

void check_declaration(const Parameter& parameter) {
  if (parameter.name.empty()) {
    throw Error("a parameter has no name; every parameter needs one, such as \"1.weight\"");
  }
  const std::vector<std::int64_t>& dims = parameter.shape.dims();
  if (dims.empty() || std::any_of(dims.begin(), dims.end(), [](auto dim) { return dim < 1; })) {
    throw Error(fmt::format(
        "parameter {} has the shape {}; a parameter's sizes must be known and at least 1",
        parameter.name, to_string(parameter.shape)));
  }
  if (parameter.penalised && !parameter.trainable) {
    throw Error(fmt::format("parameter {} is a state and cannot carry a penalty", parameter.name));
  }
}

// Places the members that `belongs` accepts one after the other from `begin` on; returns the end.
template <class Predicate>
std::int64_t place(const ParameterSet& set, std::vector<std::int64_t>& offsets, std::int64_t begin,
                   Predicate belongs) {
  for (std::size_t i = 0; i < set.size(); ++i) {
    if (!belongs(set[i])) continue;
    offsets[i] = begin;
    begin += round_up(layout_of(set[i].shape).size(), kAlignmentElements);
  }
  return begin;
}

}  // namespace

std::size_t ParameterSet::declare(const Parameter& parameter) {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& known = parameters_[i];
    if (known.name != parameter.name) continue;
    if (known == parameter) return i;
    throw Error(fmt::format(
        "parameter {} is declared twice and differently: with shape {} and with shape {}; graphs "
        "that share a model must declare shape, initializer and penalty alike",
        parameter.name, to_string(known.shape), to_string(parameter.shape)));
  }
  check_declaration(parameter);
  parameters_.push_back(parameter);
  return parameters_.size() - 1;
}

std::size_t ParameterSet::index_of(std::string_view name) const {
  const auto found = std::find_if(parameters_.begin(), parameters_.end(),
                                  [&](const Parameter& known) { return known.name == name; });
  if (found == parameters_.end()) {
    std::string names;
    for (const Parameter& known : parameters_) {
      names += (names.empty() ? "" : ", ") + known.name;
    }
    throw Error(fmt::format("the model has no parameter {}; it has {}", name,
                            names.empty() ? "none" : names));
  }
  return static_cast<std::size_t>(found - parameters_.begin());
}

std::int64_t ParameterSet::trainable_elements() const {
  std::int64_t sum = 0;
  for (const Parameter& parameter : parameters_) {
    if (parameter.trainable) sum += parameter.shape.elements();
  }
  return sum;
}

ParameterLayout::ParameterLayout(const ParameterSet& set) : offsets_(set.size(), 0) {
  penalised_size_ =
      place(set, offsets_, 0, [](const Parameter& p) { return p.trainable && p.penalised; });
  trainable_size_ = place(set, offsets_, penalised_size_,
                          [](const Parameter& p) { return p.trainable && !p.penalised; });
  state_size_ = place(set, offsets_, 0, [](const Parameter& p) { return !p.trainable; });
}

ParameterStorage::ParameterStorage(runtime::Device& device, const ParameterSet& set,
                                   std::uint32_t replicas, std::uint32_t optimizer_slots)
    : device_(&device),
      set_(&set),
      layout_(set),
      replicas_(replicas),
      arena_(device, "parameters") {
  if (replicas == 0) throw std::invalid_argument("parameter storage: replicas must be at least 1");
  const std::uint64_t largest =
      byte_size(std::max(layout_.trainable_size(), layout_.state_size())) * replicas;
  const std::uint64_t limit = device.profile().max_storage_range;
  if (largest > limit) {
    throw DeviceError(fmt::format(
        "the parameters of {} model(s) take {} bytes, but {} binds at most {} bytes at once; train "
        "fewer models at a time or choose smaller layers",
        replicas, largest, device.profile().name, limit));
  }
  // A range without members still is a bindable slice.
  const auto allocate = [&](std::int64_t size, const std::string& name) {
    return arena_.allocate(byte_size(std::max(size, kAlignmentElements)) * replicas, name);
  };
  parameters_ = allocate(layout_.trainable_size(), "parameters");
  gradients_ = allocate(layout_.trainable_size(), "gradients");
  states_ = allocate(layout_.state_size(), "states");
  const std::uint64_t slot_size = parameters_.size;
  const bool joined = joins_slots(device.profile(), layout_, replicas, optimizer_slots);
  if (joined) optimizer_states_ = arena_.allocate(slot_size * optimizer_slots, "optimizer state");
  for (std::uint32_t slot = 0; slot < optimizer_slots; ++slot) {
    optimizer_state_.push_back(
        joined ? optimizer_states_.part(slot_size * slot, slot_size)
               : arena_.allocate(slot_size, fmt::format("optimizer state {}", slot)));
  }
}

bool ParameterStorage::joins_slots(const runtime::DeviceProfile& device,
                                   const ParameterLayout& layout, std::uint32_t replicas,
                                   std::uint32_t slots) {
  const std::uint64_t bytes = byte_size(layout.trainable_size()) * replicas * slots;
  return reads_texels(device) && bytes > 0 &&
         bytes <= std::min(device.max_storage_range, device.max_allocation);
}

runtime::Slice ParameterStorage::optimizer_states() const {
  if (!optimizer_states_.buffer) {
    throw std::logic_error("parameter storage: the slots of optimizer state are not joined");
  }
  return optimizer_states_;
}

runtime::Slice ParameterStorage::range_of(std::size_t index, std::uint32_t replica,
                                          runtime::Slice base) const {
  if (index >= layout_.size()) {
    throw std::invalid_argument(
        fmt::format("parameter storage: member {} was asked for, but the storage has {}", index,
                    layout_.size()));
  }
  if (replica >= replicas_) {
    throw std::invalid_argument(fmt::format(
        "parameter storage: replica {} was asked for, but the storage has {}", replica, replicas_));
  }
  const std::int64_t stride =
      (*set_)[index].trainable ? layout_.trainable_size() : layout_.state_size();
  return base.part(byte_size(stride * replica + layout_.offset(index)),
                   byte_size(layout_of((*set_)[index].shape).size()));
}

const Parameter& ParameterStorage::trainable_member(std::size_t index) const {
  if (index >= layout_.size() || !(*set_)[index].trainable) {
    throw std::invalid_argument(fmt::format(
        "parameter storage: member {} is not trainable; it has no gradient and no optimizer state",
        index));
  }
  return (*set_)[index];
}

runtime::Slice ParameterStorage::home_of(std::size_t index) const {
  return index < layout_.size() && !(*set_)[index].trainable ? states_ : parameters_;
}

void ParameterStorage::write_to(std::size_t index, std::uint32_t replica, runtime::Slice base,
                                std::span<const float> values) {
  const runtime::Slice range = range_of(index, replica, base);
  const Parameter& parameter = (*set_)[index];
  if (static_cast<std::int64_t>(values.size()) != parameter.shape.elements()) {
    throw Error(fmt::format("parameter {} of shape {} takes {} values, but {} were given",
                            parameter.name, to_string(parameter.shape), parameter.shape.elements(),
                            values.size()));
  }
  const Layout layout = layout_of(parameter.shape);
  const std::vector<float> padded = pad_rows(values, layout);
  device_->upload(range, std::as_bytes(std::span<const float>(padded)));
}

std::vector<float> ParameterStorage::read_from(std::size_t index, std::uint32_t replica,
                                               runtime::Slice base) const {
  const runtime::Slice range = range_of(index, replica, base);
  const Layout layout = layout_of((*set_)[index].shape);
  std::vector<float> padded(static_cast<std::size_t>(layout.size()));
  device_->download(range, std::as_writable_bytes(std::span<float>(padded)));
  return unpad_rows(std::span<const float>(padded), layout);
}

void ParameterStorage::write(std::size_t index, std::uint32_t replica,
                             std::span<const float> values) {
  write_to(index, replica, home_of(index), values);
}

std::vector<float> ParameterStorage::read(std::size_t index, std::uint32_t replica) const {
  return read_from(index, replica, home_of(index));
}

void ParameterStorage::write_gradient(std::size_t index, std::uint32_t replica,
                                      std::span<const float> values) {
  trainable_member(index);
  write_to(index, replica, gradients_, values);
}

std::vector<float> ParameterStorage::read_gradient(std::size_t index, std::uint32_t replica) const {
  trainable_member(index);
  return read_from(index, replica, gradients_);
}

void ParameterStorage::write_optimizer_state(std::uint32_t slot, std::size_t index,
                                             std::uint32_t replica, std::span<const float> values) {
  trainable_member(index);
  write_to(index, replica, optimizer_state_.at(slot), values);
}

std::vector<float> ParameterStorage::read_optimizer_state(std::uint32_t slot, std::size_t index,
                                                          std::uint32_t replica) const {
  trainable_member(index);
  return read_from(index, replica, optimizer_state_.at(slot));
}

void ParameterStorage::initialize(std::uint32_t replica, std::uint64_t seed,
                                  std::span<const float> optimizer_fill) {
  if (optimizer_fill.size() != optimizer_state_.size()) {
    throw std::invalid_argument(
        fmt::format("parameter storage: {} initial values for {} slots of optimizer state",
                    optimizer_fill.size(), optimizer_state_.size()));
  }
  for (std::size_t i = 0; i < layout_.size(); ++i) {
    const Parameter& parameter = (*set_)[i];
    write(i, replica,
          initial_values(parameter.initializer, parameter.shape.elements(), parameter.fan_in,
                         parameter.fan_out, seed, static_cast<std::uint32_t>(i)));
  }
  if (layout_.trainable_size() == 0) return;
  const std::uint64_t size = byte_size(layout_.trainable_size());
  for (std::size_t slot = 0; slot < optimizer_fill.size(); ++slot) {
    std::uint32_t word = 0;
    std::memcpy(&word, &optimizer_fill[slot], sizeof word);
    device_->fill(optimizer_state_[slot].part(replica * size, size), word);
  }
}

}  // namespace vktrain::nn
