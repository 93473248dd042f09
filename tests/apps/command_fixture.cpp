// The small data set, the tiny experiment, and commands run on them.
#include "tests/apps/command_fixture.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "apps/vktrain/app.h"

namespace vktrain::testing {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kSide = 28;
constexpr std::uint32_t kTrainCount = 200;
constexpr std::uint32_t kTestCount = 70;

// Batch norm and dropout have a state and random numbers, which a repeated run must repeat.
constexpr std::string_view kTinyExperiment = R"(
id = "tiny"

[data]
mean = 0.25
std = 0.5
split = "stratified:0.2"

[model]
layers = ["flatten", "linear 16", "batch_norm", "relu", "dropout 0.2", "linear 10"]

[training]
epochs = 2
batch_size = 48
val_batch_size = 16
test_batch_size = 32

[optimizer]
kind = "adam"
learning_rate = 0.01

[reported]
test_accuracy = 0.5
)";

void append_big_endian(std::vector<std::uint8_t>& bytes, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    bytes.push_back(static_cast<std::uint8_t>(value >> shift));
  }
}

std::uint8_t label_of(std::uint32_t image) { return static_cast<std::uint8_t>(image * 7 % 10); }

std::vector<std::uint8_t> image_file(std::uint32_t count, std::uint32_t seed) {
  std::vector<std::uint8_t> bytes;
  for (const std::uint32_t word : {0x00000803U, count, kSide, kSide}) {
    append_big_endian(bytes, word);
  }
  std::uint32_t state = seed;
  for (std::uint32_t image = 0; image < count; ++image) {
    const bool plain = image % 4 == 3;  // nothing to tell the class by: no model gets all right
    for (std::uint32_t pixel = 0; pixel < kSide * kSide; ++pixel) {
      state = state * 1664525U + 1013904223U;  // Numerical Recipes, section 7.1
      const bool bright = !plain && pixel / 78 == label_of(image);
      bytes.push_back(static_cast<std::uint8_t>((state >> 25) + (bright ? 100U : 0U)));
    }
  }
  return bytes;
}

std::vector<std::uint8_t> label_file(std::uint32_t count) {
  std::vector<std::uint8_t> bytes;
  for (const std::uint32_t word : {0x00000801U, count}) append_big_endian(bytes, word);
  for (std::uint32_t image = 0; image < count; ++image) bytes.push_back(label_of(image));
  return bytes;
}

bool validation_wanted() {
  const char* variable = std::getenv("VKTRAIN_TEST_VALIDATION");
  return variable == nullptr || std::string_view(variable) != "0";
}

}  // namespace

CommandResult run_command(const std::vector<std::string>& arguments, int columns) {
  std::ostringstream out, err;
  app::Console console{out, err, columns};
  CommandResult result;
  result.code = app::run(arguments, console);
  result.out = out.str();
  result.err = err.str();
  return result;
}

void expect_failure(const CommandResult& result, int code,
                    const std::vector<std::string_view>& parts) {
  EXPECT_EQ(result.code, code) << result.err;
  EXPECT_TRUE(result.err.starts_with("vktrain: error: ")) << result.err;
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  EXPECT_EQ(result.out, "");
  for (const std::string_view part : parts) {
    EXPECT_NE(result.err.find(part), std::string::npos) << part << " is not in " << result.err;
  }
}

void write_data_set(const fs::path& folder, std::uint32_t train_count, std::uint32_t test_count) {
  fs::create_directories(folder);
  testing::write_bytes(folder / "train-images-idx3-ubyte", image_file(train_count, 1));
  testing::write_bytes(folder / "train-labels-idx1-ubyte", label_file(train_count));
  testing::write_bytes(folder / "t10k-images-idx3-ubyte", image_file(test_count, 2));
  testing::write_bytes(folder / "t10k-labels-idx1-ubyte", label_file(test_count));
}

std::string read_text(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) ADD_FAILURE() << "cannot read " << path;
  return {std::istreambuf_iterator<char>(stream), {}};
}

nlohmann::json read_json(const fs::path& path) { return nlohmann::json::parse(read_text(path)); }

std::vector<nlohmann::json> read_json_lines(const fs::path& path) {
  std::istringstream stream(read_text(path));
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

std::vector<nlohmann::json> untimed_metrics(const fs::path& run_folder) {
  std::vector<nlohmann::json> lines = read_json_lines(run_folder / "metrics.jsonl");
  for (nlohmann::json& line : lines) {
    EXPECT_EQ(line.erase("seconds"), 1U);
    EXPECT_EQ(line.erase("images_per_second"), 1U);
  }
  return lines;
}

void CommandTest::SetUp() {
  before_ = fs::current_path();
  fs::current_path(folder_.path());
  write_data_set("data", kTrainCount, kTestCount);
  std::ofstream("tiny.toml") << kTinyExperiment;
}

void CommandTest::TearDown() { fs::current_path(before_); }

CommandResult CommandTest::compute(std::vector<std::string> arguments, int columns) {
  arguments.insert(arguments.end(), {"--data", "data", "--device", test_device()});
  if (validation_wanted()) arguments.emplace_back("--validate");
  return run_command(arguments, columns);
}

CommandResult CommandTest::compute_well(std::vector<std::string> arguments, int columns) {
  CommandResult result = compute(std::move(arguments), columns);
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  return result;
}

}  // namespace vktrain::testing
