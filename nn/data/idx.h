// The IDX format of MNIST and FashionMNIST (http://yann.lecun.com/exdb/mnist): a magic number
// 0x0000TTRR (T: element type, R: rank), R big-endian 32-bit dimensions, then the elements.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace vktrain::nn {

struct IdxArray {
  std::vector<std::uint32_t> dims;
  std::vector<std::uint8_t> bytes;  // row-major, product of dims elements
};

// A data set is one storage buffer on the device, whose range Vulkan counts in 32 bits.
inline constexpr std::uint64_t kMaxIdxBytes = 0xffff'ffffULL;

// Reads an array of unsigned bytes (type 0x08), gzip or plain. Throws Error that names the file,
// what was expected and what was found: missing, truncated or damaged file, wrong magic number or
// element type, dimensions beyond kMaxIdxBytes, bytes after the last element.
IdxArray read_idx(const std::filesystem::path& path);

}  // namespace vktrain::nn
