// Matrix products as linear layers need them: forward (nt), data gradient (nn), weight gradient
// (tn), at the shapes of a-fcn-100k with batch 512 and at 512 and 1024 cubed.
//
// vktrain_benchmarks --benchmark_filter=gemm
#include <benchmark/benchmark.h>

#include <vector>

#include "benchmarks/benchmark_device.h"
#include "nn/executable.h"
#include "nn/ops/gemm.h"

namespace vktrain::benchmarks {
namespace {

using nn::GemmForm;

struct Operands {
  nn::Shape a, b;
};

Operands shapes_of(GemmForm form, std::int64_t m, std::int64_t n, std::int64_t k) {
  switch (form) {
    case GemmForm::nt:
      return {{m, k}, {n, k}};
    case GemmForm::nn:
      return {{m, k}, {k, n}};
    case GemmForm::tn:
      break;
  }
  return {{k, m}, {k, n}};
}

void gemm(benchmark::State& state, GemmForm form) {
  const std::int64_t m = state.range(0), n = state.range(1), k = state.range(2);
  const Operands operands = shapes_of(form, m, n, k);
  nn::ParameterSet parameters;
  nn::Graph graph(parameters);
  const nn::ValueId a = graph.add_external("a", operands.a, nn::DType::f32, false);
  const nn::ValueId b = graph.add_external("b", operands.b, nn::DType::f32, false);
  const nn::ValueId c = graph.add_activation("c", {m, n});
  graph.add(std::make_unique<nn::Gemm>(form, a, b, c));
  nn::ParameterStorage storage(device(), parameters, 1, 0);
  nn::Executable executable(device(), graph, storage, {});
  executable.run();
  constexpr std::uint32_t kRepeats = 16;  // a submission, so that its cost disappears
  for (auto _ : state) executable.run(kRepeats);
  state.counters["FLOP/s"] = benchmark::Counter(
      2.0 * static_cast<double>(m * n) * static_cast<double>(k) * kRepeats,
      benchmark::Counter::kIsIterationInvariantRate, benchmark::Counter::kIs1000);
}

void forward_shapes(benchmark::internal::Benchmark* b) {
  b->Args({512, 100, 784})->Args({512, 64, 100})->Args({512, 10, 64});
  b->Args({512, 512, 512})->Args({1024, 1024, 1024})->UseRealTime();
}
void data_gradient_shapes(benchmark::internal::Benchmark* b) {
  b->Args({512, 64, 10})->Args({512, 100, 64});
  b->Args({512, 512, 512})->Args({1024, 1024, 1024})->UseRealTime();
}
void weight_gradient_shapes(benchmark::internal::Benchmark* b) {
  b->Args({100, 784, 512})->Args({64, 100, 512})->Args({10, 64, 512});
  b->Args({512, 512, 512})->Args({1024, 1024, 1024})->UseRealTime();
}

BENCHMARK_CAPTURE(gemm, nt, GemmForm::nt)->Apply(forward_shapes);
BENCHMARK_CAPTURE(gemm, nn, GemmForm::nn)->Apply(data_gradient_shapes);
BENCHMARK_CAPTURE(gemm, tn, GemmForm::tn)->Apply(weight_gradient_shapes);

}  // namespace
}  // namespace vktrain::benchmarks
