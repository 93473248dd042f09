// A POSIX file descriptor that closes itself, and the sentence for a failed system call.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "runtime/error.h"

namespace vktrain {

class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() { reset(); }
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void reset() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

// "cannot <action> '<path>': <reason of errno>."
inline Error file_error(std::string_view action, const std::filesystem::path& path,
                        int error_number = errno) {
  return Error("cannot " + std::string(action) + " '" + path.string() +
               "': " + std::system_category().message(error_number) + ".");
}

}  // namespace vktrain
