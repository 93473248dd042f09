// Vulkan devices: listing, choosing with reasons, opening. Hides every Vulkan type from the rooms
// above. The Vulkan loader is found at run time (volk); without one, `list_devices` throws a
// DeviceError that says what to install.
//
// Threads: a Device and everything made from it belong to one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/profile_limits.h"
#include "runtime/validation_checks.h"

namespace vktrain::runtime {

// Every Vulkan device of the system, usable or not, in the loader's order.
std::vector<DeviceProfile> list_devices();

// Chooses by selector: "auto" (usable, discrete before integrated before virtual before CPU before
// other; ties to the lower index), an index, or a part of the name without regard to case. Throws
// DeviceError when the system has no device (for "auto": no usable one), UsageError when the one
// asked for does not exist or cannot be used. Messages list every device with the reasons for
// refusal.
const DeviceProfile& choose_device(std::span<const DeviceProfile> devices,
                                   std::string_view selector);

struct DeviceOptions {
  std::string selector = "auto";
  // What the device is held to; without a value what the variable VKTRAIN_LIMITS says.
  std::optional<ProfileLimits> limits = std::nullopt;
  bool validate = false;  // Khronos validation layer
  ValidationChecks checks = ValidationChecks::synchronization;
  // Called with each message of the layer, from any thread, also while the device is being closed.
  std::function<void(std::string_view)> on_validation_message = nullptr;
  // Keep compiled pipelines in the user's cache (runtime/user_cache.h) from run to run.
  bool pipeline_cache = true;
  // Compile kernels so that the driver tells their registers (runtime/pipeline_statistics.h).
  bool pipeline_statistics = false;
  // Called with a sentence for what did not work but does no harm, such as a damaged file in the
  // cache, while the device is being opened or closed.
  std::function<void(std::string_view)> on_notice = nullptr;
};

struct Slice;
class KernelCache;

class Device {
 public:
  // Opens a device. With `validate`, throws DeviceError when the layer is not installed. Throws
  // UsageError when the device cannot be used within the limits.
  static std::unique_ptr<Device> open(const DeviceOptions& options);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const DeviceProfile& profile() const;

  // Messages (warnings and errors) of the validation layer so far; always empty without `validate`.
  std::vector<std::string> validation_messages() const;
  bool validating() const;

  KernelCache& kernels();

  // Blocking copies between host memory and a slice of any buffer; sizes in bytes, multiples of 4.
  // `upload` throws std::invalid_argument when the data are larger than the slice.
  void upload(const Slice& destination, std::span<const std::byte> data);
  void download(const Slice& source, std::span<std::byte> data);
  void fill(const Slice& destination, std::uint32_t word);

  struct Impl;  // Vulkan handles, for the runtime's own files
  Impl& impl() { return *impl_; }

 private:
  explicit Device(std::unique_ptr<Impl> impl);
  static void distrust_shuffles(Device& device,
                                const std::function<void(std::string_view)>& notice);
  std::unique_ptr<Impl> impl_;
};

}  // namespace vktrain::runtime
