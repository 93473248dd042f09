// Every elementwise operation computes what its name says when it runs alone.
#include "nn/tuning/elementwise_operation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "nn/reference/reference_memory.h"
#include "runtime/error.h"
#include "tests/support/device_fixture.h"

namespace vktrain::testing {
namespace {

using namespace nn;

constexpr std::size_t kColumns = 256;

class ElementwiseOperationTest : public DeviceTest {
 protected:
  void start(Elementwise kind, std::int64_t size) {
    operation_ = elementwise_operation(kind, size);
    const SingleOperation& single = operation_->single;
    storage_ = std::make_unique<ParameterStorage>(device(), single.parameters, 1,
                                                  operation_->optimizer_slots);
    storage_->initialize(0, 1, std::vector<float>(operation_->optimizer_slots));
    executable_ = std::make_unique<Executable>(device(), single.graph, *storage_, PlanOptions{});
    fill_operands(single, *executable_, 3);
    prepare_step(*operation_, *executable_);
  }
  std::vector<float> result() { return executable_->read(operation_->single.result); }

  std::unique_ptr<ElementwiseOperation> operation_;
  std::unique_ptr<ParameterStorage> storage_;
  std::unique_ptr<Executable> executable_;
};

TEST_F(ElementwiseOperationTest, EqualsTheReference) {
  for (const Elementwise kind : {Elementwise::add, Elementwise::relu, Elementwise::relu_backward,
                                 Elementwise::bias_add, Elementwise::batch_norm_backward}) {
    start(kind, 1000);  // 4 rows
    executable_->run();
    const SingleOperation& single = operation_->single;
    ReferenceMemory memory(single.graph, 1);
    for (std::size_t i = 0; i < single.operands.size(); ++i) {
      const std::vector<float> values = operand_values(single, i, 3);
      memory[single.operands[i]].assign(values.begin(), values.end());
    }
    run_reference(single.graph, memory);
    const std::vector<double>& expected = memory[single.result];
    const std::vector<float> found = result();
    ASSERT_EQ(found.size(), 4 * kColumns);
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      ASSERT_NEAR(found[i], expected[i], 1e-5) << to_string(kind) << " element " << i;
    }
  }
}

TEST_F(ElementwiseOperationTest, BatchNormHasMeanZero) {
  start(Elementwise::batch_norm, 8 * kColumns);
  executable_->run();
  const std::vector<float> y = result();
  for (std::size_t column = 0; column < kColumns; ++column) {
    double sum = 0, squares = 0;
    for (std::size_t row = 0; row < 8; ++row) {
      const double value = y[row * kColumns + column];
      sum += value;
      squares += value * value;
    }
    ASSERT_NEAR(sum / 8, 0, 1e-5);
    ASSERT_NEAR(squares / 8, 1, 1e-2);
  }
}

TEST_F(ElementwiseOperationTest, DropoutDropsHalf) {
  start(Elementwise::dropout, 16 * kColumns);
  executable_->run();
  const std::vector<float> y = result();
  const auto dropped = static_cast<double>(std::count(y.begin(), y.end(), 0.0f));
  EXPECT_NEAR(dropped / static_cast<double>(y.size()), 0.5, 0.05);
}

TEST_F(ElementwiseOperationTest, AdamMovesEveryWeight) {
  start(Elementwise::adam, 2 * kColumns);
  storage_->write(0, 0, std::vector<float>(2 * kColumns, 1.0f));
  storage_->write_gradient(0, 0, std::vector<float>(2 * kColumns, 0.25f));
  executable_->run();
  // The first step of Adam is the learning rate, whatever the gradient.
  for (const float weight : storage_->read(0, 0)) ASSERT_NEAR(weight, 1 - 1e-3, 1e-6);
}

TEST(ElementwiseOperations, HaveNamesOfTheirOwn) {
  std::set<std::string_view> names;
  for (const Elementwise kind : elementwise_operations()) names.insert(to_string(kind));
  EXPECT_EQ(names.size(), 8U);
  EXPECT_THROW(elementwise_operation(Elementwise::add, 0), Error);
}

}  // namespace
}  // namespace vktrain::testing
