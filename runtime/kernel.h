// Kernels: a shader of shaders/ with values for its specialization constants.
//
// All kernels share one interface: up to 8 storage buffers in descriptor set 0 (binding i is the
// dispatch's i-th binding), each of which a shader may read as a uniform texel buffer at binding
// 8 + i instead, of the format that the dispatch's binding says, and at most 128 bytes of push
// constants.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/device.h"

namespace vktrain::runtime {

inline constexpr std::size_t kMaxBindings = 8;
inline constexpr std::size_t kMaxPushBytes = 128;

// Names of all embedded shaders, sorted.
std::vector<std::string_view> shader_names();
// Some shaders are left out where the GLSL compiler that built the library does not know them.
bool has_shader(std::string_view name);
// SPIR-V words of an embedded shader; throws std::invalid_argument for an unknown name.
std::span<const std::uint32_t> shader_code(std::string_view name);

struct KernelKey {
  std::string shader;                    // base name of the .comp file
  std::vector<std::uint32_t> constants;  // value of specialization constant id 0, 1, 2, ...
                                         // (floats by their bits, booleans as 0 and 1)
  auto operator<=>(const KernelKey&) const = default;
};
std::string to_string(const KernelKey& key);  // "gemm_register<8,1,0>"

class Kernel {
 public:
  struct Impl;
  explicit Kernel(std::unique_ptr<Impl> impl);
  ~Kernel();
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;
  const Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

// Compiled kernels of one device. `get` compiles on first use and throws DeviceError, naming the
// kernel, when its workgroup is too large for the device or the driver refuses it, and
// std::invalid_argument when there is no such shader.
class KernelCache {
 public:
  struct Impl;
  explicit KernelCache(Device& device);
  ~KernelCache();
  KernelCache(const KernelCache&) = delete;
  KernelCache& operator=(const KernelCache&) = delete;

  const Kernel& get(const KernelKey& key);

  // Compiles those of the kernels that `get` has not met yet, at once on up to 8 threads (no more
  // than the processor has, and no more than there are kernels). Throws what `get` would throw for
  // the first of `keys` that fails; those that did compile are kept. No thread outlives the call.
  // lavapipe only parses here: it compiles a kernel in the first dispatch, on the queue's thread.
  void prepare(std::span<const KernelKey> keys);

  // Whether the kernel compiles on this device; where it does not, `why` (may be null) tells the
  // DeviceError. Throws std::invalid_argument when there is no such shader.
  bool try_prepare(const KernelKey& key, std::string* why);

  // Makes SPIR-V known to this cache under a name, before the embedded shaders of that name (tests
  // and generated kernels). Throws std::invalid_argument when the name is already added.
  void add_shader(std::string name, std::span<const std::uint32_t> code);

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace vktrain::runtime
