// A file descriptor of the C library that closes itself, and the sentence for a failed call.
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
  // For a library that will close it.
  int release() { return std::exchange(fd_, -1); }
  void reset() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

// "cannot <action> '<path>': <reason>."
inline Error file_error(std::string_view action, const std::filesystem::path& path,
                        const std::error_code& reason) {
  return Error("cannot " + std::string(action) + " '" + path.string() + "': " + reason.message() +
               ".");
}
inline Error file_error(std::string_view action, const std::filesystem::path& path,
                        int error_number = errno) {
  return file_error(action, path, std::error_code(error_number, std::generic_category()));
}

}  // namespace vktrain
