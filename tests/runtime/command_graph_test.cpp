// Graphs on a device: order, replay, hazards across submissions, and the limits of a dispatch.
#include "runtime/command_graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <numeric>

#include "tests/runtime/graph_fixture.h"

namespace vktrain::runtime {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using CommandGraphTest = vktrain::testing::GraphTest;

// Odd, so that the last workgroup is partly idle.
constexpr std::size_t kCount = 1001;

std::vector<std::uint32_t> iota(std::uint32_t first) {
  std::vector<std::uint32_t> values(kCount);
  std::iota(values.begin(), values.end(), first);
  return values;
}

TEST_F(CommandGraphTest, RunsADispatch) {
  const Slice x = make_slice(iota(5), "x");
  const Slice y = make_slice(iota(0), "y");
  CommandGraph graph(device());
  graph.add(elementwise("add_constant", 100, x, y));
  graph.record();
  graph.run();
  EXPECT_EQ(read<std::uint32_t>(y), iota(105));
  EXPECT_EQ(graph.dispatch_count(), 1u);
  EXPECT_EQ(graph.level_count(), 1u);
}

TEST_F(CommandGraphTest, RunsNothing) {
  CommandGraph graph(device());
  graph.record();
  graph.run(3);
  EXPECT_EQ(graph.level_count(), 0u);
  EXPECT_TRUE(graph.timings().empty());
}

TEST_F(CommandGraphTest, AcceptsNoRepeats) {
  const Slice x = make_slice(iota(5), "x");
  const Slice y = make_slice(iota(0), "y");
  CommandGraph graph(device());
  graph.add(elementwise("add_constant", 100, x, y));
  graph.record();
  graph.run(0);
  EXPECT_EQ(read<std::uint32_t>(y), iota(0));
}

// A step that does not commute: a = 3 a + b; b = 5 b + a; each replay needs the one before.
struct Recurrence {
  std::uint32_t a = 1;
  std::uint32_t b = 2;
  void step(std::size_t times) {
    for (std::size_t i = 0; i < times; ++i) {
      a = 3 * a + b;
      b = 5 * b + a;
    }
  }
};

class RecurrenceTest : public CommandGraphTest {
 protected:
  void SetUp() override {
    CommandGraphTest::SetUp();
    a_ = make_slice(std::vector<std::uint32_t>(kCount, expected_.a), "a");
    b_ = make_slice(std::vector<std::uint32_t>(kCount, expected_.b), "b");
  }
  void add_step(CommandGraph& graph) {
    graph.add(elementwise("multiply_add", 3, b_, a_));
    graph.add(elementwise("multiply_add", 5, a_, b_));
  }
  void check() {
    EXPECT_THAT(read<std::uint32_t>(a_), Each(expected_.a));
    EXPECT_THAT(read<std::uint32_t>(b_), Each(expected_.b));
  }
  Recurrence expected_;
  Slice a_;
  Slice b_;
};

TEST_F(RecurrenceTest, ReplaysInOneSubmissionSeeEachOther) {
  CommandGraph graph(device());
  add_step(graph);
  graph.record();
  EXPECT_EQ(graph.level_count(), 2u);
  graph.run(500);
  expected_.step(500);
  check();
}

TEST_F(RecurrenceTest, SubmissionsRunInOrderWhileTheHostGoesOn) {
  CommandGraph graph(device());
  add_step(graph);
  graph.record();
  for (std::uint32_t repeats = 1; repeats <= 20; ++repeats) {
    graph.submit(repeats);
    expected_.step(repeats);
  }
  graph.wait();
  check();
}

TEST_F(RecurrenceTest, TransfersAreOrderedAfterSubmissionsInFlight) {
  CommandGraph graph(device());
  add_step(graph);
  graph.record();
  graph.submit(50);
  expected_.step(50);
  check();  // downloads without a wait
  graph.submit(7);
  device().fill(a_, 9);
  expected_.step(7);
  expected_.a = 9;
  graph.submit(1);
  expected_.step(1);
  check();
}

TEST_F(RecurrenceTest, GraphsSeeEachOthersResults) {
  CommandGraph first(device());
  first.add(elementwise("multiply_add", 3, b_, a_));
  first.record();
  CommandGraph second(device());
  second.add(elementwise("multiply_add", 5, a_, b_));
  second.record();
  for (int i = 0; i < 30; ++i) {
    first.submit();
    second.submit();
    expected_.step(1);
  }
  check();
}

TEST_F(RecurrenceTest, AGraphMayEndWhileItRuns) {
  {
    CommandGraph graph(device());
    add_step(graph);
    graph.record();
    graph.submit(100);
  }
  expected_.step(100);
  check();
}

TEST_F(RecurrenceTest, ABufferMayEndWhileItIsUsed) {
  CommandGraph graph(device());
  {
    Buffer shortlived(device(), a_.size, "shortlived");
    graph.add(elementwise("multiply_add", 3, a_, {&shortlived, 0, shortlived.size()}));
    graph.record();
    graph.submit(100);
  }
  graph.wait();
}

TEST_F(CommandGraphTest, IndependentDispatchesShareALevel) {
  const Slice x = make_slice(iota(1), "x");
  std::vector<Slice> outputs;
  CommandGraph graph(device());
  for (std::uint32_t i = 0; i < 5; ++i) {
    outputs.push_back(make_slice(iota(0), "y" + std::to_string(i)));
    graph.add(elementwise("add_constant", i, x, outputs.back()));
  }
  graph.record();
  EXPECT_EQ(graph.level_count(), 1u);
  EXPECT_EQ(graph.levels()[0].size(), 5u);
  graph.run();
  for (std::uint32_t i = 0; i < 5; ++i) EXPECT_EQ(read<std::uint32_t>(outputs[i]), iota(1 + i));
}

TEST_F(CommandGraphTest, WritersOfDifferentPartsOfABufferShareALevel) {
  const std::uint64_t step = std::max<std::uint64_t>(device().profile().storage_alignment, 256);
  const Slice x = make_slice(iota(1), "x");
  const Slice y = arena().allocate(2 * step, "y");
  CommandGraph graph(device());
  graph.add(elementwise("add_constant", 10, x, y.part(0, step)));
  graph.add(elementwise("add_constant", 20, x, y.part(step, step)));
  graph.record();
  EXPECT_EQ(graph.level_count(), 1u);
  graph.run();
  const auto values = read<std::uint32_t>(y);
  EXPECT_EQ(values[0], 11u);
  EXPECT_EQ(values[step / 4 - 1], step / 4 + 10);
  EXPECT_EQ(values[step / 4], 21u);
  EXPECT_EQ(values.back(), step / 4 + 20);
}

TEST_F(CommandGraphTest, BindsAllEightBuffersAndThreeAxes) {
  constexpr std::size_t kElements = 6 * 10 * 4;
  Dispatch dispatch;
  dispatch.label = "sum";
  dispatch.kernel = {"sum_eight", {3, 5, 2, 1, std::bit_cast<std::uint32_t>(0.5f)}};
  dispatch.groups = {2, 2, 2};
  for (std::size_t i = 0; i < kMaxBindings - 1; ++i) {
    const std::vector<float> values(kElements, static_cast<float>(1u << i));
    dispatch.bindings.push_back({make_slice(values, "x" + std::to_string(i)), Access::read});
  }
  const Slice y = make_slice(std::vector<float>(kElements, 0.0f), "y");
  dispatch.bindings.push_back({y, Access::write});
  CommandGraph graph(device());
  graph.add(dispatch);
  graph.record();
  graph.run();
  EXPECT_THAT(read<float>(y), Each(-0.5f * 127.0f));
}

TEST_F(CommandGraphTest, ReadsABindingAsTexels) {
  const std::vector<float> values = {1, 2, 3, 4, 10, 20, 30, 40, -1, 1, -2, 2};
  const Slice x = make_slice(values, "x");
  const Slice y = arena().allocate(3 * sizeof(float), "y");
  Dispatch dispatch;
  dispatch.label = "sums of texels";
  dispatch.kernel = {"sum_texels", {8}};
  dispatch.bindings = {{x, Access::read}, {y, Access::write}};
  dispatch.push = push({3});
  CommandGraph graph(device());
  graph.add(dispatch);
  graph.record();
  graph.run();
  EXPECT_EQ(read<float>(y), (std::vector<float>{10, 100, 0}));
}

// Of one or two floats, from any float or pair on. A missing w is 1.
TEST_F(CommandGraphTest, ReadsTexelsOfFewerFloats) {
  const std::vector<float> values = {1, 2, 3, 4, 10, 20, 30, 40};
  const Slice x = make_slice(values, "x");
  for (const TexelFormat format : {TexelFormat::r32f, TexelFormat::rg32f}) {
    const Slice y = arena().allocate(3 * sizeof(float), "y");
    Dispatch dispatch;
    dispatch.label = "sums of texels";
    dispatch.kernel = {"sum_texels", {8}};
    dispatch.bindings = {{x, Access::read, format}, {y, Access::write}};
    dispatch.push = push({3});
    CommandGraph graph(device());
    graph.add(dispatch);
    graph.record();
    graph.run();
    EXPECT_EQ(read<float>(y), format == TexelFormat::r32f ? (std::vector<float>{2, 3, 4})
                                                          : (std::vector<float>{4, 8, 31}));
  }
}

class LimitTest : public CommandGraphTest {
 protected:
  void SetUp() override {
    CommandGraphTest::SetUp();
    x_ = make_slice(iota(0), "x");
    dispatch_ = elementwise("add_constant", 1, x_, make_slice(iota(0), "y"));
    dispatch_.label = "bad one";
  }

  // What `add` says.
  // Of the dispatch alone in a graph.
  std::string error_of_record() {
    CommandGraph graph(device());
    graph.add(dispatch_);
    try {
      graph.record();
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "recorded";
  }

  std::string refusal() {
    CommandGraph graph(device());
    try {
      graph.add(dispatch_);
    } catch (const std::invalid_argument& error) {
      EXPECT_EQ(graph.dispatch_count(), 0u);
      return error.what();
    }
    return "accepted";
  }

  Slice x_;
  Dispatch dispatch_;
};

TEST_F(LimitTest, AcceptsWhatFits) { EXPECT_EQ(refusal(), "accepted"); }

TEST_F(LimitTest, RefusesTooManyBindings) {
  dispatch_.bindings.resize(9, {x_, Access::read});
  EXPECT_EQ(refusal(),
            "dispatch \"bad one\" (add_constant<64,1>): 9 bindings, at most 8 are possible");
}

TEST_F(LimitTest, RefusesTooManyOrOddPushConstants) {
  dispatch_.push.resize(132);
  EXPECT_THAT(refusal(),
              HasSubstr("132 bytes of push constants, expected a multiple of 4 up to 128"));
  dispatch_.push.resize(6);
  EXPECT_THAT(refusal(), HasSubstr("6 bytes of push constants"));
  dispatch_.push.resize(128);
  EXPECT_EQ(refusal(), "accepted");
}

TEST_F(LimitTest, RefusesTooManyOrNoGroups) {
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const std::uint32_t limit = device().profile().max_workgroup_count[axis];
    dispatch_.groups = {1, 1, 1};
    dispatch_.groups[axis] = limit;
    EXPECT_EQ(refusal(), "accepted");
    if (limit < ~0u) {
      dispatch_.groups[axis] = limit + 1;
      EXPECT_THAT(refusal(),
                  HasSubstr(std::to_string(limit + 1) + " groups on axis " + "xyz"[axis]));
    }
    dispatch_.groups[axis] = 0;
    EXPECT_THAT(refusal(), HasSubstr(std::string("0 groups on axis ") + "xyz"[axis]));
  }
}

TEST_F(LimitTest, RefusesSlicesOutsideOfTheirBuffer) {
  dispatch_.bindings[1].slice = x_.part(0, x_.size + 4);
  EXPECT_THAT(refusal(),
              HasSubstr("dispatch \"bad one\" (add_constant<64,1>), binding 1: the slice"));
  dispatch_.bindings[1].slice = {x_.buffer, ~std::uint64_t{0} - 255, 512};  // would wrap around
  EXPECT_THAT(refusal(), HasSubstr("leaves buffer \"test/x\""));
  dispatch_.bindings[1].slice = {};
  EXPECT_THAT(refusal(), HasSubstr("the slice has no buffer"));
  dispatch_.bindings[1].slice = x_.part(0, 0);
  EXPECT_THAT(refusal(), HasSubstr("binding 1 (\"test/x\") has size 0"));
}

TEST_F(LimitTest, RefusesMisalignedSlices) {
  const std::uint64_t alignment = device().profile().storage_alignment;
  if (alignment <= 4) GTEST_SKIP() << "every word is aligned on this device";
  dispatch_.bindings[0].slice = x_.part(alignment / 2, 64);
  EXPECT_THAT(refusal(), HasSubstr("needs multiples of " + std::to_string(alignment)));
}

TEST_F(LimitTest, RefusesSlicesBeyondTheStorageRange) {
  const std::uint64_t range = device().profile().max_storage_range;
  if (range >= device().profile().max_allocation || range > (256u << 20)) {
    GTEST_SKIP() << "a buffer beyond this device's storage range is too large for a test";
  }
  const Slice large = arena().allocate(range + 4, "large");
  dispatch_.bindings[0].slice = large;
  EXPECT_THAT(refusal(), HasSubstr("binds at most " + std::to_string(range)));
  dispatch_.bindings[0].slice = large.part(0, range);
  EXPECT_EQ(refusal(), "accepted");
}

TEST_F(LimitTest, RefusesUndeclaredWritesAndMissingBindings) {
  EXPECT_EQ(error_of_record(), "recorded");
  dispatch_.bindings[1].access = Access::read;
  EXPECT_EQ(error_of_record(),
            "dispatch \"bad one\" (add_constant<64,1>): the shader writes binding 1 (\"test/y\"), "
            "which is declared as read");
  dispatch_.bindings[1].access = Access::read_write;
  EXPECT_EQ(error_of_record(), "recorded");
  dispatch_.bindings.pop_back();
  EXPECT_THAT(error_of_record(), HasSubstr("the shader uses binding 1, but only 1 are bound"));
}

TEST_F(LimitTest, RefusesTexelsThatAreNotWhole) {
  dispatch_.kernel = {"sum_texels", {64}};
  dispatch_.bindings[0].slice = x_.part(0, 64);
  EXPECT_EQ(error_of_record(), "recorded");
  dispatch_.bindings[0].slice = x_.part(0, 68);
  EXPECT_THAT(error_of_record(), HasSubstr("binding 0 (\"test/x\") is read as texels: it has 68"));
  dispatch_.bindings[0].texels = TexelFormat::r32f;
  EXPECT_EQ(error_of_record(), "recorded");
}

TEST_F(LimitTest, RefusesTheWrongOrderOfCalls) {
  CommandGraph graph(device());
  graph.add(dispatch_);
  EXPECT_THROW(graph.submit(), std::logic_error);
  graph.record();
  EXPECT_THROW(graph.add(dispatch_), std::logic_error);
  EXPECT_THROW(graph.record(), std::logic_error);
}

}  // namespace
}  // namespace vktrain::runtime
