// See idx.h. Memory grows with the bytes that really arrive, so that a header that lies about its
// dimensions costs nothing.
#include "nn/data/idx.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <span>

#include "nn/io/gz_reader.h"
#include "runtime/error.h"

namespace vktrain::nn {

namespace {

std::uint32_t big_endian(std::span<const std::uint8_t, 4> bytes) {
  return static_cast<std::uint32_t>(bytes[0]) << 24 | static_cast<std::uint32_t>(bytes[1]) << 16 |
         static_cast<std::uint32_t>(bytes[2]) << 8 | static_cast<std::uint32_t>(bytes[3]);
}

class IdxReader {
 public:
  explicit IdxReader(const std::filesystem::path& path) : name_(path.string()), file_(path) {}

  IdxArray read() {
    IdxArray array;
    const std::uint32_t rank = read_rank();
    std::uint64_t expected = 1;
    bool too_large = false;
    for (std::uint32_t i = 0; i < rank; ++i) {
      array.dims.push_back(read_word("its dimensions"));
      // expected <= 2^32 here, so that the product fits 64 bits.
      expected *= array.dims.back();
      if (expected > kMaxIdxBytes) {
        too_large = true;
        expected = 1;
      }
    }
    if (too_large && std::ranges::find(array.dims, 0U) == array.dims.end()) {
      throw Error(
          fmt::format("'{}' is not usable: expected dimensions of at most {} bytes, found {}.",
                      name_, kMaxIdxBytes, fmt::join(array.dims, " x ")));
    }
    if (too_large) expected = 0;
    read_elements(expected, array.bytes);
    if (std::uint8_t extra = 0; file_.read({&extra, 1}) != 0) {
      throw Error(
          fmt::format("'{}' is damaged: expected {} bytes of data for dimensions {}, found more.",
                      name_, expected, fmt::join(array.dims, " x ")));
    }
    return array;
  }

 private:
  std::uint32_t read_word(const char* what) {
    std::array<std::uint8_t, 4> bytes{};
    const std::size_t got = file_.read(bytes);
    if (got < bytes.size()) {
      throw Error(
          fmt::format("'{}' is truncated: expected 4 bytes of {}, found {}.", name_, what, got));
    }
    return big_endian(bytes);
  }

  std::uint32_t read_rank() {
    const std::uint32_t magic = read_word("the IDX magic number");
    const std::uint32_t type = magic >> 8;
    const std::uint32_t rank = magic & 0xffU;
    constexpr std::uint32_t kUnsignedByte = 0x08;
    if (type > 0xff || type < kUnsignedByte || rank == 0) {
      throw Error(
          fmt::format("'{}' is not an IDX file: expected a magic number such as 0x00000803, "
                      "found 0x{:08x}.",
                      name_, magic));
    }
    if (type != kUnsignedByte) {
      throw Error(
          fmt::format("'{}' has the wrong element type: expected unsigned bytes (0x08), "
                      "found 0x{:02x}.",
                      name_, type));
    }
    return rank;
  }

  void read_elements(std::uint64_t expected, std::vector<std::uint8_t>& bytes) {
    constexpr std::uint64_t kChunk = 8ULL << 20;
    while (bytes.size() < expected) {
      const std::size_t before = bytes.size();
      const auto chunk = static_cast<std::size_t>(std::min(kChunk, expected - before));
      bytes.resize(before + chunk);
      const std::size_t got = file_.read(std::span(bytes).subspan(before));
      if (got < chunk) {
        throw Error(fmt::format("'{}' is truncated: expected {} bytes of data, found {}.", name_,
                                expected, before + got));
      }
    }
  }

  std::string name_;
  GzReader file_;
};

}  // namespace

IdxArray read_idx(const std::filesystem::path& path) { return IdxReader(path).read(); }

}  // namespace vktrain::nn
