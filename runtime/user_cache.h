// The user's cache of this program: files that may vanish at any time. They save time, and the
// tuner's also fix which kernels run: without them later runs may differ in their last bits.
// Reading and writing them never throws: what goes wrong is a sentence for the log.
// Source of the folders: XDG base directory specification 0.8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace vktrain::runtime {

// VKTRAIN_CACHE_DIR, else "vktrain" in the system's folder (platform.h). Empty when there is none,
// or when VKTRAIN_CACHE_DIR is set to nothing, which switches the cache off. The folder need not
// exist.
std::optional<std::filesystem::path> user_cache_folder();

// Of the names and the SPIR-V of all embedded shaders: what is kept for one build's kernels must
// not serve another's.
std::uint64_t shader_hash();

struct CachedFile {
  std::optional<std::string> bytes;  // empty when the file does not exist or cannot be used
  std::string problem;               // why it cannot be used; empty when it does not exist
};
// A whole file of at most `limit` bytes.
CachedFile read_cached(const std::filesystem::path& folder, std::string_view name,
                       std::size_t limit);

// Makes the folder if need be and replaces the file atomically: of two processes that write at
// once, one wins, and a reader meets a whole file. Returns why it could not; empty when it could.
std::string write_cached(const std::filesystem::path& folder, std::string_view name,
                         std::span<const std::byte> bytes);

}  // namespace vktrain::runtime
