// The forms of others: the schema of Khronos' Vulkan profiles ("capabilities.device.properties",
// structures and fields by their names in vulkan.h), vulkaninfo's form before it, and
// gpuinfo.org's.
#include "runtime/profile_json.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "runtime/driver_quirks.h"
#include "runtime/error.h"

namespace vktrain::runtime {
namespace {

using Json = nlohmann::ordered_json;

// A value with the path to it, for messages.
class Node {
 public:
  Node(const Json& json, std::string path) : json_(&json), path_(std::move(path)) {}

  bool has(std::string_view key) const { return json_->is_object() && json_->contains(key); }
  Node at(std::string_view key) const {
    std::string path = path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
    if (!has(key)) throw UsageError(fmt::format("expected \"{}\", found no such key", path));
    return {(*json_)[std::string(key)], std::move(path)};
  }
  const Json& json() const { return *json_; }
  const std::string& path() const { return path_; }

  template <class Value>
  Value as(std::string_view expected) const {
    try {
      return json_->get<Value>();
    } catch (const Json::exception&) {
      fail(expected);
    }
  }
  std::string text() const { return as<std::string>("a text"); }
  bool boolean() const { return as<bool>("true or false"); }
  double real() const { return as<double>("a number"); }
  // Of at most `most`.
  std::uint64_t count(std::uint64_t most) const {
    if (!json_->is_number_unsigned() || json_->get<std::uint64_t>() > most) {
      fail(fmt::format("a whole number up to {}", most));
    }
    return json_->get<std::uint64_t>();
  }
  void read(std::uint64_t& value) const { value = count(~std::uint64_t{0}); }
  void read(std::uint32_t& value) const { value = static_cast<std::uint32_t>(count(~0u)); }
  void read(std::array<std::uint32_t, 3>& values) const {
    if (!json_->is_array() || json_->size() != 3) fail("three numbers");
    for (std::size_t axis = 0; axis < 3; ++axis) {
      Node((*json_)[axis], fmt::format("{}[{}]", path_, axis)).read(values[axis]);
    }
  }

  [[noreturn]] void fail(std::string_view expected) const {
    std::string found = json_->dump(-1, ' ', false, Json::error_handler_t::replace);
    if (found.size() > 60) found = found.substr(0, 57) + "...";
    throw UsageError(fmt::format("\"{}\": expected {}, found {}", path_, expected, found));
  }

 private:
  const Json* json_;
  std::string path_;
};

// A limit of zero makes no sense, and none of a division by it.
void require_limits(const DeviceProfile& profile) {
  const auto require = [](std::string_view what, std::uint64_t value) {
    if (value == 0) throw UsageError(fmt::format("expected a {} above 0, found 0", what));
  };
  const auto require_alignment = [](std::string_view what, std::uint64_t value) {
    if (value == 0 || (value & (value - 1)) != 0) {
      throw UsageError(fmt::format("expected a power of two as {}, found {}", what, value));
    }
  };
  require("storage range", profile.max_storage_range);
  require("largest allocation", profile.max_allocation);
  for (const std::uint32_t count : profile.max_workgroup_count) require("workgroup count", count);
  for (const std::uint32_t size : profile.max_workgroup_size) require("workgroup size", size);
  require_alignment("storage buffer alignment", profile.storage_alignment);
  require_alignment("texel buffer alignment", profile.texel_alignment);
}

DeviceProfile read_own(const Node& node) {
  DeviceProfile profile;
  const std::string kind = node.at("type").text();
  const std::optional<DeviceKind> known = parse_device_kind(kind);
  if (!known) node.at("type").fail("discrete, integrated, virtual, CPU or other");
  profile.kind = *known;
  profile.name = node.at("name").text();
  if (node.has("index")) node.at("index").read(profile.index);
  profile.driver_name = node.at("driver").text();
  profile.driver_info = node.at("driver_info").text();
  profile.api_version = node.at("api_version").text();
  node.at("vendor_id").read(profile.vendor_id);
  node.at("device_id").read(profile.device_id);
  node.at("subgroup_size").read(profile.subgroup_size);
  // Profiles that older versions wrote do not tell of shuffles.
  if (node.has("subgroup_shuffle"))
    profile.subgroup_shuffle = node.at("subgroup_shuffle").boolean();
  if (node.has("half_matrix")) node.at("half_matrix").read(profile.half_matrix);
  node.at("max_shared_memory").read(profile.max_shared_memory);
  node.at("max_workgroup_invocations").read(profile.max_workgroup_invocations);
  node.at("max_workgroup_size").read(profile.max_workgroup_size);
  node.at("max_workgroup_count").read(profile.max_workgroup_count);
  node.at("max_push_constants").read(profile.max_push_constants);
  node.at("max_storage_buffers").read(profile.max_storage_buffers);
  node.at("max_storage_range").read(profile.max_storage_range);
  node.at("storage_alignment").read(profile.storage_alignment);
  node.at("max_texel_elements").read(profile.max_texel_elements);
  node.at("texel_alignment").read(profile.texel_alignment);
  node.at("max_allocation").read(profile.max_allocation);
  // Nor of the limit that a driver has without telling it.
  profile.max_loop_turns = quirk_of(profile.driver_name).max_loop_turns;
  if (node.has("max_loop_turns")) node.at("max_loop_turns").read(profile.max_loop_turns);
  node.at("memory").read(profile.memory);
  profile.timestamps = node.at("timestamps").boolean();
  profile.timestamp_period = node.at("timestamp_period").real();
  if (node.has("limits") && !node.at("limits").json().is_null()) {
    profile.limits = node.at("limits").text();
  }
  if (node.has("refused")) {
    profile.refused = node.at("refused").as<std::vector<std::string>>("a list of texts");
  }
  return profile;
}

// VkPhysicalDeviceType, by number or by name.
DeviceKind kind_of(const Node& node) {
  constexpr DeviceKind kByNumber[] = {DeviceKind::other, DeviceKind::integrated,
                                      DeviceKind::discrete, DeviceKind::virtual_gpu,
                                      DeviceKind::cpu};
  constexpr std::string_view kByName[] = {"OTHER", "INTEGRATED_GPU", "DISCRETE_GPU", "VIRTUAL_GPU",
                                          "CPU"};
  if (node.json().is_number()) return kByNumber[node.count(std::size(kByNumber) - 1)];
  const std::string name = node.text();
  for (std::size_t i = 0; i < std::size(kByName); ++i) {
    if (name == fmt::format("VK_PHYSICAL_DEVICE_TYPE_{}", kByName[i])) return kByNumber[i];
  }
  node.fail("a VkPhysicalDeviceType");
}

std::string version_text(std::uint32_t version) {  // VK_API_VERSION_MAJOR, _MINOR and _PATCH
  return fmt::format("{}.{}.{}", (version >> 22) & 0x7f, (version >> 12) & 0x3ff, version & 0xfff);
}

// VkPhysicalDeviceProperties.
void read_properties(const Node& properties, DeviceProfile& profile) {
  profile.name = properties.at("deviceName").text();
  profile.kind = kind_of(properties.at("deviceType"));
  properties.at("vendorID").read(profile.vendor_id);
  properties.at("deviceID").read(profile.device_id);
  std::uint32_t version = 0;
  if (properties.at("apiVersion").json().is_number()) properties.at("apiVersion").read(version);
  profile.api_version = version_text(version);
  const Node limits = properties.at("limits");
  limits.at("maxComputeSharedMemorySize").read(profile.max_shared_memory);
  limits.at("maxComputeWorkGroupInvocations").read(profile.max_workgroup_invocations);
  limits.at("maxComputeWorkGroupSize").read(profile.max_workgroup_size);
  limits.at("maxComputeWorkGroupCount").read(profile.max_workgroup_count);
  limits.at("maxPushConstantsSize").read(profile.max_push_constants);
  std::uint32_t in_set = 0;
  limits.at("maxDescriptorSetStorageBuffers").read(in_set);
  limits.at("maxPerStageDescriptorStorageBuffers").read(profile.max_storage_buffers);
  profile.max_storage_buffers = std::min(profile.max_storage_buffers, in_set);
  limits.at("maxStorageBufferRange").read(profile.max_storage_range);
  limits.at("minStorageBufferOffsetAlignment").read(profile.storage_alignment);
  limits.at("maxTexelBufferElements").read(profile.max_texel_elements);
  limits.at("minTexelBufferOffsetAlignment").read(profile.texel_alignment);
  profile.timestamp_period = limits.at("timestampPeriod").real();
}

// A set of flags, by number or by names.
bool has_flag(const Node& flags, std::uint64_t bit, std::string_view name) {
  if (flags.json().is_number()) return (flags.count(~0u) & bit) != 0;
  const auto names = flags.as<std::vector<std::string>>("a number or a list of flags");
  return std::ranges::find(names, name) != names.end();
}

// `structures` holds the chain of VkPhysicalDeviceProperties2 by the structures' names.
void read_chain(const Node& structures, DeviceProfile& profile) {
  const auto read_subgroup = [&profile](const Node& node, const std::string& size,
                                        const std::string& prefix) {
    node.at(size).read(profile.subgroup_size);
    profile.subgroup_shuffle =
        has_flag(node.at(prefix + "Stages"), 0x20, "VK_SHADER_STAGE_COMPUTE_BIT") &&
        has_flag(node.at(prefix + "Operations"), 0x10, "VK_SUBGROUP_FEATURE_SHUFFLE_BIT");
  };
  if (structures.has("VkPhysicalDeviceSubgroupProperties")) {
    read_subgroup(structures.at("VkPhysicalDeviceSubgroupProperties"), "subgroupSize", "supported");
  } else if (structures.has("VkPhysicalDeviceVulkan11Properties")) {
    read_subgroup(structures.at("VkPhysicalDeviceVulkan11Properties"), "subgroupSize",
                  "subgroupSupported");
  }
  profile.max_allocation = std::uint64_t{1} << 30;
  for (const char* name :
       {"VkPhysicalDeviceMaintenance3Properties", "VkPhysicalDeviceVulkan11Properties"}) {
    if (!structures.has(name)) continue;
    structures.at(name).at("maxMemoryAllocationSize").read(profile.max_allocation);
  }
  for (const char* name :
       {"VkPhysicalDeviceMaintenance4Properties", "VkPhysicalDeviceVulkan13Properties"}) {
    if (!structures.has(name) || !structures.at(name).has("maxBufferSize")) continue;
    std::uint64_t most = 0;
    structures.at(name).at("maxBufferSize").read(most);
    if (most != 0) profile.max_allocation = std::min(profile.max_allocation, most);
  }
  for (const char* name :
       {"VkPhysicalDeviceVulkan12Properties", "VkPhysicalDeviceDriverProperties"}) {
    if (!structures.has(name)) continue;
    profile.driver_name = structures.at(name).at("driverName").text();
    profile.driver_info = structures.at(name).at("driverInfo").text();
  }
}

DeviceProfile read_foreign(const Node& properties, const Node& structures) {
  DeviceProfile profile;
  profile.memory = ~std::uint64_t{0};  // the forms tell of it in too many ways
  read_properties(properties, profile);
  read_chain(structures, profile);
  profile.max_loop_turns = quirk_of(profile.driver_name).max_loop_turns;
  return profile;
}

DeviceProfile read_one(const Node& node) {
  if (node.has("capabilities")) {
    const Node structures = node.at("capabilities").at("device").at("properties");
    return read_foreign(structures.at("VkPhysicalDeviceProperties"), structures);
  }
  if (node.has("VkPhysicalDeviceProperties")) {
    return read_foreign(node.at("VkPhysicalDeviceProperties"), node);
  }
  if (node.has("properties") && node.at("properties").has("limits")) {
    return read_foreign(node.at("properties"), node);
  }
  if (node.has("device") && node.at("device").has("max_shared_memory")) {
    return read_own(node.at("device"));
  }
  if (node.has("max_shared_memory")) return read_own(node);
  throw UsageError(
      "expected a profile as `vktrain devices --json` or `vulkaninfo --json` prints it, found "
      "another form of JSON");
}

DeviceProfile read_document(const Json& document, std::optional<std::size_t> position,
                            const std::string& file) {
  if (!document.is_array()) {
    if (position.value_or(0) != 0) {
      throw UsageError(
          fmt::format("expected a list with a device {}, found one device", *position));
    }
    return read_one(Node(document, ""));
  }
  if (document.empty()) throw UsageError("expected a device, found an empty list");
  if (!position && document.size() > 1) {
    throw UsageError(fmt::format("expected one device, found {}; choose one by its position: {}:0",
                                 document.size(), file));
  }
  const std::size_t at = position.value_or(0);
  if (at >= document.size()) {
    throw UsageError(
        fmt::format("expected a device {}, found {} (the first is 0)", at, document.size()));
  }
  return read_one(Node(document[at], fmt::format("[{}]", at)));
}

// Empty when there is none; a folder opens, too, and throws when it is read.
std::string text_of(const std::filesystem::path& file) {
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored)) return {};
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace

Json profile_object(const DeviceProfile& d) {
  Json json;
  json["index"] = d.index;
  json["name"] = d.name;
  json["type"] = std::string(to_string(d.kind));
  json["driver"] = d.driver_name;
  json["driver_info"] = d.driver_info;
  json["api_version"] = d.api_version;
  json["vendor_id"] = d.vendor_id;
  json["device_id"] = d.device_id;
  json["limits"] = d.limits.empty() ? Json(nullptr) : Json(d.limits);
  json["subgroup_size"] = d.subgroup_size;
  json["subgroup_shuffle"] = d.subgroup_shuffle;
  json["half_matrix"] = d.half_matrix;
  json["max_shared_memory"] = d.max_shared_memory;
  json["max_workgroup_invocations"] = d.max_workgroup_invocations;
  json["max_workgroup_size"] = d.max_workgroup_size;
  json["max_workgroup_count"] = d.max_workgroup_count;
  json["max_push_constants"] = d.max_push_constants;
  json["max_storage_buffers"] = d.max_storage_buffers;
  json["max_storage_range"] = d.max_storage_range;
  json["storage_alignment"] = d.storage_alignment;
  json["max_texel_elements"] = d.max_texel_elements;
  json["texel_alignment"] = d.texel_alignment;
  json["max_allocation"] = d.max_allocation;
  json["max_loop_turns"] = d.max_loop_turns;
  json["memory"] = d.memory;
  json["timestamps"] = d.timestamps;
  json["timestamp_period"] = d.timestamp_period;
  json["usable"] = d.usable();
  json["refused"] = d.refused;
  return json;
}

DeviceProfile read_profile(const std::filesystem::path& file, std::optional<std::size_t> position) {
  const std::string name = file.string();
  const std::string text = text_of(file);
  if (text.empty()) {
    std::error_code ignored;
    throw UsageError(fmt::format(
        "limits '{}': expected \"minimum\", \"none\" or a file with a device's profile, found {}",
        name,
        std::filesystem::exists(file, ignored) ? "nothing that can be read" : "no such file"));
  }
  Json document;
  try {
    document = Json::parse(text);
  } catch (const Json::exception& error) {
    throw UsageError(fmt::format("limits '{}': expected JSON, found none: {}", name, error.what()));
  }
  try {
    DeviceProfile profile = read_document(document, position, name);
    require_limits(profile);
    if (profile.name.empty()) profile.name = file.filename().string();
    return profile;
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("limits '{}': {}", name, error.what()));
  }
}

}  // namespace vktrain::runtime
