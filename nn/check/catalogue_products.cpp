// Matrix products in their three forms and convolutions in their three passes, with the epilogues
// that fusion gives them and without.
#include <fmt/format.h>

#include <utility>

#include "nn/check/catalogue.h"
#include "nn/check/image_case.h"
#include "nn/fusion.h"
#include "nn/layers/conv2d.h"
#include "nn/layers/linear.h"
#include "nn/ops/activation.h"
#include "nn/ops/gemm.h"
#include "nn/ops/max_pool2d.h"
#include "nn/precision.h"

namespace vktrain::nn {
namespace {

struct LinearSizes {
  std::int64_t batch, in, out;
};

// x -> linear -> activation -> linear (3 units).
CatalogueCase linear_case(const LinearSizes& sizes, const ActivationSpec& spec, bool fused,
                          std::uint64_t seed) {
  CatalogueCase c;
  c.name = fmt::format("{} x {} -> {}, {}{}", sizes.batch, sizes.in, sizes.out,
                       to_string(spec.kind), fused ? ", fused" : "");
  c.operation.batch = sizes.batch;
  c.operation.columns = sizes.in;
  c.operation.seed = seed;
  c.operation.build = [out = sizes.out, spec](Graph& graph, ValueId x) {
    const ValueId hidden = activation(graph, linear(graph, x, {.out = out}, "1"), spec, "2");
    return linear(graph, hidden, {.out = 3}, "3");
  };
  if (fused) c.operation.rewrite = [](Graph& graph) { fuse(graph); };
  return c;
}

struct ConvolutionCase {
  ImageShape input;
  std::int64_t out;  // channels
  Conv2dOptions options;
};

std::string to_string(const ConvolutionCase& c) {
  const Window2d& w = c.options.window;
  std::string text = fmt::format("[{}, {}, {}, {}] -> {}, {}", c.input.batch, c.input.channels,
                                 c.input.height, c.input.width, c.out, to_string(w.kernel));
  if (w.stride != Size2d{1, 1}) text += ", stride " + to_string(w.stride);
  if (w.padding_begin != Size2d{0, 0}) text += ", padding " + to_string(w.padding_begin);
  if (w.dilation != Size2d{1, 1}) text += ", dilation " + to_string(w.dilation);
  if (c.options.groups > 1) text += fmt::format(", {} groups", c.options.groups);
  return text;
}

// x -> activation -> convolution -> relu.
ValueId convolution(Graph& graph, ValueId x, const ConvolutionCase& conv, Activation first) {
  const Conv2dLayerOptions options = {.out = conv.out, .convolution = conv.options};
  const ValueId before = activation(graph, x, {first}, "0");
  return activation(graph, conv2d_layer(graph, before, options, "1"), {Activation::relu}, "2");
}

// x -> tanh -> convolution -> relu: fusion puts the derivative of the one into the data gradient,
// bias and relu into the forward pass, the bias gradient into the weight gradient.
CatalogueCase convolution_case(const ConvolutionCase& conv, bool fused, std::uint64_t seed) {
  CatalogueCase c;
  c.name = to_string(conv) + (fused ? ", fused" : "");
  c.operation = image_case(conv.input, seed, [conv](Graph& graph, ValueId x) {
    return convolution(graph, x, conv, Activation::tanh);
  });
  if (fused) c.operation.rewrite = [](Graph& graph) { fuse(graph); };
  return c;
}

// The first ones differ in as much as they can.
std::vector<ConvolutionCase> convolutions() {
  const Size2d one = {1, 1}, two = {2, 2}, none = {0, 0};
  const Window2d same = {{3, 3}, one, one, one, one};
  return {
      {{5, 8, 12, 12}, 16, {same}},
      {{3, 6, 9, 8}, 8, {{{3, 3}, one, two, two, two}, 2}},
      {{3, 8, 7, 7}, 8, {{{3, 3}, two, one, one, one}}},
      {{3, 4, 3, 40}, 4, {{{2, 5}, {1, 2}, {0, 3}, {0, 1}, one}}},
      {{4, 8, 6, 5}, 40, {{one, one, none, none, one}}},
      {{4, 8, 11, 11}, 8, {same, 8}},
      {{16, 1, 28, 28}, 8, {same}},
      {{16, 8, 14, 14}, 16, {same}},
      {{2, 3, 14, 14}, 8, {{{5, 5}, one, none, none, one}}},
      {{3, 6, 9, 7}, 12, {{{5, 3}, two, two, two, one}, 6}},
  };
}

// Small integers, whose sums are exact in any order.
std::optional<std::vector<std::uint32_t>> small_integers(const Value& value, std::size_t count,
                                                         std::uint32_t, PhiloxRng& rng) {
  if (value.dtype == DType::u32) return std::nullopt;
  std::vector<float> values(count);
  for (float& v : values) v = static_cast<float>(rng.below(5)) - 2;
  return words_of(values);
}

// Pooled by tiles of 2 x 2: in the convolution's kernels where the device has such. A rounding
// would choose other winners.
CatalogueCase pooled_case(const ConvolutionCase& conv, const runtime::DeviceProfile& device,
                          std::uint64_t seed) {
  CatalogueCase c;
  c.name = to_string(conv) + ", max pooling, small integers";
  c.operation = image_case(conv.input, seed, [conv](Graph& graph, ValueId x) {
    const Window2d tile = {.kernel = {2, 2}, .stride = {2, 2}};
    return max_pool2d(graph, convolution(graph, x, conv, Activation::relu), tile, "3");
  });
  c.operation.fill = small_integers;
  c.operation.rewrite = [device](Graph& graph) { fuse(graph, {}, &device); };
  c.own_kernels = true;
  return c;
}

// With operands rounded to half floats; the reference rounds them, too.
CatalogueCase mixed(CatalogueCase c) {
  c.name += ", mixed precision";
  c.operation.rewrite = [rewrite = std::move(c.operation.rewrite)](Graph& graph) {
    if (rewrite) rewrite(graph);
    set_precision(graph, Precision::mixed);
  };
  return c;
}

// [2, k] times [3, k] transposed: any term that is lost shows.
CatalogueCase long_sums(std::int64_t k, std::uint64_t seed) {
  CatalogueCase c;
  c.name = fmt::format("2 x {} -> 3, small integers", k);
  c.operation.seed = seed;
  c.operation.build_whole = [k](Graph& graph) {
    const ValueId a = graph.add_external("a", {2, k}, DType::f32, false);
    const ValueId b = graph.add_external("b", {3, k}, DType::f32, false);
    const ValueId product = graph.add_activation("product", {2, 3});
    graph.add(std::make_unique<Gemm>(GemmForm::nt, a, b, product));
  };
  c.operation.fill = small_integers;
  return c;
}

}  // namespace

std::vector<CatalogueCase> product_catalogue(std::uint64_t seed,
                                             const runtime::DeviceProfile& device) {
  constexpr std::size_t kUnfused = 5, kMixed = 3;  // of the convolutions
  constexpr std::size_t kPooled[] = {0, 8};        // of even height and width
  std::vector<CatalogueCase> all;
  constexpr LinearSizes kSizes[] = {{1, 1, 1},       {5, 7, 3},     {64, 784, 100}, {65, 33, 17},
                                    {256, 128, 128}, {257, 31, 65}, {1030, 65, 17}};
  for (const LinearSizes& sizes : kSizes) {
    for (const bool fused : {false, true}) {
      all.push_back(linear_case(sizes, {Activation::relu}, fused, ++seed));
    }
  }
  for (const Activation kind :
       {Activation::none, Activation::tanh, Activation::sigmoid, Activation::elu,
        Activation::leaky_relu, Activation::gelu, Activation::silu}) {
    all.push_back(linear_case({65, 33, 17}, {kind, 0.5f}, true, ++seed));
  }
  for (const LinearSizes& sizes : {kSizes[2], kSizes[3], kSizes[4], kSizes[6]}) {
    all.push_back(mixed(linear_case(sizes, {Activation::relu}, true, ++seed)));
  }
  // Kernels of convolutions are compiled for their sizes, which takes most of the time.
  const std::vector<ConvolutionCase> convs = convolutions();
  for (const ConvolutionCase& conv : convs) all.push_back(convolution_case(conv, true, ++seed));
  for (std::size_t i = 0; i < kUnfused; ++i) {
    all.push_back(convolution_case(convs[i], false, ++seed));
    if (i < kMixed) all.push_back(mixed(convolution_case(convs[i], true, ++seed)));
  }
  for (const std::size_t i : kPooled) all.push_back(pooled_case(convs[i], device, ++seed));
  constexpr std::int64_t kLongerThanLoops = 270'000;  // on llvmpipe, four a turn
  all.push_back(long_sums(kLongerThanLoops, ++seed));
  return all;
}

}  // namespace vktrain::nn
