#include "nn/fusion_max_pool2d.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "nn/ops/activation.h"
#include "nn/ops/batch_norm.h"
#include "nn/ops/conv2d.h"
#include "nn/ops/conv2d_variants.h"
#include "nn/ops/max_pool2d.h"
#include "nn/ops/reshape.h"
#include "nn/rewrite.h"

namespace vktrain::nn {
namespace {

void replace(Graph& graph, std::size_t index, std::unique_ptr<Operation> operation) {
  std::unique_ptr<Operation>& place = graph.operations()[index];
  operation->label = place->label;
  place = std::move(operation);
}

// The operation at `index`, which reads `dx`, on a pooled `dy` and packed `winners` instead; null
// where it cannot.
using MakePooled = std::unique_ptr<Operation>(const Graph& graph, std::size_t index, ValueId dx,
                                              ValueId dy, ValueId winners);

std::unique_ptr<Operation> pooled_pass(const Graph& graph, std::size_t index, ValueId dx,
                                       ValueId dy, ValueId winners) {
  if (const auto* data = as<Conv2dDataGradient>(graph, index); data && data->dy() == dx) {
    return std::make_unique<Conv2dDataGradient>(dy, data->weight(), data->dx(), data->options(),
                                                data->gradient_activation(),
                                                data->gradient_output(), winners);
  }
  if (const auto* weight = as<Conv2dWeightGradient>(graph, index); weight && weight->dy() == dx) {
    return std::make_unique<Conv2dWeightGradient>(dy, weight->x(), weight->dweight(),
                                                  weight->options(), weight->dbias(), winners);
  }
  return nullptr;
}

// It finds the winners itself.
std::unique_ptr<Operation> pooled_norm(const Graph& graph, std::size_t index, ValueId dx,
                                       ValueId dy, ValueId) {
  const auto* norm = as<BatchNormBackward>(graph, index);
  if (!norm || norm->dy() != dx || norm->pooled()) return nullptr;
  return std::make_unique<BatchNormBackward>(norm->training(), dy, norm->x(), norm->mean(),
                                             norm->scale(), norm->weight(), norm->dx(),
                                             norm->dweight(), norm->dbias(), norm->options(),
                                             /*pooled=*/true);
}

std::vector<std::size_t> readers_of(const Graph& graph, ValueId value) {
  std::vector<std::size_t> readers;
  for (std::size_t i = 0; i < graph.operations().size(); ++i) {
    const std::vector<ValueId>& inputs = graph.operations()[i]->inputs();
    if (std::ranges::count(inputs, value) > 0) readers.push_back(i);
  }
  return readers;
}

// The gradient of a pooling and what reads it.
struct Backward {
  std::size_t pooling = kNoOperation;  // absent in evaluation
  std::vector<std::size_t> readers;
};

// Nothing where something else reads one of the values that would disappear.
std::optional<Backward> backward_of(const Graph& graph, const MaxPool2d& pooling,
                                    MakePooled* make_pooled) {
  if (graph.kept(pooling.winners())) return std::nullopt;
  const std::vector<std::size_t> readers = readers_of(graph, pooling.winners());
  if (readers.empty()) return Backward{};
  const auto* gradient = as<MaxPool2dBackward>(graph, readers.front());
  if (readers.size() > 1 || !gradient || graph.kept(gradient->dx())) return std::nullopt;
  Backward backward = {readers.front(), readers_of(graph, gradient->dx())};
  for (const std::size_t reader : backward.readers) {
    if (!make_pooled(graph, reader, gradient->dx(), kNoValue, kNoValue)) return std::nullopt;
  }
  return backward;
}

// The operation that makes the pooling's input, where only the pooling and its gradient read that.
std::size_t source_of(const Graph& graph, const MaxPool2d& pooling, const Backward& backward) {
  if (graph.kept(pooling.x())) return kNoOperation;
  for (const std::size_t reader : readers_of(graph, pooling.x())) {
    if (graph.operations()[reader].get() != &pooling && reader != backward.pooling) {
      return kNoOperation;
    }
  }
  const auto& operations = graph.operations();
  const auto source = std::ranges::find_if(operations, [&](const auto& operation) {
    return std::ranges::count(operation->outputs(), pooling.x()) > 0;
  });
  return source == operations.end() ? kNoOperation
                                    : static_cast<std::size_t>(source - operations.begin());
}

struct Derivative {
  ActivationSpec activation;
  ValueId output = kNoValue;
};

// `value` under another shape, where there is such a view.
ValueId seen_as(const Graph& graph, ValueId value, const Shape& shape) {
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    if (graph.root(id) == graph.root(value) && graph.value(id).shape == shape) return id;
  }
  return kNoValue;
}

// Multiplies `gradient` by a derivative in the product that makes it for `consumer` alone.
bool multiply_in_product(Graph& graph, ValueId gradient, std::size_t consumer,
                         const Derivative& derivative) {
  const std::size_t producer = sole_producer(graph, gradient, consumer);
  if (producer == kNoOperation || derivative.output == kNoValue) return false;
  if (const auto* view = as<Reshape>(graph, producer)) {
    const Shape& shape = graph.value(view->x()).shape;
    return multiply_in_product(graph, view->x(), producer,
                               {derivative.activation, seen_as(graph, derivative.output, shape)});
  }
  std::unique_ptr<Operation> merged = with_derivative(
      graph, *graph.operations()[producer], gradient, derivative.activation, derivative.output);
  if (!merged) return false;
  replace(graph, producer, std::move(merged));
  return true;
}

// An element that gets a gradient is the maximum, so that the derivative is that of y.
void fuse_backward(Graph& graph, const Backward& backward, ValueId y, MakePooled* make_pooled,
                   ValueId winners) {
  if (backward.pooling == kNoOperation) return;
  const auto* gradient = as<MaxPool2dBackward>(graph, backward.pooling);
  const ValueId dx = gradient->dx();
  const bool multiplied = gradient->gradient_output() != kNoValue;
  const Derivative derivative = {gradient->gradient_activation(), multiplied ? y : kNoValue};
  ValueId dy = gradient->dy();
  const bool apart = derivative.output != kNoValue &&
                     !multiply_in_product(graph, dy, backward.pooling, derivative);
  if (apart) {
    const Value& value = graph.value(dy);
    const ValueId product = graph.add_activation(value.name + ".product", value.shape);
    replace(graph, backward.pooling,
            std::make_unique<ActivationBackward>(dy, derivative.output, product,
                                                 derivative.activation));
    dy = product;
  }
  for (const std::size_t reader : backward.readers) {
    replace(graph, reader, make_pooled(graph, reader, dx, dy, winners));
  }
  auto& operations = graph.operations();
  if (!apart) operations.erase(operations.begin() + static_cast<std::ptrdiff_t>(backward.pooling));
}

bool can_pool(const BatchNormEpilogue& epilogue) {
  return !epilogue.max_pool && is_monotonic(epilogue.activation.kind);
}

// The batch normalisation with pooled results `y`, or null where it is another operation or cannot
// pool.
std::unique_ptr<Operation> with_pooling(const Operation& operation, ValueId y) {
  if (const auto* norm = dynamic_cast<const BatchNormTrain*>(&operation)) {
    if (!can_pool(norm->epilogue())) return nullptr;
    return std::make_unique<BatchNormTrain>(norm->x(), norm->parameters(), y, norm->mean(),
                                            norm->inv_std(), norm->options(),
                                            BatchNormEpilogue{norm->activation(), true});
  }
  if (const auto* norm = dynamic_cast<const BatchNormEval*>(&operation)) {
    if (!can_pool(norm->epilogue())) return nullptr;
    return std::make_unique<BatchNormEval>(norm->x(), norm->parameters(), y, norm->options(),
                                           BatchNormEpilogue{norm->activation(), true});
  }
  return nullptr;
}

}  // namespace

bool fuse_batch_norm_max_pool2d(Graph& graph, std::size_t index) {
  const auto* pooling = as<MaxPool2d>(graph, index);
  if (!pooling || !is_tiling(pooling->sizes())) return false;
  // Rows without padding.
  if (graph.value(pooling->y()).shape.elements_per_row() % 4 != 0) return false;
  const std::optional<Backward> backward = backward_of(graph, *pooling, pooled_norm);
  if (!backward) return false;
  const std::size_t source = source_of(graph, *pooling, *backward);
  if (source == kNoOperation) return false;
  const Operation& norm = *graph.operations()[source];
  std::unique_ptr<Operation> merged = with_pooling(norm, pooling->y());
  if (!merged) return false;
  const std::string label = norm.label;
  fuse_backward(graph, *backward, pooling->y(), pooled_norm, kNoValue);
  // At the earlier place: pooling adds no operand, and the normalisation has other results.
  merge(graph, source, index, std::move(merged), label);
  return true;
}

bool fuse_conv2d_max_pool2d(Graph& graph, std::size_t index, const runtime::DeviceProfile& device) {
  const auto* pooling = as<MaxPool2d>(graph, index);
  if (!pooling || !is_tiling(pooling->sizes())) return false;
  const std::optional<Backward> backward = backward_of(graph, *pooling, pooled_pass);
  if (!backward) return false;
  const std::size_t source = source_of(graph, *pooling, *backward);
  const auto* conv = source == kNoOperation ? nullptr : as<Conv2d>(graph, source);
  if (!conv || conv->epilogue().winners != kNoValue) return false;
  const Shape y = graph.value(pooling->y()).shape;
  const Conv2dSizes sizes = conv2d_sizes(graph.value(conv->x()).shape, y[1], conv->options());
  if (!conv2d_rows::pools(sizes, device)) return false;

  Conv2dEpilogue epilogue = conv->epilogue();
  epilogue.winners = graph.add_activation(fmt::format("{}.packed_winners", pooling->label),
                                          {y[0], y[1], y[2]}, DType::u32);
  fuse_backward(graph, *backward, pooling->y(), pooled_pass, epilogue.winners);
  merge(
      graph, index, source,
      std::make_unique<Conv2d>(conv->x(), conv->weight(), pooling->y(), conv->options(), epilogue),
      conv->label);
  return true;
}

}  // namespace vktrain::nn
