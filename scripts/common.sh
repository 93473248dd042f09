# Shared by the scripts: where the project is, and how packages get installed. Source it.
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
preset=${VKTRAIN_PRESET:-release}

say() { printf '== %s\n' "$*"; }

build_packages=(
  build-essential cmake ninja-build ccache git
  glslang-tools spirv-tools libvulkan-dev libvulkan-volk-dev
  libcli11-dev libtomlplusplus-dev nlohmann-json3-dev libfmt-dev
  zlib1g-dev libcurl4-openssl-dev libssl-dev)
run_packages=(libvulkan1 mesa-vulkan-drivers dataset-fashion-mnist)
test_packages=(libgtest-dev libgmock-dev vulkan-validationlayers)
lint_packages=(clang clang-format clang-tidy)

# install_packages PACKAGE...: installs the missing ones with apt, says which. Without root and
# without sudo it stops and prints the command to run.
install_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
      missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  if ! command -v apt-get >/dev/null; then
    say "Missing: ${missing[*]}"
    say "This system has no apt; see 'Other systems' in README.md."
    return 1
  fi
  local sudo=()
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
      say "Please run as root: apt-get install ${missing[*]}"
      return 1
    fi
    sudo=(sudo)
  fi
  say "Installing: ${missing[*]}"
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    "${missing[@]}"
}

# leave_out WHAT WHY: ends a script that needs what is not there: as an error, or with
# VKTRAIN_MISSING_DRIVER=skip with a line.
leave_out() {
  if [ "${VKTRAIN_MISSING_DRIVER:-fail}" = skip ]; then
    say "SKIPPED: $1: $2"
    exit 0
  fi
  say "$1 cannot be had: $2 (VKTRAIN_MISSING_DRIVER=skip goes on without it)" >&2
  exit 1
}

# configure_and_build [TARGET...]: the preset's build folder, all targets without arguments.
configure_and_build() {
  say "Configuring and building (preset $preset)"
  (cd "$project" && cmake --preset "$preset" >/dev/null &&
    cmake --build --preset "$preset" ${1:+--target "$@"})
}
