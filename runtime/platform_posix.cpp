// See platform.h. POSIX, with flock(2), which Linux, macOS and the BSDs have.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "runtime/platform.h"

namespace vktrain {

namespace fs = std::filesystem;

namespace {

int flags_of(OpenMode mode) {
  switch (mode) {
    case OpenMode::create:
      return O_WRONLY | O_CREAT | O_EXCL;
    case OpenMode::update:
      return O_RDWR | O_CREAT;
    case OpenMode::read:
      break;
  }
  return O_RDONLY;
}

FileDescriptor open_folder(const fs::path& folder) {
  return FileDescriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

}  // namespace

FileDescriptor open_file(const fs::path& path, OpenMode mode) {
  constexpr mode_t kForAll = 0666;  // less the user's mask
  return FileDescriptor(::open(path.c_str(), flags_of(mode) | O_CLOEXEC, kForAll));
}

std::int64_t read_some(const FileDescriptor& file, std::span<std::byte> bytes) {
  for (;;) {
    const ssize_t got = ::read(file.get(), bytes.data(), bytes.size());
    if (got >= 0 || errno != EINTR) return got;
  }
}

bool write_all(const FileDescriptor& file, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file.get(), bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) return false;
    if (written > 0) bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return true;
}

bool resize_file(const FileDescriptor& file, std::int64_t size) {
  return ::ftruncate(file.get(), size) == 0 && ::lseek(file.get(), size, SEEK_SET) == size;
}

bool sync_file(const FileDescriptor& file) { return ::fsync(file.get()) == 0; }

bool sync_folder(const fs::path& folder) {
  const FileDescriptor file = open_folder(folder);
  // Some file systems have no sync for folders and answer EINVAL; the rename is then as durable as
  // they can make it.
  return file && (sync_file(file) || errno == EINVAL);
}

bool copy_permissions(const fs::path& other, const FileDescriptor& file) {
  struct stat status {};
  return ::stat(other.c_str(), &status) != 0 || ::fchmod(file.get(), status.st_mode & 07777) == 0;
}

bool lock_file(const FileDescriptor& file) { return ::flock(file.get(), LOCK_EX | LOCK_NB) == 0; }

FileDescriptor lock_folder(const fs::path& folder) {
  FileDescriptor file = open_folder(folder);
  if (file && !lock_file(file)) {
    const int reason = errno;
    file.reset();
    errno = reason;
  }
  return file;
}

std::optional<std::string> environment_variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? std::optional<std::string>(value) : std::nullopt;
}

std::optional<fs::path> system_cache_folder() {
#if defined(__APPLE__)
  constexpr std::string_view kBelowHome = "Library/Caches";
#else
  constexpr std::string_view kBelowHome = ".cache";
  if (auto folder = absolute_variable("XDG_CACHE_HOME")) return folder;
#endif
  auto home = absolute_variable("HOME");
  if (home) *home /= kBelowHome;
  return home;
}

std::vector<fs::path> system_data_folders() {
  std::vector<fs::path> folders{"/usr/share"};
  std::string named = environment_variable("XDG_DATA_DIRS").value_or("");
  if (named.empty()) named = "/usr/local/share:/usr/share";
  for (std::size_t begin = 0; begin <= named.size();) {
    const std::size_t end = std::min(named.find(':', begin), named.size());
    const fs::path folder = fs::path(named.substr(begin, end - begin)).lexically_normal();
    if (folder.is_absolute()) folders.push_back(folder);
    begin = end + 1;
  }
  return folders;
}

std::int64_t process_id() { return ::getpid(); }

double process_cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

std::optional<std::uint64_t> available_memory() {
  std::ifstream file("/proc/meminfo");  // Linux only
  std::string word;
  while (file >> word) {
    std::uint64_t kibibytes = 0;
    if (word == "MemAvailable:" && file >> kibibytes) return kibibytes * 1024;
  }
  return std::nullopt;
}

int terminal_columns(StandardStream stream) {
  constexpr int kUsual = 80;
  const int descriptor = stream == StandardStream::output ? STDOUT_FILENO : STDERR_FILENO;
  if (::isatty(descriptor) == 0) return 0;
  winsize size{};
  const bool known = ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : kUsual;
}

std::vector<std::string> command_line(int argc, char** argv) {
  return {argv + std::min(argc, 1), argv + argc};
}

const SystemWords& system_words() {
  static constexpr SystemWords kWords{
      .cache_variables = "XDG_CACHE_HOME or HOME",
      .vulkan_loader =
          "(libvulkan.so.1) was not found: install it with a driver, on Debian and "
          "Ubuntu with `apt install libvulkan1 mesa-vulkan-drivers`",
      .data_set = "install it with 'sudo apt install dataset-fashion-mnist', "};
  return kWords;
}

}  // namespace vktrain
