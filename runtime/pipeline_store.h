// The device's VkPipelineCache and the file that keeps it in the user's cache. One file holds the
// pipelines of one device, driver and program. Drivers need not survive damaged cache data (the
// specification demands valid data), so nothing reaches the driver that is not whole and its own.
// Private to the runtime room.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/logical_device.h"

namespace vktrain::runtime {

// A larger file is neither read nor written.
inline constexpr std::size_t kMaxPipelineFile = std::size_t{256} << 20;

// Whose pipelines they are. No padding: compared and hashed as bytes.
struct PipelineOwner {
  std::uint64_t program = 0;  // hash of all embedded shaders
  std::uint32_t vendor = 0;
  std::uint32_t device = 0;
  std::uint32_t driver_version = 0;
  std::array<std::uint8_t, VK_UUID_SIZE> cache_uuid{};
  std::uint32_t reserved = 0;
};
PipelineOwner pipeline_owner(const VkPhysicalDeviceProperties& properties);
std::string pipeline_file_name(const PipelineOwner& owner);  // "pipelines-0123456789abcdef.bin"

// The file: magic, version, length and checksum of the driver's data, the owner, the data.
std::string pack_pipelines(const PipelineOwner& owner, std::string_view data);

struct UnpackedPipelines {
  std::string_view data;     // into the file; empty when it is refused
  std::string_view problem;  // why it is refused, such as "its checksum is wrong"
};
// Refuses what is not exactly a file of this owner. The data begin with a
// VkPipelineCacheHeaderVersionOne of this device.
UnpackedPipelines unpack_pipelines(const PipelineOwner& owner, std::string_view file);

class PipelineStore {
 public:
  using Log = std::function<void(std::string_view)>;

  // Without a folder the pipelines live as long as the device. `log` gets a sentence for each file
  // that cannot be used or written; it may be empty.
  PipelineStore(const LogicalDevice& device, const VkPhysicalDeviceProperties& properties,
                std::optional<std::filesystem::path> folder, Log log);
  // Writes the file when there are more pipelines than at the beginning, or when it was refused.
  ~PipelineStore();
  PipelineStore(const PipelineStore&) = delete;
  PipelineStore& operator=(const PipelineStore&) = delete;

  VkPipelineCache handle() const { return cache_.get(); }
  const PipelineOwner& owner() const { return owner_; }

 private:
  std::string load();
  void save() const;
  std::optional<std::string> driver_data() const;
  void log(std::string_view sentence) const;

  const LogicalDevice* device_;
  PipelineOwner owner_;
  std::optional<std::filesystem::path> folder_;
  Log log_;
  bool rewrite_ = false;             // the file was refused
  std::size_t size_at_opening_ = 0;  // of the driver's data, in bytes
  OwnedPipelineCache cache_;
};

}  // namespace vktrain::runtime
