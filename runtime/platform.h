// What operating systems do differently, declared once and defined in one file per system
// (platform_posix.cpp, platform_windows.cpp); everything else in the program is the same
// everywhere. Text of the system is UTF-8; names given to the program may be any bytes on POSIX
// systems.
//
// Functions that return bool or a FileDescriptor leave the reason of a failure in errno.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/file_descriptor.h"

namespace vktrain {

// The file that a text names: from the command line, a variable or another file. Not by path's own
// constructor, for which GCC 12's library on Windows takes each byte of a std::string for a
// character. The other way path::string() is right everywhere. Text that is no UTF-8 throws on
// Windows.
inline std::filesystem::path path_of(std::string_view text) {
  return std::u8string(text.begin(), text.end());
}

enum class OpenMode {
  read,
  create,  // to write; a file that is there is an error
  update,  // to read and write; made when it is not there, kept as it is when it is
};
// Bytes as they are, never a text mode; programs that this one starts do not inherit it.
FileDescriptor open_file(const std::filesystem::path& path, OpenMode mode);

// Bytes read, 0 at the end, or negative.
std::int64_t read_some(const FileDescriptor& file, std::span<std::byte> bytes);
bool write_all(const FileDescriptor& file, std::span<const std::byte> bytes);
// Cuts or lengthens the file to `size` bytes; what is written next comes after them.
bool resize_file(const FileDescriptor& file, std::int64_t size);
// The bytes are on the disk afterwards, or where a system cannot tell, on their way.
bool sync_file(const FileDescriptor& file);
// The same for the names in a folder.
bool sync_folder(const std::filesystem::path& folder);
// Gives `file` the permissions of the file `other`, if there is one.
bool copy_permissions(const std::filesystem::path& other, const FileDescriptor& file);

// For this process alone until it is closed; does not wait: EWOULDBLOCK when another has it.
bool lock_file(const FileDescriptor& file);
FileDescriptor lock_folder(const std::filesystem::path& folder);

std::optional<std::string> environment_variable(const char* name);
// The path that a variable holds; empty when it is not absolute.
std::optional<std::filesystem::path> absolute_variable(const char* name);

// Where programs keep caches: XDG_CACHE_HOME or ~/.cache, on macOS ~/Library/Caches, on Windows
// %LOCALAPPDATA%. Empty when the environment names no absolute path.
// Source: XDG base directory specification 0.8, in which a relative path is to be ignored.
std::optional<std::filesystem::path> system_cache_folder();
// Where programs find data that belong to no user, best first: /usr/share and XDG_DATA_DIRS; on
// Windows %PROGRAMDATA%.
std::vector<std::filesystem::path> system_data_folders();

std::int64_t process_id();
// Processor time of all threads of this process.
double process_cpu_seconds();
// Bytes that programs may take without swapping; empty where the system does not tell.
std::optional<std::uint64_t> available_memory();

enum class StandardStream { output, error };
// Columns of the terminal that the stream goes to; 0 when it goes elsewhere.
int terminal_columns(StandardStream stream);
// main()'s arguments without the program's name. On Windows also sets the console to UTF-8.
std::vector<std::string> command_line(int argc, char** argv);

// Parts of messages that tell a way out.
struct SystemWords {
  std::string_view cache_variables;  // "XDG_CACHE_HOME or HOME"
  std::string_view vulkan_loader;    // its name in brackets, and where it comes from
  std::string_view data_set;         // a package that has FashionMNIST, with ", " after it
};
const SystemWords& system_words();

}  // namespace vktrain
