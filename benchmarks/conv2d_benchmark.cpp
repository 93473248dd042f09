// The three passes of convolutions, at the layers of a-cnn-100k, b-cnn-100k, d-cnn and e-cnn-final.
//
// vktrain_benchmarks --benchmark_filter=conv2d
#include <benchmark/benchmark.h>

#include <vector>

#include "benchmarks/benchmark_device.h"
#include "nn/executable.h"
#include "nn/ops/conv2d.h"

namespace vktrain::benchmarks {
namespace {

enum class Pass { forward, data_gradient, weight_gradient };

std::unique_ptr<nn::Operation> operation(nn::Graph& graph, Pass pass, const nn::Shape& x_shape,
                                         const nn::Shape& w_shape, const nn::Shape& y_shape,
                                         const nn::Conv2dOptions& options) {
  const auto external = [&](const nn::Shape& shape) {
    return graph.add_external("operand", shape, nn::DType::f32, false);
  };
  switch (pass) {
    case Pass::forward:
      return std::make_unique<nn::Conv2d>(external(x_shape), external(w_shape),
                                          graph.add_activation("y", y_shape), options);
    case Pass::data_gradient:
      return std::make_unique<nn::Conv2dDataGradient>(external(y_shape), external(w_shape),
                                                      graph.add_activation("dx", x_shape), options);
    case Pass::weight_gradient:
      break;
  }
  return std::make_unique<nn::Conv2dWeightGradient>(external(y_shape), external(x_shape),
                                                    graph.add_activation("dw", w_shape), options);
}

// Arguments: batch, input channels, output channels, height = width, kernel, padding.
void conv2d(benchmark::State& state, Pass pass) {
  const std::int64_t batch = state.range(0), in = state.range(1), out = state.range(2);
  const std::int64_t size = state.range(3), kernel = state.range(4), padding = state.range(5);
  nn::Conv2dOptions options;
  options.window.kernel = {kernel, kernel};
  options.window.padding_begin = options.window.padding_end = {padding, padding};
  const nn::Size2d output = nn::output_size(options.window, {size, size}, "benchmark");
  nn::ParameterSet parameters;
  nn::Graph graph(parameters);
  graph.add(operation(graph, pass, {batch, in, size, size}, {out, in, kernel, kernel},
                      {batch, out, output.height, output.width}, options));
  nn::ParameterStorage storage(device(), parameters, 1, 0);
  nn::Executable executable(device(), graph, storage, {});
  executable.run();
  for (auto _ : state) executable.run(4);
  state.counters["FLOP/s"] = benchmark::Counter(
      4 * 2.0 * static_cast<double>(batch * out * output.height * output.width) *
          static_cast<double>(in * kernel * kernel),
      benchmark::Counter::kIsIterationInvariantRate, benchmark::Counter::kIs1000);
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"batch", "in", "out", "size", "kernel", "padding"});
  b->Args({512, 1, 8, 28, 3, 1})->Args({512, 8, 16, 14, 3, 1});
  b->Args({512, 32, 64, 14, 3, 1})->Args({512, 64, 84, 7, 3, 1});
  b->Args({64, 32, 64, 14, 5, 2})->Args({32, 10, 32, 13, 5, 2})->MeasureProcessCPUTime();
}

BENCHMARK_CAPTURE(conv2d, forward, Pass::forward)->Apply(shapes);
BENCHMARK_CAPTURE(conv2d, data_gradient, Pass::data_gradient)->Apply(shapes);
BENCHMARK_CAPTURE(conv2d, weight_gradient, Pass::weight_gradient)->Apply(shapes);

}  // namespace
}  // namespace vktrain::benchmarks
