// The profiler's trace: every dispatch of the first replays as an event on a time line, for
// ui.perfetto.dev and chrome://tracing.
// Source of the format: "Trace Event Format", Google.
#pragma once

#include <string>
#include <string_view>

#include "runtime/command_graph.h"

namespace vktrain::runtime {

// JSON of complete events ("ph": "X"), times in microseconds. The device's process has a track of
// dispatches (args: kernel, flops, bytes, level, replay), which never overlap, and one of replays;
// the host's has one of submitting and waiting. Events of a track are in the order of time.
std::string trace_json(const ProfileTrace& trace, std::string_view device_name);

}  // namespace vktrain::runtime
