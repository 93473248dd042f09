#!/usr/bin/env bash
# Installs what is missing (Debian, Ubuntu), builds everything and runs all tests under the Vulkan
# validation layer. Options go to ctest (for example -R gemm). VKTRAIN_PRESET chooses the preset
# (release, debug, asan, tsan, clang), VKTRAIN_TEST_DEVICE the device; VKTRAIN_LIMITS=minimum runs
# them within the limits that Vulkan guarantees.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

install_packages "${build_packages[@]}" "${run_packages[@]}" "${test_packages[@]}"
configure_and_build

say "Running the tests"
cd "$project"
ctest --preset "$preset" --parallel "$(nproc)" "$@"
