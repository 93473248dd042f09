// See gz_reader.h. zlib reports a gzip file that ends too early only through gzerror (Z_BUF_ERROR)
// after a short gzread, so that it is asked after every short read.
#include "nn/io/gz_reader.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>

#include "runtime/atomic_file.h"
#include "runtime/platform.h"

namespace vktrain::nn {

void GzReader::Close::operator()(gzFile_s* file) const { gzclose_r(file); }

GzReader::GzReader(const std::filesystem::path& path) : path_(path) {
  require_regular_file(path);
  FileDescriptor file = open_file(path, OpenMode::read);
  if (!file) throw file_error("read", path);
  file_.reset(gzdopen(file.get(), "rb"));
  if (!file_) throw file_error("read", path, ENOMEM);
  file.release();
}

std::size_t GzReader::read(std::span<std::uint8_t> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const std::size_t chunk = std::min<std::size_t>(bytes.size() - done, 1U << 24);
    const int got = gzread(file_.get(), bytes.data() + done, static_cast<unsigned>(chunk));
    if (got > 0) done += static_cast<std::size_t>(got);
    if (got < 0 || static_cast<std::size_t>(got) < chunk) {
      check();
      break;
    }
  }
  return done;
}

void GzReader::check() {
  int code = Z_OK;
  const char* message = gzerror(file_.get(), &code);
  if (code == Z_OK || code == Z_STREAM_END) return;
  if (code == Z_ERRNO) throw file_error("read", path_);
  if (code == Z_BUF_ERROR) {
    throw Error(
        fmt::format("'{}' is truncated: its gzip stream ends too early; fetch or copy it again.",
                    path_.string()));
  }
  throw Error(fmt::format("'{}' is damaged: {}; fetch or copy it again.", path_.string(),
                          message && *message ? message : "zlib cannot decompress it"));
}

}  // namespace vktrain::nn
