// See platform.h. Windows 10 and later, through the C library where it has a way, else Win32.
// Text of the system becomes UTF-8 by std::filesystem::path::string().
//
// Before windows.h, because GCC's library defines NOMINMAX.
#include "runtime/platform.h"
// Here, too, the order counts.
#define WIN32_LEAN_AND_MEAN
#include <fcntl.h>
#include <io.h>
#include <share.h>
#include <sys/stat.h>
#include <windows.h>
// After windows.h.
#include <shellapi.h>

#include <algorithm>
#include <limits>
#include <memory>

namespace vktrain {

namespace fs = std::filesystem;

namespace {

std::string utf8(std::wstring_view text) { return fs::path(text).string(); }

HANDLE handle_of(const FileDescriptor& file) {
  return reinterpret_cast<HANDLE>(::_get_osfhandle(file.get()));
}

int flags_of(OpenMode mode) {
  switch (mode) {
    case OpenMode::create:
      return _O_WRONLY | _O_CREAT | _O_EXCL;
    case OpenMode::update:
      return _O_RDWR | _O_CREAT;
    case OpenMode::read:
      break;
  }
  return _O_RDONLY;
}

// The C library counts bytes of a call in an int.
unsigned part_of(std::size_t bytes) {
  return static_cast<unsigned>(std::min<std::size_t>(bytes, std::numeric_limits<int>::max()));
}

}  // namespace

FileDescriptor open_file(const fs::path& path, OpenMode mode) {
  return FileDescriptor(::_wsopen(path.c_str(), flags_of(mode) | _O_BINARY | _O_NOINHERIT,
                                  _SH_DENYNO, _S_IREAD | _S_IWRITE));
}

std::int64_t read_some(const FileDescriptor& file, std::span<std::byte> bytes) {
  return ::_read(file.get(), bytes.data(), part_of(bytes.size()));
}

bool write_all(const FileDescriptor& file, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const int written = ::_write(file.get(), bytes.data(), part_of(bytes.size()));
    if (written < 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return true;
}

bool resize_file(const FileDescriptor& file, std::int64_t size) {
  return ::_chsize_s(file.get(), size) == 0 && ::_lseeki64(file.get(), size, SEEK_SET) == size;
}

bool sync_file(const FileDescriptor& file) {
  // _commit is refused on a file that is open for reading only, whose bytes another handle wrote.
  return ::_commit(file.get()) == 0 || errno == EBADF || errno == EACCES;
}

// Windows keeps names in NTFS's journal; there is no call to wait for it.
bool sync_folder(const fs::path&) { return true; }

// Access comes from the folder.
bool copy_permissions(const fs::path&, const FileDescriptor&) { return true; }

bool lock_file(const FileDescriptor& file) {
  OVERLAPPED start{};
  constexpr DWORD kHow = LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY;
  if (::LockFileEx(handle_of(file), kHow, 0, 1, 0, &start)) return true;
  errno = ::GetLastError() == ERROR_LOCK_VIOLATION ? EWOULDBLOCK : EIO;
  return false;
}

// A folder cannot be locked; a file in it can, and goes when it is closed.
FileDescriptor lock_folder(const fs::path& folder) {
  constexpr DWORD kAccess = GENERIC_READ | GENERIC_WRITE;
  const fs::path name = folder / ".vktrain-lock";
  HANDLE handle = ::CreateFileW(name.c_str(), kAccess, 0, nullptr, OPEN_ALWAYS,
                                FILE_ATTRIBUTE_HIDDEN | FILE_FLAG_DELETE_ON_CLOSE, nullptr);
  if (handle == INVALID_HANDLE_VALUE) {
    errno = ::GetLastError() == ERROR_SHARING_VIOLATION ? EWOULDBLOCK : EACCES;
    return {};
  }
  return FileDescriptor(::_open_osfhandle(reinterpret_cast<std::intptr_t>(handle), 0));
}

std::optional<std::string> environment_variable(const char* name) {
  const std::wstring wide = fs::path(name).wstring();
  std::wstring value(256, L'\0');
  for (;;) {
    ::SetLastError(ERROR_SUCCESS);
    const DWORD size =
        ::GetEnvironmentVariableW(wide.c_str(), value.data(), static_cast<DWORD>(value.size()));
    if (size == 0 && ::GetLastError() == ERROR_ENVVAR_NOT_FOUND) return std::nullopt;
    const bool whole = size < value.size();
    value.resize(size);  // the size asked for counts the closing zero, the one given does not
    if (whole) return utf8(value);
  }
}

std::optional<fs::path> system_cache_folder() { return absolute_variable("LOCALAPPDATA"); }

std::vector<fs::path> system_data_folders() {
  if (auto folder = absolute_variable("PROGRAMDATA")) return {*folder};
  return {};
}

std::int64_t process_id() { return ::GetCurrentProcessId(); }

double process_cpu_seconds() {
  FILETIME created{}, ended{}, kernel{}, user{};
  ::GetProcessTimes(::GetCurrentProcess(), &created, &ended, &kernel, &user);
  const auto seconds = [](const FILETIME& time) {  // which counts 100 ns
    return 1e-7 * static_cast<double>(std::uint64_t{time.dwHighDateTime} << 32 |
                                      std::uint64_t{time.dwLowDateTime});
  };
  return seconds(kernel) + seconds(user);
}

std::optional<std::uint64_t> available_memory() {
  MEMORYSTATUSEX memory{};
  memory.dwLength = sizeof memory;
  if (!::GlobalMemoryStatusEx(&memory)) return std::nullopt;
  return memory.ullAvailPhys;
}

int terminal_columns(StandardStream stream) {
  HANDLE console =
      ::GetStdHandle(stream == StandardStream::output ? STD_OUTPUT_HANDLE : STD_ERROR_HANDLE);
  CONSOLE_SCREEN_BUFFER_INFO info{};
  DWORD mode = 0;
  if (!::GetConsoleMode(console, &mode) || !::GetConsoleScreenBufferInfo(console, &info)) return 0;
  // Escape sequences move the cursor and clear lines of the progress.
  if (!::SetConsoleMode(console, mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING)) return 0;
  return info.srWindow.Right - info.srWindow.Left + 1;
}

std::vector<std::string> command_line(int, char**) {
  ::SetConsoleOutputCP(CP_UTF8);
  struct Free {
    void operator()(LPWSTR* list) const { ::LocalFree(list); }
  };
  int count = 0;
  const std::unique_ptr<LPWSTR, Free> list(::CommandLineToArgvW(::GetCommandLineW(), &count));
  std::vector<std::string> arguments;
  for (int i = 1; list && i < count; ++i) arguments.push_back(utf8(list.get()[i]));
  return arguments;
}

const SystemWords& system_words() {
  static constexpr SystemWords kWords{
      .cache_variables = "LOCALAPPDATA",
      .vulkan_loader =
          "(vulkan-1.dll) was not found: install the driver of your graphics "
          "device, which brings it",
      .data_set = ""};
  return kWords;
}

}  // namespace vktrain
