// Levels and hazards, without a device. A random test compares with the definition.
#include "runtime/command_schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

namespace vktrain::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Uses = std::vector<ResourceUse>;
using Levels = std::vector<std::vector<std::size_t>>;

const int buffers[3] = {};
const void* const a = &buffers[0];
const void* const b = &buffers[1];
const void* const c = &buffers[2];

ResourceUse reads(const void* buffer, std::uint64_t offset = 0, std::uint64_t size = 16) {
  return {buffer, offset, size, false};
}
ResourceUse writes(const void* buffer, std::uint64_t offset = 0, std::uint64_t size = 16) {
  return {buffer, offset, size, true};
}

Levels schedule(const std::vector<Uses>& uses) { return schedule_levels(uses); }

TEST(Schedule, NothingHasNoLevels) { EXPECT_THAT(schedule({}), IsEmpty()); }

TEST(Schedule, IndependentDispatchesShareALevel) {
  EXPECT_EQ(schedule({{reads(a), writes(b)}, {reads(a), writes(c)}}), (Levels{{0, 1}}));
}

TEST(Schedule, ReadAfterWriteWaits) {
  EXPECT_EQ(schedule({{writes(a)}, {reads(a)}}), (Levels{{0}, {1}}));
}

TEST(Schedule, WriteAfterReadWaits) {
  EXPECT_EQ(schedule({{reads(a)}, {writes(a)}}), (Levels{{0}, {1}}));
}

TEST(Schedule, WriteAfterWriteWaits) {
  EXPECT_EQ(schedule({{writes(a)}, {writes(a)}}), (Levels{{0}, {1}}));
}

TEST(Schedule, ReadAfterReadDoesNotWait) {
  EXPECT_EQ(schedule({{reads(a)}, {reads(a)}}), (Levels{{0, 1}}));
}

TEST(Schedule, NeighbouringRangesDoNotOverlap) {
  EXPECT_EQ(schedule({{writes(a, 0, 16)}, {writes(a, 16, 16)}}), (Levels{{0, 1}}));
  EXPECT_EQ(schedule({{writes(a, 0, 17)}, {writes(a, 16, 16)}}), (Levels{{0}, {1}}));
  EXPECT_EQ(schedule({{writes(a, 16, 16)}, {writes(a, 0, 17)}}), (Levels{{0}, {1}}));
}

TEST(Schedule, ADispatchMayReadAndWriteTheSameRange) {
  EXPECT_EQ(schedule({{reads(a), writes(a)}, {reads(b), writes(b)}}), (Levels{{0, 1}}));
}

TEST(Schedule, RunsAsSoonAsPossible) {
  // 0 -> 1 -> 2 is a chain; 3 depends on nothing, 4 on 0 only.
  EXPECT_EQ(schedule({{writes(a)},
                      {reads(a), writes(b)},
                      {reads(b), writes(c)},
                      {writes(b, 100)},
                      {reads(a), writes(b, 200)}}),
            (Levels{{0, 3}, {1, 4}, {2}}));
}

TEST(Schedule, AWriteThatHidesAnEarlierOneKeepsItsOtherParts) {
  // 1 covers half of 0's range; 2 reads the other half and depends on 0 only.
  EXPECT_EQ(schedule({{writes(a, 0, 32)}, {writes(a, 0, 16)}, {reads(a, 16, 16)}}),
            (Levels{{0}, {1, 2}}));
}

// The definition, without shortcuts.
Levels levels_by_definition(const std::vector<Uses>& uses) {
  std::vector<std::size_t> level(uses.size(), 0);
  Levels levels;
  for (std::size_t j = 0; j < uses.size(); ++j) {
    for (std::size_t i = 0; i < j; ++i) {
      for (const auto& past : uses[i]) {
        for (const auto& now : uses[j]) {
          const bool overlap = past.buffer == now.buffer && past.offset < now.offset + now.size &&
                               now.offset < past.offset + past.size;
          if (overlap && (past.writes || now.writes)) level[j] = std::max(level[j], level[i] + 1);
        }
      }
    }
    if (level[j] == levels.size()) levels.emplace_back();
    levels[level[j]].push_back(j);
  }
  return levels;
}

TEST(Schedule, EqualsTheDefinitionOnRandomGraphs) {
  std::mt19937 random(1);
  const auto below = [&](std::uint32_t limit) { return random() % limit; };
  for (int graph = 0; graph < 300; ++graph) {
    std::vector<Uses> uses(1 + below(40));
    for (Uses& list : uses) {
      list.resize(1 + below(4));
      for (auto& use : list) use = {&buffers[below(3)], below(64), 1 + below(24), below(3) == 0};
    }
    ASSERT_EQ(schedule(uses), levels_by_definition(uses)) << "graph " << graph;
  }
}

}  // namespace
}  // namespace vktrain::runtime
