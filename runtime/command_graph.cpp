// Recording and replay. See docs/architecture.md, "The way of the data".
#include "runtime/command_graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <stdexcept>

#include "runtime/command_schedule.h"
#include "runtime/descriptors.h"
#include "runtime/device_impl.h"
#include "runtime/dispatch_check.h"
#include "runtime/error.h"
#include "runtime/kernel_impl.h"
#include "runtime/memory_impl.h"
#include "runtime/timestamps.h"

namespace vktrain::runtime {
namespace {

constexpr std::size_t kMaxInFlight = 2;
constexpr std::size_t kMaxLabelsShown = 12;

struct Submission {
  OwnedFence fence;
  bool pending = false;
};

std::vector<std::vector<ResourceUse>> resource_uses(std::span<const Dispatch> dispatches) {
  std::vector<std::vector<ResourceUse>> uses;
  for (const Dispatch& dispatch : dispatches) {
    auto& list = uses.emplace_back();
    for (const Binding& binding : dispatch.bindings) {
      const Slice& slice = binding.slice;
      list.push_back({slice.buffer, slice.offset, slice.size, binding.access != Access::read});
    }
  }
  return uses;
}

}  // namespace

struct CommandGraph::Impl {
  Impl(Device& owner, bool with_profile);

  void record_barrier(VkPipelineStageFlags source_stages, VkAccessFlags source) const;
  void record_dispatch(std::size_t index) const;
  void record_commands() const;
  void submit_once(std::uint32_t repeats);
  void wait_for(Submission& submission);
  void wait();
  void check_run(VkResult result) const;
  void profile_once();
  double now();
  double device_origin() const;

  Device::Impl* device;
  const LogicalDevice* logical;
  bool profile;
  bool recorded = false;
  std::vector<Dispatch> dispatches;
  std::vector<const Kernel*> kernels;
  std::vector<std::vector<std::size_t>> levels;
  OwnedCommandPool command_pool;
  VkCommandBuffer commands = VK_NULL_HANDLE;
  std::unique_ptr<Descriptors> descriptors;
  std::array<Submission, kMaxInFlight> in_flight;
  std::size_t next = 0;  // of in_flight: the older one
  std::unique_ptr<Timestamps> timestamps;
  std::optional<std::chrono::steady_clock::time_point> host_origin;  // the first submission
  std::vector<HostSpan> host_spans;                                  // of the traced replays
};

CommandGraph::Impl::Impl(Device& owner, bool with_profile)
    : device(&owner.impl()),
      logical(device->logical.get()),
      profile(with_profile),
      command_pool(make_command_pool(*logical)) {
  if (profile && !device->profile.timestamps) {
    throw DeviceError(fmt::format(
        "\"{}\" has no GPU timestamps, so it cannot be profiled: run without profiling or choose "
        "another device",
        device->profile.name));
  }
  for (Submission& submission : in_flight) submission.fence = make_fence(*logical);
}

void CommandGraph::Impl::record_barrier(VkPipelineStageFlags source_stages,
                                        VkAccessFlags source) const {
  VkMemoryBarrier barrier{};
  barrier.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
  barrier.srcAccessMask = source;
  barrier.dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT;
  logical->vk().vkCmdPipelineBarrier(commands, source_stages, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                                     0, 1, &barrier, 0, nullptr, 0, nullptr);
}

void CommandGraph::Impl::record_dispatch(std::size_t index) const {
  const DeviceFunctions& vk = logical->vk();
  const Dispatch& dispatch = dispatches[index];
  const VkPipelineLayout layout = device->pipeline_layout.get();
  vk.vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE,
                       kernels[index]->impl().pipeline.get());
  const VkDescriptorSet set = descriptors->set(index);
  vk.vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, layout, 0, 1, &set, 0,
                             nullptr);
  if (!dispatch.push.empty()) {
    vk.vkCmdPushConstants(commands, layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                          static_cast<std::uint32_t>(dispatch.push.size()), dispatch.push.data());
  }
  if (timestamps) timestamps->begin(commands, index);
  vk.vkCmdDispatch(commands, dispatch.groups[0], dispatch.groups[1], dispatch.groups[2]);
  if (timestamps) timestamps->end(commands, index);
}

void CommandGraph::Impl::record_commands() const {
  const DeviceFunctions& vk = logical->vk();
  VkCommandBufferBeginInfo info{};
  info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
  info.flags = VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT;
  check(vk.vkBeginCommandBuffer(commands, &info), "recording a command graph");
  if (timestamps) timestamps->reset(commands);
  bool first = true;
  for (const auto& level : levels) {
    for (std::size_t i = 0; i < level.size(); ++i) {
      // Before the first level: against the replay before and against transfers. A profiled
      // dispatch stands alone, so that its time is its own.
      if (first) {
        record_barrier(VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
                       VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT);
      } else if (i == 0 || timestamps) {
        record_barrier(VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_WRITE_BIT);
      }
      first = false;
      record_dispatch(level[i]);
    }
  }
  check(vk.vkEndCommandBuffer(commands), "recording a command graph");
}

void CommandGraph::Impl::check_run(VkResult result) const {
  if (result == VK_SUCCESS) return;
  std::vector<std::string_view> labels;
  for (const auto& level : levels) {
    for (const std::size_t index : level) labels.push_back(dispatches[index].label);
  }
  const std::size_t hidden = labels.size() - std::min(labels.size(), kMaxLabelsShown);
  labels.resize(labels.size() - hidden);
  const std::string work =
      fmt::format("{} dispatch{} ({}{})", dispatches.size(), dispatches.size() == 1 ? "" : "es",
                  fmt::join(labels, ", "), hidden > 0 ? fmt::format(" and {} more", hidden) : "");
  if (result != VK_ERROR_DEVICE_LOST) check(result, "running " + work);
  throw DeviceLostError(fmt::format("device \"{}\" was lost while it ran {}: {}",
                                    device->profile.name, work, way_out(result)));
}

void CommandGraph::Impl::wait_for(Submission& submission) {
  if (!submission.pending) return;
  submission.pending = false;
  check_run(logical->wait(submission.fence.get()));
}

void CommandGraph::Impl::wait() {
  for (std::size_t i = 0; i < kMaxInFlight; ++i) {
    wait_for(in_flight[(next + i) % kMaxInFlight]);  // the older one first
  }
}

void CommandGraph::Impl::submit_once(std::uint32_t repeats) {
  Submission& submission = in_flight[next];
  wait_for(submission);
  next = (next + 1) % kMaxInFlight;
  const std::vector<VkCommandBuffer> buffers(repeats, commands);
  VkSubmitInfo info{};
  info.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
  info.commandBufferCount = repeats;
  info.pCommandBuffers = buffers.data();
  const VkFence fence = submission.fence.get();
  check_run(logical->vk().vkResetFences(logical->handle(), 1, &fence));
  check_run(logical->submit(info, fence));
  submission.pending = true;
}

// Seconds since the first call.
double CommandGraph::Impl::now() {
  const auto time = std::chrono::steady_clock::now();
  if (!host_origin) host_origin = time;
  return std::chrono::duration<double>(time - *host_origin).count();
}

void CommandGraph::Impl::profile_once() {
  const std::uint64_t replay = timestamps->calls();
  const double begin = now();
  submit_once(1);
  const double submitted = now();
  wait();
  const double end = now();
  check_run(timestamps->accumulate(kTracedReplays));
  if (replay >= kTracedReplays) return;
  host_spans.push_back({"submit", replay, begin, submitted});
  host_spans.push_back({"wait", replay, submitted, end});
}

// The host's time when the device's first dispatch began, if the host's first wait ended with the
// device's last dispatch of that replay.
double CommandGraph::Impl::device_origin() const {
  double last_end = 0;
  for (std::size_t i = 0; i < dispatches.size(); ++i) {
    last_end = std::max(last_end, timestamps->spans().at(i).end);
  }
  return host_spans.at(1).end - last_end;
}

CommandGraph::CommandGraph(Device& device, bool profile)
    : impl_(std::make_unique<Impl>(device, profile)) {}

CommandGraph::~CommandGraph() {
  impl_->logical->wait_idle();  // commands in flight use the pools
}

void CommandGraph::add(Dispatch dispatch) {
  if (impl_->recorded) {
    throw std::logic_error(
        fmt::format("dispatch \"{}\": the command graph is already recorded", dispatch.label));
  }
  check_dispatch(dispatch, impl_->device->profile);
  impl_->dispatches.push_back(std::move(dispatch));
}

void CommandGraph::record() {
  if (impl_->recorded) throw std::logic_error("the command graph is already recorded");
  impl_->kernels.clear();
  std::vector<KernelKey> keys;
  for (const Dispatch& dispatch : impl_->dispatches) keys.push_back(dispatch.kernel);
  impl_->device->kernels->prepare(keys);
  for (const Dispatch& dispatch : impl_->dispatches) {
    const Kernel& kernel = impl_->device->kernels->get(dispatch.kernel);
    check_bindings(dispatch, kernel.impl().interface, impl_->device->profile);
    impl_->kernels.push_back(&kernel);
  }
  impl_->levels = schedule_levels(resource_uses(impl_->dispatches));
  if (!impl_->dispatches.empty()) {
    impl_->descriptors = std::make_unique<Descriptors>(
        *impl_->logical, impl_->device->set_layout.get(), impl_->dispatches, impl_->kernels);
  }
  if (impl_->profile && !impl_->dispatches.empty()) {
    impl_->timestamps = std::make_unique<Timestamps>(
        *impl_->logical, impl_->device->profile.timestamp_period, impl_->dispatches.size());
  }
  impl_->commands = allocate_command_buffer(*impl_->logical, impl_->command_pool.get());
  impl_->record_commands();
  impl_->recorded = true;
}

void CommandGraph::submit(std::uint32_t repeats) {
  if (!impl_->recorded) throw std::logic_error("the command graph is submitted before `record`");
  if (impl_->dispatches.empty() || repeats == 0) return;
  if (!impl_->timestamps) {
    impl_->submit_once(repeats);
    return;
  }
  for (std::uint32_t i = 0; i < repeats; ++i) impl_->profile_once();
}

void CommandGraph::wait() { impl_->wait(); }

std::size_t CommandGraph::dispatch_count() const { return impl_->dispatches.size(); }
std::size_t CommandGraph::level_count() const { return impl_->levels.size(); }
std::span<const std::vector<std::size_t>> CommandGraph::levels() const { return impl_->levels; }

std::vector<DispatchTiming> CommandGraph::timings() const {
  std::vector<DispatchTiming> timings;
  if (!impl_->timestamps) return timings;
  const auto calls = static_cast<double>(impl_->timestamps->calls());
  for (std::size_t i = 0; i < impl_->dispatches.size(); ++i) {
    const Dispatch& dispatch = impl_->dispatches[i];
    timings.push_back({dispatch.label, to_string(dispatch.kernel), impl_->timestamps->calls(),
                       impl_->timestamps->seconds(i), dispatch.flops * calls,
                       dispatch.bytes * calls});
  }
  return timings;
}

ProfileTrace CommandGraph::trace() const {
  ProfileTrace trace;
  if (!impl_->timestamps || impl_->timestamps->calls() == 0) return trace;
  trace.host = impl_->host_spans;
  for (const Dispatch& dispatch : impl_->dispatches) {
    trace.dispatches.push_back(
        {dispatch.label, to_string(dispatch.kernel), 0, dispatch.flops, dispatch.bytes});
  }
  for (std::size_t level = 0; level < impl_->levels.size(); ++level) {
    for (const std::size_t i : impl_->levels[level]) trace.dispatches[i].level = level;
  }
  const double origin = impl_->device_origin();
  const auto& spans = impl_->timestamps->spans();
  const std::size_t count = impl_->dispatches.size();
  for (std::size_t replay = 0; replay < spans.size() / count; ++replay) {
    for (const auto& level : impl_->levels) {
      for (const std::size_t i : level) {
        const auto& span = spans[replay * count + i];
        trace.executions.push_back({i, replay, origin + span.begin, origin + span.end});
      }
    }
  }
  return trace;
}

}  // namespace vktrain::runtime
