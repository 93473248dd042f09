// Drivers that are not quite Vulkan, such as MoltenVK: the loader hides them unless it is asked,
// and a device that lists VK_KHR_portability_subset must be opened with it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "runtime/error.h"
#include "tests/layer/fault_fixture.h"
#include "tests/support/temporary_folder.h"

namespace vktrain::runtime {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using vktrain::testing::FaultHooks;
using vktrain::testing::ScopedVariable;

class Portability : public vktrain::testing::FaultTest {
 protected:
  // Manifest of the CPU driver that the tests use: as the loader's variables say, else Debian's.
  static std::optional<fs::path> driver_manifest() {
    for (const char* variable : {"VK_DRIVER_FILES", "VK_ICD_FILENAMES"}) {
      if (const char* files = std::getenv(variable)) {
        const std::string first = files;
        return first.substr(0, first.find(':'));
      }
    }
    const fs::path folder = "/usr/share/vulkan/icd.d";
    if (!fs::is_directory(folder)) return std::nullopt;
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().filename().string().starts_with("lvp_icd")) return entry.path();
    }
    return std::nullopt;
  }
};

TEST_F(Portability, EnablesTheSubsetWhereTheDeviceListsIt) {
  FaultHooks hooks;
  hooks.portability_subset = true;
  layer().reset(hooks);
  open();
  EXPECT_THAT(layer().device_extensions(), ElementsAre("VK_KHR_portability_subset"));
}

TEST_F(Portability, EnablesNoExtensionElsewhere) {
  open();
  EXPECT_THAT(layer().device_extensions(), IsEmpty());
}

TEST_F(Portability, AsksTheLoaderForPortabilityDrivers) {
  list_devices();
  EXPECT_THAT(layer().instance_extensions(), Contains("VK_KHR_portability_enumeration"));
  EXPECT_NE(layer().instance_flags() & VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR, 0u);
}

TEST_F(Portability, FindsADriverThatTheLoaderHides) {
  const auto manifest = driver_manifest();
  if (!manifest) GTEST_SKIP() << "no manifest of lavapipe";
  std::ifstream stream(*manifest);
  nlohmann::json json = nlohmann::json::parse(stream);
  json["file_format_version"] = "1.0.1";
  json["ICD"]["is_portability_driver"] = true;
  const vktrain::testing::TemporaryFolder folder;
  const fs::path hidden = folder / "hidden.json";
  std::ofstream(hidden) << json.dump();
  const ScopedVariable driver("VK_DRIVER_FILES", hidden.c_str());
  const ScopedVariable old_name("VK_ICD_FILENAMES", hidden.c_str());
  EXPECT_THAT(list_devices(), Not(IsEmpty()));
}

}  // namespace
}  // namespace vktrain::runtime
