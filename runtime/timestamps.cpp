// Vulkan specification, "Timestamp Queries": BOTTOM_OF_PIPE waits for all commands before it.
#include "runtime/timestamps.h"

#include <fmt/format.h>

namespace vktrain::runtime {

double elapsed_seconds(std::uint64_t begin, std::uint64_t end, std::uint32_t valid_bits,
                       double nanoseconds_a_tick) {
  const std::uint64_t mask =
      valid_bits >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << valid_bits) - 1;
  return static_cast<double>((end - begin) & mask) * nanoseconds_a_tick * 1e-9;
}

Timestamps::Timestamps(const LogicalDevice& device, double nanoseconds_a_tick,
                       std::size_t dispatches)
    : device_(&device), nanoseconds_a_tick_(nanoseconds_a_tick), seconds_(dispatches, 0.0) {
  VkQueryPoolCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO;
  info.queryType = VK_QUERY_TYPE_TIMESTAMP;
  info.queryCount = static_cast<std::uint32_t>(2 * dispatches);
  VkQueryPool pool = VK_NULL_HANDLE;
  check(device.vk().vkCreateQueryPool(device.handle(), &info, nullptr, &pool),
        fmt::format("creating a query pool for {} dispatches", dispatches));
  pool_ = OwnedQueryPool(device, pool);
}

void Timestamps::reset(VkCommandBuffer commands) const {
  device_->vk().vkCmdResetQueryPool(commands, pool_.get(), 0,
                                    static_cast<std::uint32_t>(2 * seconds_.size()));
}

void Timestamps::begin(VkCommandBuffer commands, std::size_t dispatch) const {
  device_->vk().vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, pool_.get(),
                                    static_cast<std::uint32_t>(2 * dispatch));
}

void Timestamps::end(VkCommandBuffer commands, std::size_t dispatch) const {
  device_->vk().vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, pool_.get(),
                                    static_cast<std::uint32_t>(2 * dispatch + 1));
}

VkResult Timestamps::accumulate(std::uint64_t kept) {
  std::vector<std::uint64_t> ticks(2 * seconds_.size());
  const VkResult result = device_->vk().vkGetQueryPoolResults(
      device_->handle(), pool_.get(), 0, static_cast<std::uint32_t>(ticks.size()),
      ticks.size() * sizeof(std::uint64_t), ticks.data(), sizeof(std::uint64_t),
      VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT);
  if (result != VK_SUCCESS) return result;
  const auto seconds_between = [&](std::uint64_t begin, std::uint64_t end) {
    return elapsed_seconds(begin, end, device_->timestamp_valid_bits(), nanoseconds_a_tick_);
  };
  if (calls_ == 0) origin_ = ticks[0];
  for (std::size_t i = 0; i < seconds_.size(); ++i) {
    const double seconds = seconds_between(ticks[2 * i], ticks[2 * i + 1]);
    seconds_[i] += seconds;
    if (calls_ >= kept) continue;
    const double begin = seconds_between(origin_, ticks[2 * i]);
    spans_.push_back({begin, begin + seconds});
  }
  ++calls_;
  return VK_SUCCESS;
}

}  // namespace vktrain::runtime
