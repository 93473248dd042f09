// Level scheduling (as-soon-as-possible) over hazards between byte ranges.
#include "runtime/command_schedule.h"

#include <algorithm>
#include <unordered_map>

namespace vktrain::runtime {
namespace {

struct PastUse {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  bool writes = false;
  std::size_t level = 0;
};

// The first level in which a dispatch with this access may run.
std::size_t earliest_level(const ResourceUse& use, const std::vector<PastUse>& history) {
  std::size_t level = 0;
  for (const PastUse& past : history) {
    const bool overlap = use.offset < past.end && past.begin < use.offset + use.size;
    if (overlap && (use.writes || past.writes)) level = std::max(level, past.level + 1);
  }
  return level;
}

// A write hides every earlier use that it covers: whoever overlaps the covered use and must wait
// for it must also wait for the write, which has a higher level. This keeps histories short.
void remember(const ResourceUse& use, std::size_t level, std::vector<PastUse>& history) {
  const PastUse now{use.offset, use.offset + use.size, use.writes, level};
  if (now.writes) {
    std::erase_if(history, [&](const PastUse& past) {
      return now.begin <= past.begin && past.end <= now.end;
    });
  }
  history.push_back(now);
}

}  // namespace

std::vector<std::vector<std::size_t>> schedule_levels(
    std::span<const std::vector<ResourceUse>> uses) {
  std::unordered_map<const void*, std::vector<PastUse>> history;
  std::vector<std::vector<std::size_t>> levels;
  for (std::size_t i = 0; i < uses.size(); ++i) {
    std::size_t level = 0;
    for (const ResourceUse& use : uses[i]) {
      level = std::max(level, earliest_level(use, history[use.buffer]));
    }
    for (const ResourceUse& use : uses[i]) remember(use, level, history[use.buffer]);
    if (level == levels.size()) levels.emplace_back();
    levels[level].push_back(i);
  }
  return levels;
}

}  // namespace vktrain::runtime
