// Downloads one address into a file with libcurl; continues a file that is there in part.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "runtime/error.h"

namespace vktrain::nn {

inline void require_web_address(const std::string& url) {
  if (url.starts_with("http://") || url.starts_with("https://")) return;
  throw UsageError("cannot download '" + url +
                   "': expected an address that starts with http:// or https://.");
}

struct HttpOptions {
  std::chrono::seconds connect_timeout{20};
  // A transfer that stays below 100 bytes a second this long is given up.
  std::chrono::seconds stall_timeout{30};
  // Bytes that the file has and will have; total is 0 while unknown. What it throws ends the
  // download and comes out of it.
  std::function<void(std::int64_t received, std::int64_t total)> progress;
};

// Appends to what `part` holds by asking for the rest (RFC 9110, section 14). A server that does
// not continue at that place sends the whole, and the file starts afresh. Throws Error with one
// sentence that names the address: an HTTP error, a refused or lost connection, a timeout, a full
// disk. `part` then keeps what came, for the next call. No other process may write to it meanwhile.
// UsageError when the address is not http:// or https://.
void download(const std::string& url, const std::filesystem::path& part,
              const HttpOptions& options);

}  // namespace vktrain::nn
