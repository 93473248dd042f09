#include "nn/check/feature_check.h"

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "runtime/driver_quirks.h"
#include "runtime/kernel.h"

namespace vktrain::nn {
namespace {

CheckRow skipped(CheckRow row, std::string why) {
  row.cases = 0;
  row.result = CheckResult::skipped;
  row.why = std::move(why);
  return row;
}

CheckRow info(std::string operation, std::string what) {
  CheckRow row = row_of("device", std::move(operation));
  row.cases = 0;
  row.result = CheckResult::info;
  row.why = std::move(what);
  return row;
}

std::string held_back(const runtime::DeviceProfile& used) {
  return fmt::format("not used within the limits of {}", used.limits);
}

CheckRow shuffles(const runtime::DeviceProfile& raw, const runtime::DeviceProfile& used) {
  CheckRow row = row_of("device", "subgroup shuffles");
  if (!raw.subgroup_shuffle) return skipped(std::move(row), "the device has none");
  row.why = fmt::format("subgroups of {}", raw.subgroup_size);
  if (used.subgroup_shuffle) {
    // Other devices are given no kernel with shuffles, so that theirs are not tested.
    if (used.kind != runtime::DeviceKind::cpu) {
      return info(row.operation, row.why + ", which kernels for GPUs do not use");
    }
    row.why += ", which a test dispatch confirmed";
    row.result = CheckResult::pass;
    return row;
  }
  if (!used.limits.empty()) return skipped(std::move(row), held_back(used));
  fail(row,
       row.why + ", but a test dispatch got wrong results; kernels with shuffles are not used");
  return row;
}

CheckRow matrix_units(const runtime::DeviceProfile& raw, const runtime::DeviceProfile& used) {
  CheckRow row = row_of("device", "matrix units");
  if (raw.half_matrix[0] == 0) return skipped(std::move(row), "the device has none");
  if (used.half_matrix[0] == 0) return skipped(std::move(row), held_back(used));
  if (!runtime::has_shader("gemm_matrix")) {
    return skipped(std::move(row), "this program was built without their kernel");
  }
  // Rows of gemm check what they compute.
  return info(row.operation,
              fmt::format("{} x {} x {}, half floats with single sums", used.half_matrix[0],
                          used.half_matrix[1], used.half_matrix[2]));
}

CheckRow texel_buffers(const runtime::DeviceProfile& used) {
  return info("texel buffers", fmt::format("up to {} texels, at multiples of {} bytes",
                                           used.max_texel_elements, used.texel_alignment));
}

CheckRow quirks(const runtime::DeviceProfile& raw) {
  const std::string_view known = runtime::quirk_of(raw.driver_name).text;
  return info("quirks of the driver", std::string(known.empty() ? "none known" : known));
}

}  // namespace

std::vector<CheckRow> feature_rows(const runtime::DeviceProfile& raw,
                                   const runtime::DeviceProfile& used) {
  return {shuffles(raw, used), matrix_units(raw, used), texel_buffers(used), quirks(raw)};
}

}  // namespace vktrain::nn
