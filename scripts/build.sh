#!/usr/bin/env bash
# Installs what is missing (Debian, Ubuntu) and builds everything. VKTRAIN_PRESET chooses the preset
# (release, debug, asan, tsan, clang).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

packages=("${build_packages[@]}" "${test_packages[@]}")
[ "$preset" = clang ] && packages+=(clang)
install_packages "${packages[@]}"
configure_and_build
