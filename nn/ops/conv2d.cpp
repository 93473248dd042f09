#include "nn/ops/conv2d.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "nn/differentiate.h"
#include "nn/lowering.h"
#include "nn/ops/conv2d_variants.h"
#include "nn/ops/gemm.h"
#include "nn/ops/pool2d.h"
#include "nn/ops/reshape.h"
#include "nn/reference/activation.h"
#include "nn/reference/conv2d.h"
#include "nn/reference/half.h"
#include "nn/reference/max_pool2d.h"
#include "nn/reference/reference_memory.h"
#include "nn/tuning/single_operation.h"
#include "runtime/error.h"

namespace vktrain::nn {
namespace {

// `y` may be pooled, which leaves the channels.
template <class ConvolutionPass>
Conv2dSizes sizes_of(const Shape& x, const Shape& y, const ConvolutionPass& pass, ValueId winners) {
  Conv2dSizes sizes = conv2d_sizes(x, y[1], pass.options());
  if (!sizes.depthwise()) sizes.precision = pass.precision;
  sizes.pooled = winners != kNoValue;
  return sizes;
}

template <class ConvolutionPass>
Conv2dSizes sizes_in(const Lowering& l, const ConvolutionPass& pass, ValueId x, ValueId y,
                     ValueId winners) {
  const auto shape = [&](ValueId id) { return l.graph().value(id).shape.with_batch(l.batch()); };
  return sizes_of(shape(x), shape(y), pass, winners);
}

template <class ConvolutionPass>
Conv2dSizes sizes_in(const ReferenceMemory& memory, const ConvolutionPass& pass, ValueId x,
                     ValueId y, ValueId winners) {
  return sizes_of(memory.shape(x), memory.shape(y), pass, winners);
}

// An operand as kernels multiply it; `scale` counts in mixed precision.
std::vector<double> operand(const std::vector<double>& values, const Conv2dSizes& s, double scale) {
  return s.precision == Precision::mixed ? reference::half_operand(values, scale) : values;
}

// The gradient of the output as kernels multiply it.
std::vector<double> output_gradient(const ReferenceMemory& memory, const Conv2dSizes& s, ValueId dy,
                                    ValueId winners) {
  std::vector<double> gradient = memory[dy];
  if (s.pooled)
    gradient =
        reference::max_pool2d_gradient(tiling(s.out_channels, s.output), gradient, memory[winners]);
  return operand(gradient, s, loss_scale(s.batch));
}

Conv2dPass pass_of(const Conv2dForward&) { return Conv2dPass::forward; }
Conv2dPass pass_of(const Conv2dDataGradientOperands&) { return Conv2dPass::data_gradient; }
Conv2dPass pass_of(const Conv2dWeightGradientOperands&) { return Conv2dPass::weight_gradient; }

std::string shape_text(const Conv2dSizes& s) {
  const Window2d& w = s.window;
  return fmt::format("{}x{}x{} {} {} s{} p{}:{} d{} g{}{}", s.batch, s.in_channels,
                     to_string(s.input), s.out_channels, to_string(w.kernel), to_string(w.stride),
                     to_string(w.padding_begin), to_string(w.padding_end), to_string(w.dilation),
                     s.groups, s.pooled ? " pooled" : "");
}

// Fewer outputs along one dimension, and as many inputs fewer as these read alone.
void cap_outputs(std::int64_t& input, std::int64_t& output, std::int64_t stride) {
  constexpr std::int64_t kUnit = 8;  // of rows and columns that kernels do at once
  const std::int64_t capped = capped_size(output, kUnit);
  const std::int64_t rest = input - (output - capped) * stride;
  if (rest < 1) return;  // with more padding than input
  input = rest;
  output = capped;
}

// Cheap enough for the reference. First what kernels only loop over; the width last, because some
// are compiled for it.
Conv2dSizes small_sizes(Conv2dSizes s) {
  constexpr double kMostFlops = 5e7;
  constexpr std::int64_t kTile = 32;  // of channels
  const auto large = [&s] { return conv2d_flops(s) > kMostFlops; };
  // Kernels tile the batch by at most 128 images or by pixels.
  while (large() && s.batch >= 16) s.batch = s.batch / 16 * 8 + s.batch % 8;
  if (large()) {
    const std::int64_t in = capped_size(s.in_channels / s.groups, kTile);
    const std::int64_t out = capped_size(s.out_channels / s.groups, kTile);
    s.groups = capped_size(s.groups, kTile);
    s.in_channels = in * s.groups;
    s.out_channels = out * s.groups;
  }
  if (large()) cap_outputs(s.input.height, s.output.height, s.window.stride.height);
  if (large()) cap_outputs(s.input.width, s.output.width, s.window.stride.width);
  return s;
}

std::unique_ptr<SingleOperation> probe(Conv2dPass pass, const Conv2dSizes& sizes, ProbeSize size) {
  const Conv2dSizes s = size == ProbeSize::small ? small_sizes(sizes) : sizes;
  return single_conv2d({pass,
                        s.batch,
                        s.in_channels,
                        s.out_channels,
                        s.input,
                        {s.window, s.groups},
                        s.precision,
                        s.pooled});
}

Conv2dCandidate choose_variant(Lowering& l, Conv2dPass pass, const Conv2dSizes& sizes) {
  const std::vector<Conv2dCandidate> variants = conv2d_candidates(pass, sizes, l.device());
  VariantQuestion question = {
      .family = fmt::format("conv2d {}{}", to_string(pass),
                            sizes.precision == Precision::mixed ? " mixed" : ""),
      .shape = shape_text(sizes),
      .candidates = {},
      .check_alone = sizes.pooled,
      .flops = conv2d_flops(sizes),
      .probe = [pass, sizes](ProbeSize size) { return probe(pass, sizes, size); }};
  for (const Conv2dCandidate& variant : variants) question.candidates.push_back(variant.name);
  return variants[l.choose(std::move(question))];
}

template <class Operands>
void lower_variant(Lowering& l, const std::string& label, const Conv2dSizes& sizes,
                   const Operands& operands) {
  const Conv2dCandidate candidate = choose_variant(l, pass_of(operands), sizes);
  switch (candidate.variant) {
    case Conv2dVariant::tiled:
      return conv2d_tiled::lower(l, label, sizes, operands, candidate.tiling);
    case Conv2dVariant::rows:
      return conv2d_rows::lower(l, label, sizes, operands);
    case Conv2dVariant::depthwise:
      return conv2d_depthwise::lower(l, label, sizes, operands);
  }
}

void check_shapes(const Shape& x, const Shape& weight, const Conv2dOptions& options,
                  const std::string& subject) {
  if (x.rank() != 4 || weight.rank() != 4) {
    throw Error(
        fmt::format("{}: expected an input [batch, channels, height, width] and a weight "
                    "[out, in, height, width], found {} and {}",
                    subject, to_string(x), to_string(weight)));
  }
  if (options.groups < 1 || x[1] % options.groups != 0 || weight[0] % options.groups != 0) {
    throw Error(fmt::format("{}: expected channels that {} groups divide, found {} in and {} out",
                            subject, options.groups, x[1], weight[0]));
  }
  if (weight[1] != x[1] / options.groups) {
    throw Error(fmt::format("{}: expected a weight for {} input channels a group, found {}",
                            subject, x[1] / options.groups, to_string(weight)));
  }
  const Size2d& kernel = options.window.kernel;
  if (kernel != Size2d{weight[2], weight[3]}) {
    throw Error(fmt::format("{}: expected a weight of kernel size {}, found {}", subject,
                            to_string(kernel), to_string(weight)));
  }
}

// One output position that reads every input once: a matrix product.
bool covers_input(const Conv2dOptions& options, Size2d input) {
  const Window2d& w = options.window;
  return options.groups == 1 && w.kernel == input && w.padding_begin == Size2d{0, 0} &&
         w.padding_end == Size2d{0, 0} && (w.dilation == Size2d{1, 1} || input == Size2d{1, 1});
}

std::vector<ValueId> with_optional(std::vector<ValueId> ids, ValueId optional) {
  if (optional != kNoValue) ids.push_back(optional);
  return ids;
}

}  // namespace

ValueId conv2d(Graph& graph, ValueId x, ValueId weight, const Conv2dOptions& options,
               std::string_view label) {
  const std::string subject = fmt::format("[conv2d] {}", label);
  const Shape xs = graph.value(x).shape, ws = graph.value(weight).shape;
  check_shapes(xs, ws, options, subject);
  const Size2d input = {xs[2], xs[3]};
  const Size2d output = output_size(options.window, input, subject);
  const Shape shape = {xs[0], ws[0], output.height, output.width};
  if (covers_input(options, input)) {
    return reshape(graph, linear_product(graph, x, weight, label), shape, label);
  }
  const ValueId y = graph.add_activation(fmt::format("{}.convolution", label), shape);
  graph.add(std::make_unique<Conv2d>(x, weight, y, options)).label = label;
  return y;
}

Conv2dSizes conv2d_sizes(const Shape& x, std::int64_t out_channels, const Conv2dOptions& options) {
  const Size2d input = {x[2], x[3]};
  return {.window = options.window,
          .groups = options.groups,
          .batch = x[0],
          .in_channels = x[1],
          .out_channels = out_channels,
          .input = input,
          .output = output_size(options.window, input, "[conv2d]")};
}

std::string_view to_string(Conv2dPass pass) {
  switch (pass) {
    case Conv2dPass::forward:
      return "forward";
    case Conv2dPass::data_gradient:
      return "data gradient";
    case Conv2dPass::weight_gradient:
      return "weight gradient";
  }
  return "?";
}

std::vector<Conv2dCandidate> conv2d_candidates(Conv2dPass pass, const Conv2dSizes& sizes,
                                               const runtime::DeviceProfile& device) {
  // The depthwise kernels spell a kernel row out: wide ones would take a driver long to compile.
  constexpr std::int64_t kMostDepthwiseWidth = 16;
  std::vector<Conv2dCandidate> candidates;
  if (sizes.pooled) {
    if (conv2d_rows::pools(sizes, device)) {
      candidates.push_back({"rows pooled", Conv2dVariant::rows});
    }
    return candidates;
  }
  if (conv2d_rows::supports(sizes, device)) candidates.push_back({"rows", Conv2dVariant::rows});
  if (sizes.depthwise() && sizes.window.kernel.width <= kMostDepthwiseWidth) {
    candidates.push_back({"depthwise", Conv2dVariant::depthwise});
  }
  std::ranges::move(conv2d_tiled::candidates(pass, sizes, device), std::back_inserter(candidates));
  return candidates;
}

double conv2d_flops(const Conv2dSizes& s) {
  const std::int64_t outputs = s.batch * s.out_channels * s.output.height * s.output.width;
  const std::int64_t channels = s.in_channels / s.groups;
  const std::int64_t products = channels * s.window.kernel.height * s.window.kernel.width;
  return 2.0 * static_cast<double>(outputs) * static_cast<double>(products);
}

Conv2d::Conv2d(ValueId x, ValueId weight, ValueId y, const Conv2dOptions& options,
               const Conv2dEpilogue& epilogue)
    : Operation(with_optional({x, weight}, epilogue.bias), with_optional({y}, epilogue.winners)),
      options_(options),
      epilogue_(epilogue) {}

void Conv2d::differentiate(Differentiator& differentiator) const {
  if (epilogue_ != Conv2dEpilogue{}) Operation::differentiate(differentiator);
  const ValueId dy = differentiator.gradient_of(y());
  Graph& graph = differentiator.graph();
  if (differentiator.needs_gradient(weight())) {
    const ValueId dweight = differentiator.new_gradient(weight());
    graph.add(std::make_unique<Conv2dWeightGradient>(dy, x(), dweight, options_)).label = label;
  }
  if (differentiator.needs_gradient(x())) {
    const ValueId dx = differentiator.new_gradient(x());
    graph.add(std::make_unique<Conv2dDataGradient>(dy, weight(), dx, options_)).label = label;
  }
}

void Conv2d::lower(Lowering& l) const {
  lower_variant(
      l, label, sizes_in(l, *this, x(), y(), epilogue_.winners),
      Conv2dForward{x(), weight(), y(), epilogue_.bias, epilogue_.activation, epilogue_.winners});
}

void Conv2d::reference(ReferenceMemory& memory) const {
  const Conv2dSizes sizes = sizes_in(memory, *this, x(), y(), epilogue_.winners);
  const std::int64_t plane = sizes.output.height * sizes.output.width;
  std::vector<double> result(static_cast<std::size_t>(sizes.batch * sizes.out_channels * plane));
  reference::conv2d(sizes, operand(memory[x()], sizes, 1), operand(memory[weight()], sizes, 1),
                    result);
  const std::span<const double> bias = memory.optional(epilogue_.bias);
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (!bias.empty()) result[i] += bias[i / static_cast<std::size_t>(plane) % bias.size()];
    result[i] = reference::activation(epilogue_.activation, result[i]);
  }
  if (sizes.pooled) {
    reference::max_pool2d_packed(tiling(sizes.out_channels, sizes.output), result, memory[y()],
                                 memory[epilogue_.winners]);
  } else {
    memory[y()] = std::move(result);
  }
}

Conv2dDataGradient::Conv2dDataGradient(ValueId dy, ValueId weight, ValueId dx,
                                       const Conv2dOptions& options,
                                       const ActivationSpec& gradient_activation,
                                       ValueId gradient_output, ValueId winners)
    : Operation(with_optional(with_optional({dy, weight}, gradient_output), winners), {dx}),
      options_(options),
      gradient_activation_(gradient_activation),
      gradient_output_(gradient_output),
      winners_(winners) {}

void Conv2dDataGradient::lower(Lowering& l) const {
  lower_variant(l, label, sizes_in(l, *this, dx(), dy(), winners_),
                Conv2dDataGradientOperands{dy(), weight(), dx(), gradient_output_,
                                           gradient_activation_, winners_});
}

void Conv2dDataGradient::reference(ReferenceMemory& memory) const {
  std::vector<double>& result = memory[dx()];
  const Conv2dSizes sizes = sizes_in(memory, *this, dx(), dy(), winners_);
  reference::conv2d_data_gradient(sizes, output_gradient(memory, sizes, dy(), winners_),
                                  operand(memory[weight()], sizes, 1), result);
  const std::span<const double> output = memory.optional(gradient_output_);
  for (std::size_t i = 0; i < output.size(); ++i) {
    result[i] *= reference::activation_derivative(gradient_activation_, output[i]);
  }
}

Conv2dWeightGradient::Conv2dWeightGradient(ValueId dy, ValueId x, ValueId dweight,
                                           const Conv2dOptions& options, ValueId dbias,
                                           ValueId winners)
    : Operation(with_optional({dy, x}, winners), with_optional({dweight}, dbias)),
      options_(options),
      dbias_(dbias),
      winners_(winners) {}

void Conv2dWeightGradient::lower(Lowering& l) const {
  lower_variant(l, label, sizes_in(l, *this, x(), dy(), winners_),
                Conv2dWeightGradientOperands{dy(), x(), dweight(), dbias_, winners_});
}

void Conv2dWeightGradient::reference(ReferenceMemory& memory) const {
  const Conv2dSizes sizes = sizes_in(memory, *this, x(), dy(), winners_);
  const std::vector<double> gradient = output_gradient(memory, sizes, dy(), winners_);
  reference::conv2d_weight_gradient(sizes, gradient, operand(memory[x()], sizes, 1),
                                    memory[dweight()]);
  if (dbias_ == kNoValue) return;
  std::vector<double>& bias = memory[dbias_];
  std::fill(bias.begin(), bias.end(), 0.0);
  const auto plane = static_cast<std::size_t>(sizes.output.height * sizes.output.width);
  for (std::size_t i = 0; i < gradient.size(); ++i) bias[i / plane % bias.size()] += gradient[i];
}

}  // namespace vktrain::nn
