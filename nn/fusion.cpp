#include "nn/fusion.h"

#include <algorithm>

#include "nn/fusion_gather_batch.h"
#include "nn/fusion_linear_cross_entropy.h"
#include "nn/fusion_max_pool2d.h"
#include "nn/fusion_optimizer.h"
#include "nn/ops/activation.h"
#include "nn/ops/add.h"
#include "nn/ops/batch_norm.h"
#include "nn/ops/bias_add.h"
#include "nn/ops/channel_sum.h"
#include "nn/ops/conv2d.h"
#include "nn/ops/gemm.h"
#include "nn/ops/max_pool2d.h"
#include "nn/ops/softmax_cross_entropy.h"
#include "nn/rewrite.h"

namespace vktrain::nn {
namespace {

bool fuse_bias(Graph& graph, std::size_t index) {
  const auto* bias = as<BiasAdd>(graph, index);
  if (!bias) return false;
  const std::size_t producer = sole_producer(graph, bias->x(), index);
  const auto* gemm = producer == kNoOperation ? nullptr : as<Gemm>(graph, producer);
  if (!gemm || !is_plain(gemm->epilogue()) || gemm->epilogue().bias != kNoValue) return false;
  GemmEpilogue epilogue;
  epilogue.bias = bias->bias();
  merge(graph, index, producer,
        std::make_unique<Gemm>(gemm->form(), gemm->a(), gemm->b(), bias->y(), epilogue),
        gemm->label);
  return true;
}

// Where the derivative needs the input, the backward operation reads it too, and the two stay
// apart.
bool fuse_activation(Graph& graph, std::size_t index) {
  const auto* activation = as<ActivationForward>(graph, index);
  if (!activation) return false;
  const std::size_t producer = sole_producer(graph, activation->x(), index);
  const auto* gemm = producer == kNoOperation ? nullptr : as<Gemm>(graph, producer);
  if (!gemm || !is_plain(gemm->epilogue())) return false;
  GemmEpilogue epilogue = gemm->epilogue();
  epilogue.activation = activation->activation();
  merge(graph, index, producer,
        std::make_unique<Gemm>(gemm->form(), gemm->a(), gemm->b(), activation->y(), epilogue),
        gemm->label);
  return true;
}

// Into a GEMM or a convolution.
bool fuse_activation_gradient(Graph& graph, std::size_t index) {
  const auto* backward = as<ActivationBackward>(graph, index);
  if (!backward) return false;
  const std::size_t producer = sole_producer(graph, backward->dy(), index);
  if (producer == kNoOperation) return false;
  const Operation& product = *graph.operations()[producer];
  std::unique_ptr<Operation> merged =
      with_derivative(graph, product, backward->dx(), backward->activation(), backward->operand());
  if (!merged) return false;
  const std::string label = product.label;
  merge(graph, index, producer, std::move(merged), label);
  return true;
}

bool fuse_bias_gradient(Graph& graph, std::size_t index) {
  const auto* sum = as<ColumnSum>(graph, index);
  if (!sum) return false;
  for (std::size_t i = 0; i < graph.operations().size(); ++i) {
    const auto* gemm = as<Gemm>(graph, i);
    if (!gemm || gemm->form() != GemmForm::tn || gemm->a() != sum->x()) continue;
    if (!is_plain(gemm->epilogue())) continue;
    GemmEpilogue epilogue = gemm->epilogue();
    epilogue.column_sum = sum->sum();
    // At the earlier place: all operands are there, and nothing can have read a result.
    merge(graph, std::min(i, index), std::max(i, index),
          std::make_unique<Gemm>(gemm->form(), gemm->a(), gemm->b(), gemm->c(), epilogue),
          gemm->label);
    return true;
  }
  return false;
}

// The same three for convolutions.

bool fuse_conv2d_bias(Graph& graph, std::size_t index) {
  const auto* bias = as<BiasAdd>(graph, index);
  if (!bias) return false;
  const std::size_t producer = sole_producer(graph, bias->x(), index);
  const auto* conv = producer == kNoOperation ? nullptr : as<Conv2d>(graph, producer);
  if (!conv || conv->epilogue() != Conv2dEpilogue{}) return false;
  merge(graph, index, producer,
        std::make_unique<Conv2d>(conv->x(), conv->weight(), bias->y(), conv->options(),
                                 Conv2dEpilogue{.bias = bias->bias(), .activation = {}}),
        conv->label);
  return true;
}

bool fuse_conv2d_activation(Graph& graph, std::size_t index) {
  const auto* activation = as<ActivationForward>(graph, index);
  if (!activation) return false;
  const std::size_t producer = sole_producer(graph, activation->x(), index);
  const auto* conv = producer == kNoOperation ? nullptr : as<Conv2d>(graph, producer);
  if (!conv || conv->epilogue().activation.kind != Activation::none) return false;
  if (conv->epilogue().winners != kNoValue) return false;
  Conv2dEpilogue epilogue = conv->epilogue();
  epilogue.activation = activation->activation();
  merge(graph, index, producer,
        std::make_unique<Conv2d>(conv->x(), conv->weight(), activation->y(), conv->options(),
                                 epilogue),
        conv->label);
  return true;
}

bool fuse_conv2d_bias_gradient(Graph& graph, std::size_t index) {
  const auto* sum = as<ChannelSum>(graph, index);
  if (!sum) return false;
  for (std::size_t i = 0; i < graph.operations().size(); ++i) {
    const auto* conv = as<Conv2dWeightGradient>(graph, i);
    if (!conv || conv->dy() != sum->x() || conv->dbias() != kNoValue) continue;
    merge(graph, std::min(i, index), std::max(i, index),
          std::make_unique<Conv2dWeightGradient>(conv->dy(), conv->x(), conv->dweight(),
                                                 conv->options(), sum->sum(), conv->winners()),
          conv->label);
    return true;
  }
  return false;
}

// The operation before an activation with that activation in it, or null where it takes none.
std::unique_ptr<Operation> with_activation(const Operation& operation,
                                           const ActivationForward& activation) {
  const ActivationSpec& spec = activation.activation();
  const ValueId y = activation.y();
  if (const auto* norm = dynamic_cast<const BatchNormTrain*>(&operation)) {
    if (!is_plain(norm->epilogue())) return nullptr;
    return std::make_unique<BatchNormTrain>(norm->x(), norm->parameters(), y, norm->mean(),
                                            norm->inv_std(), norm->options(),
                                            BatchNormEpilogue{spec});
  }
  if (const auto* norm = dynamic_cast<const BatchNormEval*>(&operation)) {
    if (!is_plain(norm->epilogue())) return nullptr;
    return std::make_unique<BatchNormEval>(norm->x(), norm->parameters(), y, norm->options(),
                                           BatchNormEpilogue{spec});
  }
  if (const auto* sum = dynamic_cast<const Add*>(&operation)) {
    if (sum->activation().kind != Activation::none) return nullptr;
    return std::make_unique<Add>(sum->a(), sum->b(), y, spec);
  }
  return nullptr;
}

bool fuse_elementwise_activation(Graph& graph, std::size_t index) {
  const auto* activation = as<ActivationForward>(graph, index);
  if (!activation) return false;
  const std::size_t producer = sole_producer(graph, activation->x(), index);
  if (producer == kNoOperation) return false;
  const Operation& before = *graph.operations()[producer];
  std::unique_ptr<Operation> merged = with_activation(before, *activation);
  if (!merged) return false;
  // At the earlier place: an activation adds no operand, and batch normalisation has other results
  // that keep their order.
  const std::string label = before.label;
  merge(graph, producer, index, std::move(merged), label);
  return true;
}

const MaxPool2d* pooling_with(const Graph& graph, ValueId winners) {
  for (std::size_t i = 0; i < graph.operations().size(); ++i) {
    const auto* pooling = as<MaxPool2d>(graph, i);
    if (pooling && pooling->winners() == winners) return pooling;
  }
  return nullptr;
}

// The pooling knows the activation's output alone; a derivative of the input stays apart.
bool fuse_max_pool2d_gradient(Graph& graph, std::size_t index) {
  const auto* backward = as<ActivationBackward>(graph, index);
  if (!backward) return false;
  const std::size_t producer = sole_producer(graph, backward->dy(), index);
  const auto* gradient =
      producer == kNoOperation ? nullptr : as<MaxPool2dBackward>(graph, producer);
  if (!gradient || gradient->gradient_output() != kNoValue) return false;
  const MaxPool2d* pooling = pooling_with(graph, gradient->winners());
  if (!pooling || pooling->x() != backward->operand()) return false;
  merge(graph, index, producer,
        std::make_unique<MaxPool2dBackward>(gradient->dy(), gradient->winners(), backward->dx(),
                                            gradient->sizes(), backward->activation(),
                                            pooling->derivative_operand()),
        gradient->label);
  return true;
}

bool fuse_loss_gradient(Graph& graph, std::size_t index) {
  const auto* backward = as<SoftmaxCrossEntropy>(graph, index);
  if (!backward || backward->result().loss != kNoValue) return false;
  for (std::size_t i = 0; i < index; ++i) {
    const auto* forward = as<SoftmaxCrossEntropy>(graph, i);
    if (!forward || forward->gradient() != kNoValue) continue;
    if (forward->logits() != backward->logits() || forward->labels() != backward->labels() ||
        forward->label_smoothing() != backward->label_smoothing()) {
      continue;
    }
    merge(graph, i, index,
          std::make_unique<SoftmaxCrossEntropy>(forward->logits(), forward->labels(),
                                                forward->result(), backward->gradient(),
                                                forward->label_smoothing()),
          forward->label);
    return true;
  }
  return false;
}

// Applies one rewrite until it finds nothing more.
template <class Rewrite>
void repeat(Graph& graph, bool enabled, Rewrite rewrite) {
  if (!enabled) return;
  for (std::size_t i = 0; i < graph.operations().size();) {
    if (!rewrite(graph, i)) ++i;
  }
}

}  // namespace

void fuse(Graph& graph, const FusionOptions& options, const runtime::DeviceProfile* device) {
  repeat(graph, options.bias, fuse_bias);
  repeat(graph, options.bias, fuse_conv2d_bias);
  repeat(graph, options.activation, fuse_activation);
  repeat(graph, options.activation, fuse_conv2d_activation);
  repeat(graph, options.activation, fuse_elementwise_activation);
  repeat(graph, options.activation_gradient, fuse_activation_gradient);
  repeat(graph, options.max_pool2d_gradient, fuse_max_pool2d_gradient);
  repeat(graph, options.bias_gradient, fuse_bias_gradient);
  repeat(graph, options.bias_gradient, fuse_conv2d_bias_gradient);
  repeat(graph, options.loss_gradient, fuse_loss_gradient);
  repeat(graph, options.linear_cross_entropy, fuse_linear_cross_entropy);
  repeat(graph, options.max_pool2d, fuse_batch_norm_max_pool2d);
  repeat(graph, options.max_pool2d && device, [device](Graph& g, std::size_t index) {
    return fuse_conv2d_max_pool2d(g, index, *device);
  });
  // After the bias gradient, which the product then makes.
  if (options.weight_update && device) fuse_weight_updates(graph, *device, options.whole_update);
  // After the updates, whose kernels may leave no slot for it.
  if (options.gather_batch && device) fuse_gather_batch(graph, *device);
}

}  // namespace vktrain::nn
