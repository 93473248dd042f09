// See http_download.h: a build without libcurl, which tells what to do instead.
#include <fmt/format.h>

#include "nn/data/http_download.h"
#include "runtime/error.h"

namespace vktrain::nn {

void download(const std::string& url, const std::filesystem::path& part, const HttpOptions&) {
  require_web_address(url);
  throw Error(fmt::format(
      "cannot download '{}': this build has no downloads; fetch it by other means to '{}' (curl -L "
      "-o, or a browser) and repeat the command, or build with libcurl and VKTRAIN_DOWNLOADS=ON.",
      url, std::filesystem::path(part).replace_extension().string()));
}

}  // namespace vktrain::nn
