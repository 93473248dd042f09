// See fetch.h. The digests were taken from the files whose MD5 sums the data set's README lists
// (8d4fb7e6c68d591d4c3dfef9ec88bf0d, 25c81989df183df01b3e8a0aad5dffbe,
// bef4ecab320f06d8554ea6380940ec79, bb300cfdad3c16e7a12a480ee83cd310); Debian's package
// dataset-fashion-mnist holds the same content, compressed anew.
#include "nn/data/fetch.h"

#include <fmt/format.h>

#include <cerrno>
#include <system_error>

#include "nn/data/sha256.h"
#include "runtime/atomic_file.h"
#include "runtime/error.h"
#include "runtime/platform.h"

namespace vktrain::nn {

namespace fs = std::filesystem;

namespace {

// What is wrong with the file's content; empty when it is the expected one.
std::string fault_of(const fs::path& path, const FetchFile& file) {
  try {
    const std::string found = content_sha256(path);
    if (found == file.sha256) return {};
    return fmt::format("expected a content with SHA-256 {}, found {}", file.sha256, found);
  } catch (const Error& error) {
    // A message of its own, without its full stop.
    std::string reason = error.what();
    if (reason.ends_with('.')) reason.pop_back();
    return fmt::format("expected a content with SHA-256 {}, found a file that cannot be read ({})",
                       file.sha256, reason);
  }
}

bool is_right(const fs::path& path, const FetchFile& file) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored) && fault_of(path, file).empty();
}

FileDescriptor make_and_lock(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw file_error("make the folder", folder, error);
  FileDescriptor lock = lock_folder(folder);
  if (lock) return lock;
  if (errno != EWOULDBLOCK) throw file_error("lock the folder", folder);
  throw Error(fmt::format("another process is downloading to '{}'; wait for it or end it.",
                          folder.string()));
}

void download_file(const FetchOptions& options, const FetchFile& file) {
  const fs::path target = options.destination / file.name;
  const fs::path part = options.destination / (file.name + ".part");
  const std::string separator = options.base_url.ends_with('/') ? "" : "/";
  const std::string url = options.base_url + separator + file.name;

  HttpOptions http{options.connect_timeout, options.stall_timeout, {}};
  if (options.progress) {
    http.progress = [&](std::int64_t received, std::int64_t total) {
      options.progress(file.name, received, total);
    };
  }
  // A whole file may have been left by a process that ended before it was moved.
  if (!is_right(part, file)) {
    std::error_code ignored;
    const bool resumed = fs::exists(part, ignored) && fs::file_size(part, ignored) > 0;
    download(url, part, http);
    std::string fault = fault_of(part, file);
    if (!fault.empty() && resumed) {
      // What was left may have been a part of something else.
      fs::remove(part, ignored);
      download(url, part, http);
      fault = fault_of(part, file);
    }
    if (!fault.empty()) {
      fs::remove(part, ignored);
      throw Error(fmt::format("'{}' from '{}' is not the right file: {}; it was removed.",
                              file.name, options.base_url, fault));
    }
  }
  move_into_place(part, target);
}

}  // namespace

std::vector<FetchFile> fashion_mnist_downloads() {
  return {{"train-images-idx3-ubyte.gz",
           "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"},
          {"train-labels-idx1-ubyte.gz",
           "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"},
          {"t10k-images-idx3-ubyte.gz",
           "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"},
          {"t10k-labels-idx1-ubyte.gz",
           "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"}};
}

FetchResult fetch_fashion_mnist(const FetchOptions& options) {
  const FileDescriptor lock = make_and_lock(options.destination);
  FetchResult result;
  for (const FetchFile& file : options.files) {
    if (is_right(options.destination / file.name, file)) {
      result.present.push_back(file.name);
    } else {
      download_file(options, file);
      result.downloaded.push_back(file.name);
    }
  }
  return result;
}

}  // namespace vktrain::nn
