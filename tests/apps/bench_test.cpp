// `vktrain bench`: sizes as lists and ranges, the formats, every benchmark once, and errors.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <set>
#include <sstream>

#include "apps/vktrain/bench_output.h"
#include "apps/vktrain/bench_sizes.h"
#include "runtime/error.h"
#include "tests/apps/command_fixture.h"

namespace vktrain::testing {
namespace {

using namespace app;
using Sizes = std::vector<std::int64_t>;

TEST(BenchSizes, ListsAndRangesExpand) {
  EXPECT_EQ(parse_sizes("64", "--m"), Sizes({64}));
  EXPECT_EQ(parse_sizes("64,512,", "--m"), Sizes({64, 512}));
  EXPECT_EQ(parse_sizes("64-256+64", "--m"), Sizes({64, 128, 192, 256}));
  EXPECT_EQ(parse_sizes("64-250+64", "--m"), Sizes({64, 128, 192}));
  EXPECT_EQ(parse_sizes("256-4096*4,7", "--m"), Sizes({256, 1024, 4096, 7}));
  EXPECT_EQ(parse_sizes("0-2+1", "--padding", 0), Sizes({0, 1, 2}));
  EXPECT_EQ(parse_sizes("2147483647", "--m"), Sizes({2147483647}));
}

TEST(BenchSizes, AnythingElseIsRefused) {
  for (const char* bad :
       {"", ",", "0", "-4", "x", "64-", "64-512", "512-64+1", "64-512+0", "64-512*1", "64-512*2x",
        "64 512", "1-2000+1", "2147483648", "99999999999999999999", "1-2147483647+2147483648"}) {
    EXPECT_THROW(parse_sizes(bad, "--m"), UsageError) << bad;
  }
  EXPECT_THROW(parse_sizes("0-4*2", "--padding", 0), UsageError);
}

std::vector<BenchRow> two_rows() {
  return {{{"name", "name", std::string("a, \"b\"")},
           {"count", "n", std::int64_t{1234}},
           {"rate", "GFLOP/s", 1.25, 1},
           {"device", "device", std::string("d"), 0, Shown::documents}},
          {{"name", "name", std::string("c")},
           {"count", "n", BenchValue()},
           {"rate", "GFLOP/s", std::numeric_limits<double>::quiet_NaN(), 1, Shown::files},
           {"device", "device", std::string("d"), 0, Shown::documents}}};
}

TEST(BenchOutput, HasFourFormats) {
  EXPECT_EQ(format_rows(two_rows(), BenchFormat::csv),
            "name,count,rate,device\n\"a, \"\"b\"\"\",1234,1.25,d\nc,,,d\n");
  EXPECT_EQ(format_rows(two_rows(), BenchFormat::md),
            "| name | n | GFLOP/s | device |\n| --- | ---: | ---: | --- |\n"
            "| a, \"b\" | 1,234 | 1.2 | d |\n| c | - | - | d |\n");
  EXPECT_EQ(format_rows(two_rows(), BenchFormat::table),
            "name        n  GFLOP/s\na, \"b\"  1,234      1.2\nc           -        -\n");
  const auto json = nlohmann::json::parse(format_rows(two_rows(), BenchFormat::json));
  EXPECT_EQ(json[0]["name"], "a, \"b\"");
  EXPECT_EQ(json[0]["rate"], 1.25);
  EXPECT_TRUE(json[1]["count"].is_null());
  EXPECT_TRUE(json[1]["rate"].is_null());
  EXPECT_EQ(format_rows({}, BenchFormat::json), "[]\n");
}

class Bench : public CommandTest {
 protected:
  static CommandResult bench(std::vector<std::string> arguments) {
    const char* validation = std::getenv("VKTRAIN_TEST_VALIDATION");
    arguments.insert(arguments.begin(), "bench");
    arguments.insert(arguments.end(), {"--device", test_device(), "--min-time", "0",
                                       "--repetitions", "2", "--warmup", "0"});
    if (validation == nullptr || std::string_view(validation) != "0") {
      arguments.emplace_back("--validate");
    }
    return run_command(arguments);
  }

  // Rows as JSON; fails the test unless the command exits with 0.
  static nlohmann::json rows(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--no-peak", "--format", "json"});
    const CommandResult result = bench(std::move(arguments));
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    return nlohmann::json::parse(result.out, nullptr, false);
  }

  static void expect_common_fields(const nlohmann::json& row, const char* benchmark) {
    EXPECT_EQ(row["benchmark"], benchmark);
    EXPECT_EQ(row["repetitions"], 2);
    EXPECT_GE(row["runs"], 1);
    EXPECT_LE(row["min_ms"], row["median_ms"]);
    EXPECT_LE(row["median_ms"], row["max_ms"]);
    EXPECT_GT(row["cpu_median_ms"], 0.0);
    EXPECT_TRUE(row["peak_percent"].is_null());
    for (const char* key : {"device", "driver", "version", "commit"}) {
      EXPECT_TRUE(row[key].is_string()) << key;
    }
  }
};

TEST_F(Bench, GemmHasARowForEachShapeAndForm) {
  const auto list = rows({"gemm", "--form", "nt,tn", "--m", "3,4", "--n", "5", "--k", "8-16*2"});
  ASSERT_EQ(list.size(), 8U);
  expect_common_fields(list[0], "gemm");
  EXPECT_EQ(list[5]["form"], "tn");
  EXPECT_EQ(list[5]["m"], 3);
  EXPECT_EQ(list[5]["k"], 16);
  EXPECT_EQ(list[5]["precision"], "f32");
  EXPECT_NE(list[5]["kernel"], "");
  const double flop = 2 * 3 * 5 * 16;
  EXPECT_NEAR(list[5]["gflops"].get<double>() * list[5]["median_ms"].get<double>() * 1e6, flop,
              1e-6 * flop);
}

TEST_F(Bench, GemmKnowsTheShapesOfFcn100k) {
  const auto list = rows({"gemm", "--shapes", "fcn100k", "--form", "nn"});
  ASSERT_EQ(list.size(), 6U);
  EXPECT_EQ(list[1]["m"], 64);
  EXPECT_EQ(list[1]["n"], 100);
  EXPECT_EQ(list[1]["k"], 64);
  EXPECT_EQ(list[5]["m"], 512);
}

TEST_F(Bench, ConvTakesSizesAndExperiments) {
  const auto list = rows({"conv", "--batch", "2", "--in", "2", "--out", "4", "--size", "6",
                          "--padding", "0,1", "--groups", "2"});
  ASSERT_EQ(list.size(), 6U);
  expect_common_fields(list[0], "conv");
  EXPECT_EQ(list[2]["pass"], "weight gradient");
  EXPECT_EQ(list[5]["padding"], "1 x 1");
  EXPECT_EQ(list[5]["groups"], 2);
  EXPECT_TRUE(list[0]["layer"].is_null());

  const auto layers = rows({"conv", "--layers", "a-cnn-100k", "--pass", "data", "--batch", "1"});
  ASSERT_GE(layers.size(), 1U);  // the first layer has no data gradient
  EXPECT_TRUE(layers[0]["layer"].get<std::string>().starts_with("a-cnn-100k "));
  EXPECT_NE(layers[0]["in_channels"], 1);
}

TEST_F(Bench, ElementwiseMeasuresEveryOperation) {
  const auto list = rows({"elementwise", "--size", "1000"});
  ASSERT_EQ(list.size(), 8U);
  std::set<std::string> names;
  for (const auto& row : list) {
    expect_common_fields(row, "elementwise");
    names.insert(row["operation"]);
    EXPECT_GT(row["gbytes"], 0.0) << row["operation"];
  }
  EXPECT_EQ(names.size(), 8U);
  EXPECT_TRUE(names.contains("batch norm backward"));
}

TEST_F(Bench, StepTrainsExperimentsAndFiles) {
  const auto list = rows({"step", "tiny.toml", "--batch", "16", "--replicas", "1,2"});
  ASSERT_EQ(list.size(), 2U);
  expect_common_fields(list[0], "step");
  EXPECT_EQ(list[0]["experiment"], "tiny.toml");
  EXPECT_EQ(list[1]["replicas"], 2);
  EXPECT_GT(list[0]["dispatches"], 5);
  EXPECT_LE(list[0]["levels"], list[0]["dispatches"]);
  EXPECT_GE(list[0]["planned_ratio"], 1.0);
  EXPECT_NEAR(list[0]["images_per_second"].get<double>() * list[0]["median_ms"].get<double>(), 16e3,
              1);
}

TEST_F(Bench, CopyGoesInThreeDirections) {
  const auto list = rows({"copy", "--bytes", "1000"});
  ASSERT_EQ(list.size(), 3U);
  expect_common_fields(list[2], "copy");
  EXPECT_EQ(list[0]["bytes"], 992);
  EXPECT_EQ(list[2]["direction"], "device to device");
}

TEST_F(Bench, PeakIsItsOwnAndIsTheOthersMeasure) {
  const CommandResult peak = bench({"peak", "--bytes", "65536"});
  EXPECT_EQ(peak.code, 0) << peak.err;
  for (const char* part : {"fma 12 chains, 64 steps", "triad", "GFLOP/s", "GB/s"}) {
    EXPECT_NE(peak.out.find(part), std::string::npos) << part << "\n" << peak.out;
  }
  const CommandResult gemm = bench({"gemm", "--size", "16", "--form", "nt", "--format", "csv"});
  ASSERT_EQ(gemm.code, 0) << gemm.err;
  std::istringstream lines(gemm.out);
  std::string header, row;
  std::getline(lines, header);
  std::getline(lines, row);
  EXPECT_TRUE(header.starts_with("benchmark,form,m,n,k,precision,kernel,")) << header;
  EXPECT_TRUE(row.starts_with("gemm,nt,16,16,16,f32,")) << row;
  EXPECT_NE(header.find(",peak_percent,peak_gflops,"), std::string::npos);
  EXPECT_EQ(row.find(",,,,"), std::string::npos) << row;  // the share and the peak are there
}

TEST_F(Bench, OutputIsWrittenWholeOrNotAtAll) {
  const CommandResult result = bench({"gemm", "--size", "8", "--form", "nt", "--no-peak",
                                      "--format", "md", "--output", "rows.md"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_TRUE(read_text("rows.md").starts_with("| benchmark | form | m |"));
  expect_failure(bench({"gemm", "--size", "8", "--no-peak", "--output", "none/rows.md"}), 1,
                 {"none"});
  EXPECT_FALSE(std::filesystem::exists("none"));
}

TEST_F(Bench, BadInputEndsInOneSentence) {
  expect_failure(bench({"gemm", "--form", "tt"}), 2, {"--form", "'tt'"});
  expect_failure(bench({"gemm", "--size", "0"}), 2, {"--size", "'0'"});
  expect_failure(bench({"gemm", "--m", "4"}), 2, {"--m, --n and --k"});
  expect_failure(bench({"gemm", "--shapes", "cnn"}), 2, {"fcn100k", "'cnn'"});
  expect_failure(bench({"gemm", "--format", "xml"}), 2, {"--format", "'xml'"});
  expect_failure(bench({"gemm", "--size", "1000000", "--no-peak"}), 1, {"1000000"});
  expect_failure(run_command({"bench", "gemm", "--repetitions", "0"}), 2, {"--repetitions"});
  expect_failure(run_command({"bench", "gemm", "--min-time", "-1"}), 2, {"--min-time"});
  expect_failure(bench({"conv", "--in", "2"}), 2, {"--out"});
  expect_failure(bench({"conv", "--in", "2", "--out", "3", "--size", "9", "--pooled", "--no-peak"}),
                 1, {"even height and width"});
  expect_failure(bench({"conv", "--layers", "a-fcn-100k"}), 2, {"a-fcn-100k"});
  expect_failure(bench({"conv", "--layers", "a-cnn-100"}), 2, {"did you mean"});
  expect_failure(bench({"conv", "--in", "3", "--out", "4", "--size", "2", "--no-peak"}), 1,
                 {"larger than its padded input"});
  expect_failure(bench({"elementwise", "--operation", "ad"}), 2, {"did you mean 'add'"});
  expect_failure(bench({"step"}), 2, {"experiments"});
  expect_failure(bench({"step", "a-fcn-10k"}), 2, {"did you mean"});
  expect_failure(bench({"step", "a-fcn-50k", "--batch", "2147483647"}), 2, {"--batch", "262144"});
  expect_failure(bench({"step", "a-fcn-50k", "--replicas", "1000000000"}), 2, {"--replicas"});
  expect_failure(bench({"copy", "--bytes", "4"}), 2, {"--bytes"});
  expect_failure(run_command({"bench"}), 2, {"subcommand"});
  expect_failure(run_command({"bench", "gem"}), 2, {"'bench gem'", "did you mean 'gemm'?"});
}

}  // namespace
}  // namespace vktrain::testing
