// `vktrain reproduce` killed with no warning at several moments: the same command goes on and ends
// with the report of a run that nobody killed.
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <optional>
#include <thread>

#include "tests/apps/command_fixture.h"
#include "tests/support/system.h"

namespace vktrain::testing {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kRuns = {"a-fcn-50k/seed-0", "a-fcn-50k/seed-1",
                                        "d-fcn-batchnorm-lr0.008/seed-0",
                                        "d-fcn-batchnorm-lr0.008/seed-1"};

class ReproduceKilled : public CommandTest {
 protected:
  static std::vector<std::string> command(const std::string& out) {
    return {"reproduce",  "a-fcn-50k", "d-fcn-batchnorm-lr0.008",
            "--seeds",    "2",         "--epochs",
            "6",          "--set",     "training.batch_size=64",
            "--progress", "none",      "--data",
            "data",       "--device",  test_device(),
            "--out",      out};
  }

  static void run_to_the_end(const std::string& out) {
    Process process(VKTRAIN_PROGRAM, command(out), "output");
    ASSERT_TRUE(process.started());
    process.wait();
    ASSERT_TRUE(process.succeeded()) << read_text("output");
  }

  using Time = std::optional<fs::file_time_type>;
  static Time time_of(const fs::path& path) {
    std::error_code error;
    const fs::file_time_type time = fs::last_write_time(path, error);
    return error ? std::nullopt : Time(time);
  }

  // Kills the program as soon as it has made or changed the file or folder.
  static void kill_once_written(const fs::path& path) {
    const Time before = time_of(path);
    Process process(VKTRAIN_PROGRAM, command("r"), "output");
    ASSERT_TRUE(process.started());
    while (!process.ended()) {
      const Time now = time_of(path);
      if (now && now != before) break;
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    EXPECT_FALSE(process.ended()) << path << " was not written: " << read_text("output");
  }

  // report.json without what a clock or the folder's name decides.
  static nlohmann::json report(const fs::path& out) {
    nlohmann::json json = read_json(out / "report.json");
    for (const char* key : {"command", "date"}) EXPECT_EQ(json.erase(key), 1U) << key;
    for (nlohmann::json& row : json["experiments"]) {
      for (const char* key : {"train_seconds", "weights_per_second"}) {
        EXPECT_EQ(row.erase(key), 1U) << key;
        for (nlohmann::json& run : row["runs"]) EXPECT_EQ(run.erase(key), 1U) << key;
      }
    }
    return json;
  }
};

TEST_F(ReproduceKilled, ContinuesToTheSameReport) {
  const std::vector<std::string> moments = {
      ".lock",
      "report.json",
      kRuns[0],
      kRuns[0] + "/config.toml",
      kRuns[0] + "/metrics.jsonl",
      kRuns[0] + "/model.safetensors",
      kRuns[1],
      kRuns[1] + "/result.json",
      kRuns[2] + "/metrics.jsonl",
      kRuns[3] + "/metrics.jsonl",
  };
  const fs::path out = "r";
  std::map<std::string, fs::file_time_type> finished;
  std::size_t half_runs = 0;
  for (const std::string& moment : moments) {
    if (finished.contains(moment.substr(0, moment.rfind('/')))) continue;
    ASSERT_NO_FATAL_FAILURE(kill_once_written(out / moment));
    for (const std::string& run : kRuns) {
      if (const Time time = time_of(out / run / "result.json")) {
        finished.emplace(run, *time);
      } else if (fs::exists(out / run)) {
        ++half_runs;
      }
    }
  }
  EXPECT_GT(half_runs, 0U);
  EXPECT_FALSE(finished.empty());
  ASSERT_NO_FATAL_FAILURE(run_to_the_end("r"));
  ASSERT_NO_FATAL_FAILURE(run_to_the_end("whole"));
  EXPECT_EQ(report("r"), report("whole"));
  for (const std::string& run : kRuns) {
    EXPECT_EQ(read_text(out / run / "model.safetensors"),
              read_text(fs::path("whole") / run / "model.safetensors"));
  }
  for (const auto& [run, time] : finished) {
    EXPECT_EQ(fs::last_write_time(out / run / "result.json"), time) << run;
  }
  for (const auto& entry : fs::directory_iterator(out)) {
    EXPECT_FALSE(entry.path().filename().string().starts_with(".vktrain-")) << entry.path();
  }
}

}  // namespace
}  // namespace vktrain::testing
