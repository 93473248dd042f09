// SHA-256 against the examples of FIPS 180-4, and digests of files by content.
#include "nn/data/sha256.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/nn/data/idx_files.h"
#include "tests/nn/expect_error.h"

namespace vktrain::nn {
namespace {

using vktrain::testing::TemporaryFolder;
using vktrain::testing::write_bytes;

constexpr const char* kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(Sha256, GivesTheStandardsExamples) {
  EXPECT_EQ(Sha256().hex_digest(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  Sha256 abc;
  abc.update(Bytes{'a', 'b'});
  abc.update(Bytes{'c'});
  EXPECT_EQ(abc.hex_digest(), kAbc);
  Sha256 million;
  for (int i = 0; i < 1000; ++i) million.update(Bytes(1000, 'a'));
  EXPECT_EQ(million.hex_digest(),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(ContentSha256, SeesThroughCompression) {
  TemporaryFolder folder;
  EXPECT_EQ(content_sha256(write_bytes(folder / "plain", Bytes{'a', 'b', 'c'})), kAbc);
  EXPECT_EQ(content_sha256(write_bytes(folder / "gz", gzip_bytes({'a', 'b', 'c'}))), kAbc);
  // Longer than the buffer it is read through, and exactly as long.
  for (const std::size_t size : {(std::size_t{1} << 20) + 1, std::size_t{1} << 20}) {
    const Bytes data = counting_bytes(size, 251);
    Sha256 hash;
    hash.update(data);
    EXPECT_EQ(content_sha256(write_bytes(folder / "long", gzip_bytes(data))), hash.hex_digest());
  }
}

TEST(ContentSha256, RefusesATruncatedFile) {
  TemporaryFolder folder;
  Bytes bytes = gzip_bytes(counting_bytes(1000));
  bytes.resize(bytes.size() / 2);
  expect_error([&] { content_sha256(write_bytes(folder / "half.gz", bytes)); },
               {"half.gz", "truncated"});
  expect_error([&] { content_sha256(folder / "absent"); }, {"absent"});
}

}  // namespace
}  // namespace vktrain::nn
