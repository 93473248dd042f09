#include "nn/training/checkpoint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "runtime/error.h"

namespace vktrain::nn {
namespace {

constexpr std::string_view kLastState = ".running_var";
constexpr std::string_view kCounter = ".num_batches_tracked";

// Name of the counter that follows this parameter in a state_dict; empty for none.
std::string counter_after(const Parameter& parameter) {
  if (parameter.trainable || !parameter.name.ends_with(kLastState)) return {};
  return parameter.name.substr(0, parameter.name.size() - kLastState.size()) +
         std::string(kCounter);
}

std::vector<std::string> expected_names(const ParameterSet& set) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < set.size(); ++i) {
    names.push_back(set[i].name);
    const std::string counter = counter_after(set[i]);
    if (!counter.empty()) names.push_back(counter);
  }
  return names;
}

const SafeTensor& require(const SafeTensors& tensors, const Parameter& parameter) {
  const SafeTensor* tensor = tensors.find(parameter.name);
  if (!tensor) {
    throw Error(fmt::format("the file has no tensor '{}' of shape {}, which the model needs",
                            parameter.name, to_string(parameter.shape)));
  }
  if (tensor->dtype != "F32") {
    throw Error(
        fmt::format("tensor '{}' is of type {}, expected F32", tensor->name, tensor->dtype));
  }
  if (tensor->shape != parameter.shape.dims()) {
    throw Error(fmt::format("tensor '{}' has shape {}, expected {}", tensor->name,
                            to_string(Shape(tensor->shape)), to_string(parameter.shape)));
  }
  return *tensor;
}

void check_names(const ParameterSet& set, const SafeTensors& tensors) {
  const std::vector<std::string> expected = expected_names(set);
  for (const SafeTensor& tensor : tensors.tensors) {
    if (std::find(expected.begin(), expected.end(), tensor.name) == expected.end()) {
      throw Error(fmt::format("tensor '{}' is not one of the model's: {}", tensor.name,
                              fmt::join(expected, ", ")));
    }
  }
  for (std::size_t i = 0; i < set.size(); ++i) require(tensors, set[i]);
}

}  // namespace

SafeTensors export_parameters(const ParameterStorage& storage, std::uint32_t replica,
                              std::int64_t batches_tracked) {
  SafeTensors file;
  const ParameterSet& set = storage.set();
  for (std::size_t i = 0; i < set.size(); ++i) {
    file.tensors.push_back(
        make_f32_tensor(set[i].name, set[i].shape.dims(), storage.read(i, replica)));
    const std::string counter = counter_after(set[i]);
    if (!counter.empty()) {
      file.tensors.push_back(make_i64_tensor(counter, {}, {{batches_tracked}}));
    }
  }
  return file;
}

std::int64_t import_parameters(ParameterStorage& storage, std::uint32_t replica,
                               const SafeTensors& tensors) {
  const ParameterSet& set = storage.set();
  check_names(set, tensors);
  std::int64_t batches_tracked = 0;
  for (std::size_t i = 0; i < set.size(); ++i) {
    const SafeTensor* counter = tensors.find(counter_after(set[i]));
    if (!counter) continue;
    const std::vector<std::int64_t> values = i64_values(*counter);
    if (values.size() != 1) {
      throw Error(
          fmt::format("tensor '{}' has {} values, expected one", counter->name, values.size()));
    }
    batches_tracked = values[0];
  }
  for (std::size_t i = 0; i < set.size(); ++i) {
    storage.write(i, replica, f32_values(require(tensors, set[i])));
  }
  return batches_tracked;
}

}  // namespace vktrain::nn
