// Whole training steps of built-in experiments on random images.
//
// vktrain_benchmarks --benchmark_filter=step
#include <benchmark/benchmark.h>

#include <algorithm>

#include "apps/vktrain/embedded_experiments.h"
#include "benchmarks/benchmark_device.h"
#include "nn/experiment/experiment_library.h"
#include "nn/rng.h"
#include "nn/training/trainer.h"

namespace vktrain::benchmarks {
namespace {

nn::ImageSet random_images(std::int64_t count) {
  nn::PhiloxRng rng(1);
  nn::ImageSet set;
  set.count = count;
  set.height = set.width = 28;
  set.classes = 10;
  for (std::int64_t i = 0; i < count * 28 * 28; ++i) {
    set.pixels.push_back(static_cast<std::uint8_t>(rng.below(256)));
  }
  for (std::int64_t i = 0; i < count; ++i) {
    set.labels.push_back(static_cast<std::uint8_t>(rng.below(10)));
  }
  return set;
}

// One iteration is one epoch of 16 full batches.
void step(benchmark::State& state, const char* id) {
  constexpr std::int64_t kSteps = 16;
  const nn::ExperimentLibrary library(app::embedded_experiments());
  nn::Experiment experiment = library.find(id);
  experiment.training.batch_size = state.range(0);
  experiment.training.epochs = 1 << 20;
  experiment.data.split = {.kind = nn::SplitRule::Kind::none};
  const nn::ImageSet images = random_images(state.range(0) * kSteps);
  const nn::ImageSet test = random_images(10);

  // The observer ends the endless training after the iterations that the benchmark asks for.
  struct Stop {};
  struct Clock : nn::TrainObserver {
    explicit Clock(benchmark::State& s) : state(s) {}
    void on_epoch(std::uint32_t, const nn::EpochMetrics& metrics) override {
      if (metrics.epoch == 1) return;  // warm-up
      if (!state.KeepRunning()) throw Stop();
      state.SetIterationTime(metrics.seconds);
    }
    benchmark::State& state;
  } clock(state);
  nn::Trainer trainer(device(), {experiment}, images, test);
  try {
    trainer.train(clock);
  } catch (const Stop&) {
  }
  state.counters["images/s"] = benchmark::Counter(static_cast<double>(state.range(0) * kSteps),
                                                  benchmark::Counter::kIsIterationInvariantRate);
}

BENCHMARK_CAPTURE(step, a_fcn_100k, "a-fcn-100k")->Arg(64)->Arg(512)->UseManualTime();
BENCHMARK_CAPTURE(step, b_fcn_100k, "b-fcn-100k")->Arg(64)->Arg(512)->UseManualTime();

}  // namespace
}  // namespace vktrain::benchmarks
