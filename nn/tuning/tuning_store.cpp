#include "nn/tuning/tuning_store.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <span>

#include "runtime/hash.h"
#include "runtime/profile_json.h"
#include "runtime/user_cache.h"

namespace vktrain::nn {
namespace {

constexpr int kFormat = 2;
constexpr std::size_t kMostBytes = std::size_t{16} << 20;

std::string to_text(const std::map<std::string, std::string>& owner, const TunedKernels& kernels) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& [key, kernel] : kernels) {
    list.push_back({{"family", key.first},
                    {"shape", key.second},
                    {"kernel", kernel.name},
                    {"measured", kernel.measured}});
  }
  const nlohmann::json document = {{"format", kFormat}, {"owner", owner}, {"kernels", list}};
  return document.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

// Throws nlohmann::json::exception when the text is not such a document.
TunedKernels from_text(const std::string& text, const std::map<std::string, std::string>& owner,
                       std::string& problem) {
  const nlohmann::json document = nlohmann::json::parse(text);
  TunedKernels kernels;
  if (document.at("format") != kFormat || document.at("owner") != nlohmann::json(owner)) {
    problem = "it is of another device, driver or program";
    return kernels;
  }
  for (const nlohmann::json& entry : document.at("kernels")) {
    const VariantChoices::Key key = {entry.at("family").get<std::string>(),
                                     entry.at("shape").get<std::string>()};
    kernels[key] = {entry.at("kernel").get<std::string>(), entry.at("measured").get<bool>()};
  }
  return kernels;
}

}  // namespace

TunedKernels merge(const TunedKernels& ours, const TunedKernels& theirs) {
  TunedKernels merged = theirs;
  for (const auto& [key, kernel] : ours) {
    const auto [entry, is_new] = merged.try_emplace(key, kernel);
    if (!is_new && kernel.measured && !entry->second.measured) entry->second = kernel;
  }
  return merged;
}

TuningStore::TuningStore(std::optional<std::filesystem::path> folder,
                         const runtime::DeviceProfile& device)
    : folder_(std::move(folder)),
      owner_({{"device", device.name},
              {"device id", fmt::format("{:04x}:{:04x}", device.vendor_id, device.device_id)},
              {"driver", device.driver_name},
              {"driver info", device.driver_info},
              {"shaders", fmt::format("{:016x}", runtime::shader_hash())}}) {
  if (!device.limits.empty()) {
    const std::string profile = runtime::profile_object(device).dump(
        -1, ' ', false, nlohmann::json::error_handler_t::replace);
    owner_["limits"] = fmt::format("{} {:016x}", device.limits, runtime::hash64(profile));
  }
  runtime::Hash64 hash;
  for (const auto& [key, value] : owner_) hash.add(fmt::format("{}={};", key, value));
  file_name_ = fmt::format("kernels-{:016x}.json", hash.value());
}

TunedKernels TuningStore::load() {
  problem_.clear();
  if (!folder_) return {};
  const runtime::CachedFile file = runtime::read_cached(*folder_, file_name_, kMostBytes);
  TunedKernels kernels;
  std::string problem = file.problem;
  try {
    if (file.bytes) kernels = from_text(*file.bytes, owner_, problem);
  } catch (const nlohmann::json::exception&) {
    problem = "it is damaged";
  }
  if (!problem.empty()) {
    problem_ = fmt::format("the remembered kernels in '{}' are ignored: {}",
                           (*folder_ / file_name_).string(), problem);
  }
  return kernels;
}

std::optional<TunedKernels> TuningStore::save(const TunedKernels& kernels,
                                              const TunedKernels& outdated) {
  if (!folder_) return std::nullopt;
  TunedKernels held = load();
  std::erase_if(held, [&outdated](const auto& entry) {
    const auto found = outdated.find(entry.first);
    return found != outdated.end() && found->second == entry.second;
  });
  TunedKernels merged = merge(kernels, held);
  const std::string text = to_text(owner_, merged);
  const std::string problem =
      runtime::write_cached(*folder_, file_name_, std::as_bytes(std::span(text)));
  problem_ = problem.empty() ? "" : fmt::format("the kernels cannot be remembered: {}", problem);
  if (!problem.empty()) return std::nullopt;
  return merged;
}

}  // namespace vktrain::nn
