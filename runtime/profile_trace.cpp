#include "runtime/profile_trace.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>

namespace vktrain::runtime {
namespace {

using Json = nlohmann::ordered_json;

struct Track {
  int process;
  int thread;
};
constexpr Track kDispatches{1, 1};
constexpr Track kReplays{1, 2};
constexpr Track kHost{2, 1};

// Rounded to whole nanoseconds at both ends, so that neighbours that touch do not overlap.
Json complete_event(Track track, std::string_view name, double begin, double end, Json args) {
  const double begin_ns = std::round(begin * 1e9);
  const double end_ns = std::round(end * 1e9);
  return {{"name", name},           {"ph", "X"},
          {"pid", track.process},   {"tid", track.thread},
          {"ts", begin_ns * 1e-3},  {"dur", (end_ns - begin_ns) * 1e-3},
          {"args", std::move(args)}};
}

Json name_event(Track track, std::string_view what, std::string_view name) {
  return {{"name", what},
          {"ph", "M"},
          {"pid", track.process},
          {"tid", track.thread},
          {"args", {{"name", name}}}};
}

void add_names(Json& events, std::string_view device_name) {
  events.push_back(name_event(kDispatches, "process_name", device_name));
  events.push_back(name_event(kDispatches, "thread_name", "dispatches"));
  events.push_back(name_event(kReplays, "thread_name", "replays"));
  events.push_back(name_event(kHost, "process_name", "host"));
  events.push_back(name_event(kHost, "thread_name", "command graph"));
}

void add_dispatches(Json& events, const ProfileTrace& trace) {
  for (const TracedExecution& execution : trace.executions) {
    const TracedDispatch& dispatch = trace.dispatches.at(execution.dispatch);
    events.push_back(complete_event(kDispatches, dispatch.label, execution.begin, execution.end,
                                    {{"kernel", dispatch.kernel},
                                     {"flops", dispatch.flops},
                                     {"bytes", dispatch.bytes},
                                     {"level", dispatch.level},
                                     {"replay", execution.replay}}));
  }
}

void add_replays(Json& events, const ProfileTrace& trace) {
  const auto& all = trace.executions;
  for (std::size_t first = 0; first < all.size();) {
    std::size_t last = first;
    while (last + 1 < all.size() && all[last + 1].replay == all[first].replay) ++last;
    events.push_back(complete_event(kReplays, fmt::format("replay {}", all[first].replay),
                                    all[first].begin, all[last].end, Json::object()));
    first = last + 1;
  }
}

}  // namespace

std::string trace_json(const ProfileTrace& trace, std::string_view device_name) {
  Json events = Json::array();
  add_names(events, device_name);
  add_dispatches(events, trace);
  add_replays(events, trace);
  for (const HostSpan& span : trace.host) {
    events.push_back(
        complete_event(kHost, span.name, span.begin, span.end, {{"replay", span.replay}}));
  }
  const Json document = {{"displayTimeUnit", "ms"}, {"traceEvents", std::move(events)}};
  return document.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace vktrain::runtime
