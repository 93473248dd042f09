// Declaring and placing parameters, and their storage on the device.
#include "nn/parameters.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "runtime/error.h"
#include "tests/support/device_fixture.h"

namespace vktrain::nn {
namespace {

Parameter weight(std::string name, Shape shape, bool penalised = false) {
  return {.name = std::move(name), .shape = std::move(shape), .penalised = penalised};
}

Parameter state(std::string name, Shape shape, double value) {
  return {.name = std::move(name),
          .shape = std::move(shape),
          .initializer = {.value = value},
          .trainable = false};
}

template <class F>
void expect_error(F&& statement, const std::string& part) {
  try {
    statement();
    ADD_FAILURE() << "no error was thrown; expected: " << part;
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(ParameterSet, DeclaresOnceAndFindsByName) {
  ParameterSet set;
  EXPECT_EQ(set.declare(weight("1.weight", {3, 5})), 0u);
  EXPECT_EQ(set.declare(weight("1.bias", {3})), 1u);
  EXPECT_EQ(set.declare(weight("1.weight", {3, 5})), 0u);
  EXPECT_EQ(set.declare(state("2.running_mean", {3}, 0)), 2u);
  EXPECT_EQ(set.size(), 3u);
  EXPECT_EQ(set.index_of("1.bias"), 1u);
  EXPECT_EQ(set.trainable_elements(), 18);
}

TEST(ParameterSet, RefusesContradictions) {
  ParameterSet set;
  set.declare(weight("1.weight", {3, 5}));
  expect_error([&] { set.declare(weight("1.weight", {5, 3})); }, "[3, 5] and with shape [5, 3]");
  expect_error([&] { set.declare(weight("1.weight", {3, 5}, true)); }, "1.weight");
  expect_error([&] { set.declare(weight("2.weight", {3, kBatch})); }, "2.weight has the shape");
  expect_error([&] { set.declare(weight("2.weight", {0})); }, "2.weight has the shape");
  expect_error([&] { set.declare(weight("", {3})); }, "no name");
  Parameter penalised_state = state("s", {3}, 0);
  penalised_state.penalised = true;
  expect_error([&] { set.declare(penalised_state); }, "cannot carry a penalty");
  expect_error([&] { set.index_of("3.weight"); }, "no parameter 3.weight; it has 1.weight");
  EXPECT_EQ(set.size(), 1u);
}

TEST(ParameterLayout, PenalisedFirstThenTheOthersStatesApart) {
  ParameterSet set;
  set.declare(weight("a", {3}));            // 4 elements, takes 64
  set.declare(weight("b", {7, 30}, true));  // 7 rows of 32: 224, takes 256
  set.declare(state("c", {65}, 0));         // 68, takes 128
  set.declare(weight("d", {64}, true));     // exactly 64
  set.declare(state("e", {1}, 0));
  set.declare(weight("f", {2, 3, 3}));
  const ParameterLayout layout(set);
  EXPECT_EQ(layout.size(), 6u);
  EXPECT_EQ(layout.offset(1), 0);
  EXPECT_EQ(layout.offset(3), 256);
  EXPECT_EQ(layout.penalised_size(), 320);
  EXPECT_EQ(layout.offset(0), 320);
  EXPECT_EQ(layout.offset(5), 384);
  EXPECT_EQ(layout.trainable_size(), 448);
  EXPECT_EQ(layout.offset(2), 0);
  EXPECT_EQ(layout.offset(4), 128);
  EXPECT_EQ(layout.state_size(), 192);
}

class ParameterStorageTest : public vktrain::testing::DeviceTest {
 protected:
  void SetUp() override {
    DeviceTest::SetUp();
    set_.declare(weight("weight", {5, 7}, true));
    set_.declare(weight("bias", {5}));
    set_.declare(state("running_var", {5}, 1));
    set_.declare({.name = "last",
                  .shape = {3, 2},
                  .initializer = {.kind = InitializerKind::uniform_fan_in},
                  .fan_in = 2,
                  .fan_out = 3});
  }

  std::vector<float> counting(std::size_t index, float first) const {
    std::vector<float> values(static_cast<std::size_t>(set_[index].shape.elements()));
    std::iota(values.begin(), values.end(), first);
    return values;
  }

  std::vector<float> raw(runtime::Slice slice) {
    std::vector<float> values(slice.size / 4);
    device().download(slice, std::as_writable_bytes(std::span(values)));
    return values;
  }

  ParameterSet set_;
};

TEST_F(ParameterStorageTest, ReadsWhatWasWritten) {
  ParameterStorage storage(device(), set_, 3, 2);
  const auto first = [](std::size_t i, std::uint32_t replica, int kind) {
    return static_cast<float>(1000 * kind + 100 * replica + 10 * i + 1);
  };
  for (std::uint32_t replica = 0; replica < 3; ++replica) {
    for (std::size_t i = 0; i < set_.size(); ++i) {
      storage.write(i, replica, counting(i, first(i, replica, 0)));
      if (!set_[i].trainable) continue;
      storage.write_gradient(i, replica, counting(i, first(i, replica, 1)));
      storage.write_optimizer_state(0, i, replica, counting(i, first(i, replica, 2)));
      storage.write_optimizer_state(1, i, replica, counting(i, first(i, replica, 3)));
    }
  }
  for (std::uint32_t replica = 0; replica < 3; ++replica) {
    for (std::size_t i = 0; i < set_.size(); ++i) {
      EXPECT_EQ(storage.read(i, replica), counting(i, first(i, replica, 0)));
      if (!set_[i].trainable) continue;
      EXPECT_EQ(storage.read_gradient(i, replica), counting(i, first(i, replica, 1)));
      EXPECT_EQ(storage.read_optimizer_state(0, i, replica), counting(i, first(i, replica, 2)));
      EXPECT_EQ(storage.read_optimizer_state(1, i, replica), counting(i, first(i, replica, 3)));
    }
  }
}

TEST_F(ParameterStorageTest, RowsArePaddedWithZeros) {
  ParameterStorage storage(device(), set_, 2, 0);
  storage.write(0, 1, std::vector<float>(35, 1.0f));
  const std::vector<float> all = raw(storage.parameters());
  const auto stride = static_cast<std::size_t>(storage.layout().trainable_size());
  ASSERT_EQ(all.size(), 2 * stride);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const bool member = i >= stride && i - stride < 5 * 8 && (i - stride) % 8 < 7;
    ASSERT_EQ(all[i], member ? 1.0f : 0.0f) << "element " << i;
  }
}

// A CPU driver that reads texels; `limit` bytes at once.
runtime::DeviceProfile profile_with(std::uint64_t limit) {
  runtime::DeviceProfile profile;
  profile.kind = runtime::DeviceKind::cpu;
  profile.max_storage_range = limit;
  profile.max_allocation = 1 << 20;
  profile.max_texel_elements = 1 << 20;
  profile.texel_alignment = 16;
  return profile;
}

TEST_F(ParameterStorageTest, SlotsAreJoinedWhereKernelsBindThemAtOnce) {
  const ParameterLayout layout(set_);
  const auto bytes = static_cast<std::uint64_t>(layout.trainable_size()) * 4 * 3 * 2;
  const auto joins = [&](const runtime::DeviceProfile& profile, std::uint32_t slots = 2) {
    return ParameterStorage::joins_slots(profile, layout, 3, slots);
  };
  EXPECT_TRUE(joins(profile_with(bytes)));
  EXPECT_FALSE(joins(profile_with(bytes - 4)));
  EXPECT_TRUE(joins(profile_with(bytes - 4), 1));
  EXPECT_FALSE(joins(profile_with(bytes), 0));
  runtime::DeviceProfile profile = profile_with(bytes);
  profile.max_allocation = bytes - 4;
  EXPECT_FALSE(joins(profile));
  profile = profile_with(bytes);
  profile.kind = runtime::DeviceKind::discrete;
  EXPECT_FALSE(joins(profile));
}

TEST_F(ParameterStorageTest, JoinedSlotsFollowEachOther) {
  const ParameterStorage storage(device(), set_, 3, 2);
  const runtime::Slice first = storage.optimizer_state(0), second = storage.optimizer_state(1);
  if (!ParameterStorage::joins_slots(device().profile(), storage.layout(), 3, 2)) {
    EXPECT_NE(first.buffer, second.buffer);
    EXPECT_THROW(storage.optimizer_states(), std::logic_error);
    return;
  }
  const runtime::Slice all = storage.optimizer_states();
  EXPECT_EQ(first.buffer, all.buffer);
  EXPECT_EQ(second.buffer, all.buffer);
  EXPECT_EQ(second.offset, first.offset + first.size);
  EXPECT_EQ(all.size, 2 * first.size);
}

TEST_F(ParameterStorageTest, InitializesOneReplica) {
  ParameterStorage storage(device(), set_, 2, 2);
  storage.initialize(0, 5, std::vector<float>{0.1f, 2.0f});
  storage.initialize(1, 6, std::vector<float>{0.3f, 4.0f});
  EXPECT_EQ(storage.read(2, 0), std::vector<float>(5, 1.0f));
  EXPECT_EQ(storage.read(3, 0), initial_values(set_[3].initializer, 6, 2, 3, 5, 3));
  EXPECT_EQ(storage.read(3, 1), initial_values(set_[3].initializer, 6, 2, 3, 6, 3));
  const auto stride = static_cast<std::size_t>(storage.layout().trainable_size());
  std::vector<float> expected(stride, 2.0f);
  expected.resize(2 * stride, 4.0f);
  EXPECT_EQ(raw(storage.optimizer_state(1)), expected);
  EXPECT_EQ(storage.read_optimizer_state(0, 1, 1), std::vector<float>(5, 0.3f));
  EXPECT_THROW(storage.initialize(0, 5, {}), std::invalid_argument);
}

TEST_F(ParameterStorageTest, RefusesWhatDoesNotFit) {
  ParameterStorage storage(device(), set_, 2, 1);
  expect_error([&] { storage.write(0, 0, std::vector<float>(34)); },
               "weight of shape [5, 7] takes 35 values, but 34 were given");
  EXPECT_THROW(storage.write(0, 2, std::vector<float>(35)), std::invalid_argument);
  EXPECT_THROW(storage.read(4, 0), std::invalid_argument);
  EXPECT_THROW(storage.read_gradient(2, 0), std::invalid_argument);
  EXPECT_THROW(storage.read_optimizer_state(1, 0, 0), std::out_of_range);
  EXPECT_THROW(ParameterStorage(device(), set_, 0, 0), std::invalid_argument);
}

TEST_F(ParameterStorageTest, RefusesMoreThanTheDeviceBinds) {
  ParameterSet large;
  large.declare(weight("1.weight", {65536, 65536}));
  expect_error([&] { ParameterStorage storage(device(), large, 2, 0); }, "binds at most");
}

}  // namespace
}  // namespace vktrain::nn
