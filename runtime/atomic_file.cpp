// See atomic_file.h. POSIX: rename(2) replaces its target atomically; fsync(2) of the folder makes
// the new name durable.
#include "runtime/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>

#include "runtime/error.h"
#include "runtime/file_descriptor.h"

namespace vktrain {

namespace fs = std::filesystem;

namespace {

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

void sync_folder(const fs::path& folder) {
  FileDescriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) throw file_error("open the folder", folder);
  // Some file systems have no sync for folders and answer EINVAL; the rename is then as durable as
  // they can make it.
  if (::fsync(fd.get()) != 0 && errno != EINVAL) throw file_error("sync the folder", folder);
}

void write_all(int fd, std::span<const std::byte> bytes, const fs::path& target) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      throw file_error("write", target);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

// A new file of this process in the target's folder, removed again unless it was renamed.
class Temporary {
 public:
  explicit Temporary(const fs::path& target) {
    const fs::path folder = folder_of(target);
    for (int attempt = 0; attempt < 10'000; ++attempt) {
      path_ = folder / fmt::format(".vktrain-{}-{}.tmp", ::getpid(), attempt);
      fd_ = FileDescriptor(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
      if (fd_) return;
      if (errno != EEXIST) break;
    }
    const int reason = errno;
    path_.clear();
    throw file_error("write", target, reason);
  }
  ~Temporary() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;

  int fd() const { return fd_.get(); }
  const fs::path& path() const { return path_; }
  void close() { fd_.reset(); }
  void renamed() { path_.clear(); }

 private:
  fs::path path_;
  FileDescriptor fd_;
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
  write_all(temporary.fd(), bytes, target);
  if (::fsync(temporary.fd()) != 0) throw file_error("write", target);
  struct stat old {};
  if (::stat(target.c_str(), &old) == 0 && ::fchmod(temporary.fd(), old.st_mode & 07777) != 0) {
    throw file_error("keep the permissions of", target);
  }
  temporary.close();
  if (::rename(temporary.path().c_str(), target.c_str()) != 0) throw file_error("write", target);
  temporary.renamed();
  sync_folder(folder_of(target));
}

void write_file_atomically(const fs::path& path, std::string_view text) {
  write_file_atomically(path, std::as_bytes(std::span(text.data(), text.size())));
}

void move_into_place(const fs::path& complete, const fs::path& target) {
  {
    FileDescriptor fd(::open(complete.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd || ::fsync(fd.get()) != 0) throw file_error("sync", complete);
  }
  if (::rename(complete.c_str(), target.c_str()) != 0) throw file_error("move into place", target);
  sync_folder(folder_of(target));
}

void require_regular_file(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {
    throw file_error("read", path, error ? error.value() : ENOENT);
  }
  if (!fs::is_regular_file(status)) {
    throw Error(fmt::format("cannot read '{}': expected a file, found {}.", path.string(),
                            fs::is_directory(status) ? "a folder" : "a device, pipe or socket"));
  }
}

std::string read_text_file(const fs::path& path, std::size_t limit) {
  require_regular_file(path);
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) throw file_error("read", path);
  std::error_code unknown;
  const std::uintmax_t size = fs::file_size(path, unknown);
  if (!unknown) check_size(path, size, limit);
  std::string text;
  std::size_t used = 0;
  for (;;) {
    constexpr std::size_t kChunk = 1 << 16;
    text.resize(used + kChunk);
    const ssize_t got = ::read(fd.get(), text.data() + used, kChunk);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw file_error("read", path);
    used += static_cast<std::size_t>(got);
    check_size(path, used, limit);
    if (got == 0) break;
  }
  text.resize(used);
  return text;
}

}  // namespace vktrain
