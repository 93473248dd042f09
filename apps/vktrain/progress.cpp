#include "apps/vktrain/progress.h"

#include <fmt/format.h>

#include <cmath>

#include "apps/vktrain/summary.h"
#include "apps/vktrain/text.h"
#include "nn/training/statistics.h"
#include "runtime/error.h"

namespace vktrain::app {
namespace {

constexpr std::chrono::milliseconds kUpdateInterval{100};
constexpr std::string_view kClearLine = "\r\x1b[K";  // ECMA-48: erase to the end of the line

template <class Value>
double mean(std::span<const nn::EpochMetrics> replicas, Value value) {
  std::vector<double> values;
  for (const nn::EpochMetrics& metrics : replicas) values.push_back(value(metrics));
  return nn::mean_of(values);
}

int digits(std::int64_t value) { return static_cast<int>(std::to_string(value).size()); }

}  // namespace

ProgressMode parse_progress_mode(std::string_view text) {
  if (text == "auto") return ProgressMode::automatic;
  if (text == "plain") return ProgressMode::plain;
  if (text == "none") return ProgressMode::none;
  throw UsageError(
      fmt::format("--progress must be one of auto, plain, none, but it is '{}'.", text));
}

std::string epoch_line(std::span<const nn::EpochMetrics> replicas, std::int64_t epochs) {
  const nn::EpochMetrics& first = replicas.front();
  std::string line =
      fmt::format("epoch {:>{}}/{}: train loss {:.4f} accuracy {:.4f}", first.epoch, digits(epochs),
                  epochs, mean(replicas, [](const auto& m) { return m.train_loss; }),
                  mean(replicas, [](const auto& m) { return m.train_accuracy; }));
  if (first.validation) {
    line += fmt::format(", val loss {:.4f} accuracy {:.4f}",
                        mean(replicas, [](const auto& m) { return m.validation->loss; }),
                        mean(replicas, [](const auto& m) { return m.validation->accuracy; }));
  }
  const double images_per_second = first.images_per_second * static_cast<double>(replicas.size());
  line += fmt::format(", test loss {:.4f} accuracy {:.4f}, {}, {} images/s",
                      mean(replicas, [](const auto& m) { return m.test.loss; }),
                      mean(replicas, [](const auto& m) { return m.test.accuracy; }),
                      duration(first.seconds), grouped(std::llround(images_per_second)));
  if (replicas.size() > 1) line += fmt::format(" (means of {} replicas)", replicas.size());
  return line;
}

std::string live_line(const nn::TrainProgress& p) {
  return fmt::format("epoch {}/{}  step {}/{}  loss {:.4f}  accuracy {:.4f}  {} images/s  {} left",
                     p.epoch, p.epochs, grouped(p.step), grouped(p.steps), p.last.loss,
                     p.last.accuracy, grouped(std::llround(p.images_per_second)),
                     duration(p.seconds_left));
}

Progress::Progress(Console& console, ProgressMode mode)
    : console_(console),
      silent_(mode == ProgressMode::none),
      live_(mode == ProgressMode::automatic && console.columns > 0) {}

Progress::~Progress() { clear(); }

void Progress::clear() {
  if (!standing_) return;
  console_.out << kClearLine << std::flush;
  standing_ = false;
}

void Progress::start(const nn::Trainer& trainer, const nn::Experiment& experiment,
                     const runtime::DeviceProfile& device) {
  if (!silent_) console_.out << model_summary(trainer, experiment, device) << std::flush;
}

void Progress::update(const nn::TrainProgress& progress) {
  epochs_ = progress.epochs;
  const auto now = std::chrono::steady_clock::now();
  if (!live_ || (standing_ && now - last_update_ < kUpdateInterval)) return;
  last_update_ = now;
  standing_ = true;
  // A line that wraps could not be rewritten.
  const auto width = static_cast<std::size_t>(console_.columns - 1);
  console_.out << kClearLine << live_line(progress).substr(0, width) << std::flush;
}

void Progress::epoch_end() {
  if (epoch_.empty()) return;
  note(epoch_line(epoch_, epochs_));
  epoch_.clear();
}

void Progress::note(std::string_view line) {
  if (silent_) return;
  clear();
  console_.out << line << std::endl;
}

}  // namespace vktrain::app
