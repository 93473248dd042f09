// What `vktrain check` found out about a device: rows of results, losses of trainings, and what
// each row says about why.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/device.h"

namespace vktrain::nn {

enum class CheckResult { pass, fail, skipped };
std::string_view to_string(CheckResult result);   // "pass", "FAIL", "skipped"
std::string_view lower_case(CheckResult result);  // "pass", "fail", "skipped"

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
  CheckResult result = CheckResult::pass;
  std::string why = "";  // of a failure or of a skipped row; else what is worth telling

  std::string name() const;  // "operation: gemm nt, tiled 64x64 by 8x4"
  bool operator==(const CheckRow&) const = default;
};

struct DeviceReport {
  runtime::DeviceProfile profile;
  std::vector<CheckRow> rows;
  // Losses of the steps of each training, as the device computed them.
  std::vector<std::pair<std::string, std::vector<double>>> losses;

  double seconds = 0;  // that all of it took

  std::size_t count(CheckResult result) const;
};

}  // namespace vktrain::nn
