// --limits: what `vktrain devices` shows of it, and what a run tells of the limits in force.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/apps/command_fixture.h"

namespace vktrain::testing {
namespace {

using Limits = CommandTest;

bool holds(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST_F(Limits, DevicesShowsTheClampedProfile) {
  test_device();  // skips the test where there is to be none
  const CommandResult table = run_command({"devices", "--limits", "minimum"});
  EXPECT_EQ(table.code, 0) << table.err;
  EXPECT_TRUE(holds(table.out, "within the limits of \"minimum\"")) << table.out;
  EXPECT_TRUE(holds(table.out, "16.0 KiB of shared memory, 128 invocations")) << table.out;
  const CommandResult own = run_command({"devices", "--limits", "none"});
  EXPECT_FALSE(holds(own.out, "within the limits")) << own.out;

  const auto clamped =
      nlohmann::json::parse(run_command({"devices", "--json", "--limits", "minimum"}).out);
  EXPECT_EQ(clamped.at(0).at("limits"), "minimum");
  EXPECT_EQ(clamped.at(0).at("max_shared_memory"), 16384);
}

TEST_F(Limits, TheVariableDoesTheSame) {
  test_device();
  const ScopedVariable variable("VKTRAIN_LIMITS", "minimum");
  EXPECT_EQ(nlohmann::json::parse(run_command({"devices", "--json"}).out).at(0).at("limits"),
            "minimum");
}

TEST_F(Limits, ARunTellsThem) {
  const CommandResult run =
      compute_well({"train", "tiny.toml", "--run-dir", "run", "--limits", "minimum"});
  EXPECT_TRUE(holds(run.out, ", within the limits of \"minimum\"\n")) << run.out;
  EXPECT_EQ(read_json("run/device.json").at("device").at("limits"), "minimum");
  // The run's own report is a profile, too.
  const CommandResult again =
      compute_well({"train", "tiny.toml", "--run-dir", "again", "--limits", "run/device.json"});
  EXPECT_EQ(read_text("run/model.safetensors"), read_text("again/model.safetensors"));
}

TEST_F(Limits, BadLimitsAreAUsageError) {
  expect_failure(run_command({"devices", "--limits", "nowhere.json"}), 2,
                 {"limits 'nowhere.json'", "expected \"minimum\"", "no such file"});
  expect_failure(compute({"train", "tiny.toml", "--run-dir", "run", "--limits", "tiny.toml"}), 2,
                 {"limits 'tiny.toml'", "expected JSON"});
  EXPECT_FALSE(std::filesystem::exists("run"));
}

}  // namespace
}  // namespace vktrain::testing
