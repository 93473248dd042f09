#include "nn/training/evaluator.h"

#include <cmath>

namespace vktrain::nn {
namespace {

EvaluationMetrics summarize(std::span<const StepMetrics> steps, std::int64_t images,
                            std::int64_t batch_size, AccuracyRule rule) {
  EvaluationMetrics result;
  result.images = images;
  double loss_sum = 0, loss_mean = 0, square_sum = 0;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const std::int64_t done = static_cast<std::int64_t>(i) * batch_size;
    const auto batch = static_cast<double>(std::min(batch_size, images - done));
    const double accuracy = steps[i].correct / batch;
    result.correct += steps[i].correct;
    loss_sum += steps[i].loss * batch;
    loss_mean += steps[i].loss;
    result.batch_mean_accuracy += accuracy;
    square_sum += accuracy * accuracy;
  }
  const auto batches = static_cast<double>(steps.size());
  result.batch_mean_accuracy /= batches;
  const double variance =
      square_sum / batches - result.batch_mean_accuracy * result.batch_mean_accuracy;
  result.batch_sigma = std::sqrt(std::max(0.0, variance));
  result.exact_accuracy = static_cast<double>(result.correct) / static_cast<double>(images);
  const bool exact = rule == AccuracyRule::exact;
  result.accuracy = exact ? result.exact_accuracy : result.batch_mean_accuracy;
  result.loss = exact ? loss_sum / static_cast<double>(images) : loss_mean / batches;
  return result;
}

}  // namespace

Evaluator::Evaluator(runtime::Device& device, const Experiment& experiment,
                     ParameterSet& parameters, ParameterStorage& storage,
                     const DeviceDataset& dataset, std::vector<std::vector<std::uint32_t>> indices,
                     std::int64_t batch_size, Tuner* tuner)
    : device_(&device),
      pacer_(device.profile()),
      replicas_(static_cast<std::uint32_t>(indices.size())),
      images_(static_cast<std::int64_t>(indices.at(0).size())),
      batch_size_(std::min(batch_size, images_)),
      graph_(build_evaluation_graph(parameters, experiment, dataset.count(), images_, batch_size_,
                                    &device.profile())),
      confusion_layout_(layout_of(graph_.graph.value(graph_.confusion).shape)),
      arena_(device, "evaluation") {
  const std::int64_t steps = divide_up(images_, batch_size_);
  state_ = std::make_unique<ReplicaBuffer<StepState>>(device, arena_, 1, replicas_, "step state");
  metrics_ =
      std::make_unique<ReplicaBuffer<StepMetrics>>(device, arena_, steps, replicas_, "metrics");
  index_buffer_ =
      std::make_unique<ReplicaBuffer<std::uint32_t>>(device, arena_, images_, replicas_, "indices");
  confusion_ = std::make_unique<ReplicaBuffer<std::uint32_t>>(
      device, arena_, confusion_layout_.size(), replicas_, "confusion matrix");
  for (std::uint32_t r = 0; r < replicas_; ++r) index_buffer_->upload(r, indices[r]);

  std::map<ValueId, runtime::Slice> externals = {{graph_.step.state, state_->slice()},
                                                 {graph_.step.metrics, metrics_->slice()},
                                                 {graph_.dataset.indices, index_buffer_->slice()},
                                                 {graph_.confusion, confusion_->slice()}};
  dataset.bind(graph_.dataset, externals);
  const auto make = [&](std::int64_t size) {
    return std::make_unique<Executable>(device, graph_.graph, storage,
                                        tuned_options(tuner, graph_.graph, storage.layout(),
                                                      {.batch = size, .replicas = replicas_}),
                                        externals);
  };
  full_ = make(batch_size_);
  if (images_ % batch_size_ != 0) last_ = make(images_ % batch_size_);
}

Evaluator::~Evaluator() = default;

void Evaluator::rewind() {
  const StepState start;
  for (std::uint32_t r = 0; r < replicas_; ++r) state_->upload(r, {&start, 1});
  device_->fill(confusion_->slice(), 0);
}

Confusion Evaluator::confusion_of(std::uint32_t replica) const {
  const auto classes = static_cast<std::size_t>(confusion_layout_.rows);
  const auto stride = static_cast<std::size_t>(confusion_layout_.row_stride);
  const std::vector<std::uint32_t> words = confusion_->download(replica, 0, classes * stride);
  std::vector<std::int64_t> counts;
  for (std::size_t truth = 0; truth < classes; ++truth) {
    const auto row = words.begin() + static_cast<std::ptrdiff_t>(truth * stride);
    counts.insert(counts.end(), row, row + static_cast<std::ptrdiff_t>(classes));
  }
  return {classes, std::move(counts)};
}

std::vector<EvaluationMetrics> Evaluator::run(AccuracyRule rule) {
  rewind();
  const auto full_steps = static_cast<std::uint32_t>(images_ / batch_size_);
  pacer_.run_all(*full_, full_steps);
  if (last_) last_->run();
  std::vector<EvaluationMetrics> results(replicas_);
  const auto steps = static_cast<std::size_t>(divide_up(images_, batch_size_));
  for (std::uint32_t r = 0; r < replicas_; ++r) {
    results[r] = summarize(metrics_->download(r, 0, steps), images_, batch_size_, rule);
    results[r].confusion = confusion_of(r);
  }
  return results;
}

std::vector<float> Evaluator::logits(std::uint32_t replica) {
  rewind();
  std::vector<float> all;
  const std::int64_t full_steps = images_ / batch_size_;
  for (std::int64_t step = 0; step < divide_up(images_, batch_size_); ++step) {
    Executable& executable = step < full_steps ? *full_ : *last_;
    executable.run();
    const std::vector<float> batch = executable.read(graph_.logits, replica);
    all.insert(all.end(), batch.begin(), batch.end());
  }
  return all;
}

}  // namespace vktrain::nn
