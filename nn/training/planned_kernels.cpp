#include "nn/training/planned_kernels.h"

#include <algorithm>
#include <memory>
#include <set>
#include <vector>

#include "nn/plan.h"
#include "nn/training/step_graph.h"
#include "nn/training/trainer.h"

namespace vktrain::nn {
namespace {

constexpr std::int64_t kTrainImages = 60000;
constexpr std::int64_t kTestImages = 10000;

class Collector {
 public:
  Collector(PlannedKernels& kernels, const Experiment& experiment,
            const runtime::DeviceProfile& device, bool candidates)
      : kernels_(&kernels), id_(experiment.id), device_(&device), candidates_(candidates) {}

  // A graph for batches of `batch` out of `images` images.
  void add(const Graph& graph, const ParameterLayout& layout, std::int64_t images,
           std::int64_t batch) {
    std::set<std::int64_t> sizes = {std::min(batch, images)};
    if (images % batch != 0) sizes.insert(images % batch);
    for (const std::int64_t size : sizes) add_plans(graph, layout, size);
  }

 private:
  void add_plans(const Graph& graph, const ParameterLayout& layout, std::int64_t batch) {
    PlanOptions options;
    options.batch = batch;
    const Plan proposed(graph, layout, *device_, options);
    add_kernels(proposed, true);
    if (!candidates_) return;
    std::size_t most = 0;
    for (const VariantQuestion& question : proposed.questions()) {
      most = std::max(most, question.candidates.size());
    }
    // As many plans as the question with the most candidates has them; in each, every question is
    // answered with another one.
    for (std::size_t i = 1; i < most; ++i) {
      VariantChoices choices;
      for (const VariantQuestion& question : proposed.questions()) {
        const std::size_t last = question.candidates.size() - 1;
        choices.answer(question.family, question.shape, question.candidates[std::min(i, last)]);
      }
      options.variants = std::make_shared<const VariantChoices>(std::move(choices));
      add_kernels(Plan(graph, layout, *device_, options), false);
    }
  }

  void add_kernels(const Plan& plan, bool chosen) {
    for (const PlannedOperation& operation : plan.operations()) {
      for (const PlannedDispatch& dispatch : operation.dispatches) {
        PlannedKernel& kernel = (*kernels_)[{dispatch.shader, dispatch.constants}];
        if (kernel.first_user.empty()) kernel.first_user = id_ + " " + dispatch.label;
        kernel.chosen = kernel.chosen || chosen;
        ++kernel.users;
      }
    }
  }

  PlannedKernels* kernels_;
  std::string id_;
  const runtime::DeviceProfile* device_;
  bool candidates_;
};

}  // namespace

void add_planned_kernels(PlannedKernels& kernels, const Experiment& experiment,
                         const runtime::DeviceProfile& device, std::int64_t batch,
                         bool candidates) {
  std::vector<OptimizerConfig> optimizers;
  const std::vector<Experiment> replicas = expand_replicas(experiment);
  for (const Experiment& replica : replicas) optimizers.push_back(replica.optimizer);
  Experiment sized = replicas.front();
  TrainingSpec& training = sized.training;
  if (batch != 0) training.batch_size = batch;

  Collector collector(kernels, sized, device, candidates);
  constexpr std::int64_t kImages = kTrainImages + kTestImages;
  ParameterSet parameters;
  const StepGraph step = build_step_graph(parameters, sized, combine_optimizers(optimizers),
                                          kImages, kTrainImages, {}, &device);
  const ParameterLayout layout(parameters);
  collector.add(step.graph, layout, kTrainImages, training.batch_size);
  for (const std::int64_t size : std::set{training.val_batch_size, training.test_batch_size}) {
    const EvaluationGraph evaluation = build_evaluation_graph(
        parameters, sized, kImages, kTestImages, std::min(size, kTestImages), &device);
    collector.add(evaluation.graph, layout, kTestImages, size);
  }
}

}  // namespace vktrain::nn
