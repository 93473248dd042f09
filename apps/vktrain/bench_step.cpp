// `vktrain bench step`: whole training steps of experiments on random images.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>

#include "apps/vktrain/bench_kinds.h"
#include "apps/vktrain/bench_session.h"
#include "apps/vktrain/bench_sizes.h"
#include "apps/vktrain/experiments.h"
#include "nn/rng.h"
#include "nn/training/trainer.h"
#include "runtime/error.h"
#include "runtime/platform.h"

namespace vktrain::app {
namespace {

// Of a profiled run: as many as the trace has, or what the time allows, but a few.
constexpr std::int64_t kLeastProfiledSteps = 8, kMostProfiledSteps = runtime::kTracedReplays;
constexpr std::chrono::seconds kProfiledTime{2};

// As many images as FashionMNIST has: a few thousand would stay in caches.
constexpr std::int64_t kImages = 60000;
constexpr std::int64_t kLeastSteps = 4;  // of an epoch
constexpr std::int64_t kMostImages = 1 << 20;
constexpr std::int64_t kMostReplicas = 4096;

std::int64_t images_of_epoch(std::int64_t batch) {
  return std::max(kImages / batch, kLeastSteps) * batch;
}

void check_sizes(std::span<const std::int64_t> sizes, std::int64_t most, std::string_view option) {
  for (const std::int64_t size : sizes) {
    if (size <= most) continue;
    throw UsageError(
        fmt::format("{} of bench step takes sizes up to {}, but one is {}.", option, most, size));
  }
}

struct StepArguments {
  BenchOptions options;
  std::vector<std::string> experiments;
  std::string batch = "64,512";
  std::string replicas = "1";
  std::string precision = "f32";
};

struct StepCase {
  std::string id;
  nn::Experiment experiment;
  std::int64_t replicas = 1;
};

nn::ImageSet random_images(const nn::Experiment& experiment, std::int64_t count) {
  nn::PhiloxRng rng(1);
  nn::ImageSet set;
  set.count = count;
  set.channels = experiment.model.input[0];
  set.height = experiment.model.input[1];
  set.width = experiment.model.input[2];
  set.classes = 10;
  set.pixels.resize(static_cast<std::size_t>(count * set.pixels_per_image()));
  for (std::uint8_t& pixel : set.pixels) pixel = static_cast<std::uint8_t>(rng.next_u32() >> 24);
  for (std::int64_t i = 0; i < count; ++i) {
    set.labels.push_back(static_cast<std::uint8_t>(rng.below(10)));
  }
  return set;
}

struct Finished {};  // ends a training that has been measured

// Divides the time of an endless training into repetitions; evaluations do not count.
class StepClock : public nn::TrainObserver {
 public:
  explicit StepClock(const nn::MeasureOptions& options) : options_(options) {}

  void on_progress(const nn::TrainProgress& progress) override {
    options_.pause();
    const Times now = Times::read();
    wall_ += now.wall - last_.wall;
    cpu_ += now.cpu - last_.cpu;
    steps_ += progress.step - step_;
    step_ = progress.step;
    end_repetition();
    last_ = Times::read();
  }
  // What follows, the order of the next epoch's images, belongs to the steps.
  void on_epoch_end(std::int64_t /*epoch*/) override { last_ = Times::read(); }

  const nn::Measurement& result() const { return result_; }

 private:
  struct Times {
    double wall = 0, cpu = 0;
    static Times read() {
      const auto now = std::chrono::steady_clock::now().time_since_epoch();
      return {std::chrono::duration<double>(now).count(), process_cpu_seconds()};
    }
  };

  void end_repetition() {
    const bool warm = step_ > options_.warmup;
    if (warm && wall_ < options_.min_seconds) return;
    if (warm && measuring_) {
      result_.runs = static_cast<std::uint64_t>(steps_);
      result_.wall.push_back(wall_ / static_cast<double>(steps_));
      result_.cpu.push_back(cpu_ / static_cast<double>(steps_));
      if (result_.wall.size() == options_.repetitions) throw Finished();
    }
    measuring_ = step_ >= options_.warmup;
    wall_ = cpu_ = 0;
    steps_ = 0;
  }

  nn::MeasureOptions options_;
  nn::Measurement result_;
  Times last_ = Times::read();
  double wall_ = 0, cpu_ = 0;  // of this repetition
  std::int64_t steps_ = 0;
  std::int64_t step_ = 0;
  bool measuring_ = false;  // from the first submission after the warm-up on
};

// Ends the training after the steps of a profiled run.
class StepCounter : public nn::TrainObserver {
 public:
  void on_progress(const nn::TrainProgress& progress) override {
    const bool late = std::chrono::steady_clock::now() - begin_ > kProfiledTime;
    if (progress.step >= (late ? kLeastProfiledSteps : kMostProfiledSteps)) throw Finished();
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

void train_until_finished(nn::Trainer& trainer, nn::TrainObserver& observer) {
  try {
    trainer.train(observer);
  } catch (const Finished&) {
  }
}

std::vector<nn::Experiment> replicas_of_case(const StepCase& c) {
  std::vector<nn::Experiment> replicas(static_cast<std::size_t>(c.replicas), c.experiment);
  for (std::size_t i = 0; i < replicas.size(); ++i) replicas[i].training.seed += i;
  return replicas;
}

struct StepImages {
  nn::ImageSet train, test;
};

// A dispatch of a step, in the least time that it took in the profiled steps.
struct LeastTime {
  runtime::TracedDispatch dispatch;
  double seconds = std::numeric_limits<double>::infinity();
};

std::vector<LeastTime> profiled(BenchSession& session, const StepCase& c, const StepImages& images,
                                nn::TrainerOptions options) {
  options.profile = true;
  nn::Trainer trainer(session.device(), replicas_of_case(c), images.train, images.test, options);
  StepCounter counter;
  train_until_finished(trainer, counter);
  const runtime::ProfileTrace trace = trainer.trace();
  std::vector<LeastTime> times;
  for (const runtime::TracedDispatch& dispatch : trace.dispatches) times.push_back({dispatch});
  for (const runtime::TracedExecution& execution : trace.executions) {
    double& least = times.at(execution.dispatch).seconds;
    least = std::min(least, execution.end - execution.begin);
  }
  return times;
}

bool is_product(const LeastTime& time) {
  const std::string& kernel = time.dispatch.kernel;
  return kernel.starts_with("gemm") || kernel.starts_with("conv2d") ||
         kernel.starts_with("linear_cross_entropy");  // two products and the loss between them
}

struct StepProfile {
  double product_share = 0;  // percent of the dispatches' time
  double flops = 0;          // of one step
};

// Of steps in which no product updates weights, so that products stand alone.
StepProfile profile_of(BenchSession& session, const StepCase& c, const StepImages& images,
                       nn::TrainerOptions options) {
  options.fusion.weight_update = false;
  StepProfile profile;
  double all = 0, products = 0;
  for (const LeastTime& time : profiled(session, c, images, options)) {
    all += time.seconds;
    if (is_product(time)) products += time.seconds;
    profile.flops += time.dispatch.flops;
  }
  profile.product_share = all > 0 ? 100 * products / all : std::numeric_limits<double>::quiet_NaN();
  return profile;
}

void bench_step_case(BenchSession& session, const StepCase& c) {
  const std::int64_t batch = c.experiment.training.batch_size;
  const StepImages images = {random_images(c.experiment, images_of_epoch(batch)),
                             random_images(c.experiment, 10)};
  StepProfile profile;
  nn::TrainerOptions options;
  options.tuner = session.tuner();
  if (session.device().profile().timestamps) profile = profile_of(session, c, images, options);
  nn::Trainer trainer(session.device(), replicas_of_case(c), images.train, images.test, options);
  StepClock clock(session.measure_options());
  train_until_finished(trainer, clock);
  const double seconds = nn::spread_of(clock.result().wall).median;
  const auto planned = static_cast<double>(trainer.planned_bytes());
  const double least = std::max(1.0, static_cast<double>(trainer.least_planned_bytes()));
  session.add(
      "step",
      {{"experiment", "experiment", c.id},
       {"batch", "batch", batch},
       {"replicas", "replicas", c.replicas},
       {"precision", "precision", std::string(to_string(c.experiment.training.precision))}},
      clock.result(), {.flops = profile.flops}, std::nullopt,
      {{"images_per_second", "images/s", static_cast<double>(batch * c.replicas) / seconds, 0},
       {"dispatches", "dispatches", std::int64_t(trainer.dispatches_per_step())},
       {"levels", "levels", std::int64_t(trainer.levels_per_step())},
       {"planned_mib", "MiB", planned / (1 << 20), 2},
       {"planned_ratio", "of least", planned / least, 3},
       {"product_percent", "gemm+conv %", profile.product_share, 1}});
}

std::vector<StepCase> cases_of(const StepArguments& arguments) {
  const auto batches = parse_sizes(arguments.batch, "--batch");
  const auto replicas = parse_sizes(arguments.replicas, "--replicas");
  check_sizes(batches, kMostImages / kLeastSteps, "--batch");
  check_sizes(replicas, kMostReplicas, "--replicas");
  if (arguments.experiments.empty()) {
    throw UsageError("step needs experiments: ids of `vktrain experiments` or .toml files.");
  }
  std::vector<StepCase> cases;
  for (const std::string& id : arguments.experiments) {
    nn::Experiment experiment = nn::expand_replicas(resolve_experiment(id)).front();
    experiment.training.epochs = 1 << 20;  // the clock ends it
    experiment.training.steps = 0;
    experiment.training.log_every = 0;
    experiment.data.split = {.kind = nn::SplitRule::Kind::none};
    experiment.early_stopping = {};
    experiment.training.precision = parse_precision(arguments.precision);
    // On random labels hidden units die, and the moments of their weights decay into denormal
    // numbers, with which processors are several times as slow; on real images they do not. So the
    // parameters hardly move.
    experiment.optimizer.learning_rate = 1e-8;
    for (const std::int64_t batch : batches) {
      experiment.training.batch_size = batch;
      for (const std::int64_t count : replicas) cases.push_back({id, experiment, count});
    }
  }
  return cases;
}

void bench_step(const StepArguments& arguments, Console& console) {
  const std::vector<StepCase> cases = cases_of(arguments);
  run_bench(arguments.options, console, [&cases](BenchSession& session) {
    for (const StepCase& c : cases) {
      session.check_interrupt();
      bench_step_case(session, c);
    }
  });
}

}  // namespace

void add_bench_step(CLI::App& bench, Console& console) {
  auto arguments = std::make_shared<StepArguments>();
  CLI::App* command = bench.add_subcommand(
      "step", "Whole training steps on random images; a profiled run tells the kernels' share");
  command->add_option("experiments", arguments->experiments,
                      "Ids of `vktrain experiments` or .toml files");
  command->add_option("--batch", arguments->batch, "Images of a step")
      ->capture_default_str()
      ->type_name("SIZES");
  command->add_option("--replicas", arguments->replicas, "Models trained at once")
      ->capture_default_str()
      ->type_name("SIZES");
  add_precision_option(*command, arguments->precision);
  add_bench_options(*command, arguments->options);
  command->callback([arguments, &console] { bench_step(*arguments, console); });
}

}  // namespace vktrain::app
