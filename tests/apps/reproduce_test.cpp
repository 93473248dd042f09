// `vktrain reproduce`: what it trains, what it leaves alone, and what it refuses.
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "apps/vktrain/reproduce_plan.h"
#include "apps/vktrain/reproduction.h"
#include "nn/experiment/experiment_toml.h"
#include "nn/training/run_folder.h"
#include "tests/apps/command_fixture.h"

namespace vktrain::testing {
namespace {

namespace fs = std::filesystem;

class Reproduce : public CommandTest {
 protected:
  // Two experiments cut down to the small data set: an epoch of three batches.
  CommandResult reproduce(std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"reproduce",
                                          "a-fcn-50k",
                                          "d-fcn-batchnorm-lr0.008",
                                          "--epochs",
                                          "1",
                                          "--set",
                                          "training.batch_size=64",
                                          "--out",
                                          "r",
                                          "--progress",
                                          "plain"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return compute(std::move(arguments));
  }
};

const fs::path kRunA = fs::path("r") / "a-fcn-50k" / "seed-0";
const fs::path kRunD = fs::path("r") / "d-fcn-batchnorm-lr0.008" / "seed-0";

bool has(const CommandResult& result, std::string_view part) {
  return result.out.find(part) != std::string::npos;
}

nlohmann::json row_of(const std::string& id) {
  const nlohmann::json report = read_json("r/report.json");
  for (const auto& row : report["experiments"]) {
    if (row["experiment"] == id) return row;
  }
  ADD_FAILURE() << id << " is not in the report";
  return {};
}

TEST_F(Reproduce, TrainsAndReports) {
  const CommandResult result = reproduce();
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_TRUE(has(result, "run 1 of 2: a-fcn-50k, seed 0\n")) << result.out;
  EXPECT_TRUE(has(result, "run 2 of 2: d-fcn-batchnorm-lr0.008, seed 0\n")) << result.out;
  EXPECT_TRUE(has(result, "\nReport A\n") && has(result, "\nReport D\n")) << result.out;
  EXPECT_TRUE(has(result, "2 experiments: 2 trial\n")) << result.out;

  const auto outcome = read_json(kRunA / "result.json");
  const auto row = row_of("a-fcn-50k");
  EXPECT_EQ(row["test_accuracy"]["mean"], outcome["test_accuracy"]);
  EXPECT_EQ(row["test_loss"]["mean"], outcome["final"]["test_loss"]);
  EXPECT_EQ(row["train_seconds"]["mean"], outcome["train_seconds"]);
  EXPECT_EQ(row["weights_per_second"]["mean"], outcome["weights_per_second"]);
  EXPECT_EQ(row["runs"][0]["trained_together"], 1);
  EXPECT_EQ(nn::parse_experiment(read_text(kRunA / "config.toml"), "").training.batch_size, 64);
  EXPECT_NE(read_text("r/report.md")
                .find("command: `vktrain reproduce a-fcn-50k "
                      "d-fcn-batchnorm-lr0.008 --epochs 1 --set "
                      "training.batch_size=64 --data data"),
            std::string::npos);
  EXPECT_NE(read_text("r/report.csv").find("\na-fcn-50k,a,"), std::string::npos);
}

TEST_F(Reproduce, KeepsFinishedRunsAndTrainsTheOthers) {
  ASSERT_EQ(reproduce().code, 0);
  const auto model = testing::file_bytes(kRunD / "model.safetensors");
  const auto first = fs::last_write_time(kRunA / "result.json");

  const CommandResult again = reproduce();
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_TRUE(again.out.starts_with("Report A\n")) << again.out;

  fs::remove(kRunD / "result.json");  // as a kill leaves it
  std::ofstream(kRunD / ".vktrain-1-0.tmp") << "half a file";
  const CommandResult continued = reproduce();
  EXPECT_EQ(continued.code, 0) << continued.err;
  EXPECT_TRUE(continued.out.starts_with("run 1 of 1: d-fcn-batchnorm-lr0.008, seed 0\n"))
      << continued.out;
  EXPECT_FALSE(has(continued, "a-fcn-50k, seed")) << continued.out;
  EXPECT_EQ(fs::last_write_time(kRunA / "result.json"), first);
  EXPECT_EQ(testing::file_bytes(kRunD / "model.safetensors"), model);
  EXPECT_FALSE(fs::exists(kRunD / ".vktrain-1-0.tmp"));
}

TEST_F(Reproduce, AddsSeeds) {
  ASSERT_EQ(reproduce().code, 0);
  const CommandResult more = reproduce({"--seeds", "2", "--format", "json"});
  ASSERT_EQ(more.code, 0) << more.err;
  EXPECT_NE(more.err.find("run 1 of 2: a-fcn-50k, seed 1\n"), std::string::npos) << more.err;
  EXPECT_EQ(nlohmann::json::parse(more.out), read_json("r/report.json"));
  const auto row = row_of("a-fcn-50k");
  ASSERT_EQ(row["runs"].size(), 2U);
  EXPECT_EQ(row["runs"][1]["seed"], 1);
  EXPECT_TRUE(row["test_accuracy"]["deviation"].is_number());
}

TEST_F(Reproduce, RefusesARunOfAnotherConfigUntilRestart) {
  ASSERT_EQ(reproduce().code, 0);
  const auto before = testing::file_bytes(kRunA / "model.safetensors");
  const CommandResult changed = reproduce({"--set", "optimizer.learning_rate=0.1"});
  expect_failure(changed, 1, {kRunA.string(), "another config", "--restart"});
  EXPECT_EQ(testing::file_bytes(kRunA / "model.safetensors"), before);

  const CommandResult restarted = reproduce({"--set", "optimizer.learning_rate=0.1", "--restart"});
  EXPECT_EQ(restarted.code, 0) << restarted.err;
  EXPECT_TRUE(has(restarted, "run 2 of 2")) << restarted.out;
  EXPECT_NE(testing::file_bytes(kRunA / "model.safetensors"), before);
}

TEST_F(Reproduce, RefusesARunOfAnotherDataSet) {
  ASSERT_EQ(reproduce().code, 0);
  write_data_set("data", 200, 60);
  expect_failure(reproduce(), 1, {kRunA.string(), "70 images", "has 60", "--restart"});
}

TEST_F(Reproduce, LeavesFilesOfOthersAlone) {
  fs::create_directories(kRunA);
  std::ofstream(kRunA / "notes.txt") << "mine";
  const CommandResult result = reproduce();
  EXPECT_EQ(result.code, 1);
  EXPECT_NE(result.err.find("'notes.txt'"), std::string::npos) << result.err;
  EXPECT_EQ(read_text(kRunA / "notes.txt"), "mine");
  EXPECT_EQ(row_of("d-fcn-batchnorm-lr0.008")["mark"], "trial");
}

TEST_F(Reproduce, GoesOnAfterARunThatFails) {
  // 200 images leave none for training: e has a split of the first 5,000.
  const CommandResult result = compute({"reproduce", "e-fcn-final", "a-fcn-50k", "--epochs", "1",
                                        "--out", "r", "--progress", "none"});
  EXPECT_EQ(result.code, 1);
  EXPECT_NE(result.err.find("1 of 2 experiments failed: e-fcn-final: "), std::string::npos)
      << result.err;
  EXPECT_EQ(row_of("e-fcn-final")["mark"], "fail");
  EXPECT_TRUE(row_of("e-fcn-final")["failure"].is_string());
  EXPECT_EQ(row_of("a-fcn-50k")["mark"], "trial");
}

TEST_F(Reproduce, ReportsEarlierRunsOfTheFolder) {
  const std::vector<std::string> cut = {"--out", "r",     "--progress",
                                        "none",  "--set", "training.steps=1"};
  std::vector<std::string> first = {"reproduce", "a-fcn-50k"};
  first.insert(first.end(), cut.begin(), cut.end());
  compute_well(first);
  // A trial is no earlier run of the report's experiment.
  std::vector<std::string> second = {"reproduce", "a-fcn-100k"};
  second.insert(second.end(), cut.begin(), cut.end());
  compute_well(second);
  EXPECT_EQ(read_json("r/report.json")["experiments"].size(), 1U);
  // The report's own run is.
  compute_well({"reproduce", "a-fcn-200k", "--out", "r", "--progress", "none"});
  const CommandResult third = compute_well(second);
  EXPECT_EQ(row_of("a-fcn-200k")["runs"].size(), 1U);
  EXPECT_NE(row_of("a-fcn-200k")["mark"], "trial");
  EXPECT_FALSE(has(third, "a-fcn-200k")) << third.out;
}

TEST_F(Reproduce, AdoptsSeedsThatTrainedAtOnce) {
  nn::Experiment run = nn::parse_experiment(read_text("tiny.toml"), "tiny.toml");
  const app::ReproductionFolder folder("r");
  const fs::path scratch = folder.scratch_folder(run);
  compute_well({"train", "tiny.toml", "--seeds", "2", "--run-dir", scratch.string()});
  std::vector<nn::Experiment> runs = {run, run};
  runs[1].training.seed = 1;
  folder.adopt(runs);
  EXPECT_FALSE(fs::exists(scratch));
  for (const nn::Experiment& each : runs) {
    const auto record = folder.find(each, 70);
    ASSERT_TRUE(record);
    EXPECT_EQ(record->seed, each.training.seed);
    EXPECT_EQ(record->trained_together, 2);
  }
  EXPECT_EQ(folder.find_all(run, 70).size(), 2U);
  folder.remove(runs[0]);
  EXPECT_FALSE(fs::exists(folder.run_folder(runs[0])));
  EXPECT_TRUE(folder.find(runs[1], 70));
}

TEST_F(Reproduce, AKillBetweenTwoAdoptionsCostsTheOthers) {
  nn::Experiment run = nn::parse_experiment(read_text("tiny.toml"), "tiny.toml");
  const app::ReproductionFolder folder("r");
  const fs::path scratch = folder.scratch_folder(run);
  compute_well({"train", "tiny.toml", "--seeds", "2", "--run-dir", scratch.string()});
  std::vector<nn::Experiment> runs = {run, run};
  runs[1].training.seed = 1;
  fs::rename(scratch / "seed-0", folder.run_folder(runs[0]));
  EXPECT_TRUE(folder.find(runs[0], 70));
  EXPECT_FALSE(folder.find(runs[1], 70));
  EXPECT_EQ(folder.find_all(run, 70).size(), 1U);
  folder.remove(runs[1]);
  EXPECT_FALSE(fs::exists(scratch));
  EXPECT_TRUE(folder.find(runs[0], 70));
}

TEST_F(Reproduce, TakesReportsAndSuites) {
  expect_failure(compute({"reproduce", "--report", "z"}), 2, {"--report", "a, b, c, d, e", "'z'"});
  expect_failure(compute({"reproduce", "a-fcn-50k", "--report", "a"}), 2, {"not both"});
  EXPECT_FALSE(fs::exists("runs"));
  const CommandResult result =
      compute({"reproduce", "--report", "a", "--report", "b", "--suite", "fcn", "--set",
               "training.steps=1", "--out", "r", "--progress", "none"});
  EXPECT_EQ(result.code, 0) << result.err;
  std::set<std::string> reports;
  const nlohmann::json report = read_json("r/report.json");
  for (const auto& row : report["experiments"]) {
    reports.insert(row["report"].get<std::string>());
    EXPECT_NE(row["experiment"].get<std::string>().find("-fcn-"), std::string::npos);
  }
  EXPECT_EQ(reports, (std::set<std::string>{"a", "b"}));
}

TEST_F(Reproduce, RedoesWhatWasCutShortWhateverItsConfig) {
  ASSERT_EQ(reproduce().code, 0);
  fs::remove(kRunA / "result.json");
  fs::remove(kRunD / "result.json");
  std::ofstream(kRunD / "config.toml") << "[train";  // half a file
  std::ofstream("r/.vktrain-1-0.tmp") << "half a file";
  const CommandResult changed = reproduce({"--set", "optimizer.learning_rate=0.1"});
  EXPECT_EQ(changed.code, 0) << changed.err;
  EXPECT_TRUE(has(changed, "run 2 of 2")) << changed.out;
  EXPECT_FALSE(fs::exists("r/.vktrain-1-0.tmp"));
}

TEST_F(Reproduce, LocksItsFolder) {
  const app::ReproductionFolder folder("r");
  expect_failure(reproduce(), 1, {"another `vktrain reproduce`", "'r'", "--out"});
}

TEST_F(Reproduce, ExplainsWrongUsage) {
  expect_failure(compute({"reproduce"}), 2, {"needs experiments", "--suite"});
  expect_failure(compute({"reproduce", "a-fcn-50k", "--suite", "fcn"}), 2, {"not both"});
  expect_failure(compute({"reproduce", "--suite", "slow"}), 2, {"slow", "quick"});
  expect_failure(compute({"reproduce", "a-fcn-51k"}), 2, {"a-fcn-51k", "a-fcn-50k"});
  expect_failure(compute({"reproduce", "a-fcn-50k", "--format", "xml"}), 2, {"xml", "csv"});
  expect_failure(compute({"reproduce", "a-fcn-50k", "--seeds", "1,1"}), 2, {"seed 1 twice"});
  expect_failure(compute({"reproduce", "a-fcn-50k", "--epochs", "-1"}), 2, {"a-fcn-50k", "epochs"});
  expect_failure(
      compute({"reproduce", "a-fcn-50k", "--set", "optimizer.learning_rates=[0.1, 0.2]"}), 2,
      {"one learning rate"});
  EXPECT_FALSE(fs::exists("runs"));
}

TEST_F(Reproduce, NeedsDataAndDeviceBeforeTheFirstRun) {
  fs::remove("data/train-labels-idx1-ubyte");
  expect_failure(reproduce(), 1, {"train-labels-idx1-ubyte"});
  EXPECT_FALSE(fs::exists("r"));
  write_data_set("data", 200, 70);
  const CommandResult result = run_command(
      {"reproduce", "a-fcn-50k", "--data", "data", "--device", "no such device", "--out", "r"});
  expect_failure(result, 2, {"no such device"});
  EXPECT_FALSE(fs::exists(kRunA));
}

TEST(ReproduceCommandText, NamesTuningWhereItIsNotTheDefault) {
  app::ReproduceArguments arguments;
  arguments.suite = "all";
  EXPECT_EQ(app::command_text(arguments), "vktrain reproduce --suite all --out runs/reproduce");
  arguments.compute.tune = "full";
  arguments.compute.tune_budget = 0.5;
  EXPECT_EQ(app::command_text(arguments),
            "vktrain reproduce --suite all --tune full --tune-budget 0.5 --out runs/reproduce");
}

}  // namespace
}  // namespace vktrain::testing
