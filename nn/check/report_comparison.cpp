#include "nn/check/report_comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

namespace vktrain::nn {
namespace {

constexpr double kLeastUlp = 0.5;
constexpr double kFactor = 2;
constexpr double kFinalLossLimit = 1e-3;  // relative, as reference_training.h allows

using Texts = std::map<std::string, std::string>;
using Device = const SavedReport*;  // null: not in this report

std::string text_at(const Texts& texts, const std::string& key) {
  const auto found = texts.find(key);
  return found == texts.end() ? "-" : found->second;
}

// Devices of two reports that belong together, in the order of the first report.
class Pairing {
 public:
  Pairing(const std::vector<SavedReport>& first, const std::vector<SavedReport>& second)
      : partners_(first.size(), nullptr) {
    for (const SavedReport& device : first) first_.push_back(&device);
    for (const SavedReport& device : second) left_.push_back(&device);
    pair([](Device a, Device b) { return a->device == b->device && same_driver(a, b); });
    pair(same_driver);
    if (left_.size() == 1 && std::ranges::count(partners_, nullptr) == 1) {
      pair([](Device, Device) { return true; });
    }
  }

  std::vector<std::pair<Device, Device>> take() const {
    std::vector<std::pair<Device, Device>> pairs;
    for (std::size_t i = 0; i < first_.size(); ++i) pairs.emplace_back(first_[i], partners_[i]);
    for (const Device device : left_) pairs.emplace_back(nullptr, device);
    return pairs;
  }

 private:
  static bool same_driver(Device a, Device b) {
    return text_at(a->profile, "driver_name") == text_at(b->profile, "driver_name");
  }

  template <class Matches>
  void pair(const Matches& matches) {
    for (std::size_t i = 0; i < first_.size(); ++i) {
      if (partners_[i]) continue;
      const auto found =
          std::ranges::find_if(left_, [&](Device other) { return matches(first_[i], other); });
      if (found == left_.end()) continue;
      partners_[i] = *found;
      left_.erase(found);
    }
  }

  std::vector<Device> first_, partners_;
  std::vector<Device> left_;  // of the second report, without a partner
};

class Comparison {
 public:
  void compare(const SavedReport& a, const SavedReport& b) {
    compare_texts("device: ", a.profile, b.profile);
    for (const CheckRow& row : a.rows) compare(row, find(b.rows, row));
    for (const CheckRow& row : b.rows) {
      if (!find(a.rows, row)) add(row.name(), "-", std::string(to_string(row.result)), true);
    }
    for (const auto& [name, losses] : a.losses) {
      for (const auto& [other_name, other] : b.losses) {
        if (name == other_name) compare_losses(name, losses, other);
      }
    }
  }

  void add(std::string what, std::string first, std::string second, bool counts = false) {
    result_.differences.push_back({std::move(what), std::move(first), std::move(second), counts});
  }

  // Values that stand under the same key; "index" is a device's place in its report.
  void compare_texts(const std::string& prefix, const Texts& a, const Texts& b) {
    Texts all = a;
    all.insert(b.begin(), b.end());
    for (const auto& [key, value] : all) {
      const std::string first = text_at(a, key), second = text_at(b, key);
      if (key != "index" && first != second) add(prefix + key, first, second);
    }
  }

  ReportComparison take() { return std::move(result_); }

 private:
  static const CheckRow* find(const std::vector<CheckRow>& rows, const CheckRow& like) {
    const auto found =
        std::ranges::find_if(rows, [&](const CheckRow& row) { return row.name() == like.name(); });
    return found == rows.end() ? nullptr : &*found;
  }

  void compare(const CheckRow& a, const CheckRow* b) {
    if (!b) return add(a.name(), std::string(to_string(a.result)), "-", true);
    if (a.result != b->result) {
      const auto text = [](const CheckRow& row) {
        return fmt::format("{}{}{}", to_string(row.result), row.why.empty() ? "" : ": ", row.why);
      };
      const bool pass = a.result == CheckResult::pass || b->result == CheckResult::pass;
      const bool fail = a.result == CheckResult::fail || b->result == CheckResult::fail;
      return add(a.name(), text(a), text(*b), pass && fail);
    }
    // The losses of trainings have entries of their own.
    if (!a.error || !b->error || a.group == "training") return;
    const auto [least, most] = std::minmax(a.error->ulp, b->error->ulp);
    if (most < kLeastUlp || !(most > kFactor * least)) return;
    add(a.name(), fmt::format("{:.3g} ULP", a.error->ulp),
        fmt::format("{:.3g} ULP", b->error->ulp));
  }

  void compare_losses(const std::string& name, const std::vector<double>& a,
                      const std::vector<double>& b) {
    if (a == b) return;
    double worst = 0;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      worst = std::max(worst, std::abs(a[i] - b[i]) / std::abs(a[i]));
    }
    const auto text = [](const std::vector<double>& losses) {
      return losses.empty() ? "none"
                            : fmt::format("{} steps to {:.8g}", losses.size(), losses.back());
    };
    // What is no number is not near to anything.
    const bool near = !a.empty() && a.size() == b.size() &&
                      std::abs(a.back() - b.back()) <= kFinalLossLimit * std::abs(a.back());
    add(fmt::format("losses: {}, {:.2g} relative", name, worst), text(a), text(b), !near);
  }

  ReportComparison result_;
};

}  // namespace

std::size_t ReportComparison::count() const {
  return static_cast<std::size_t>(std::ranges::count(differences, true, &ReportDifference::counts));
}

ReportComparison compare_reports(const SavedCheck& first, const SavedCheck& second) {
  Comparison comparison;
  comparison.compare_texts("program: ", first.program, second.program);
  if (first.seed != second.seed) comparison.add("seed", first.seed, second.seed);
  for (const auto& [a, b] : Pairing(first.devices, second.devices).take()) {
    if (a && b) {
      comparison.compare(*a, *b);
    } else {
      const Device only = a ? a : b;  // devices that cannot be used have no rows
      comparison.add("device", a ? a->device : "-", b ? b->device : "-", !only->rows.empty());
    }
  }
  return comparison.take();
}

}  // namespace vktrain::nn
