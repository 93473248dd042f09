#include "nn/training/trainer.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "nn/executable.h"
#include "nn/training/checkpoint.h"
#include "nn/training/device_dataset.h"
#include "nn/training/evaluator.h"
#include "nn/training/penalty.h"
#include "nn/training/replica_check.h"
#include "nn/training/replica_course.h"
#include "nn/training/step_graph.h"
#include "nn/training/submission_pacer.h"

namespace vktrain::nn {
namespace {

std::vector<OptimizerConfig> optimizers_of(std::span<const Experiment> replicas) {
  std::vector<OptimizerConfig> configs;
  for (const Experiment& experiment : replicas) configs.push_back(experiment.optimizer);
  return configs;
}

}  // namespace

std::vector<Experiment> expand_replicas(const Experiment& experiment) {
  std::vector<Experiment> replicas;
  for (const ReplicaSpec& spec : replicas_of(experiment)) {
    Experiment replica = experiment;
    replica.training.seed = spec.seed;
    replica.training.seeds.clear();
    replica.optimizer.learning_rate = spec.learning_rate;
    replica.learning_rates.clear();
    replicas.push_back(std::move(replica));
  }
  return replicas;
}

class Trainer::Impl {
 public:
  Impl(runtime::Device& device, std::vector<Experiment> replicas, const ImageSet& train,
       const ImageSet& test, const TrainerOptions& options);

  std::vector<EpochMetrics> train(TrainObserver& observer);
  std::vector<EvaluationMetrics> evaluate(Evaluator& evaluator) const;

  const Experiment& first() const { return experiments_.front(); }
  const Executable& step() const { return full_ ? *full_ : *last_; }  // the largest
  std::uint32_t count() const { return static_cast<std::uint32_t>(experiments_.size()); }

  runtime::Device* device_;
  TrainerOptions options_;
  std::vector<Experiment> experiments_;
  OptimizerConfig optimizer_;  // of all replicas together
  std::vector<Split> splits_;
  std::int64_t images_;           // of an epoch
  std::int64_t steps_per_epoch_;  // the last, smaller one included
  std::int64_t total_steps_;
  DeviceDataset dataset_;
  ParameterSet parameters_;
  StepGraph step_graph_;
  std::unique_ptr<ParameterStorage> storage_;
  runtime::Arena arena_;
  ReplicaBuffer<StepState> state_;
  ReplicaBuffer<StepTableEntry> table_;
  ReplicaBuffer<Hyperparameters> hyperparameters_;
  ReplicaBuffer<StepMetrics> metrics_;
  ReplicaBuffer<std::uint32_t> indices_;
  std::unique_ptr<Executable> full_;  // null when an epoch is smaller than a batch
  std::unique_ptr<Executable> last_;  // null when the batches come out even
  std::unique_ptr<Evaluator> validation_;
  std::unique_ptr<Evaluator> test_;
  SubmissionPacer pacer_;
  std::int64_t steps_done_ = 0;
  std::vector<ReplicaCourse> courses_;

 private:
  void make_executables();
  void make_evaluators();
  void initialize_parameters();
  void start_epoch(std::int64_t epoch);
  double run_steps(std::int64_t epoch, std::int64_t steps, TrainObserver& observer);
  void report_progress(std::int64_t epoch, std::int64_t done, double seconds,
                       TrainObserver& observer) const;
  StepRecord record_of(std::uint32_t replica, std::int64_t index, const StepMetrics& step) const;
  std::int64_t batch_of(std::int64_t index) const;
  EpochMetrics summarize(std::uint32_t replica, std::int64_t steps, TrainObserver& observer) const;
  EpochMetrics epoch_metrics(std::uint32_t replica, std::int64_t epoch, std::int64_t steps,
                             double seconds, TrainObserver& observer) const;
  void finish_epoch(std::int64_t epoch, std::int64_t steps, double seconds,
                    TrainObserver& observer);
  bool all_stopped() const;
};

namespace {

std::vector<Split> make_splits(std::span<const Experiment> experiments, const ImageSet& train) {
  std::vector<Split> splits;
  for (const Experiment& experiment : experiments) {
    splits.push_back(make_split(experiment.data.split, train.labels, experiment.training.seed));
  }
  return splits;
}

std::int64_t total_steps(const TrainingSpec& training, std::int64_t steps_per_epoch) {
  const std::int64_t all = training.epochs * steps_per_epoch;
  return training.steps > 0 ? std::min(training.steps, all) : all;
}

}  // namespace

Trainer::Impl::Impl(runtime::Device& device, std::vector<Experiment> replicas,
                    const ImageSet& train, const ImageSet& test, const TrainerOptions& options)
    : device_(&device),
      options_(options),
      experiments_(check_replicas(std::move(replicas), train)),
      optimizer_(combine_optimizers(optimizers_of(experiments_))),
      splits_(make_splits(experiments_, train)),
      images_(static_cast<std::int64_t>(splits_.front().train.size())),
      steps_per_epoch_(divide_up(images_, first().training.batch_size)),
      total_steps_(total_steps(first().training, steps_per_epoch_)),
      dataset_(device, train, test),
      step_graph_(build_step_graph(parameters_, first(), optimizer_, dataset_.count(), images_,
                                   options_.fusion, &device.profile())),
      arena_(device, "training"),
      state_(device, arena_, 1, count(), "step state"),
      table_(device, arena_, steps_per_epoch_, count(), "step table"),
      hyperparameters_(device, arena_, 1, count(), "hyperparameters"),
      metrics_(device, arena_, steps_per_epoch_, count(), "metrics"),
      indices_(device, arena_, images_, count(), "indices"),
      pacer_(device.profile()) {
  check_images(first(), test);
  for (const Experiment& experiment : experiments_) courses_.emplace_back(experiment, total_steps_);
  storage_ =
      std::make_unique<ParameterStorage>(device, parameters_, count(), optimizer_slots(optimizer_));
  initialize_parameters();
  if (options_.tuner) options_.tuner->begin();
  make_executables();
  make_evaluators();
}

// Each replica draws with initialisers of its own, which the shared parameter set cannot hold.
void Trainer::Impl::initialize_parameters() {
  for (std::uint32_t r = 0; r < count(); ++r) {
    const Experiment& experiment = experiments_[r];
    // Beside replicas with momentum one without it has their slots, too.
    std::vector<float> fill = optimizer_fill(experiment.optimizer);
    fill.resize(storage_->optimizer_slots(), 0.0f);
    storage_->initialize(r, experiment.training.seed, fill);
    if (r > 0) {
      ParameterSet own;
      build_step_graph(own, experiment, experiment.optimizer, dataset_.count(), images_, {});
      for (std::size_t i = 0; i < own.size(); ++i) {
        const Parameter& p = own[i];
        storage_->write(i, r,
                        initial_values(p.initializer, p.shape.elements(), p.fan_in, p.fan_out,
                                       experiment.training.seed, static_cast<std::uint32_t>(i)));
      }
    }
    const Hyperparameters values = hyperparameters_of(experiment);
    hyperparameters_.upload(r, {&values, 1});
    const StepState start;
    state_.upload(r, {&start, 1});
  }
}

void Trainer::Impl::make_executables() {
  const StepInputs& step = step_graph_.step;
  std::map<ValueId, runtime::Slice> externals = {{step.state, state_.slice()},
                                                 {step.table, table_.slice()},
                                                 {step.hyperparameters, hyperparameters_.slice()},
                                                 {step.metrics, metrics_.slice()},
                                                 {step_graph_.dataset.indices, indices_.slice()}};
  dataset_.bind(step_graph_.dataset, externals);
  const auto make = [&](std::int64_t size) {
    return std::make_unique<Executable>(
        *device_, step_graph_.graph, *storage_,
        tuned_options(options_.tuner.get(), step_graph_.graph, storage_->layout(),
                      {.batch = size, .replicas = count()}),
        externals, options_.profile);
  };
  const std::int64_t batch = first().training.batch_size;
  if (images_ >= batch) full_ = make(batch);
  if (images_ % batch != 0) last_ = make(images_ % batch);
}

void Trainer::Impl::make_evaluators() {
  std::vector<std::vector<std::uint32_t>> validation, test;
  for (const Split& split : splits_) {
    validation.push_back(split.validation);
    test.push_back(dataset_.test_indices());
  }
  const TrainingSpec& training = first().training;
  if (!validation.front().empty()) {
    validation_ =
        std::make_unique<Evaluator>(*device_, first(), parameters_, *storage_, dataset_, validation,
                                    training.val_batch_size, options_.tuner.get());
  }
  test_ = std::make_unique<Evaluator>(*device_, first(), parameters_, *storage_, dataset_, test,
                                      training.test_batch_size, options_.tuner.get());
}

void Trainer::Impl::start_epoch(std::int64_t epoch) {
  const std::int64_t steps = std::min(steps_per_epoch_, total_steps_ - steps_done_);
  for (std::uint32_t r = 0; r < count(); ++r) {
    const Experiment& experiment = experiments_[r];
    indices_.upload(r, experiment.data.shuffle
                           ? permutation(splits_[r].train, experiment.training.seed,
                                         static_cast<std::uint32_t>(epoch))
                           : splits_[r].train);
    table_.upload(r, courses_[r].step_table(steps_done_, epoch, steps));
    const StepState state = {.step = static_cast<std::uint32_t>(steps_done_)};
    state_.upload(r, {&state, 1});
  }
}

std::int64_t Trainer::Impl::batch_of(std::int64_t index) const {
  const std::int64_t batch = first().training.batch_size;
  return std::min(batch, images_ - index * batch);
}

StepRecord Trainer::Impl::record_of(std::uint32_t replica, std::int64_t index,
                                    const StepMetrics& step) const {
  const bool penalty = experiments_[replica].metrics.loss_includes_penalty;
  return {.step = steps_done_ + index + 1,
          .loss = double{step.loss} + (penalty ? double{step.penalty} : 0.0),
          .accuracy = static_cast<double>(step.correct) / static_cast<double>(batch_of(index))};
}

void Trainer::Impl::report_progress(std::int64_t epoch, std::int64_t done, double seconds,
                                    TrainObserver& observer) const {
  const std::int64_t images =
      std::min(done * first().training.batch_size, images_) * std::int64_t{count()};
  TrainProgress progress;
  progress.epoch = epoch;
  progress.epochs = divide_up(total_steps_, steps_per_epoch_);
  progress.step = steps_done_ + done;
  progress.steps = total_steps_;
  progress.images_per_second = static_cast<double>(images) / seconds;
  progress.seconds_left =
      seconds / static_cast<double>(done) * static_cast<double>(total_steps_ - progress.step);
  if (options_.progress_metrics) {
    const auto index = static_cast<std::size_t>(done - 1);
    progress.last = record_of(0, done - 1, metrics_.download(0, index, 1).front());
  }
  observer.on_progress(progress);
}

// Runs the epoch's first `steps` steps; returns the seconds they took.
double Trainer::Impl::run_steps(std::int64_t epoch, std::int64_t steps, TrainObserver& observer) {
  const std::int64_t full_steps = std::min(steps, images_ / first().training.batch_size);
  double seconds = 0;
  for (std::int64_t done = 0; done < steps;) {
    const auto start = std::chrono::steady_clock::now();
    done += done < full_steps
                ? pacer_.run_some(*full_, static_cast<std::uint32_t>(full_steps - done))
                : pacer_.run_some(*last_, 1);
    seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    report_progress(epoch, done, seconds, observer);
  }
  return seconds;
}

EpochMetrics Trainer::Impl::summarize(std::uint32_t replica, std::int64_t steps,
                                      TrainObserver& observer) const {
  const std::vector<StepMetrics> metrics =
      metrics_.download(replica, 0, static_cast<std::size_t>(steps));
  const std::int64_t every = first().training.log_every;
  std::vector<StepRecord> logged;
  EpochMetrics result;
  double images = 0;
  StepRecord record;
  for (std::int64_t i = 0; i < steps; ++i) {
    record = record_of(replica, i, metrics[static_cast<std::size_t>(i)]);
    if (every > 0 && record.step % every == 0) logged.push_back(record);
    const auto batch = static_cast<double>(batch_of(i));
    result.train_loss += record.loss * batch;
    result.train_accuracy += record.accuracy * batch;
    images += batch;
  }
  if (first().metrics.train == TrainMetric::epoch_mean) {
    result.train_loss /= images;
    result.train_accuracy /= images;
  } else {
    result.train_loss = record.loss;
    result.train_accuracy = record.accuracy;
  }
  if (!logged.empty()) observer.on_steps(replica, logged);
  return result;
}

std::vector<EvaluationMetrics> Trainer::Impl::evaluate(Evaluator& evaluator) const {
  std::vector<EvaluationMetrics> results = evaluator.run(first().metrics.accuracy);
  for (std::uint32_t r = 0; r < count(); ++r) {
    if (!experiments_[r].metrics.loss_includes_penalty) continue;
    results[r].loss += penalty_of(*storage_, r, experiments_[r].optimizer);
  }
  return results;
}

EpochMetrics Trainer::Impl::epoch_metrics(std::uint32_t replica, std::int64_t epoch,
                                          std::int64_t steps, double seconds,
                                          TrainObserver& observer) const {
  EpochMetrics metrics = summarize(replica, steps, observer);
  metrics.epoch = epoch;
  metrics.learning_rate = courses_[replica].learning_rate(steps_done_ + steps - 1, epoch);
  metrics.seconds = seconds;
  metrics.images_per_second =
      static_cast<double>(std::min(steps * first().training.batch_size, images_)) / seconds;
  return metrics;
}

void Trainer::Impl::finish_epoch(std::int64_t epoch, std::int64_t steps, double seconds,
                                 TrainObserver& observer) {
  std::vector<EvaluationMetrics> validation;
  if (validation_) validation = evaluate(*validation_);
  const std::vector<EvaluationMetrics> test = evaluate(*test_);
  for (std::uint32_t r = 0; r < count(); ++r) {
    if (courses_[r].stopped()) continue;
    EpochMetrics metrics = epoch_metrics(r, epoch, steps, seconds, observer);
    metrics.test = test[r];
    if (validation_) metrics.validation = validation[r];
    courses_[r].end_epoch(metrics, steps, *storage_, r);
    observer.on_epoch(r, metrics);
  }
  steps_done_ += steps;
  observer.on_epoch_end(epoch);
}

bool Trainer::Impl::all_stopped() const {
  return std::all_of(courses_.begin(), courses_.end(),
                     [](const ReplicaCourse& course) { return course.stopped(); });
}

std::vector<EpochMetrics> Trainer::Impl::train(TrainObserver& observer) {
  for (std::int64_t epoch = 1; steps_done_ < total_steps_ && !all_stopped(); ++epoch) {
    start_epoch(epoch);
    const std::int64_t steps = std::min(steps_per_epoch_, total_steps_ - steps_done_);
    const double seconds = run_steps(epoch, steps, observer);
    finish_epoch(epoch, steps, seconds, observer);
  }
  std::vector<EpochMetrics> results;
  for (std::uint32_t r = 0; r < count(); ++r) {
    courses_[r].finish(*storage_, r);
    results.push_back(courses_[r].last());
  }
  return results;
}

Trainer::Trainer(runtime::Device& device, std::vector<Experiment> replicas, const ImageSet& train,
                 const ImageSet& test, const TrainerOptions& options)
    : impl_(std::make_unique<Impl>(device, std::move(replicas), train, test, options)) {}

Trainer::~Trainer() = default;

const std::vector<LayerSummary>& Trainer::layers() const { return impl_->step_graph_.model.layers; }

std::int64_t Trainer::parameter_count() const { return impl_->parameters_.trainable_elements(); }

std::uint32_t Trainer::replicas() const { return impl_->count(); }

std::size_t Trainer::dispatches_per_step() const { return impl_->step().plan().dispatch_count(); }
std::size_t Trainer::levels_per_step() const { return impl_->step().commands().level_count(); }

std::int64_t Trainer::planned_bytes() const { return impl_->step().plan().arena_size() * 4; }

std::int64_t Trainer::least_planned_bytes() const { return impl_->step().plan().lower_bound() * 4; }

SafeTensors Trainer::parameters(std::uint32_t replica) const {
  return export_parameters(*impl_->storage_, replica, impl_->courses_[replica].batches_tracked());
}

void Trainer::load_parameters(std::uint32_t replica, const SafeTensors& tensors) {
  impl_->courses_[replica].set_batches_tracked(
      import_parameters(*impl_->storage_, replica, tensors));
}

std::vector<EpochMetrics> Trainer::train(TrainObserver& observer) { return impl_->train(observer); }

std::int64_t Trainer::steps(std::uint32_t replica) const {
  return impl_->courses_.at(replica).steps();
}

std::optional<EarlyStop> Trainer::early_stop(std::uint32_t replica) const {
  return impl_->courses_.at(replica).early_stop();
}

std::vector<EvaluationMetrics> Trainer::evaluate_test() { return impl_->evaluate(*impl_->test_); }

std::vector<runtime::DispatchTiming> Trainer::timings() const {
  return impl_->step().commands().timings();
}

runtime::ProfileTrace Trainer::trace() const { return impl_->step().commands().trace(); }

}  // namespace vktrain::nn
