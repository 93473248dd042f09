#include "runtime/user_cache.h"

#include <fmt/format.h>

#include <system_error>

#include "runtime/atomic_file.h"
#include "runtime/embedded_shaders.h"
#include "runtime/error.h"
#include "runtime/hash.h"
#include "runtime/platform.h"

namespace vktrain::runtime {

namespace fs = std::filesystem;

namespace {

void make_private_folder(const fs::path& folder) {
  std::error_code error;
  // The specification: folders are made for the user alone. One that exists stays as it is.
  if (fs::create_directories(folder, error)) {
    fs::permissions(folder, fs::perms::owner_all, error);
  }
  if (error) {
    throw Error(fmt::format("cannot make the folder '{}': {}.", folder.string(), error.message()));
  }
}

}  // namespace

std::uint64_t shader_hash() {
  Hash64 hash;
  for (const EmbeddedFile& file : embedded_shaders()) {
    hash.add(fmt::format("{}:{};", file.name, file.bytes.size()));
    hash.add(std::as_bytes(file.bytes));
  }
  return hash.value();
}

std::optional<fs::path> user_cache_folder() {
  if (const auto own = environment_variable("VKTRAIN_CACHE_DIR")) {
    if (own->empty()) return std::nullopt;
    return path_of(*own);
  }
  auto folder = system_cache_folder();
  if (folder) *folder /= "vktrain";
  return folder;
}

CachedFile read_cached(const fs::path& folder, std::string_view name, std::size_t limit) {
  const fs::path path = folder / name;
  std::error_code error;
  if (fs::status(path, error).type() == fs::file_type::not_found) return {};
  try {
    return {.bytes = read_text_file(path, limit), .problem = {}};
  } catch (const Error& problem) {
    return {.bytes = std::nullopt, .problem = problem.what()};
  }
}

std::string write_cached(const fs::path& folder, std::string_view name,
                         std::span<const std::byte> bytes) {
  try {
    make_private_folder(folder);
    write_file_atomically(folder / name, bytes);
    return {};
  } catch (const Error& problem) {
    return problem.what();
  }
}

}  // namespace vktrain::runtime
