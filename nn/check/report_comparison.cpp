#include "nn/check/report_comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace vktrain::nn {
namespace {

constexpr double kLeastUlp = 0.5;
constexpr double kFactor = 2;

class Comparison {
 public:
  void compare(const SavedReport& a, const SavedReport& b) {
    compare_profiles(a.profile, b.profile);
    for (const CheckRow& row : a.rows) compare(row, find(b.rows, row));
    for (const CheckRow& row : b.rows) {
      if (!find(a.rows, row)) add(row.name(), "-", std::string(to_string(row.result)));
    }
    for (const auto& [name, losses] : a.losses) {
      for (const auto& [other_name, other] : b.losses) {
        if (name == other_name) compare_losses(name, losses, other);
      }
    }
  }

  void add(std::string what, std::string first, std::string second) {
    result_.differences.push_back({std::move(what), std::move(first), std::move(second)});
  }

  ReportComparison take() { return std::move(result_); }

 private:
  using Profile = std::map<std::string, std::string>;

  static const CheckRow* find(const std::vector<CheckRow>& rows, const CheckRow& like) {
    const auto found =
        std::ranges::find_if(rows, [&](const CheckRow& row) { return row.name() == like.name(); });
    return found == rows.end() ? nullptr : &*found;
  }

  void compare_profiles(const Profile& a, const Profile& b) {
    for (const auto& [key, value] : a) {
      const auto other = b.find(key);
      if (key == "index" || (other != b.end() && other->second == value)) continue;
      add("device: " + key, value, other == b.end() ? "-" : other->second);
    }
    for (const auto& [key, value] : b) {
      if (!a.contains(key)) add("device: " + key, "-", value);
    }
  }

  void compare(const CheckRow& a, const CheckRow* b) {
    if (!b) return add(a.name(), std::string(to_string(a.result)), "-");
    if (a.result != b->result) {
      const auto text = [](const CheckRow& row) {
        return fmt::format("{}{}{}", to_string(row.result), row.why.empty() ? "" : ": ", row.why);
      };
      add(a.name(), text(a), text(*b));
      const bool pass = a.result == CheckResult::pass || b->result == CheckResult::pass;
      const bool fail = a.result == CheckResult::fail || b->result == CheckResult::fail;
      result_.one_fails = result_.one_fails || (pass && fail);
      return;
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
    if (a == b || a.empty() || b.empty()) return;
    double worst = 0;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      worst = std::max(worst, std::abs(a[i] - b[i]) / std::abs(a[i]));
    }
    const auto text = [](const std::vector<double>& losses) {
      return fmt::format("{} steps to {:.8g}", losses.size(), losses.back());
    };
    add(fmt::format("losses: {}, {:.2g} relative", name, worst), text(a), text(b));
  }

  ReportComparison result_;
};

}  // namespace

ReportComparison compare_reports(const std::vector<SavedReport>& first,
                                 const std::vector<SavedReport>& second) {
  Comparison comparison;
  for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
    if (i >= first.size()) {
      comparison.add("device", "-", second[i].device);
    } else if (i >= second.size()) {
      comparison.add("device", first[i].device, "-");
    } else {
      comparison.compare(first[i], second[i]);
    }
  }
  return comparison.take();
}

}  // namespace vktrain::nn
