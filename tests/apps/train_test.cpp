// `vktrain train`: what the run folder holds, that runs repeat bit for bit, and that bad input
// leaves nothing behind.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <thread>

#include "nn/experiment/experiment_toml.h"
#include "nn/io/safetensors.h"
#include "tests/apps/command_fixture.h"

namespace vktrain::testing {
namespace {

namespace fs = std::filesystem;
using Train = CommandTest;

void expect_same_run(const fs::path& a, const fs::path& b) {
  EXPECT_EQ(read_text(a / "config.toml"), read_text(b / "config.toml"));
  EXPECT_EQ(read_text(a / "model.safetensors"), read_text(b / "model.safetensors"));
  EXPECT_EQ(untimed_metrics(a), untimed_metrics(b));
}

TEST_F(Train, WritesTheRunFolder) {
  const CommandResult result =
      compute_well({"train", "tiny.toml", "--run-dir", "run", "--log-every", "3"});
  for (const char* part :
       {"linear", "12,560", "12,762", "epoch 1/2", "epoch 2/2", "run folder run",
        "(reported 0.5000)", "overfitting gap ", "\naccuracy by class: T-shirt/top ",
        ", Ankle boot ", "\nmost often confused: "}) {
    EXPECT_NE(result.out.find(part), std::string::npos) << part << "\n" << result.out;
  }
  EXPECT_EQ(result.out.find('\r'), std::string::npos);

  const nn::Experiment config = nn::parse_experiment(read_text("run/config.toml"), "config");
  EXPECT_EQ(config.id, "tiny");
  EXPECT_EQ(config.training.log_every, 3);

  const auto epochs = read_json_lines("run/metrics.jsonl");
  ASSERT_EQ(epochs.size(), 2U);
  for (const char* key :
       {"epoch", "learning_rate", "train_loss", "train_accuracy", "val_loss", "val_accuracy",
        "test_loss", "test_accuracy", "seconds", "images_per_second"}) {
    EXPECT_TRUE(epochs[1].at(key).is_number()) << key;
  }
  EXPECT_EQ(epochs[0].size(), 10U);
  EXPECT_EQ(epochs[1]["epoch"], 2);
  EXPECT_LT(epochs[1]["train_loss"].get<double>(), epochs[0]["train_loss"].get<double>());

  const auto steps = read_json_lines("run/steps.jsonl");  // 160 images in batches of 48: 4 steps
  ASSERT_EQ(steps.size(), 2U);
  EXPECT_EQ(steps[1]["step"], 6);
  EXPECT_TRUE(steps[1]["loss"].is_number());
  EXPECT_TRUE(steps[1]["accuracy"].is_number());

  const auto outcome = read_json("run/result.json");
  EXPECT_EQ(outcome["experiment"], "tiny");
  EXPECT_EQ(outcome["parameter_count"], 784 * 16 + 16 + 32 + 16 * 10 + 10);
  EXPECT_EQ(outcome["steps"], 8);
  EXPECT_EQ(outcome["final"], epochs[1]);
  EXPECT_EQ(outcome["test_accuracy"], epochs[1]["test_accuracy"]);
  EXPECT_EQ(outcome["test"]["images"], 70);
  EXPECT_EQ(outcome["reported"]["test_accuracy"], 0.5);
  EXPECT_EQ(outcome["overfitting_gap"].get<double>(),
            epochs[1]["val_loss"].get<double>() - epochs[1]["train_loss"].get<double>());
  EXPECT_TRUE(outcome["early_stopping"].is_null());
  EXPECT_EQ(outcome["test"]["confusion"].size(), 10U);
  EXPECT_EQ(outcome["validation"]["class_accuracy"].size(), 10U);
  EXPECT_EQ(outcome["train_seconds"].get<double>(),
            epochs[0]["seconds"].get<double>() + epochs[1]["seconds"].get<double>());

  const auto device = read_json("run/device.json");
  EXPECT_TRUE(device["device"]["name"].is_string());
  EXPECT_EQ(device["program"]["name"], "vktrain");

  const nn::SafeTensors model = nn::read_safetensors("run/model.safetensors");
  ASSERT_NE(model.find("1.weight"), nullptr);
  EXPECT_EQ(model.find("1.weight")->shape, (std::vector<std::int64_t>{16, 784}));
  EXPECT_EQ(nn::i64_values(*model.find("2.num_batches_tracked")), std::vector<std::int64_t>{8});
}

TEST_F(Train, RepeatsBitForBit) {
  compute_well({"train", "tiny.toml", "--run-dir", "first", "--seed", "7"});
  compute_well({"train", "tiny.toml", "--run-dir", "second", "--seed", "7"});
  compute_well({"train", "first/config.toml", "--run-dir", "of-config"});
  compute_well({"train", "tiny.toml", "--run-dir", "other", "--seed", "8"});
  expect_same_run("first", "second");
  expect_same_run("first", "of-config");
  EXPECT_NE(read_text("first/model.safetensors"), read_text("other/model.safetensors"));
}

TEST_F(Train, ReplicasEqualSingleRuns) {
  compute_well({"train", "tiny.toml", "--run-dir", "seeds", "--seed", "3", "--seeds", "2"});
  compute_well({"train", "tiny.toml", "--run-dir", "grid", "--seeds", "4,9", "--learning-rate",
                "0.01,0.002", "--log-every", "2"});
  compute_well({"train", "tiny.toml", "--run-dir", "four", "--seed", "4"});
  compute_well({"train", "tiny.toml", "--run-dir", "nine", "--seed", "9", "--learning-rate",
                "0.002", "--log-every", "2"});
  expect_same_run("seeds/seed-4", "four");
  expect_same_run("grid/lr-0.002-seed-9", "nine");
  EXPECT_EQ(read_text("grid/lr-0.002-seed-9/steps.jsonl"), read_text("nine/steps.jsonl"));

  const auto summary = read_json("seeds/result.json");
  ASSERT_EQ(summary["runs"].size(), 2U);
  const double a = summary["runs"][0]["test_accuracy"].get<double>();
  const double b = summary["runs"][1]["test_accuracy"].get<double>();
  EXPECT_EQ(summary["runs"][1]["folder"], "seed-4");
  EXPECT_DOUBLE_EQ(summary["test_accuracy"]["mean"].get<double>(), (a + b) / 2);
  EXPECT_NEAR(summary["test_accuracy"]["std"].get<double>(), std::abs(a - b) / std::sqrt(2.0),
              1e-12);
  for (const char* key :
       {"val_loss", "overfitting_gap", "batch_sigma", "train_seconds", "weights_per_second"}) {
    EXPECT_TRUE(summary[key]["mean"].is_number()) << key;
  }
  EXPECT_TRUE(fs::exists("seeds/device.json"));
  const auto config = nn::parse_experiment(read_text("seeds/config.toml"), "config");
  EXPECT_EQ(config.training.seeds, (std::vector<std::uint64_t>{3, 4}));
}

TEST_F(Train, ReplicasStopByThemselves) {
  // No loss falls by 10: the first epoch stays the best.
  const std::vector<std::string> stops = {"--set",    "early_stopping.patience=2",
                                          "--set",    "early_stopping.min_delta=10",
                                          "--epochs", "9"};
  std::vector<std::string> both = {"train", "tiny.toml", "--run-dir", "both", "--seeds", "2"};
  both.insert(both.end(), stops.begin(), stops.end());
  const std::string out = compute_well(both).out;
  EXPECT_NE(out.find("stopped after epoch 3, best epoch 1 restored"), std::string::npos) << out;
  EXPECT_EQ(out.find("epoch 4/9"), std::string::npos) << out;
  std::vector<std::string> one = {"train", "tiny.toml", "--run-dir", "one", "--seed", "1"};
  one.insert(one.end(), stops.begin(), stops.end());
  compute_well(one);
  expect_same_run("both/seed-1", "one");
  compute_well({"train", "tiny.toml", "--run-dir", "first", "--seed", "1", "--epochs", "1"});
  EXPECT_EQ(read_text("one/model.safetensors"), read_text("first/model.safetensors"));

  const auto outcome = read_json("one/result.json");
  EXPECT_EQ(outcome["early_stopping"],
            nlohmann::json({{"best_epoch", 1}, {"stopped_epoch", 3}, {"restored", true}}));
  EXPECT_EQ(outcome["final"]["epoch"], 1);
  EXPECT_EQ(outcome["steps"], 12);
  EXPECT_EQ(read_json_lines("one/metrics.jsonl").size(), 3U);
}

TEST_F(Train, SaveAndInitFrom) {
  compute_well({"train", "tiny.toml", "--run-dir", "a", "--save", "a.safetensors"});
  EXPECT_EQ(read_text("a.safetensors"), read_text("a/model.safetensors"));
  // A step with learning rate 0 leaves the parameters, not batch norm's statistics.
  compute_well({"train", "tiny.toml", "--run-dir", "b", "--init-from", "a.safetensors", "--steps",
                "1", "--learning-rate", "0"});
  const nn::SafeTensors before = nn::read_safetensors("a.safetensors");
  const nn::SafeTensors after = nn::read_safetensors("b/model.safetensors");
  for (const char* name : {"1.weight", "1.bias", "2.weight", "2.bias", "5.weight", "5.bias"}) {
    EXPECT_EQ(*before.find(name), *after.find(name)) << name;
  }
  EXPECT_NE(*before.find("2.running_mean"), *after.find("2.running_mean"));
  EXPECT_EQ(nn::i64_values(*after.find("2.num_batches_tracked")), std::vector<std::int64_t>{9});
  EXPECT_EQ(read_text("b/initial.safetensors"), read_text("a.safetensors"));
  compute_well(
      {"train", "b/config.toml", "--run-dir", "c", "--init-from", "b/initial.safetensors"});
  expect_same_run("b", "c");
}

TEST_F(Train, WithoutASplitValidationIsNull) {
  compute_well({"train", "tiny.toml", "--run-dir", "run", "--split", "none", "--epochs", "1"});
  const auto epochs = read_json_lines("run/metrics.jsonl");
  ASSERT_EQ(epochs.size(), 1U);
  EXPECT_TRUE(epochs[0]["val_loss"].is_null());
  EXPECT_TRUE(epochs[0]["val_accuracy"].is_null());
  EXPECT_FALSE(fs::exists("run/steps.jsonl"));
}

TEST_F(Train, DefaultRunFoldersAreNumbered) {
  compute_well({"train", "tiny.toml", "--steps", "1"});
  compute_well({"train", "tiny.toml", "--steps", "1"});
  EXPECT_TRUE(fs::exists("runs/tiny/result.json"));
  EXPECT_TRUE(fs::exists("runs/tiny-2/result.json"));
}

TEST_F(Train, ProgressOnATerminalAndNone) {
  const std::string live = compute_well({"train", "tiny.toml", "--run-dir", "a"}, 60).out;
  EXPECT_NE(live.find("\r\x1b[Kepoch 1/2  step "), std::string::npos) << live;
  EXPECT_NE(live.find("\r\x1b[Kepoch 1/2: train loss"), std::string::npos) << live;
  const std::string none =
      compute_well({"train", "tiny.toml", "--run-dir", "b", "--progress", "none"}, 60).out;
  EXPECT_EQ(std::count(none.begin(), none.end(), '\n'), 3) << none;
  EXPECT_TRUE(none.starts_with("tiny: test accuracy")) << none;
  expect_same_run("a", "b");
}

TEST_F(Train, ProfileShowsTheKernels) {
  const CommandResult result = compute({"train", "tiny.toml", "--run-dir", "a", "--profile"});
  if (result.err.find("has no GPU timestamps") != std::string::npos) GTEST_SKIP() << result.err;
  ASSERT_EQ(result.code, 0) << result.err;
  const std::string& out = result.out;
  const std::string lines =
      (fs::path("a") / "trace.json").string() + " (open it in ui.perfetto.dev";
  for (const std::string_view part :
       {"kernel", "GFLOP/s", "gemm", "adam", "total", lines.c_str()}) {
    EXPECT_NE(out.find(part), std::string::npos) << part << "\n" << out;
  }
  const std::string trace = read_text("a/trace.json");
  for (const char* part : {"gemm", "adam", "replay 5"}) {  // 3 full steps in each of 2 epochs
    EXPECT_NE(trace.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(trace.find("replay 6"), std::string::npos);
}

TEST_F(Train, AnExistingRunFolderIsLeftAlone) {
  fs::create_directory("run");
  std::ofstream("run/notes.txt") << "mine";
  expect_failure(compute({"train", "tiny.toml", "--run-dir", "run"}), 1, {"'run'", "--run-dir"});
  expect_failure(compute({"train", "tiny.toml", "--run-dir", "tiny.toml"}), 1, {"tiny.toml"});
  EXPECT_EQ(read_text("run/notes.txt"), "mine");
  EXPECT_EQ(std::distance(fs::directory_iterator("run"), {}), 1);
  fs::create_directory("empty");
  compute_well({"train", "tiny.toml", "--run-dir", "empty", "--steps", "1"});
  EXPECT_TRUE(fs::exists("empty/result.json"));
}

TEST_F(Train, BadInputLeavesNoRunFolder) {
  const auto expect = [&](std::vector<std::string> more, int code, const char* part) {
    more.insert(more.begin(), {"train", "tiny.toml"});
    const CommandResult result = compute(more);
    EXPECT_EQ(result.code, code) << result.err;
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
    EXPECT_FALSE(fs::exists("runs"));
  };
  expect({"--init-from", "absent.safetensors"}, 1, "absent.safetensors");
  expect({"--save", "absent/model.safetensors"}, 1, "absent");
  expect({"--split", "first:200"}, 1, "200");
  expect({"--seeds", "1,1"}, 2, "seed");
  expect({"--set", "model.input=[1, 14, 14]"}, 1, "28");

  expect_failure(
      run_command({"train", "tiny.toml", "--data", "data", "--device", "no such device"}), 2,
      {"no such device"});
  EXPECT_FALSE(fs::exists("runs"));
  compute_well({"train", "tiny.toml", "--run-dir", "wide", "--steps", "1", "--set",
                "model.layers=[\"flatten\", \"linear 10\"]"});
  expect({"--init-from", "wide/model.safetensors"}, 1, "wide/model.safetensors");
}

TEST_F(Train, BadDataLeavesNoRunFolder) {
  const auto expect = [&](const char* part) {
    expect_failure(compute({"train", "tiny.toml"}), 1, {part});
    EXPECT_FALSE(fs::exists("runs"));
    write_data_set("data", 200, 70);
  };
  fs::resize_file("data/train-images-idx3-ubyte", 5000);
  expect("train-images-idx3-ubyte");
  const std::vector<std::uint8_t> labels = testing::file_bytes("data/train-labels-idx1-ubyte");
  testing::write_bytes("data/t10k-labels-idx1-ubyte", labels);
  expect("t10k-labels-idx1-ubyte");
  testing::write_bytes("data/train-images-idx3-ubyte", labels);
  expect("train-images-idx3-ubyte");
  std::fstream("data/train-labels-idx1-ubyte", std::ios::in | std::ios::out | std::ios::binary)
      .seekp(30)
      .put(77);
  expect("77");
  fs::remove("data/t10k-images-idx3-ubyte");
  expect("t10k-images-idx3-ubyte");
}

TEST_F(Train, LabelsBeyondTheClassesAreRefused) {
  expect_failure(compute({"train", "tiny.toml", "--set", "data.classes=9", "--set",
                          "model.layers=[\"flatten\", \"linear 9\"]"}),
                 1, {"has label 9, but the model has 9 classes", "data.classes"});
  EXPECT_FALSE(fs::exists("runs"));
}

TEST_F(Train, CtrlCKeepsTheMetricsAndExitsWith130) {
  test_device();  // skips the test, where it is to be, before the thread starts
  std::thread user([] {
    while (!fs::exists("run/metrics.jsonl")) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    std::raise(SIGINT);
  });
  const CommandResult result =
      compute({"train", "tiny.toml", "--run-dir", "run", "--epochs", "1000000"});
  user.join();
  EXPECT_EQ(result.code, 130) << result.err;
  EXPECT_NE(result.err.find("interrupted after step"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("metrics so far are in 'run'"), std::string::npos) << result.err;
  EXPECT_FALSE(read_json_lines("run/metrics.jsonl").empty());
  EXPECT_FALSE(fs::exists("run/result.json"));
  EXPECT_FALSE(fs::exists("run/model.safetensors"));
}

}  // namespace
}  // namespace vktrain::testing
