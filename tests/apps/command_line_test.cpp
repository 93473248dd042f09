// Help, unknown commands and options, and the commands that need no device.
#include <gtest/gtest.h>

#include <fstream>

#include "apps/vktrain/app.h"
#include "nn/experiment/experiment_toml.h"
#include "runtime/device.h"
#include "runtime/error.h"
#include "runtime/platform.h"
#include "tests/apps/command_fixture.h"

namespace vktrain::testing {
namespace {

using CommandLine = CommandTest;

TEST_F(CommandLine, HelpNamesEveryCommandAndOption) {
  const CommandResult help = run_command({"--help"});
  EXPECT_EQ(help.code, 0);
  for (const char* command :
       {"train", "evaluate", "predict", "bench", "experiments", "devices", "data"}) {
    EXPECT_NE(help.out.find(command), std::string::npos) << command;
    const CommandResult of_command = run_command({command, "--help"});
    EXPECT_EQ(of_command.code, 0);
    EXPECT_NE(of_command.out.find("Usage: vktrain " + std::string(command)), std::string::npos);
  }
  const std::string train = run_command({"train", "--help"}).out;
  for (const char* option :
       {"--set", "--device", "--seed", "--seeds", "--epochs", "--steps", "--batch-size",
        "--learning-rate", "--data", "--shuffle", "--split", "--init-from", "--save", "--run-dir",
        "--log-every", "--progress", "--validate", "--profile", "--list"}) {
    EXPECT_NE(train.find(option), std::string::npos) << option;
  }
}

TEST_F(CommandLine, VersionIsALine) {
  const CommandResult version = run_command({"--version"});
  EXPECT_EQ(version.code, 0);
  EXPECT_TRUE(version.out.starts_with("vktrain 0.")) << version.out;
}

TEST_F(CommandLine, WrongUsageExitsWithTwo) {
  expect_failure(run_command({}), 2, {"subcommand", "--help"});
  expect_failure(run_command({"tran"}), 2, {"'tran'", "did you mean 'train'?"});
  expect_failure(run_command({"train", "a-fcn-100k", "--sede", "1"}), 2, {"--sede"});
  expect_failure(run_command({"train"}), 2, {"experiment"});
  expect_failure(run_command({"train", "a-fcn-10k"}), 2,
                 {"a-fcn-10k", "did you mean 'a-fcn-100k'"});
  expect_failure(run_command({"train", "a-fcn-100k", "--progress", "fast"}), 2,
                 {"auto, plain, none"});
  expect_failure(run_command({"train", "a-fcn-100k", "--shuffle", "maybe"}), 2, {"on or off"});
  expect_failure(run_command({"train", "a-fcn-100k", "--epochs", "many"}), 2, {"epochs", "many"});
  expect_failure(run_command({"train", "a-fcn-100k", "--batch-size", "0"}), 2, {"batch_size"});
  expect_failure(run_command({"train", "a-fcn-100k", "--split", "half"}), 2, {"split", "half"});
  expect_failure(run_command({"train", "a-fcn-100k", "--seeds", "0"}), 2, {"--seeds", "'0'"});
  expect_failure(run_command({"train", "a-fcn-100k", "--set", "epochs"}), 2, {"key=value"});
  expect_failure(run_command({"train", "a-fcn-100k", "--set", "optimizer.learning_rat=1"}), 2,
                 {"did you mean 'optimizer.learning_rate'"});
  expect_failure(run_command({"train", "a-fcn-100k", "--seeds", "2", "--save", "x"}), 2,
                 {"--save"});
  expect_failure(run_command({"train", "a-fcn-100k", "--set", "data.dataset=cifar"}), 2,
                 {"cifar", "fashion-mnist"});
  EXPECT_FALSE(std::filesystem::exists("runs"));
}

TEST_F(CommandLine, BadExperimentFilesAreNamedWithTheLine) {
  std::ofstream("bad.toml") << "id = \"x\"\n[optimizer]\nkin = \"adam\"\n";
  expect_failure(run_command({"train", "bad.toml"}), 2, {"bad.toml:3", "did you mean", "kind"});
  std::ofstream("broken.toml") << "id = \n";
  expect_failure(run_command({"train", "broken.toml"}), 2, {"broken.toml:1"});
  expect_failure(run_command({"train", "absent.toml"}), 1, {"absent.toml"});
}

TEST_F(CommandLine, FilesMayHaveNamesInAnyScript) {
  const std::string file = "über-日本.toml", folder = "größe 学";
  std::filesystem::rename("tiny.toml", path_of(file));
  std::filesystem::rename("data", path_of(folder));
  const CommandResult config = run_command({"experiments", file});
  EXPECT_EQ(config.code, 0) << config.err;
  EXPECT_NE(config.out.find("\"tiny\""), std::string::npos) << config.out;
  const CommandResult status = run_command({"data", "--data", folder});
  EXPECT_EQ(status.code, 0) << status.err;
  EXPECT_TRUE(status.out.starts_with(folder + "\n")) << status.out;
  expect_failure(run_command({"train", "a-fcn-100k", "--run-dir", folder}), 1,
                 {"'" + folder + "' exists"});
  expect_failure(run_command({"evaluate", "a-fcn-日本"}), 1, {"a-fcn-日本"});
}

TEST_F(CommandLine, ExperimentsAreListedAndShown) {
  const CommandResult list = run_command({"experiments"});
  EXPECT_EQ(list.code, 0);
  EXPECT_EQ(run_command({"train", "--list"}).out, list.out);
  EXPECT_EQ(run_command({"list"}).out, list.out);
  for (const char* part : {"a-fcn-100k", "85,614", "0.8870", "d-fcn-adam-lr0.00008"}) {
    EXPECT_NE(list.out.find(part), std::string::npos) << part;
  }
  const CommandResult config = run_command({"experiments", "b-fcn-100k"});
  EXPECT_EQ(nn::parse_experiment(config.out, "b").id, "b-fcn-100k");
  expect_failure(run_command({"experiments", "b-fcn"}), 2, {"b-fcn"});
}

TEST_F(CommandLine, DevicesAreListed) {
  test_device();  // skips the test where there is to be none
  const CommandResult json = run_command({"devices", "--json"});
  ASSERT_EQ(json.code, 0) << json.err;
  const auto devices = nlohmann::json::parse(json.out);
  const auto profiles = runtime::list_devices();
  ASSERT_EQ(devices.size(), profiles.size());
  const CommandResult table = run_command({"devices"});
  EXPECT_EQ(table.code, 0);
  for (std::size_t i = 0; i < profiles.size(); ++i) {
    EXPECT_EQ(devices[i]["name"], profiles[i].name);
    EXPECT_EQ(devices[i]["usable"], profiles[i].usable());
    EXPECT_NE(table.out.find(profiles[i].name), std::string::npos);
  }
  EXPECT_NE(table.out.find("*"), std::string::npos);
}

TEST_F(CommandLine, DataStatusCountsTheClasses) {
  const CommandResult status = run_command({"data", "--data", "data"});
  EXPECT_EQ(status.code, 0) << status.err;
  EXPECT_EQ(run_command({"data", "status", "--data", "data"}).out, status.out);
  for (const char* part : {"200 training and 70 test images of 28 x 28", "Ankle boot"}) {
    EXPECT_NE(status.out.find(part), std::string::npos) << part;
  }
  expect_failure(run_command({"data", "status", "--data", "nowhere"}), 1, {"nowhere"});
  expect_failure(run_command({"data", "fetch", "--data", "new", "--url", "ftp://x/"}), 2,
                 {"ftp://x/"});
}

}  // namespace
}  // namespace vktrain::testing
