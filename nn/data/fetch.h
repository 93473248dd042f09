// Downloads FashionMNIST: resumes, checks, and moves each file into place only when it is whole.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "nn/data/http_download.h"

namespace vktrain::nn {

struct FetchFile {
  std::string name;
  // Of the content, which for a gzip file is what it decompresses to (see content_sha256).
  std::string sha256;
};

// The four files and their digests. Distributions compress the set anew, so that the bytes of the
// .gz files differ between sources while the content is one.
std::vector<FetchFile> fashion_mnist_downloads();

// The home that the data set's README names.
inline constexpr std::string_view kFashionMnistUrl =
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/";

struct FetchOptions {
  std::string base_url{kFashionMnistUrl};
  std::filesystem::path destination;  // made when it does not exist
  std::vector<FetchFile> files = fashion_mnist_downloads();
  std::chrono::seconds connect_timeout{20};
  std::chrono::seconds stall_timeout{30};
  // total is 0 while unknown; what it throws ends the download and comes out of it.
  std::function<void(const std::string& name, std::int64_t received, std::int64_t total)> progress;
};

struct FetchResult {
  std::vector<std::string> downloaded;
  std::vector<std::string> present;  // already there with the right content
};

// Brings each file to `destination` by way of NAME.part, which a download that was cut leaves for
// the next call to continue. Throws Error (see download()), also when the content of a file is not
// the expected one: then NAME.part is removed and a file that was there stays as it was. The folder
// is locked meanwhile; a second process that fetches to it gets an Error.
FetchResult fetch_fashion_mnist(const FetchOptions& options);

}  // namespace vktrain::nn
