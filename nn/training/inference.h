// A trained model at work: parameters from a file, images in, metrics or logits out.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "nn/data/image_set.h"
#include "nn/experiment/experiment.h"
#include "nn/io/safetensors.h"
#include "nn/training/evaluator.h"

namespace vktrain::nn {

class Inference {
 public:
  // Runs the model over `indices` (not empty) of `images`, `batch_size` at a time. The experiment
  // is a single run. `tuner` chooses the kernels; null: the device profile's proposals. The device
  // must outlive this; nothing else is kept. Throws Error when the
  // tensors or the images are not what the model takes.
  Inference(runtime::Device& device, const Experiment& experiment, const SafeTensors& tensors,
            const ImageSet& images, std::vector<std::uint32_t> indices, std::int64_t batch_size,
            Tuner* tuner = nullptr);
  ~Inference();

  // By the experiment's rules, the penalty included where they say so: the same numbers as at the
  // end of the training.
  EvaluationMetrics evaluate();

  // [images, classes], in the order of the indices.
  std::vector<float> logits();

 private:
  Experiment experiment_;
  ParameterSet parameters_;
  std::unique_ptr<ParameterStorage> storage_;
  std::unique_ptr<DeviceDataset> dataset_;
  std::unique_ptr<Evaluator> evaluator_;
};

// softmax of one row, in double.
std::vector<double> softmax(std::span<const float> logits);

// Class of the largest logit, the first of equals.
std::size_t predicted_class(std::span<const float> logits);

}  // namespace vktrain::nn
