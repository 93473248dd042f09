// safetensors: bytes as other programs write them, round trips, and every way to spoil a file.
#include "nn/io/safetensors.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "runtime/atomic_file.h"
#include "tests/nn/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace vktrain::nn {
namespace {

using vktrain::testing::file_bytes;
using vktrain::testing::TemporaryFolder;
using vktrain::testing::write_bytes;

// A file with this header and that many bytes of data.
std::vector<std::uint8_t> raw_file(const std::string& header, std::size_t data_bytes) {
  std::vector<std::uint8_t> bytes;
  for (unsigned shift = 0; shift < 64; shift += 8) {
    bytes.push_back(static_cast<std::uint8_t>(std::uint64_t{header.size()} >> shift));
  }
  bytes.insert(bytes.end(), header.begin(), header.end());
  for (std::size_t i = 0; i < data_bytes; ++i) bytes.push_back(static_cast<std::uint8_t>(i));
  return bytes;
}

SafeTensors small_model() {
  SafeTensors file;
  const std::int64_t batches = 0x0102030405060708;
  file.tensors = {make_f32_tensor("1.weight", {2, 3}, std::vector<float>{1, -2, 0.5F, 3, -0.0F, 7}),
                  make_f32_tensor("1.bias", {2}, std::vector<float>{1e-40F, 1e38F}),
                  make_i64_tensor("2.num_batches_tracked", {}, std::span(&batches, 1)),
                  make_f32_tensor("empty", {0, 5}, {})};
  file.metadata = {{"format", "pt"}, {"note", "\"quoted\" \xc3\xa4"}};
  return file;
}

class SafeTensorsTest : public ::testing::Test {
 protected:
  SafeTensors read(const std::vector<std::uint8_t>& bytes) {
    return read_safetensors(write_bytes(folder_ / "model.safetensors", bytes));
  }
  void expect_refused(const std::string& header, std::size_t data_bytes,
                      std::initializer_list<std::string_view> parts) {
    SCOPED_TRACE(header);
    expect_error([&] { read(raw_file(header, data_bytes)); }, {"model.safetensors", "valid"});
    expect_error([&] { read(raw_file(header, data_bytes)); }, parts);
  }

  TemporaryFolder folder_;
};

TEST_F(SafeTensorsTest, ReadsAFileAsOthersWriteIt) {
  const SafeTensors file = read(raw_file(
      R"( {"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]},)"
      R"("a":{"dtype":"I64","shape":[],"data_offsets":[0,8]}}  )",
      16));
  ASSERT_EQ(file.tensors.size(), 2U);
  EXPECT_EQ(file.tensors[0].name, "b");
  EXPECT_EQ(file.tensors[0].shape, (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(file.tensors[0].data.size(), 8U);
  EXPECT_EQ(file.tensors[0].data[0], std::byte{8});
  EXPECT_EQ(i64_values(*file.find("a")), (std::vector<std::int64_t>{0x0706050403020100}));
  EXPECT_EQ(file.metadata.at("format"), "pt");
  EXPECT_EQ(file.find("c"), nullptr);
}

TEST_F(SafeTensorsTest, WritesTheseVeryBytes) {
  SafeTensors file;
  const std::int64_t count = 258;
  file.tensors = {make_f32_tensor("w", {1}, std::vector<float>{1.0F}),
                  make_i64_tensor("n", {}, std::span(&count, 1))};
  write_safetensors(folder_ / "f", file);
  std::string header = R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},)"
                       R"("n":{"dtype":"I64","shape":[],"data_offsets":[0,8]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  std::vector<std::uint8_t> expected = raw_file(header, 0);
  for (const int byte : {2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x3f}) {
    expected.push_back(static_cast<std::uint8_t>(byte));
  }
  EXPECT_EQ(file_bytes(folder_ / "f"), expected);
}

TEST_F(SafeTensorsTest, RoundTrip) {
  const SafeTensors file = small_model();
  write_safetensors(folder_ / "f", file);
  EXPECT_EQ(read_safetensors(folder_ / "f"), file);
  EXPECT_EQ(f32_values(*file.find("1.weight")), (std::vector<float>{1, -2, 0.5F, 3, -0.0F, 7}));
  EXPECT_EQ(i64_values(*file.find("2.num_batches_tracked"))[0], 0x0102030405060708);
  expect_error([&] { i64_values(*file.find("1.bias")); }, {"1.bias", "I64", "F32"});

  write_safetensors(folder_ / "empty", {});
  EXPECT_EQ(read_safetensors(folder_ / "empty"), SafeTensors{});
}

TEST_F(SafeTensorsTest, WriterRefusesWhatItCouldNotReadAndLeavesTheOldFile) {
  const auto path = folder_ / "f";
  write_file_atomically(path, "old");
  const SafeTensor good = make_f32_tensor("a", {1}, std::vector<float>{1});
  const auto refused = [&](SafeTensors file, std::initializer_list<std::string_view> parts) {
    expect_error([&] { write_safetensors(path, file); }, parts);
  };
  refused({{good, good}, {}}, {"'a'", "twice"});
  refused({{make_f32_tensor("__metadata__", {}, std::vector<float>{1})}, {}}, {"reserved"});
  refused({{make_f32_tensor("a", {2}, std::vector<float>{1})}, {}}, {"'a'", "[2]", "4 bytes"});
  refused({{make_f32_tensor("a", {-1, -1}, std::vector<float>{1})}, {}}, {"[-1, -1]"});
  refused({{{"a", "F31", {}, {}}}, {}}, {"F31"});
  refused({{make_f32_tensor("\xff", {1}, std::vector<float>{1})}, {}}, {"UTF-8"});
  EXPECT_EQ(read_text_file(path), "old");
  EXPECT_EQ(folder_.names().size(), 1U);
}

TEST_F(SafeTensorsTest, RefusesAMissingFileAndAWrongLength) {
  expect_error([&] { read_safetensors(folder_ / "absent"); }, {"absent", "No such"});
  expect_error([&] { read({1, 2, 3}); }, {"expected at least 8", "found 3"});
  auto bytes = raw_file("{}", 0);
  bytes[0] = 3;
  expect_error([&] { read(bytes); }, {"claims 3", "at most 2"});
  bytes[7] = 0xff;
  expect_error([&] { read(bytes); }, {"at most 2"});
}

TEST_F(SafeTensorsTest, RefusesHeadersThatAreNoHeader) {
  expect_refused("", 0, {"not JSON"});
  expect_refused("{", 0, {"not JSON"});
  expect_refused("[]", 0, {"object"});
  expect_refused("{} x", 0, {"not JSON"});
  expect_refused("{\"\xff\":1}", 0, {"not JSON"});
  expect_refused(std::string(100'000, '['), 0, {"deep"});
  expect_refused(R"({"a":1e999})", 0, {"number"});
  expect_refused(R"({"a":1})", 0, {"'a'", "dtype"});
  expect_refused(R"({"a":{"dtype":"F32","shape":[1]}})", 4, {"data_offsets"});
  expect_refused(R"({"__metadata__":[]})", 0, {"metadata"});
  expect_refused(R"({"__metadata__":{"a":1}})", 0, {"'a'", "string"});
}

TEST_F(SafeTensorsTest, RefusesDuplicates) {
  const std::string entry = R"({"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
  expect_refused("{\"a\":" + entry + ",\"a\":" + entry + "}", 0, {"'a'", "twice"});
  expect_refused(R"({"a":{"dtype":"F32","dtype":"F32","shape":[0],"data_offsets":[0,0]}})", 0,
                 {"'dtype'", "twice"});
  expect_refused(R"({"__metadata__":{"a":"1","a":"2"}})", 0, {"'a'", "twice"});
}

TEST_F(SafeTensorsTest, RefusesWrongTypesShapesAndOffsets) {
  const auto one = [](const std::string& dtype, const std::string& shape,
                      const std::string& offsets) {
    return "{\"a\":{\"dtype\":" + dtype + ",\"shape\":" + shape + ",\"data_offsets\":" + offsets +
           "}}";
  };
  EXPECT_EQ(read(raw_file(one(R"("F32")", "[1]", "[0,4]"), 4)).tensors.size(), 1U);
  expect_refused(one(R"("F33")", "[1]", "[0,4]"), 4, {"'F33'"});
  expect_refused(one("7", "[1]", "[0,4]"), 4, {"dtype of 'a'"});
  expect_refused(one(R"("F32")", "[-1]", "[0,4]"), 4, {"shape of 'a'"});
  expect_refused(one(R"("F32")", "[1.0]", "[0,4]"), 4, {"shape of 'a'"});
  expect_refused(one(R"("F32")", "1", "[0,4]"), 4, {"shape of 'a'"});
  expect_refused(one(R"("F32")", "[18446744073709551615]", "[0,4]"), 4, {"shape of 'a'"});
  expect_refused(one(R"("F32")", "[4611686018427387905]", "[0,4]"), 4, {"too large"});
  expect_refused(one(R"("F32")", "[4294967296,4294967296]", "[0,4]"), 4, {"too large"});
  expect_refused(one(R"("F32")", "[2]", "[0,4]"), 4, {"[2]", "8 bytes", "give 4"});
  expect_refused(one(R"("F32")", "[1]", "[0]"), 4, {"offsets"});
  expect_refused(one(R"("F32")", "[1]", "[4,0]"), 4, {"offsets", "[4, 0]"});
  expect_refused(one(R"("F32")", "[1]", "[-4,0]"), 4, {"data_offsets of 'a'"});
  expect_refused(one(R"("F32")", "[2]", "[0,8]"), 4, {"within 4 bytes"});
  expect_refused(one(R"("F32")", "[1]", "[4,8]"), 8, {"hole"});
  expect_refused(one(R"("F32")", "[1]", "[0,4]"), 5, {"expected 4", "found 5"});
}

TEST_F(SafeTensorsTest, RefusesOverlapsAndHoles) {
  const auto two = [](const std::string& offsets) {
    return R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
           R"("b":{"dtype":"F32","shape":[2],"data_offsets":)" +
           offsets + "}}";
  };
  EXPECT_EQ(read(raw_file(two("[8,16]"), 16)).tensors.size(), 2U);
  expect_refused(two("[4,12]"), 12, {"'b'", "starts at 4, expected 8"});
  expect_refused(two("[0,8]"), 8, {"overlaps"});
  expect_refused(two("[12,20]"), 20, {"'b'", "starts at 12, expected 8"});
}

TEST_F(SafeTensorsTest, EveryTruncationIsAnError) {
  write_safetensors(folder_ / "whole", small_model());
  const auto whole = file_bytes(folder_ / "whole");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::vector<std::uint8_t> cut(whole.begin(), whole.begin() + static_cast<long>(size));
    expect_error([&] { read(cut); }, {"model.safetensors"});
  }
}

TEST_F(SafeTensorsTest, EveryBitFlipIsAnErrorOrAFile) {
  write_safetensors(folder_ / "whole", small_model());
  const auto whole = file_bytes(folder_ / "whole");
  int accepted = 0;
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    auto bytes = whole;
    bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    try {
      const SafeTensors file = read(bytes);
      ++accepted;
      // What is accepted is whole: it can be written again.
      write_safetensors(folder_ / "again", file);
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("model.safetensors"), std::string::npos)
          << "bit " << bit << ": " << error.what();
    }
  }
  // The flips of the data at least (40 bytes).
  EXPECT_GE(accepted, 40 * 8);
}

}  // namespace
}  // namespace vktrain::nn
