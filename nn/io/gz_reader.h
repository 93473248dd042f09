// Reads a file through zlib: decompresses a gzip file (RFC 1952), passes any other file through
// as it is. Damage and truncation are errors, never a short read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

struct gzFile_s;

namespace vktrain::nn {

class GzReader {
 public:
  // Throws Error when the file is missing or not a regular file.
  explicit GzReader(const std::filesystem::path& path);

  // Fills `bytes` as far as the file goes and returns how many were read; less than asked for only
  // at the end of the file, whose gzip checksum has then been checked. Throws Error for a damaged
  // or truncated gzip file.
  std::size_t read(std::span<std::uint8_t> bytes);

 private:
  struct Close {
    void operator()(gzFile_s* file) const;
  };
  void check();

  std::filesystem::path path_;
  std::unique_ptr<gzFile_s, Close> file_;
};

}  // namespace vktrain::nn
