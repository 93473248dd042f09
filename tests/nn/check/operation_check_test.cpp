// The first part of the conformance suite on the test device, and what it does with kernels that
// are wrong or refused.
#include "nn/check/operation_check.h"

#include <algorithm>
#include <optional>
#include <set>

#include "nn/check/case_check.h"
#include "nn/check/catalogue.h"
#include "nn/check/operation_rows.h"
#include "nn/check/other_devices.h"
#include "nn/lowering.h"
#include "nn/ops/conv2d_variants.h"
#include "nn/ops/gemm_variants.h"
#include "nn/optimizers/gemm_update.h"
#include "runtime/kernel.h"
#include "runtime/profile_limits.h"
#include "tests/support/device_fixture.h"

namespace vktrain::testing {
namespace {

using namespace nn;

std::vector<CheckRow> rows_named(const std::vector<CheckRow>& rows, std::string_view operation) {
  std::vector<CheckRow> found;
  std::ranges::copy_if(rows, std::back_inserter(found),
                       [&](const CheckRow& row) { return row.operation == operation; });
  return found;
}

// The cases whose name begins so.
std::vector<CatalogueCase> cases_named(std::string_view name) {
  std::vector<CatalogueCase> all = operation_catalogue(1, {});
  std::erase_if(all, [&](const CatalogueCase& c) { return !c.name.starts_with(name); });
  return all;
}

// A device of its own, whose kernels may be replaced.
std::unique_ptr<runtime::Device> open_device(
    const std::optional<runtime::ProfileLimits>& limits = std::nullopt) {
  runtime::DeviceOptions options;
  options.selector = test_device();
  options.pipeline_cache = false;
  options.limits = limits;
  return runtime::Device::open(options);
}

class OperationCheckTest : public DeviceTest {};

TEST_F(OperationCheckTest, EveryOperationIsInTheCatalogue) {
  const std::vector<CheckRow> rows =
      list_operations(device(), {}, operation_catalogue(1, device().profile()));
  std::set<std::string> names;
  for (const CheckRow& row : rows) names.insert(row.operation);
  std::size_t pooled = 0;  // the passes of convolutions that pool
  for (const CheckRow& row : rows) pooled += row.variant == "rows pooled" && row.cases > 0;
  EXPECT_EQ(pooled, conv2d_rows::supports(Conv2dSizes{}, device().profile()) ? 3u : 0u);
  for (const char* name : {"gemm nt",
                           "gemm nn",
                           "gemm tn",
                           "conv2d forward",
                           "conv2d data gradient",
                           "conv2d weight gradient",
                           "max pool2d",
                           "max pool2d backward",
                           "avg pool2d",
                           "avg pool2d backward",
                           "batch norm train",
                           "batch norm eval",
                           "batch norm backward",
                           "dropout",
                           "dropout2d",
                           "softmax cross entropy",
                           "add",
                           "bias add",
                           "column sum",
                           "channel sum",
                           "concat",
                           "slice",
                           "channels last",
                           "activation forward gelu",
                           "activation backward silu",
                           "gather batch",
                           "confusion matrix",
                           "clip gradients",
                           "end step",
                           "sgd",
                           "adam",
                           "adamw",
                           "rmsprop",
                           "adagrad"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
}

// A GPU is not given the kernels of CPU drivers.
TEST(OtherDevicesTest, OnlyCpuDriversRunTheKernelsOfOthers) {
  runtime::DeviceProfile profile = runtime::minimum_limits().profile;
  const auto runs = [](const OtherDevice& other) { return other.runs_here; };
  profile.kind = runtime::DeviceKind::discrete;
  EXPECT_TRUE(std::ranges::none_of(other_devices(profile, true), runs));
  profile.kind = runtime::DeviceKind::cpu;
  EXPECT_TRUE(std::ranges::none_of(other_devices(profile, false), runs));
  EXPECT_TRUE(std::ranges::any_of(other_devices(profile, true), runs));
  for (const OtherDevice& other : other_devices(profile, true)) {
    EXPECT_FALSE(other.why_not.empty());
    if (!other.runs_here) continue;
    EXPECT_EQ(other.profile.max_workgroup_invocations, profile.max_workgroup_invocations);
    EXPECT_EQ(other.profile.max_shared_memory, profile.max_shared_memory);
    EXPECT_FALSE(other.profile.subgroup_shuffle && !profile.subgroup_shuffle);
  }
}

// Within the guaranteed limits some kernels of GPUs have no room.
TEST(OperationCheckRows, VariantsThatCannotRunAreSkippedWithAReason) {
  const auto device = open_device(runtime::minimum_limits());
  const std::vector<CheckRow> rows = rows_named(
      list_operations(*device, {}, operation_catalogue(1, device->profile())), "gemm nt");
  const auto skipped = [](const CheckRow& row) { return row.result == CheckResult::skipped; };
  EXPECT_TRUE(std::ranges::any_of(rows, skipped));
  EXPECT_FALSE(std::ranges::all_of(rows, skipped));
  for (const CheckRow& row : rows) {
    EXPECT_EQ(skipped(row), !row.why.empty()) << row.variant;
    EXPECT_EQ(skipped(row), row.cases == 0) << row.variant;
  }
}

// So that a machine without a GPU tests what GPUs get.
TEST_F(OperationCheckTest, CpuDriversRunKernelsForGpus) {
  if (device().profile().kind != runtime::DeviceKind::cpu) GTEST_SKIP() << "needs a CPU driver";
  CheckOptions options;
  options.filter = "gemm nn, tiled";
  options.all_kernels = true;
  const std::vector<CheckRow> rows =
      check_operations(device(), options, cases_named("65 x 33 -> 17, relu"));
  ASSERT_FALSE(rows.empty());
  for (const CheckRow& row : rows) {
    if (row.result == CheckResult::skipped) continue;
    EXPECT_EQ(row.result, CheckResult::pass) << row.name() << ": " << row.why;
    EXPECT_GT(row.cases, 0u) << row.name();
    EXPECT_TRUE(row.error) << row.name();
  }
  const auto passes = [](const CheckRow& row) { return row.result == CheckResult::pass; };
  EXPECT_GE(std::ranges::count_if(rows, passes), 3);
}

// A CPU driver takes long to compile what no tuner measures there; a GPU runs all that it could
// get.
TEST_F(OperationCheckTest, LastResortsOfCpuDriversAreSkippedUnlessAskedFor) {
  const CatalogueCase c = cases_named("65 x 33 -> 17, relu").front();
  const CaseGraph ops(c.operation);
  bool has_some = false;
  for (const Asked& asked : ask(ops, c.operation.batch, device().profile())) {
    for (const VariantQuestion& question : asked.questions) has_some |= question.last_resorts > 0;
  }
  const auto skipped = [&](bool all_kernels) {
    CheckOptions options;
    options.all_kernels = all_kernels;
    const std::vector<CheckRow> rows =
        list_operations(device(), options, std::vector<CatalogueCase>{c});
    return std::ranges::count_if(rows, [](const CheckRow& row) {
      return row.result == CheckResult::skipped && row.why.starts_with("a last resort");
    });
  };
  const bool cpu = device().profile().kind == runtime::DeviceKind::cpu;
  EXPECT_EQ(skipped(false) > 0, has_some && cpu);
  EXPECT_EQ(skipped(true), 0);
}

TEST_F(OperationCheckTest, VariantsOfAFewCasesPass) {
  std::vector<CatalogueCase> some = cases_named("65 x 33 -> 17, relu");
  for (const char* name : {"[3, 6, 9, 8] -> 8", "loss, [65, 10]", "sgd with Nesterov",
                           "batch of [3, 9, 10]", "max pooling of relu 2 x 2, [5, 3, 9, 13]"}) {
    const std::vector<CatalogueCase> more = cases_named(name);
    ASSERT_FALSE(more.empty()) << name;
    some.insert(some.end(), more.begin(), more.end());
  }
  const std::vector<CheckRow> rows = check_operations(device(), {}, some);
  EXPECT_GE(rows.size(), 20u);
  for (const CheckRow& row : rows) {
    EXPECT_NE(row.result, CheckResult::fail) << row.name() << ": " << row.why;
    if (row.result != CheckResult::pass) continue;
    EXPECT_GT(row.cases, 0u) << row.name();
    ASSERT_TRUE(row.error) << row.name();
    EXPECT_LE(row.error->ulp, row.error->limit_ulp) << row.name();
  }
}

// The catalogue of this device, which may have kernels for them: with and without the bias, and of
// a batch that is gathered.
TEST_F(OperationCheckTest, UpdatesByProductsPass) {
  std::vector<CatalogueCase> some = operation_catalogue(1, device().profile());
  std::erase_if(some, [](const CatalogueCase& c) {
    return c.name.find("weight gradient and update") == std::string::npos;
  });
  EXPECT_EQ(some.size(), gemm_can_shuffle(device().profile()) ? 16u : 0u);
  for (const CatalogueCase& c : some) {
    const CaseGraph ops(c.operation);
    const auto& operations = ops.graph.operations();
    const auto updates = [](const auto& operation) { return operation->kind() == "gemm_update"; };
    const auto found = std::ranges::find_if(operations, updates);
    ASSERT_NE(found, operations.end()) << c.name;
    EXPECT_EQ(dynamic_cast<const GemmUpdate&>(**found).updates_bias(),
              c.name.find("with bias") != std::string::npos)
        << c.name;
    EXPECT_EQ(std::ranges::count_if(operations, updates), 1) << c.name;
  }
  CheckOptions options;
  options.filter = "gemm update sgd";
  std::size_t cases = 0;
  for (const CheckRow& row : check_operations(device(), options, some)) {
    EXPECT_NE(row.result, CheckResult::fail) << row.name() << ": " << row.why;
    cases += row.cases;
  }
  EXPECT_EQ(cases, some.size() / 4);
}

// With this seed a long sum of the gradients was past a limit that left partial sums out.
TEST_F(OperationCheckTest, LongSumsOfBatchNormMayRound) {
  CheckOptions options;
  options.filter = "batch norm backward";
  options.seed = 2;
  const std::vector<CheckRow> rows =
      check_operations(device(), options, operation_catalogue(options.seed, device().profile()));
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].result, CheckResult::pass) << rows[0].why;
}

TEST_F(OperationCheckTest, FilterLeavesOtherRowsOut) {
  CheckOptions options;
  options.filter = "Operation: GEMM TN";
  std::size_t calls = 0;
  options.on_progress = [&](std::string_view) { ++calls; };
  const std::vector<CheckRow> rows =
      check_operations(device(), options, cases_named("5 x 7 -> 3, relu"));
  ASSERT_FALSE(rows.empty());
  for (const CheckRow& row : rows) EXPECT_EQ(row.operation, "gemm tn");
  EXPECT_GE(calls, 2u);
}

// Whoever runs a case: rows, their order and their errors are the same.
TEST_F(OperationCheckTest, HelpersFindTheSame) {
  std::vector<CatalogueCase> some = cases_named("relu");
  ASSERT_GE(some.size(), 4u);
  const std::vector<CheckRow> alone = check_operations(device(), {}, some);
  const auto first = open_device(), second = open_device();
  CheckOptions options;
  options.helpers = {first.get(), second.get()};
  EXPECT_EQ(check_operations(device(), options, some), alone);
}

std::string shader_of_add(const runtime::Device& device) {
  return by_texels(device.profile(), "add");
}

TEST_F(OperationCheckTest, AFailureOnAHelperIsAFailure) {
  const auto helper = open_device();
  helper->kernels().add_shader(shader_of_add(*helper), runtime::shader_code("batch_norm_forward"));
  CheckOptions options;
  options.helpers = {helper.get()};
  // Enough of them for both devices.
  std::vector<CatalogueCase> some;
  for (int i = 0; i < 200; ++i) {
    for (const CatalogueCase& c : cases_named("add, [64, 64]")) some.push_back(c);
  }
  const std::vector<CheckRow> rows = rows_named(check_operations(device(), options, some), "add");
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].result, CheckResult::fail);
}

TEST_F(OperationCheckTest, AnInterruptEndsAllThreads) {
  const auto helper = open_device();
  std::size_t calls = 0;
  const std::vector<CatalogueCase> some = cases_named("relu");
  CheckOptions options;
  options.helpers = {helper.get()};
  options.on_progress = [&](std::string_view) {
    if (++calls > some.size() + 1) throw std::runtime_error("enough");
  };
  EXPECT_THROW(check_operations(device(), options, some), std::runtime_error);
  EXPECT_EQ(calls, some.size() + 2);  // all planned, one begun, one refused
}

// a - b instead of a + b: OpFAdd and OpFSub have the same operands (SPIR-V, 3.42.13).
TEST_F(OperationCheckTest, AWrongKernelFails) {
  constexpr std::uint32_t kFAdd = 129, kFSub = 131, kHeaderWords = 5;
  const auto own = open_device();
  const auto code = runtime::shader_code(shader_of_add(*own));
  std::vector<std::uint32_t> wrong(code.begin(), code.end());
  for (std::size_t i = kHeaderWords; i < wrong.size(); i += wrong[i] >> 16) {
    if ((wrong[i] & 0xffff) == kFAdd) wrong[i] = (wrong[i] & 0xffff0000) | kFSub;
  }
  own->kernels().add_shader(shader_of_add(*own), wrong);
  const std::vector<CheckRow> rows = check_operations(*own, {}, cases_named("add, [65, 33]"));
  const std::vector<CheckRow> sums = rows_named(rows, "add");
  ASSERT_EQ(sums.size(), 1u);
  EXPECT_EQ(sums[0].result, CheckResult::fail);
  EXPECT_NE(sums[0].why.find("add, [65, 33]: add -> "), std::string::npos) << sums[0].why;
  for (const CheckRow& row : rows_named(rows, "activation forward relu")) {
    EXPECT_EQ(row.result, CheckResult::pass) << row.why;
  }
}

// A shader with bindings that the dispatch has not is refused when the graph is recorded.
TEST_F(OperationCheckTest, ARefusedKernelFailsAndTheCheckGoesOn) {
  const auto own = open_device();
  own->kernels().add_shader(shader_of_add(*own), runtime::shader_code("batch_norm_forward"));
  std::vector<CatalogueCase> some = cases_named("add, [64, 64]");
  const std::vector<CatalogueCase> more = cases_named("confusion, [65, 10]");
  some.insert(some.end(), more.begin(), more.end());
  const std::vector<CheckRow> rows = check_operations(*own, {}, some);
  ASSERT_EQ(rows_named(rows, "add").size(), 1u);
  EXPECT_EQ(rows_named(rows, "add")[0].result, CheckResult::fail);
  ASSERT_EQ(rows_named(rows, "confusion matrix").size(), 1u);
  EXPECT_EQ(rows_named(rows, "confusion matrix")[0].result, CheckResult::pass);
}

TEST(OperationCheckRows, SplitsAreOneVariant) {
  EXPECT_EQ(row_variant("tiled 32x32 by 4x4 split 12"), "tiled 32x32 by 4x4 split");
  EXPECT_EQ(row_variant("tiled 32x32 by 4x4 split 4 aligned"), "tiled 32x32 by 4x4 split aligned");
  EXPECT_EQ(row_variant("shuffle 16x8"), "shuffle 16x8");
  EXPECT_EQ(row_variant(""), "");
}

}  // namespace
}  // namespace vktrain::testing
