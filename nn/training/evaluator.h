// Runs a model over a set of images on the device and reports loss and accuracy.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "nn/executable.h"
#include "nn/experiment/experiment.h"
#include "nn/training/device_dataset.h"
#include "nn/training/metrics.h"
#include "nn/training/replica_buffer.h"
#include "nn/training/step_graph.h"
#include "nn/training/submission_pacer.h"
#include "nn/tuning/tuner.h"

namespace vktrain::nn {

class Evaluator {
 public:
  // `parameters` must hold the model's parameters, `storage` their values; both, the device and the
  // data set must outlive the evaluator. `indices`: for each replica the images to evaluate, of one
  // length for all. `tuner` chooses the kernels; null: the device profile's proposals.
  Evaluator(runtime::Device& device, const Experiment& experiment, ParameterSet& parameters,
            ParameterStorage& storage, const DeviceDataset& dataset,
            std::vector<std::vector<std::uint32_t>> indices, std::int64_t batch_size,
            Tuner* tuner = nullptr);
  ~Evaluator();

  // Metrics of every replica, the confusion among them; the loss is without penalties.
  std::vector<EvaluationMetrics> run(AccuracyRule rule);

  // Logits of one replica, [images, classes], in the order of the indices.
  std::vector<float> logits(std::uint32_t replica);

 private:
  void rewind();
  Confusion confusion_of(std::uint32_t replica) const;

  runtime::Device* device_;
  SubmissionPacer pacer_;
  std::uint32_t replicas_;
  std::int64_t images_;
  std::int64_t batch_size_;
  EvaluationGraph graph_;
  Layout confusion_layout_;  // of one replica
  runtime::Arena arena_;
  std::unique_ptr<ReplicaBuffer<StepState>> state_;
  std::unique_ptr<ReplicaBuffer<StepMetrics>> metrics_;
  std::unique_ptr<ReplicaBuffer<std::uint32_t>> index_buffer_;
  std::unique_ptr<ReplicaBuffer<std::uint32_t>> confusion_;
  std::unique_ptr<Executable> full_;
  std::unique_ptr<Executable> last_;  // null when the batches come out even
};

}  // namespace vktrain::nn
