#include "nn/tuning/compile_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "runtime/error.h"
#include "runtime/kernel.h"

namespace vktrain::nn {
namespace {

using Refused = std::set<std::pair<VariantChoices::Key, std::string>>;

runtime::KernelKey kernel_of(const PlannedDispatch& dispatch) {
  return {dispatch.shader, dispatch.constants};
}

std::vector<runtime::KernelKey> kernels_of(const Plan& plan) {
  std::vector<runtime::KernelKey> keys;
  for (const PlannedOperation& operation : plan.operations()) {
    for (const PlannedDispatch& dispatch : operation.dispatches) {
      keys.push_back(kernel_of(dispatch));
    }
  }
  return keys;
}

// The first operation with a kernel that does not compile, and why; null when all do.
const PlannedOperation* refused_operation(runtime::Device& device, const Plan& plan,
                                          std::string& why) {
  for (const PlannedOperation& operation : plan.operations()) {
    for (const PlannedDispatch& dispatch : operation.dispatches) {
      if (!device.kernels().try_prepare(kernel_of(dispatch), &why)) return &operation;
    }
  }
  return nullptr;
}

const VariantQuestion& question_of(const Plan& plan, const VariantChoices::Key& key) {
  return *std::ranges::find_if(plan.questions(), [&](const VariantQuestion& question) {
    return question.family == key.first && question.shape == key.second;
  });
}

// Answers one of the operation's questions with a candidate that was not refused before. Throws
// when there is none.
void replace(const Plan& plan, const PlannedOperation& operation, const std::string& why,
             VariantChoices& choices, Refused& refused, const TuningLog& log) {
  for (const VariantChoices::Key& key : operation.asked) {
    const VariantQuestion& question = question_of(plan, key);
    const std::string failed = question.candidates[choices.choose(question)];
    refused.emplace(key, failed);
    const auto next = std::ranges::find_if(question.candidates, [&](const std::string& name) {
      return !refused.contains({key, name});
    });
    if (next == question.candidates.end()) continue;
    log(fmt::format("{} {}: \"{}\" is taken instead of \"{}\": {}", key.first, key.second, *next,
                    failed, why));
    choices.answer(key.first, key.second, *next);
    return;
  }
  throw DeviceError(why);
}

}  // namespace

std::shared_ptr<const VariantChoices> compile_plan(runtime::Device& device, const Graph& graph,
                                                   const ParameterLayout& parameters,
                                                   PlanOptions options, const TuningLog& log) {
  Refused refused;
  for (;;) {
    const Plan plan(graph, parameters, device.profile(), options);
    try {
      device.kernels().prepare(kernels_of(plan));
      return options.variants ? options.variants : std::make_shared<const VariantChoices>();
    } catch (const DeviceLostError&) {
      throw;
    } catch (const DeviceError&) {  // comes again below, where it belongs to an operation
    }
    std::string why;
    const PlannedOperation* operation = refused_operation(device, plan, why);
    if (operation == nullptr) continue;
    VariantChoices choices = options.variants ? *options.variants : VariantChoices();
    replace(plan, *operation, why, choices, refused, log);
    options.variants = std::make_shared<const VariantChoices>(std::move(choices));
  }
}

}  // namespace vktrain::nn
