// What `vktrain check` found out about a device: rows of results, losses of trainings, and what
// each row says about why.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/device.h"

namespace vktrain::nn {

// A row of `info` tells something that nothing here can refute; it neither passes nor fails.
enum class CheckResult { not_run, pass, fail, skipped, info };
std::string_view to_string(CheckResult result);   // "not run", "pass", "FAIL", "skipped", "info"
std::string_view lower_case(CheckResult result);  // the same but "fail"

// Errors are absent where nothing was compared with a reference: skipped rows, limits, memory.
struct CheckError {
  double ulp = 0;        // worst; see nn/check/tolerance.h
  double limit_ulp = 0;  // at that element
  double relative = 0;   // worst, of the largest magnitude of the result

  bool operator==(const CheckError&) const = default;
};

struct CheckRow {
  std::string group;      // "operation", "training", "device"
  std::string operation;  // "gemm nt"
  std::string variant;    // "tiled 64x64 by 8x4"; empty: there is one only
  std::uint64_t cases = 0;
  std::optional<CheckError> error = std::nullopt;
  CheckResult result = CheckResult::not_run;
  std::string why = "";  // of a failure or of a skipped row; else what is worth telling

  std::string name() const;  // "operation: gemm nt, tiled 64x64 by 8x4"
  bool operator==(const CheckRow&) const = default;
};

// A row of one case that did not run yet.
CheckRow row_of(std::string group, std::string operation);

// Of several failures the first is the one that is told.
void fail(CheckRow& row, std::string why);

// Runs `work`, which may fail the row or skip it; else the row passes. What it throws fails the
// row.
void run_row(CheckRow& row, const std::function<void()>& work);

struct DeviceReport {
  runtime::DeviceProfile profile;
  std::vector<CheckRow> rows;
  // Losses of the steps of each training, as the device computed them.
  std::vector<std::pair<std::string, std::vector<double>>> losses;

  double seconds = 0;  // that all of it took

  std::size_t count(CheckResult result) const;
};

}  // namespace vktrain::nn
