// Downloads from a server on the loopback interface: whole, cut, resumed, wrong, refused, stalled.
#include "nn/data/fetch.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "nn/data/fashion_mnist.h"
#include "nn/data/sha256.h"
#include "tests/nn/data/http_server.h"
#include "tests/nn/data/idx_files.h"
#include "tests/nn/expect_error.h"

namespace vktrain::nn {
namespace {

using vktrain::testing::file_bytes;
using vktrain::testing::TemporaryFolder;
using vktrain::testing::write_bytes;

namespace fs = std::filesystem;

std::string digest(const Bytes& bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex_digest();
}

// Two files: a gzip file of some length and a short plain one.
class FetchTest : public ::testing::Test {
 protected:
  FetchTest() {
    // A proxy of the machine must not stand between the test and its server.
    ::setenv("no_proxy", "127.0.0.1", 1);
    options_.base_url = server_.url();
    options_.destination = folder_ / "cache/set";
    options_.files = {{"big.gz", digest(content_)}, {"small", digest(small_)}};
    options_.stall_timeout = std::chrono::seconds(1);
  }

  static Bytes noise(std::size_t size) {
    Bytes bytes(size);
    std::uint32_t state = 1;
    for (auto& byte : bytes) {
      state = state * 1664525 + 1013904223;
      byte = static_cast<std::uint8_t>(state >> 24);
    }
    return bytes;
  }
  fs::path file(const std::string& name) const { return options_.destination / name; }
  FetchResult fetch() const { return fetch_fashion_mnist(options_); }
  void expect_complete() const {
    EXPECT_EQ(file_bytes(file("big.gz")), big_);
    EXPECT_EQ(file_bytes(file("small")), small_);
    EXPECT_FALSE(fs::exists(file("big.gz.part")));
    EXPECT_FALSE(fs::exists(file("small.part")));
  }

  TemporaryFolder folder_;
  Bytes content_ = noise(300'000);
  Bytes big_ = gzip_bytes(content_);
  Bytes small_ = counting_bytes(100);
  HttpServer server_{{{"big.gz", big_}, {"small", small_}}};
  FetchOptions options_;
};

TEST_F(FetchTest, BringsEveryFileAndReportsProgress) {
  std::map<std::string, std::int64_t> received;
  options_.progress = [&](const std::string& name, std::int64_t now, std::int64_t total) {
    EXPECT_GT(now, received[name]);
    received[name] = now;
    EXPECT_EQ(total, static_cast<std::int64_t>(name == "small" ? small_.size() : big_.size()));
  };
  const FetchResult result = fetch();
  EXPECT_EQ(result.downloaded, (std::vector<std::string>{"big.gz", "small"}));
  EXPECT_TRUE(result.present.empty());
  EXPECT_EQ(received["big.gz"], static_cast<std::int64_t>(big_.size()));
  EXPECT_EQ(received["small"], static_cast<std::int64_t>(small_.size()));
  expect_complete();
}

TEST_F(FetchTest, SkipsWhatIsThereAndReplacesWhatIsWrong) {
  fetch();
  EXPECT_EQ(fetch().present, (std::vector<std::string>{"big.gz", "small"}));
  EXPECT_EQ(server_.requests().size(), 2U);

  // The same content, compressed by somebody else, is right.
  const Bytes stored = content_;
  write_bytes(file("big.gz"), stored);
  write_bytes(file("small"), Bytes{1, 2, 3});
  const FetchResult result = fetch();
  EXPECT_EQ(result.present, std::vector<std::string>{"big.gz"});
  EXPECT_EQ(result.downloaded, std::vector<std::string>{"small"});
  EXPECT_EQ(file_bytes(file("small")), small_);
}

TEST_F(FetchTest, ABaseAddressNeedsNoSlashAtItsEnd) {
  options_.base_url.pop_back();
  fetch();
  expect_complete();
}

TEST_F(FetchTest, ContinuesADownloadThatWasCut) {
  HttpServer::Behaviour behaviour;
  behaviour.cut = 100'000;
  server_.set(behaviour);
  expect_error([&] { fetch(); }, {"cannot download", "/big.gz'", "100000 bytes are kept"});
  EXPECT_FALSE(fs::exists(file("big.gz")));
  EXPECT_EQ(fs::file_size(file("big.gz.part")), 100'000U);
  expect_error([&] { fetch(); }, {"200000 bytes are kept"});
  server_.set({});
  fetch();
  expect_complete();
  const auto requests = server_.requests();
  EXPECT_FALSE(requests[0].offset.has_value());
  EXPECT_EQ(requests[1].offset, 100'000);
  EXPECT_EQ(requests[2].offset, 200'000);
}

TEST_F(FetchTest, StartsAfreshWhereTheServerIgnoresRanges) {
  HttpServer::Behaviour behaviour;
  behaviour.ranges = false;
  behaviour.cut = 100'000;
  server_.set(behaviour);
  expect_error([&] { fetch(); }, {"100000 bytes"});
  behaviour.cut.reset();
  server_.set(behaviour);
  fetch();
  expect_complete();
  EXPECT_EQ(server_.requests()[1].offset, 100'000);
}

// What fetch would mend by a second try, download() gets right at the first.
TEST_F(FetchTest, TheDownloadItselfStartsAfresh) {
  const fs::path part = folder_ / "part";
  HttpServer::Behaviour behaviour;
  behaviour.ranges = false;
  server_.set(behaviour);
  write_bytes(part, Bytes(1000, 'x'));
  download(server_.url() + "small", part, {});
  EXPECT_EQ(file_bytes(part), small_);

  server_.set({});
  write_bytes(part, Bytes(1000, 'x'));
  download(server_.url() + "small", part, {});
  EXPECT_EQ(file_bytes(part), small_);
}

TEST_F(FetchTest, AWholePartIsOnlyMoved) {
  fs::create_directories(options_.destination);
  write_bytes(file("big.gz.part"), big_);
  fetch();
  expect_complete();
  ASSERT_EQ(server_.requests().size(), 1U);
  EXPECT_EQ(server_.requests()[0].path, "/small");
}

TEST_F(FetchTest, APartOfSomethingElseIsDroppedAndFetchedAnew) {
  fs::create_directories(options_.destination);
  write_bytes(file("big.gz.part"), Bytes(1000, 'x'));               // a wrong beginning
  write_bytes(file("small.part"), Bytes(small_.size() + 50, 'x'));  // longer than the file
  fetch();
  expect_complete();
}

TEST_F(FetchTest, WrongContentIsRemovedAndTheOldFileStays) {
  options_.files[1].sha256 = digest({1, 2, 3});
  fs::create_directories(options_.destination);
  write_bytes(file("small"), Bytes{9});
  expect_error([&] { fetch(); },
               {"'small'", options_.base_url, digest({1, 2, 3}), "found " + digest(small_)});
  EXPECT_FALSE(fs::exists(file("small.part")));
  EXPECT_EQ(file_bytes(file("small")), Bytes{9});
  EXPECT_EQ(file_bytes(file("big.gz")), big_);
}

TEST_F(FetchTest, ADamagedGzipFileIsWrongContent) {
  Bytes damaged = big_;
  damaged[big_.size() / 2] ^= 1;
  HttpServer other({{"big.gz", damaged}});
  options_.base_url = other.url();
  expect_error([&] { fetch(); }, {"'big.gz'", digest(content_), "cannot be read"});
  EXPECT_TRUE(fs::is_empty(options_.destination));
}

TEST_F(FetchTest, SaysWhatTheServerAnswered) {
  options_.files = {{"absent.gz", digest({})}};
  expect_error([&] { fetch(); }, {"/absent.gz'", "HTTP 404"});
  EXPECT_FALSE(fs::exists(file("absent.gz")));
  // The page of the error is not taken for data.
  EXPECT_TRUE(file_bytes(file("absent.gz.part")).empty());
}

TEST_F(FetchTest, AnEmptyFileIsWrongContent) {
  HttpServer other(std::map<std::string, Bytes>{{"big.gz", {}}});
  options_.base_url = other.url();
  expect_error([&] { fetch(); }, {"'big.gz'", "found " + digest({})});
}

TEST_F(FetchTest, FollowsRedirects) {
  options_.files = {{"big.gz", digest(small_)}};
  HttpServer::Behaviour behaviour;
  behaviour.redirect = "/small";
  server_.set(behaviour);
  fetch();
  EXPECT_EQ(file_bytes(file("big.gz")), small_);
}

TEST_F(FetchTest, RefusesAServerThatContinuesElsewhere) {
  fs::create_directories(options_.destination);
  const Bytes begin(big_.begin(), big_.begin() + 1000);
  write_bytes(file("big.gz.part"), begin);
  HttpServer::Behaviour behaviour;
  behaviour.range_error = 7;
  server_.set(behaviour);
  expect_error([&] { fetch(); }, {"asked to continue at byte 1000", "big.gz.part"});
  EXPECT_EQ(file_bytes(file("big.gz.part")), begin);
}

TEST_F(FetchTest, GivesUpOnAStalledTransfer) {
  HttpServer::Behaviour behaviour;
  behaviour.stall = 50;
  server_.set(behaviour);
  expect_error([&] { fetch(); }, {"cannot download", "too slow", "50 bytes are kept"});
}

TEST_F(FetchTest, SaysThatNobodyAnswers) {
  {
    HttpServer gone(std::map<std::string, Bytes>{});
    options_.base_url = gone.url();
  }
  expect_error([&] { fetch(); }, {"cannot download", "connect"});
  EXPECT_FALSE(fs::exists(file("big.gz")));
}

TEST_F(FetchTest, RefusesOtherAddresses) {
  options_.base_url = "file:///etc";
  expect_error<UsageError>([&] { fetch(); }, {"file:///etc/big.gz", "http://"});
}

TEST_F(FetchTest, AnExceptionOfTheCallerComesThrough) {
  options_.progress = [](const std::string&, std::int64_t, std::int64_t) {
    throw std::out_of_range("stop");
  };
  EXPECT_THROW(fetch(), std::out_of_range);
  EXPECT_FALSE(fs::exists(file("big.gz")));
  options_.progress = {};
  fetch();
  expect_complete();
}

TEST_F(FetchTest, RefusesAFolderThatIsInUseOrCannotBeMade) {
  fs::create_directories(options_.destination);
  {
    const FileDescriptor other(::open(options_.destination.c_str(), O_RDONLY | O_DIRECTORY));
    ASSERT_EQ(::flock(other.get(), LOCK_EX), 0);
    expect_error([&] { fetch(); }, {"another process", options_.destination.string()});
  }
  fetch();
  write_bytes(folder_ / "file", Bytes{1});
  options_.destination = folder_ / "file";
  expect_error([&] { fetch(); }, {"cannot", "file'"});
  options_.destination = folder_ / "file" / "below";
  expect_error([&] { fetch(); }, {"cannot make the folder", "below"});
}

// The digests in the program against the set that the distribution installs.
TEST(FashionMnistDigests, AreThoseOfTheInstalledSet) {
  const fs::path folder = "/usr/share/datasets/fashion-mnist";
  ASSERT_TRUE(fs::exists(folder)) << "install the package dataset-fashion-mnist";
  const auto files = fashion_mnist_downloads();
  ASSERT_EQ(files.size(), kFashionMnistFiles.size());
  for (std::size_t i = 0; i < files.size(); ++i) {
    EXPECT_EQ(files[i].name, std::string(kFashionMnistFiles[i]) + ".gz");
    EXPECT_EQ(content_sha256(folder / files[i].name), files[i].sha256);
  }
  const FashionMnist data = load_fashion_mnist(folder);
  EXPECT_EQ(data.train.count, 60'000);
  EXPECT_EQ(data.test.count, 10'000);
  EXPECT_EQ(data.train.pixels_per_image(), 28 * 28);
}

}  // namespace
}  // namespace vktrain::nn
