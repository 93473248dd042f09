// A build without downloads: files that are there are checked, the others' way out is told.
#include <gtest/gtest.h>

#include "nn/data/fetch.h"
#include "nn/data/sha256.h"
#include "tests/nn/data/idx_files.h"
#include "tests/nn/expect_error.h"

namespace vktrain::nn {
namespace {

using vktrain::testing::TemporaryFolder;
using vktrain::testing::write_bytes;

TEST(NoDownloads, WhatIsThereIsCheckedAndTheRestRefused) {
  const TemporaryFolder folder;
  const Bytes content = counting_bytes(1000);
  Sha256 hash;
  hash.update(content);
  FetchOptions options;
  options.base_url = "http://127.0.0.1/";
  options.destination = folder.path();
  options.files = {{"data.gz", hash.hex_digest()}};
  expect_error([&] { fetch_fashion_mnist(options); },
               {"http://127.0.0.1/data.gz", "no downloads", (folder / "data.gz").string() + "'"});
  write_bytes(folder / "data.gz", gzip_bytes(content));
  EXPECT_EQ(fetch_fashion_mnist(options).present, std::vector<std::string>{"data.gz"});
  write_bytes(folder / "data.gz", counting_bytes(999));
  expect_error([&] { fetch_fashion_mnist(options); }, {"no downloads"});
}

TEST(NoDownloads, AWrongAddressIsAUsageError) {
  expect_error<UsageError>([] { download("ftp://x/", "part", {}); }, {"ftp://x/", "http://"});
}

}  // namespace
}  // namespace vktrain::nn
