// Where FashionMNIST is looked for by the XDG variables.
#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include "nn/data/fashion_mnist.h"
#include "tests/nn/expect_error.h"
#include "tests/support/scoped_variable.h"

namespace vktrain::nn {
namespace {

namespace fs = std::filesystem;

using vktrain::testing::ScopedVariable;

TEST(FashionMnistPlaces, FollowTheEnvironment) {
  const ScopedVariable data("XDG_DATA_DIRS", "/opt/share:relative::/usr/share/");
  const ScopedVariable home("HOME", "/home/someone");
  {
    const ScopedVariable cache("XDG_CACHE_HOME", "/var/tmp/cache");
    EXPECT_EQ(fashion_mnist_places(),
              (std::vector<fs::path>{"/usr/share/datasets/fashion-mnist",
                                     "/opt/share/datasets/fashion-mnist",
                                     "/var/tmp/cache/vktrain/fashion-mnist"}));
  }
  const ScopedVariable relative("XDG_CACHE_HOME", "not/absolute");
  EXPECT_EQ(fashion_mnist_cache(), "/home/someone/.cache/vktrain/fashion-mnist");
  const ScopedVariable no_home("HOME", nullptr);
  EXPECT_EQ(fashion_mnist_places().size(), 2U);
  expect_error([] { fashion_mnist_cache(); }, {"XDG_CACHE_HOME", "HOME"});
}

}  // namespace
}  // namespace vktrain::nn
