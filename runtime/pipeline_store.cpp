// Vulkan specification, "Pipeline Cache Header": the first bytes of the driver's data.
#include "runtime/pipeline_store.h"

#include <fmt/format.h>

#include <cstring>
#include <type_traits>

#include "runtime/hash.h"
#include "runtime/user_cache.h"

namespace vktrain::runtime {
namespace {

struct FileHeader {
  std::array<char, 8> magic{'V', 'K', 'T', 'P', 'I', 'P', 'E', '\n'};
  std::uint32_t version = 2;  // 1: of shaders with specialization constants
  std::uint32_t header_size = sizeof(FileHeader);
  std::uint64_t length = 0;    // of the driver's data, in bytes
  std::uint64_t checksum = 0;  // hash64 of owner and data
  PipelineOwner owner;
};
// Written and compared as bytes.
static_assert(std::has_unique_object_representations_v<FileHeader>);

template <typename T>
std::string_view bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

template <typename T>
T read_head(std::string_view bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

std::uint64_t checksum(const PipelineOwner& owner, std::string_view data) {
  Hash64 hash;
  hash.add(bytes_of(owner));
  hash.add(data);
  return hash.value();
}

// Names and sizes too, so that bytes cannot move from one shader to the next unseen.
bool is_of_device(const PipelineOwner& owner, std::string_view data) {
  VkPipelineCacheHeaderVersionOne header{};
  static_assert(sizeof header == 16 + VK_UUID_SIZE);  // the specification packs it
  if (data.size() < sizeof header) return false;
  std::memcpy(&header, data.data(), sizeof header);
  return header.headerSize >= sizeof header && header.headerSize <= data.size() &&
         header.headerVersion == VK_PIPELINE_CACHE_HEADER_VERSION_ONE &&
         header.vendorID == owner.vendor && header.deviceID == owner.device &&
         std::memcmp(header.pipelineCacheUUID, owner.cache_uuid.data(), VK_UUID_SIZE) == 0;
}

VkPipelineCache make_cache(const LogicalDevice& device, std::string_view data) {
  VkPipelineCacheCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO;
  info.initialDataSize = data.size();
  info.pInitialData = data.empty() ? nullptr : data.data();
  VkPipelineCache cache = VK_NULL_HANDLE;
  const VkResult result =
      device.vk().vkCreatePipelineCache(device.handle(), &info, nullptr, &cache);
  if (result != VK_SUCCESS && !data.empty()) return make_cache(device, {});
  check(result, "creating the pipeline cache");
  return cache;
}

}  // namespace

PipelineOwner pipeline_owner(const VkPhysicalDeviceProperties& properties) {
  PipelineOwner owner;
  owner.program = shader_hash();
  owner.vendor = properties.vendorID;
  owner.device = properties.deviceID;
  owner.driver_version = properties.driverVersion;
  std::memcpy(owner.cache_uuid.data(), properties.pipelineCacheUUID, VK_UUID_SIZE);
  return owner;
}

std::string pipeline_file_name(const PipelineOwner& owner) {
  return fmt::format("pipelines-{:016x}.bin", hash64(bytes_of(owner)));
}

std::string pack_pipelines(const PipelineOwner& owner, std::string_view data) {
  FileHeader header;
  header.length = data.size();
  header.checksum = checksum(owner, data);
  header.owner = owner;
  return std::string(bytes_of(header)).append(data);
}

UnpackedPipelines unpack_pipelines(const PipelineOwner& owner, std::string_view file) {
  const auto refuse = [](std::string_view problem) {
    return UnpackedPipelines{.data = {}, .problem = problem};
  };
  if (file.size() < sizeof(FileHeader)) return refuse("it is too short");
  const auto header = read_head<FileHeader>(file);
  const FileHeader expected;
  if (header.magic != expected.magic) return refuse("it is not a file of pipelines");
  if (header.version != expected.version || header.header_size != expected.header_size) {
    return refuse("another version of the program wrote it");
  }
  const std::string_view data = file.substr(sizeof header);
  if (header.length != data.size()) return refuse("its length is wrong");
  if (header.checksum != checksum(header.owner, data)) return refuse("its checksum is wrong");
  if (bytes_of(header.owner) != bytes_of(owner) || !is_of_device(owner, data)) {
    return refuse("it is of another device, driver or program");
  }
  return {.data = data, .problem = {}};
}

PipelineStore::PipelineStore(const LogicalDevice& device,
                             const VkPhysicalDeviceProperties& properties,
                             std::optional<std::filesystem::path> folder, Log log)
    : device_(&device),
      owner_(pipeline_owner(properties)),
      folder_(std::move(folder)),
      log_(std::move(log)) {
  const std::string file = folder_ ? load() : "";
  cache_ = OwnedPipelineCache(device, make_cache(device, unpack_pipelines(owner_, file).data));
  if (folder_) size_at_opening_ = driver_data().value_or("").size();
}

// The file when it can be used, else nothing.
std::string PipelineStore::load() {
  const std::string name = pipeline_file_name(owner_);
  CachedFile file = read_cached(*folder_, name, kMaxPipelineFile);
  std::string problem = file.problem;
  if (file.bytes) {
    const UnpackedPipelines unpacked = unpack_pipelines(owner_, *file.bytes);
    if (unpacked.problem.empty()) return *std::move(file.bytes);
    problem = fmt::format("cannot use '{}': {}.", (*folder_ / name).string(), unpacked.problem);
  }
  if (!problem.empty()) {
    rewrite_ = true;
    log(problem + " The pipelines are compiled again and it is rewritten.");
  }
  return "";
}

std::optional<std::string> PipelineStore::driver_data() const {
  const DeviceFunctions& vk = device_->vk();
  std::size_t size = 0;
  if (vk.vkGetPipelineCacheData(device_->handle(), cache_.get(), &size, nullptr) != VK_SUCCESS) {
    return std::nullopt;
  }
  std::string data(size, '\0');
  if (vk.vkGetPipelineCacheData(device_->handle(), cache_.get(), &size, data.data()) !=
      VK_SUCCESS) {
    return std::nullopt;
  }
  data.resize(size);
  return data;
}

void PipelineStore::save() const {
  const std::optional<std::string> data = driver_data();
  if (!data || !is_of_device(owner_, *data)) {
    // Such as lavapipe of Mesa 26. What was refused would be refused again and again.
    std::error_code ignored;
    if (rewrite_) std::filesystem::remove(*folder_ / pipeline_file_name(owner_), ignored);
    return;
  }
  if (data->size() <= size_at_opening_ && !rewrite_) return;
  const std::string file = pack_pipelines(owner_, *data);
  if (file.size() > kMaxPipelineFile) return;
  const std::string problem = write_cached(*folder_, pipeline_file_name(owner_),
                                           std::as_bytes(std::span(file.data(), file.size())));
  if (!problem.empty()) log(problem);
}

void PipelineStore::log(std::string_view sentence) const {
  if (log_) log_(sentence);
}

PipelineStore::~PipelineStore() {
  if (!folder_) return;
  try {
    save();
  } catch (...) {
    // No memory for a copy of the data: the next run compiles again.
  }
}

}  // namespace vktrain::runtime
