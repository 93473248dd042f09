// See atomic_file.h. A rename replaces its target atomically, on POSIX systems (rename(2)) as on
// Windows (MoveFileEx); the sync of the folder makes the new name durable.
#include "runtime/atomic_file.h"

#include <fmt/format.h>

#include <cerrno>
#include <system_error>

#include "runtime/error.h"
#include "runtime/platform.h"

namespace vktrain {

namespace fs = std::filesystem;

namespace {

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

void rename_durably(const fs::path& from, const fs::path& target, std::string_view action) {
  std::error_code error;
  fs::rename(from, target, error);
  if (error) throw file_error(action, target, error);
  const fs::path folder = folder_of(target);
  if (!sync_folder(folder)) throw file_error("sync the folder", folder);
}

// A new file of this process in the target's folder, removed again unless it was renamed.
class Temporary {
 public:
  explicit Temporary(const fs::path& target) {
    const fs::path folder = folder_of(target);
    for (int attempt = 0; attempt < 10'000; ++attempt) {
      path_ = folder / fmt::format(".vktrain-{}-{}.tmp", process_id(), attempt);
      file_ = open_file(path_, OpenMode::create);
      if (file_) return;
      if (errno != EEXIST) break;
    }
    const int reason = errno;
    path_.clear();
    throw file_error("write", target, reason);
  }
  ~Temporary() {
    file_.reset();  // Windows removes no file that is open
    std::error_code ignored;
    if (!path_.empty()) fs::remove(path_, ignored);
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;

  const FileDescriptor& file() const { return file_; }
  // Whole and named `target` from now on.
  void become(const fs::path& target) {
    file_.reset();
    rename_durably(path_, target, "write");
    path_.clear();
  }

 private:
  fs::path path_;
  FileDescriptor file_;
};

fs::path resolve_target(const fs::path& path) {
  std::error_code ignored;
  const fs::path target =
      fs::is_symlink(path, ignored) ? fs::weakly_canonical(path, ignored) : path;
  const fs::file_status status = fs::status(target, ignored);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    throw Error(fmt::format("cannot write '{}': expected a new or a regular file, found {}.",
                            path.string(),
                            fs::is_directory(status) ? "a folder" : "a device, pipe or socket"));
  }
  return target.empty() ? path : target;
}

void check_size(const fs::path& path, std::uintmax_t size, std::size_t limit) {
  if (size <= limit) return;
  throw Error(fmt::format("cannot read '{}': expected at most {} bytes, found more.", path.string(),
                          limit));
}

}  // namespace

void write_file_atomically(const fs::path& path, std::span<const std::byte> bytes) {
  const fs::path target = resolve_target(path);
  Temporary temporary(target);
  if (!write_all(temporary.file(), bytes)) throw file_error("write", target);
  if (!sync_file(temporary.file())) throw file_error("write", target);
  if (!copy_permissions(target, temporary.file())) {
    throw file_error("keep the permissions of", target);
  }
  temporary.become(target);
}

void write_file_atomically(const fs::path& path, std::string_view text) {
  write_file_atomically(path, std::as_bytes(std::span(text.data(), text.size())));
}

void move_into_place(const fs::path& complete, const fs::path& target) {
  {
    const FileDescriptor file = open_file(complete, OpenMode::read);
    if (!file || !sync_file(file)) throw file_error("sync", complete);
  }
  rename_durably(complete, target, "move into place");
}

void require_regular_file(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {
    throw file_error("read", path,
                     error ? error : std::make_error_code(std::errc::no_such_file_or_directory));
  }
  if (!fs::is_regular_file(status)) {
    throw Error(fmt::format("cannot read '{}': expected a file, found {}.", path.string(),
                            fs::is_directory(status) ? "a folder" : "a device, pipe or socket"));
  }
}

std::string read_text_file(const fs::path& path, std::size_t limit) {
  require_regular_file(path);
  const FileDescriptor file = open_file(path, OpenMode::read);
  if (!file) throw file_error("read", path);
  std::error_code unknown;
  const std::uintmax_t size = fs::file_size(path, unknown);
  if (!unknown) check_size(path, size, limit);
  std::string text;
  std::size_t used = 0;
  for (;;) {
    constexpr std::size_t kChunk = 1 << 16;
    text.resize(used + kChunk);
    const std::int64_t got =
        read_some(file, std::as_writable_bytes(std::span(text).subspan(used, kChunk)));
    if (got < 0) throw file_error("read", path);
    used += static_cast<std::size_t>(got);
    check_size(path, used, limit);
    if (got == 0) break;
  }
  text.resize(used);
  return text;
}

}  // namespace vktrain
