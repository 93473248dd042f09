#!/usr/bin/env bash
# Builds for another system on Debian and runs there what needs no Vulkan device:
#
#   scripts/cross.sh mingw [PART...]     Windows on x86-64; the tests run under Wine
#   scripts/cross.sh aarch64 [PART...]   Linux on ARM64; the tests run under qemu-user
#
# A part is a room whose tests are built and run (runtime nn apps), or program: vktrain itself, which
# then prints its version and the last of its experiments. Without a name it is runtime, which takes
# the least time. Installs what is missing; the ARM64 libraries are only unpacked, into
# build/sysroot-arm64. What cannot be had is an error, or with VKTRAIN_MISSING_DRIVER=skip a line
# that says so. Nothing is optimised, because compiling is what takes the time: cmake --preset mingw
# (or aarch64) makes a program to use, in another folder. VKTRAIN_CROSS_DEVICE chooses a device for
# the tests (default none, which skips those that need one); Wine hands on those of this machine.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

target=${1:-}
parts=("${@:2}")
[ "${#parts[@]}" -gt 0 ] || parts=(runtime)
build="$project/build/cross-$target"
device=${VKTRAIN_CROSS_DEVICE:-none}
tools=(cmake ninja-build ccache git glslang-tools spirv-tools)

# Wine in a folder of its own, without windows, sounds or messages about what it lacks.
use_wine() {
  export WINEPREFIX="$project/build/wine" WINEDEBUG=-all WINEDLLOVERRIDES="mscoree,mshtml="
  unset DISPLAY
  mkdir -p "$WINEPREFIX"
  emulator=(wine)
  if [ "$device" != none ]; then
    install xvfb xauth libvulkan1 mesa-vulkan-drivers dataset-fashion-mnist
    export VKTRAIN_DATA='Z:\usr\share\datasets\fashion-mnist'
    emulator=(xvfb-run --auto-servernum wine) # without a display Wine has no Vulkan
  fi
  program_suffix=.exe
  # The first start makes the folder.
  "${emulator[@]}" cmd /c ver >/dev/null 2>&1 || {
    say "Wine does not start:"
    WINEDEBUG="" "${emulator[@]}" cmd /c ver || exit 1
  }
  say "$(wine --version), $("${emulator[@]}" cmd /c ver | tr -d '\r\n')"
}

use_qemu() {
  emulator=(qemu-aarch64-static -L "$sysroot")
  program_suffix=
  say "$("${emulator[@]}" --version | head -n 1)"
}

# apt_arm64 ARGUMENTS...: apt-get as an ARM64 system that has no package yet would run it.
apt_arm64() {
  local state="$sysroot-apt"
  mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
  touch "$state/status"
  apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 \
    -o Dir::State::status="$state/status" -o Dir::State::lists="$state/lists" \
    -o Dir::Cache="$state/cache" -o APT::Sandbox::User="$(id -un)" "$@"
}

# The target's libraries. The C library's headers stay away: the compiler has its own.
get_sysroot() {
  [ -f "$sysroot/done" ] && return
  say "Unpacking Debian's ARM64 packages into ${sysroot#"$project"/}"
  apt_arm64 -o APT::Update::Error-Mode=any update ||
    leave_out "$target" "the mirror was not reached"
  apt_arm64 install --yes --no-install-recommends --download-only \
    libfmt-dev nlohmann-json3-dev libtomlplusplus-dev libcli11-dev zlib1g-dev libssl-dev \
    libcurl4-openssl-dev libvulkan-dev libvulkan-volk-dev libgtest-dev libgmock-dev libstdc++6 ||
    leave_out "$target" "a package is missing"
  local package
  for package in "$sysroot-apt"/cache/archives/*.deb; do
    case $(basename "$package") in
      libc6-dev_* | linux-libc-dev_* | libcrypt-dev_*) ;;
      *) dpkg-deb -x "$package" "$sysroot" ;;
    esac
  done
  rm -r "$sysroot-apt"
  touch "$sysroot/done"
}

TIMEFORMAT="== %R s, of which processors worked %U s"

install() { install_packages "$@" || leave_out "$target" "a package is missing"; }

configure_and_build_cross() {
  say "Configuring and building $target"
  cmake -S "$project" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_CXX_FLAGS_RELEASE="-O0 -DNDEBUG" -DVKTRAIN_TEST_OPTIMISATION=-O0 \
    -DVKTRAIN_PRECOMPILE=ON -DCMAKE_TOOLCHAIN_FILE="$project/cmake/toolchains/$1.cmake" \
    "${@:2}" >/dev/null
  # What ccache needs to know files that use precompiled headers again.
  export CCACHE_SLOPPINESS=pch_defines,time_macros
  local targets=("${parts[@]/%/_tests}")
  time cmake --build "$build" --target "${targets[@]/program_tests/vktrain}"
}

# run_tests ROOM: fails with the tests, or when none ran.
run_tests() {
  local log="$build/$1.log" passed skipped
  (cd "$build/tests/$1" && VKTRAIN_TEST_DEVICE="$device" \
    VKTRAIN_TEST_VALIDATION=0 VKTRAIN_CACHE_DIR="$build/cache" \
    "${emulator[@]}" "./$1_tests$program_suffix" --gtest_brief=1) >"$log" 2>&1 || {
    grep -vE '^(Skipped|.*SKIPPED|.*Failure$)' "$log" | tail -n 60
    say "$1_tests failed on $target"
    return 1
  }
  passed=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) tests\?\..*/\1/p' "$log" | tr -d '\r')
  skipped=$(sed -n 's/^\[  SKIPPED \] \([0-9]*\) tests\?\..*/\1/p' "$log" | tr -d '\r')
  say "$target, $1_tests: $passed passed, ${skipped:-0} skipped"
  [ "${passed:-0}" -gt 0 ]
}

case $target in
  mingw)
    install "${tools[@]}" g++-mingw-w64-x86-64-posix libz-mingw-w64-dev lld llvm \
      libvulkan-dev libvulkan-volk-dev libcli11-dev libtomlplusplus-dev nlohmann-json3-dev \
      libfmt-dev googletest wine wine64
    configure_and_build_cross mingw-w64 -DVKTRAIN_HEADER_ONLY=ON -DVKTRAIN_DOWNLOADS=OFF
    use_wine
    ;;
  aarch64)
    install "${tools[@]}" g++-aarch64-linux-gnu qemu-user-static
    sysroot="$project/build/sysroot-arm64"
    get_sysroot
    configure_and_build_cross aarch64-linux-gnu
    use_qemu
    ;;
  *)
    sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 2
    ;;
esac

# run_part PART
run_part() {
  local vktrain=("${emulator[@]}" "$build/bin/vktrain$program_suffix")
  case $1 in
    program) "${vktrain[@]}" --version && "${vktrain[@]}" experiments | tail -n 1 ;;
    *) run_tests "$1" ;;
  esac
}

failed=0
time for part in "${parts[@]}"; do run_part "$part" || failed=1; done
exit "$failed"
