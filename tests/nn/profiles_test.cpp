// Catalogue models under the profiles of other GPUs (tests/profiles/): every kernel that is planned
// or could be chosen is within the GPU's own limits, and a training held to them on the device at
// hand, with the kernels of that GPU, gives the losses of a training that is not held to anything.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/vktrain/embedded_experiments.h"
#include "nn/experiment/experiment_library.h"
#include "nn/training/planned_kernels.h"
#include "nn/tuning/tuning_store.h"
#include "runtime/dispatch_check.h"
#include "runtime/profile_json.h"
#include "tests/nn/training/training_rig.h"
#include "tests/support/device_fixture.h"

namespace vktrain::testing {
namespace {

using namespace nn;
using runtime::Device;
using runtime::DeviceProfile;

constexpr const char* kModels[] = {"a-fcn-100k", "a-cnn-10k", "resnet-small"};
constexpr std::int64_t kBatch = 16;
constexpr std::int64_t kSteps = 3;
constexpr double kTolerance = 1e-4;  // relative

std::vector<std::string> profile_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(VKTRAIN_PROFILES_DIR)) {
    if (entry.path().extension() == ".json") names.push_back(entry.path().stem().string());
  }
  std::ranges::sort(names);
  return names;
}

std::filesystem::path profile_file(const std::string& name) {
  return std::filesystem::path(VKTRAIN_PROFILES_DIR) / (name + ".json");
}

const Experiment& catalogue(const char* id) {
  static const ExperimentLibrary library(app::embedded_experiments());
  return library.find(id);
}

std::vector<double> losses(Device& device, const char* id) {
  Experiment experiment = catalogue(id);
  experiment.training.batch_size = kBatch;
  experiment.training.steps = kSteps;
  experiment.training.log_every = 1;
  experiment.data.split = {};
  static const ImageSet train = noisy_images(kBatch * kSteps, 28, 1);
  static const ImageSet test = noisy_images(kBatch, 28, 2);
  Trainer trainer(device, {experiment}, train, test);
  RecordingObserver observer;
  trainer.train(observer);
  std::vector<double> result;
  for (const StepRecord& step : observer.steps.at(0)) result.push_back(step.loss);
  for (const EpochMetrics& epoch : observer.epochs.at(0)) result.push_back(epoch.test.loss);
  return result;
}

class ProfileTest : public DeviceTest, public ::testing::WithParamInterface<std::string> {};

TEST_P(ProfileTest, TellsItsSource) {
  std::ifstream file(profile_file(GetParam()));
  const nlohmann::json profile = nlohmann::json::parse(file);
  EXPECT_GT(profile.at("source").get<std::string>().size(), 20u);
  for (const std::string assumed : profile.at("assumed")) {
    const std::string key = assumed.substr(0, assumed.find(' '));
    EXPECT_TRUE(key == "all" || profile.contains(key)) << assumed;
  }
}

TEST_P(ProfileTest, WhatIsPlannedIsWithinIt) {
  const DeviceProfile profile = runtime::read_profile(profile_file(GetParam()), std::nullopt);
  ASSERT_TRUE(runtime::clamp(profile, {profile, true}).usable());
  PlannedKernels kernels;
  for (const char* id : kModels) {
    add_planned_kernels(kernels, catalogue(id), profile, 0, /*candidates=*/true);
  }
  bool tiled = false;
  for (const auto& [key, use] : kernels) {
    const auto facts = runtime::shader_interface(runtime::shader_code(key.shader), key.constants);
    EXPECT_NO_THROW(runtime::check_kernel(key, facts, profile)) << use.first_user;
    tiled = tiled || key.shader == "gemm_tiled";
  }
  EXPECT_TRUE(tiled);  // a GPU's family, whatever the device at hand
}

TEST_P(ProfileTest, TrainsAsWithoutLimits) {
  static const std::vector<std::vector<double>> unlimited = [] {
    const auto device = Device::open({.limits = runtime::no_limits()});
    std::vector<std::vector<double>> all;
    for (const char* id : kModels) all.push_back(losses(*device, id));
    return all;
  }();
  const auto limited =
      Device::open({.selector = std::to_string(device().profile().index),
                    .limits = runtime::read_limits(profile_file(GetParam()).string())});
  EXPECT_NE(limited->profile().kind, runtime::DeviceKind::cpu);
  for (std::size_t model = 0; model < std::size(kModels); ++model) {
    const std::vector<double> found = losses(*limited, kModels[model]);
    const std::vector<double>& expected = unlimited[model];
    ASSERT_EQ(found.size(), expected.size());
    ASSERT_GT(found.size(), static_cast<std::size_t>(kSteps));
    for (std::size_t i = 0; i < found.size(); ++i) {
      EXPECT_NEAR(found[i], expected[i], kTolerance * std::abs(expected[i]))
          << kModels[model] << ", loss " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, ProfileTest, ::testing::ValuesIn(profile_names()),
                         [](const auto& test) { return test.param; });

// What is fastest with a GPU's kernels must not decide a run with the device's own.
TEST(Profiles, KernelsAreRememberedByTheLimits) {
  const DeviceProfile own = runtime::read_profile(profile_file(profile_names().front()), 0);
  DeviceProfile other = runtime::clamp(own, runtime::minimum_limits());
  const std::string minimum = TuningStore(std::nullopt, other).file_name();
  EXPECT_NE(minimum, TuningStore(std::nullopt, own).file_name());
  EXPECT_EQ(minimum, TuningStore(std::nullopt, other).file_name());
  other.max_shared_memory += 1;  // another file of the same name
  EXPECT_NE(minimum, TuningStore(std::nullopt, other).file_name());
}

TEST(Profiles, ThereAreTheTypicalGpus) { EXPECT_GE(profile_names().size(), 11u); }

}  // namespace
}  // namespace vktrain::testing
