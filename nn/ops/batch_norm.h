// Batch normalisation (Ioffe & Szegedy 2015) with PyTorch's definitions:
//   y = weight * (x - mean) / sqrt(var + epsilon) + bias
// Training takes mean and biased variance of the batch, per channel over all positions, and moves
// the running statistics: running = (1 - momentum) * running + momentum * batch, with the unbiased
// variance. Evaluation takes the running statistics.
#pragma once

#include <cstdint>
#include <string_view>

#include "nn/operation.h"
#include "nn/ops/activation.h"

namespace vktrain::nn {

struct BatchNormOptions {
  double epsilon = 1e-5;
  double momentum = 0.1;

  bool operator==(const BatchNormOptions&) const = default;
};

// Merged into the forward operations by fusions: an activation, then max pooling over tiles of 2 x
// 2 of an x [batch, C, H, W], after which y is [batch, C, H / 2, W / 2]. The activation is
// monotonic then, and C * H * W / 4 a multiple of 4; other rows throw std::logic_error when they
// are planned.
struct BatchNormEpilogue {
  ActivationSpec activation;
  bool max_pool = false;
};

// Values of the parameters "LABEL.weight" (1), "LABEL.bias" (0) and of the states
// "LABEL.running_mean" (0), "LABEL.running_var" (1), each [C].
struct BatchNormParameters {
  ValueId weight = kNoValue;
  ValueId bias = kNoValue;
  ValueId running_mean = kNoValue;
  ValueId running_var = kNoValue;
};

BatchNormParameters batch_norm_parameters(Graph& graph, std::int64_t channels,
                                          std::string_view label);

// x [batch, C] or [batch, C, H, W] -> y of the same shape; declare the parameters by `label`. Throw
// Error for another rank. Planning the training form for one value per channel, a batch of 1 with
// planes of 1 x 1, throws Error: there is no variance.
ValueId batch_norm_train(Graph& graph, ValueId x, const BatchNormOptions& options,
                         std::string_view label);
ValueId batch_norm_eval(Graph& graph, ValueId x, const BatchNormOptions& options,
                        std::string_view label);
// The same with parameters that exist; throw Error when their shapes are not [C].
ValueId batch_norm_train(Graph& graph, ValueId x, const BatchNormParameters& parameters,
                         const BatchNormOptions& options, std::string_view label);
ValueId batch_norm_eval(Graph& graph, ValueId x, const BatchNormParameters& parameters,
                        const BatchNormOptions& options, std::string_view label);

class BatchNormTrain : public Operation {
 public:
  // `mean` [2, C]: the batch mean as the sum of two floats, so that x - mean stays exact where the
  // mean is large against the standard deviation. `inv_std` [C]: 1 / sqrt(var + epsilon).
  BatchNormTrain(ValueId x, const BatchNormParameters& parameters, ValueId y, ValueId mean,
                 ValueId inv_std, const BatchNormOptions& options,
                 const BatchNormEpilogue& epilogue = {})
      : Operation({x, parameters.weight, parameters.bias, parameters.running_mean,
                   parameters.running_var},
                  {y, mean, inv_std, parameters.running_mean, parameters.running_var}),
        options_(options),
        epilogue_(epilogue) {}

  std::string_view kind() const override { return "batch_norm_train"; }
  void differentiate(Differentiator& differentiator) const override;
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

  ValueId x() const { return inputs_[0]; }
  ValueId weight() const { return inputs_[1]; }
  ValueId bias() const { return inputs_[2]; }
  ValueId running_mean() const { return inputs_[3]; }
  ValueId running_var() const { return inputs_[4]; }
  BatchNormParameters parameters() const {
    return {weight(), bias(), running_mean(), running_var()};
  }
  ValueId y() const { return outputs_[0]; }
  ValueId mean() const { return outputs_[1]; }
  ValueId inv_std() const { return outputs_[2]; }
  const BatchNormOptions& options() const { return options_; }
  const BatchNormEpilogue& epilogue() const { return epilogue_; }
  const ActivationSpec& activation() const { return epilogue_.activation; }

 private:
  BatchNormOptions options_;
  BatchNormEpilogue epilogue_;
};

class BatchNormEval : public Operation {
 public:
  BatchNormEval(ValueId x, const BatchNormParameters& parameters, ValueId y,
                const BatchNormOptions& options, const BatchNormEpilogue& epilogue = {})
      : Operation({x, parameters.weight, parameters.bias, parameters.running_mean,
                   parameters.running_var},
                  {y}),
        options_(options),
        epilogue_(epilogue) {}

  std::string_view kind() const override { return "batch_norm_eval"; }
  void differentiate(Differentiator& differentiator) const override;
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

  ValueId x() const { return inputs_[0]; }
  ValueId weight() const { return inputs_[1]; }
  ValueId bias() const { return inputs_[2]; }
  ValueId running_mean() const { return inputs_[3]; }
  ValueId running_var() const { return inputs_[4]; }
  BatchNormParameters parameters() const {
    return {weight(), bias(), running_mean(), running_var()};
  }
  ValueId y() const { return outputs_[0]; }
  const BatchNormOptions& options() const { return options_; }
  const BatchNormEpilogue& epilogue() const { return epilogue_; }
  const ActivationSpec& activation() const { return epilogue_.activation; }

 private:
  BatchNormOptions options_;
  BatchNormEpilogue epilogue_;
};

// Gradients of both forms. Training: `mean` [2, C] and `scale` = inv_std of BatchNormTrain, and the
// statistics depend on x; evaluation: the running mean and variance [C], which are constants.
// `pooled`: dy is the gradient of the maxima over tiles of 2 x 2 of y, before an activation. It
// goes to the first element of its tile with the largest weight * (x - mean) / std; bias and
// activation, which could only round two of them together, are not looked at.
class BatchNormBackward : public Operation {
 public:
  BatchNormBackward(bool training, ValueId dy, ValueId x, ValueId mean, ValueId scale,
                    ValueId weight, ValueId dx, ValueId dweight, ValueId dbias,
                    const BatchNormOptions& options, bool pooled = false)
      : Operation({dy, x, mean, scale, weight}, {dx, dweight, dbias}),
        training_(training),
        options_(options),
        pooled_(pooled) {}

  std::string_view kind() const override { return "batch_norm_backward"; }
  void lower(Lowering& lowering) const override;
  void reference(ReferenceMemory& memory) const override;

  bool training() const { return training_; }
  ValueId dy() const { return inputs_[0]; }
  ValueId x() const { return inputs_[1]; }
  ValueId mean() const { return inputs_[2]; }
  ValueId scale() const { return inputs_[3]; }
  ValueId weight() const { return inputs_[4]; }
  ValueId dx() const { return outputs_[0]; }
  ValueId dweight() const { return outputs_[1]; }
  ValueId dbias() const { return outputs_[2]; }
  const BatchNormOptions& options() const { return options_; }
  bool pooled() const { return pooled_; }

 private:
  bool training_;
  BatchNormOptions options_;
  bool pooled_;
};

}  // namespace vktrain::nn
