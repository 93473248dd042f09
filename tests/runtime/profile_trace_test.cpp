// The trace as a reader of the format sees it.
#include "runtime/profile_trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "tests/runtime/graph_fixture.h"

namespace vktrain::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Json = nlohmann::json;

constexpr double kHalfNanosecond = 0.0005;  // in the microseconds of the format

std::vector<Json> complete_events(const Json& document, int process, int thread) {
  std::vector<Json> events;
  for (const Json& event : document.at("traceEvents")) {
    if (event.at("ph") == "X" && event.at("pid") == process && event.at("tid") == thread) {
      events.push_back(event);
    }
  }
  return events;
}

void expect_order_without_overlap(const std::vector<Json>& events) {
  double end = -1e300;
  for (const Json& event : events) {
    EXPECT_GE(event.at("dur").get<double>(), 0) << event;
    EXPECT_GE(event.at("ts").get<double>(), end - kHalfNanosecond) << event;
    end = event.at("ts").get<double>() + event.at("dur").get<double>();
  }
}

std::vector<std::string> names_of(const std::vector<Json>& events) {
  std::vector<std::string> names;
  for (const Json& event : events) names.push_back(event.at("name"));
  return names;
}

TEST(ProfileTrace, HasAnEventForEveryExecutionReplayAndSpan) {
  ProfileTrace trace;
  trace.dispatches = {{"1.forward \"x\"", "gemm<8>", 0, 2e6, 3e3}, {"1.update", "sgd<>", 1, 0, 8}};
  trace.executions = {
      {0, 0, 1e-6, 3.5e-6}, {1, 0, 3.5e-6, 4e-6}, {0, 1, 9e-6, 10e-6}, {1, 1, 11e-6, 12e-6}};
  trace.host = {{"submit", 0, 0, 0.5e-6}, {"wait", 0, 0.5e-6, 4e-6}};
  const Json document = Json::parse(trace_json(trace, "a device"));

  const auto dispatches = complete_events(document, 1, 1);
  EXPECT_THAT(names_of(dispatches),
              ElementsAre("1.forward \"x\"", "1.update", "1.forward \"x\"", "1.update"));
  EXPECT_DOUBLE_EQ(dispatches[0]["ts"].get<double>(), 1.0);
  EXPECT_DOUBLE_EQ(dispatches[0]["dur"].get<double>(), 2.5);
  const Json args = {
      {"kernel", "gemm<8>"}, {"flops", 2e6}, {"bytes", 3e3}, {"level", 0}, {"replay", 0}};
  EXPECT_EQ(dispatches[0]["args"], args);
  EXPECT_EQ(dispatches[3]["args"]["level"], 1);

  const auto replays = complete_events(document, 1, 2);
  EXPECT_THAT(names_of(replays), ElementsAre("replay 0", "replay 1"));
  EXPECT_DOUBLE_EQ(replays[0]["dur"].get<double>(), 3.0);
  EXPECT_THAT(names_of(complete_events(document, 2, 1)), ElementsAre("submit", "wait"));

  std::set<std::string> named;
  for (const Json& event : document["traceEvents"]) {
    if (event["ph"] == "M") named.insert(event["args"]["name"]);
  }
  EXPECT_THAT(named, ElementsAre("a device", "command graph", "dispatches", "host", "replays"));
}

TEST(ProfileTrace, NeighboursThatTouchDoNotOverlap) {
  ProfileTrace trace;
  trace.dispatches = {{"a", "k<>", 0, 0, 0}};
  for (int i = 0; i < 1000; ++i) {
    trace.executions.push_back({0, 0, 1e3 + i / 3e7, 1e3 + (i + 1) / 3e7});
  }
  expect_order_without_overlap(complete_events(Json::parse(trace_json(trace, "")), 1, 1));
}

using TraceTest = vktrain::testing::GraphTest;

TEST_F(TraceTest, FollowsTheReplaysOfAGraph) {
  if (!device().profile().timestamps) GTEST_SKIP() << "no timestamps";
  const Slice x = make_slice(std::vector<std::uint32_t>(1000, 1), "x");
  const Slice y = make_slice(std::vector<std::uint32_t>(1000, 0), "y");
  const Slice z = make_slice(std::vector<std::uint32_t>(1000, 0), "z");
  CommandGraph graph(device(), /*profile=*/true);
  graph.add(elementwise("multiply_add", 1, x, y));
  graph.add(elementwise("add_constant", 1, x, z));
  Dispatch second = elementwise("add_constant", 2, y, z);
  second.label = "second level";
  graph.add(second);
  graph.record();
  EXPECT_THAT(graph.trace().executions, IsEmpty());
  graph.run(3);

  const ProfileTrace trace = graph.trace();
  EXPECT_THAT(trace.executions, SizeIs(9));
  EXPECT_EQ(trace.dispatches[0].level, 0U);
  EXPECT_EQ(trace.dispatches[2].level, 1U);
  const Json document = Json::parse(trace_json(trace, device().profile().name));
  const auto dispatches = complete_events(document, 1, 1);
  expect_order_without_overlap(dispatches);
  expect_order_without_overlap(complete_events(document, 1, 2));
  expect_order_without_overlap(complete_events(document, 2, 1));
  for (const auto& timing : graph.timings()) {
    const auto names = names_of(dispatches);
    EXPECT_EQ(std::ranges::count(names, timing.label), 3) << timing.label;
  }
  // The device works between the host's submission and the end of its wait.
  EXPECT_DOUBLE_EQ(trace.executions[2].end, trace.host[1].end);
}

TEST_F(TraceTest, IsBounded) {
  if (!device().profile().timestamps) GTEST_SKIP() << "no timestamps";
  const Slice x = make_slice(std::vector<std::uint32_t>(10, 1), "x");
  CommandGraph graph(device(), /*profile=*/true);
  graph.add(elementwise("add_constant", 1, x, make_slice(std::vector<std::uint32_t>(10), "y")));
  graph.record();
  graph.run(kTracedReplays + 6);
  EXPECT_EQ(graph.timings()[0].calls, kTracedReplays + 6);
  EXPECT_THAT(graph.trace().executions, SizeIs(kTracedReplays));
  EXPECT_THAT(graph.trace().host, SizeIs(2 * kTracedReplays));
}

TEST_F(TraceTest, AGraphWithoutProfilingHasNone) {
  const Slice x = make_slice(std::vector<std::uint32_t>(10, 1), "x");
  CommandGraph graph(device());
  graph.add(elementwise("add_constant", 1, x, make_slice(std::vector<std::uint32_t>(10), "y")));
  graph.record();
  graph.run();
  EXPECT_THAT(graph.trace().dispatches, IsEmpty());
  EXPECT_THAT(graph.trace().host, IsEmpty());
}

}  // namespace
}  // namespace vktrain::runtime
