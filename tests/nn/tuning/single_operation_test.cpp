// Graphs of one operation: counts of FLOP and bytes, results equal to the reference, and errors.
#include "nn/tuning/single_operation.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "nn/reference/reference_memory.h"
#include "tests/nn/expect_error.h"
#include "tests/support/device_fixture.h"

namespace vktrain::testing {
namespace {

using namespace nn;

class SingleOperationTest : public DeviceTest {
 protected:
  // Runs the operation on the device and in double and compares.
  void expect_equal_to_reference(const SingleOperation& single, double tolerance) {
    ParameterStorage storage(device(), single.parameters, 2, 0);
    Executable executable(device(), single.graph, storage, {.replicas = 2});
    fill_operands(single, executable, 7);
    executable.run();
    ReferenceMemory memory(single.graph, 1);
    for (std::size_t i = 0; i < single.operands.size(); ++i) {
      memory[single.operands[i]] = reference_values(single, i, 7);
    }
    run_reference(single.graph, memory);
    const std::vector<double>& expected = memory[single.result];
    for (std::uint32_t replica = 0; replica < 2; ++replica) {
      const std::vector<float> found = executable.read(single.result, replica);
      ASSERT_EQ(found.size(), expected.size());
      for (std::size_t i = 0; i < found.size(); ++i) {
        ASSERT_NEAR(found[i], expected[i], tolerance) << "element " << i;
      }
    }
  }
};

TEST_F(SingleOperationTest, GemmCountsAndComputes) {
  for (const GemmForm form : {GemmForm::nt, GemmForm::nn, GemmForm::tn}) {
    const auto single = single_gemm({form, 5, 7, 33});
    EXPECT_EQ(single->flops, 2 * 5 * 7 * 33);
    EXPECT_EQ(single->bytes, 4 * (5 * 33 + 7 * 33 + 5 * 7));
    EXPECT_EQ(single->graph.value(single->result).shape, Shape({5, 7}));
    expect_equal_to_reference(*single, 1e-5);
  }
}

TEST_F(SingleOperationTest, Conv2dCountsAndComputes) {
  Conv2dCase c{Conv2dPass::forward, 3, 4, 6, {7, 9}, {}};
  c.options.window.kernel = {3, 3};
  c.options.window.padding_begin = c.options.window.padding_end = {1, 1};
  c.options.groups = 2;
  for (const Conv2dPass pass :
       {Conv2dPass::forward, Conv2dPass::data_gradient, Conv2dPass::weight_gradient}) {
    c.pass = pass;
    const auto single = single_conv2d(c);
    EXPECT_EQ(single->flops, 2.0 * (3 * 6 * 7 * 9) * (2 * 3 * 3));
    EXPECT_EQ(single->bytes, 4 * (3 * 4 * 7 * 9 + 6 * 2 * 3 * 3 + 3 * 6 * 7 * 9));
    expect_equal_to_reference(*single, 1e-4);
  }
}

TEST_F(SingleOperationTest, PooledConv2dCountsAndComputes) {
  Conv2dCase c{Conv2dPass::forward, 3, 4, 6, {6, 8}, {}, Precision::f32, /*pooled=*/true};
  c.options.window.kernel = {3, 3};
  c.options.window.padding_begin = c.options.window.padding_end = {1, 1};
  Conv2dSizes sizes = conv2d_sizes({3, 4, 6, 8}, 6, c.options);
  if (!conv2d_rows::pools(sizes, device().profile())) GTEST_SKIP() << "no such kernels here";
  for (const Conv2dPass pass :
       {Conv2dPass::forward, Conv2dPass::data_gradient, Conv2dPass::weight_gradient}) {
    c.pass = pass;
    const auto single = single_conv2d(c);
    EXPECT_EQ(single->flops, 2.0 * (3 * 6 * 6 * 8) * (4 * 3 * 3));
    EXPECT_EQ(single->bytes, 4 * (3 * 4 * 6 * 8 + 6 * 4 * 3 * 3 + 3 * 6 * 3 * 4 + 3 * 6 * 3));
    expect_equal_to_reference(*single, 1e-4);
  }
}

TEST(SingleOperationValues, AreReproducibleAndDifferByOperand) {
  const auto single = single_gemm({GemmForm::nt, 4, 4, 64});
  const std::vector<float> a = operand_values(*single, 0, 1);
  EXPECT_EQ(a, operand_values(*single, 0, 1));
  EXPECT_NE(a, operand_values(*single, 1, 1));
  EXPECT_NE(a, operand_values(*single, 0, 2));
  const auto [least, most] = std::minmax_element(a.begin(), a.end());
  EXPECT_GE(*least, -1.0f);
  EXPECT_LT(*least, -0.9f);
  EXPECT_LT(*most, 1.0f);
  EXPECT_GT(*most, 0.9f);
}

TEST(SingleOperationErrors, NameTheCaseAndTheSize) {
  expect_error<Error>(
      [] {
        single_gemm({GemmForm::nn, 4, 0, 64});
      },
      {"gemm nn 4 x 0 x 64", "at least 1"});
  expect_error<Error>(
      [] {
        single_gemm({GemmForm::nn, 1LL << 40, 1LL << 40, 1});
      },
      {"larger than any device"});
  Conv2dCase c{Conv2dPass::forward, 3, 4, 6, {7, 9}, {}};
  c.options.window.kernel = {9, 3};
  EXPECT_THROW(single_conv2d(c), Error);
  c.options.window.kernel = {3, 3};
  c.pooled = true;
  expect_error<Error>([&c] { single_conv2d(c); }, {"even height and width", "5 x 7"});
  c.pooled = false;
  c.options.groups = 4;
  expect_error<Error>([&c] { single_conv2d(c); }, {"groups must divide", "4"});
}

}  // namespace
}  // namespace vktrain::testing
