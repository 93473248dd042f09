// Whole files, written so that a reader, a crash or a full disk never meets half of one: write to
// a temporary beside the target, sync, rename, sync the folder.
#pragma once

#include <cstddef>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <string_view>

namespace vktrain {

// After the call the target holds `bytes`; when it throws Error, the target is as it was and the
// temporary is gone. A symbolic link stays and its target is replaced. The folder must exist; a
// target that is not a regular file is refused.
void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

// Renames a file that is complete over `target` (same folder) and makes both durable. Throws
// Error; then both are as they were.
void move_into_place(const std::filesystem::path& complete, const std::filesystem::path& target);

// The whole file. Throws Error when it is missing, not a regular file, larger than `limit` bytes or
// cannot be read.
std::string read_text_file(const std::filesystem::path& path,
                           std::size_t limit = std::numeric_limits<std::size_t>::max());

// Throws Error unless `path` is a regular file or a link to one: opening a pipe or a device in its
// place could wait for ever.
void require_regular_file(const std::filesystem::path& path);

}  // namespace vktrain
