// What a training shows while it runs: on a terminal one live line, rewritten in place and ended by
// the epoch's line; elsewhere a plain line per epoch.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "apps/vktrain/console.h"
#include "nn/training/trainer.h"

namespace vktrain::app {

enum class ProgressMode { automatic, plain, none };
ProgressMode parse_progress_mode(std::string_view text);  // "auto", "plain", "none"; UsageError

class Progress {
 public:
  Progress(Console& console, ProgressMode mode);
  ~Progress();  // clears a live line that stands
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  bool live() const { return live_; }  // shows step metrics between epochs

  void start(const nn::Trainer& trainer, const nn::Experiment& experiment,
             const runtime::DeviceProfile& device);
  void update(const nn::TrainProgress& progress);
  // For every replica of an epoch that has not stopped early, then once epoch_end, which prints.
  void epoch(const nn::EpochMetrics& metrics) { epoch_.push_back(metrics); }
  void epoch_end();
  void note(std::string_view line);  // a line of its own, unless silent

 private:
  void clear();

  Console& console_;
  bool silent_;
  bool live_;
  bool standing_ = false;  // a live line is on the terminal
  std::chrono::steady_clock::time_point last_update_{};
  std::int64_t epochs_ = 0;
  std::vector<nn::EpochMetrics> epoch_;  // of the replicas
};

// "epoch  1/15: train loss 0.6012 accuracy 0.7893, ..."; of several replicas the means.
std::string epoch_line(std::span<const nn::EpochMetrics> replicas, std::int64_t epochs);
std::string live_line(const nn::TrainProgress& progress);

}  // namespace vktrain::app
