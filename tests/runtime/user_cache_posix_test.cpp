// Where the cache is by the XDG variables, and that it is the user's alone.
#include <gtest/gtest.h>

#include "runtime/user_cache.h"
#include "tests/support/scoped_variable.h"
#include "tests/support/temporary_folder.h"

namespace vktrain::runtime {
namespace {

namespace fs = std::filesystem;
using vktrain::testing::ScopedVariable;
using vktrain::testing::TemporaryFolder;

TEST(UserCache, FollowsTheEnvironment) {
  const ScopedVariable home("HOME", "/home/someone");
  const ScopedVariable own("VKTRAIN_CACHE_DIR", nullptr);
  {
    const ScopedVariable base("XDG_CACHE_HOME", "/var/tmp/cache");
    EXPECT_EQ(user_cache_folder(), fs::path("/var/tmp/cache/vktrain"));
    const ScopedVariable named("VKTRAIN_CACHE_DIR", "/fast/disk");
    EXPECT_EQ(user_cache_folder(), fs::path("/fast/disk"));
  }
  const ScopedVariable base("XDG_CACHE_HOME", "not/absolute");
  EXPECT_EQ(user_cache_folder(), fs::path("/home/someone/.cache/vktrain"));
  const ScopedVariable no_home("HOME", nullptr);
  EXPECT_EQ(user_cache_folder(), std::nullopt);
}

TEST(UserCache, ANewFolderIsTheUsersAlone) {
  const TemporaryFolder base;
  const fs::path folder = base / "a/b";
  ASSERT_EQ(write_cached(folder, "file", {}), "");
  EXPECT_EQ(fs::status(folder).permissions(), fs::perms::owner_all);
}

}  // namespace
}  // namespace vktrain::runtime
