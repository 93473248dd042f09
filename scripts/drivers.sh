#!/usr/bin/env bash
# Vulkan drivers for tests, all from Debian's packages, without installing any of them:
#
#   scripts/drivers.sh with-driver NAME COMMAND...   runs the command on that driver alone
#   scripts/drivers.sh get NAME                      only downloads and unpacks it
#   scripts/drivers.sh names                         prints the names
#
# What is not installed is downloaded with apt-get, from the system's own mirror, and unpacked into
# build/drivers. Before the command runs, `vktrain devices` must name the driver that is meant
# (VKTRAIN: the program, build/release/bin/vktrain without it). A driver that cannot be had is an
# error, or with VKTRAIN_MISSING_DRIVER=skip a line that says so and the exit status 77.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

drivers="$project/build/drivers"
vktrain=${VKTRAIN:-$project/build/release/bin/vktrain}

names() {
  cat <<'NAMES'
lavapipe              Mesa's CPU driver as installed
lavapipe-backports    the same of Debian's backports
swiftshader           Google's CPU driver, from the package chromium-common
radv:FAMILY           AMD's compilers without hardware (polaris10, vega10, navi21, gfx1100); compiles only
radv-backports:FAMILY the same of Debian's backports (also navi31, gfx1201)
NAMES
}

cannot_be_had() { leave_out "$driver" "$1"; }

# apt_own ARGUMENTS...: apt-get with lists and downloads of its own.
apt_own() {
  apt-get -qq -o Dir::Etc::sourcelist="$drivers/apt/sources.list" -o Dir::Etc::sourceparts=- \
    -o Dir::State::lists="$drivers/apt/lists" -o Dir::Cache="$drivers/apt/cache" \
    -o APT::Sandbox::User="$(id -un)" "$@"
}

# The suites of this release that the system has, from its own mirrors, and its backports.
write_sources() {
  local keyring=/usr/share/keyrings/debian-archive-keyring.gpg codename
  [ "$(. /etc/os-release && echo "$ID")" = debian ] || cannot_be_had "this system is not Debian"
  [ -f "$keyring" ] || cannot_be_had "the package debian-archive-keyring is missing"
  codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
  # The variables are apt's.
  # shellcheck disable=SC2016
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk -v code="$codename" -v key="$keyring" '
      function line(uri, suite) { print "deb [signed-by=" key "] " uri " " suite " main" }
      $3 == "main" && index($2, code) == 1 { line($1, $2) }
      $3 == "main" && $2 == code { line($1, code "-backports") }' |
    sort -u >"$drivers/apt/sources.list"
  [ -s "$drivers/apt/sources.list" ] || cannot_be_had "apt has no source of $codename"
}

update_lists() {
  [ -f "$drivers/apt/updated" ] && return
  mkdir -p "$drivers/apt/lists/partial" "$drivers/apt/cache/archives/partial"
  write_sources
  # Without a network apt-get only warns.
  apt_own -o APT::Update::Error-Mode=any update || cannot_be_had "the mirror was not reached"
  touch "$drivers/apt/updated"
}

# download SUITE PACKAGE: into build/drivers/apt/SUITE; without a SUITE what apt would take.
download() {
  mkdir -p "$drivers/apt/debs-$1"
  (cd "$drivers/apt/debs-$1" && apt_own ${1:+-t "$1"} download "$2") ||
    cannot_be_had "the package $2 was not found"
}

# Names of the dependencies of the .deb files given that this system does not have, or has too old.
missing_dependencies() {
  local name relation version have
  for deb in "$@"; do dpkg-deb -f "$deb" Depends; done | tr ',' '\n' | sed 's/|.*//; s/[()]//g' |
    while read -r name relation version; do
      have=$(dpkg-query -W -f='${Version}' "${name%%:*}" 2>/dev/null) || have=
      if [ -z "$have" ] ||
        { [ -n "$relation" ] && ! dpkg --compare-versions "$have" "$relation" "$version"; }; then
        echo "${name%%:*}"
      fi
    done | sort -u
}

# rewrite_icd FILE FOLDER: the driver's library with its whole path, as nothing is installed.
rewrite_icd() {
  sed -i "s|\"library_path\": *\"[^\"]*/\{0,1\}\(lib[^\"/]*\)\"|\"library_path\": \"$2/\1\"|" "$1"
}

get_backports() {
  local root="$drivers/backports" suite package icd
  [ -f "$root/done" ] && return
  update_lists
  suite="$(. /etc/os-release && echo "$VERSION_CODENAME")-backports"
  download "$suite" mesa-vulkan-drivers
  for package in $(missing_dependencies "$drivers/apt/debs-$suite"/mesa-vulkan-drivers_*.deb); do
    download "$suite" "$package"
  done
  for package in "$drivers/apt/debs-$suite"/*.deb; do dpkg-deb -x "$package" "$root"; done
  for icd in "$root"/usr/share/vulkan/icd.d/*.json; do
    rewrite_icd "$icd" "$(echo "$root"/usr/lib/*-linux-gnu*)"
  done
  dpkg-deb -f "$drivers/apt/debs-$suite"/mesa-vulkan-drivers_*.deb Version | sed 's/-.*//' \
    >"$root/version"
  touch "$root/done"
}

get_swiftshader() {
  local root="$drivers/swiftshader"
  [ -f "$root/done" ] && return
  update_lists
  download "" chromium-common
  mkdir -p "$root"
  # The browser itself is not needed.
  dpkg-deb --fsys-tarfile "$drivers/apt/debs-"/chromium-common_*.deb |
    tar -x -C "$root" --strip-components=4 --wildcards './usr/lib/chromium/*vk_swiftshader*' ||
    cannot_be_had "the package chromium-common holds no SwiftShader"
  rewrite_icd "$root/vk_swiftshader_icd.json" "$root"
  rm -r "$drivers/apt/debs-"
  touch "$root/done"
}

# icd_of FOLDER NAME: the one manifest of that name.
icd_of() {
  local found
  found=$(find "$1" -name "$2*.json" 2>/dev/null | head -n 1)
  [ -n "$found" ] || cannot_be_had "there is no $2*.json in $1"
  echo "$found"
}

# Makes the driver $driver the only one, and sets `expected` to what `vktrain devices` must say.
choose() {
  local system=/usr/share/vulkan/icd.d icd installed
  installed=$(dpkg-query -W -f='${Version}' mesa-vulkan-drivers 2>/dev/null) || installed=
  case $driver in
    lavapipe | radv:*) [ -n "$installed" ] || cannot_be_had "install mesa-vulkan-drivers" ;;
    lavapipe-backports | radv-backports:*)
      get_backports
      system="$drivers/backports/usr/share/vulkan/icd.d"
      installed=$(cat "$drivers/backports/version")
      LD_LIBRARY_PATH=$(echo "$drivers"/backports/usr/lib/*-linux-gnu*)
      export LD_LIBRARY_PATH
      ;;
    swiftshader) get_swiftshader ;;
    *)
      say "There is no driver $driver; the names are:" >&2
      names >&2
      exit 2
      ;;
  esac
  case $driver in
    lavapipe*)
      icd=$(icd_of "$system" lvp_icd)
      expected=("\"driver\": \"llvmpipe\"" "Mesa ${installed%%-*}")
      ;;
    radv*)
      icd=$(icd_of "$system" radeon_icd)
      export RADV_FORCE_FAMILY="${driver#*:}"
      expected=("Null hardware (RADV ${RADV_FORCE_FAMILY^^})" "Mesa ${installed%%-*}")
      ;;
    swiftshader)
      icd="$drivers/swiftshader/vk_swiftshader_icd.json"
      expected=("SwiftShader")
      ;;
  esac
  # The second is what loaders before 1.3.207 read.
  export VK_DRIVER_FILES="$icd" VK_ICD_FILENAMES="$icd"
  unset VK_ADD_DRIVER_FILES VKTRAIN_TEST_DEVICE VKTRAIN_LIMITS
}

# Prints the device, and fails when it is not the driver that is meant.
verify() {
  local devices text
  [ -x "$vktrain" ] || {
    say "There is no $vktrain: build it first, or name another in VKTRAIN" >&2
    exit 1
  }
  devices=$("$vktrain" devices --json 2>/dev/null) || {
    say "$driver: vktrain devices failed" >&2
    exit 1
  }
  for text in "${expected[@]}"; do
    grep -qF -- "$text" <<<"$devices" && continue
    say "$driver: expected a device with '$text', but found:" >&2
    echo "$devices" >&2
    exit 1
  done
  [ "$(grep -c '"index":' <<<"$devices")" = 1 ] || {
    say "$driver: expected one device, but found several" >&2
    exit 1
  }
  say "$driver: $(sed -n 's/^ *"\(name\|driver\|driver_info\)": "\(.\+\)",\{0,1\}$/\2/p' <<<"$devices" |
    paste -sd '|' | sed 's/|/ | /g')"
}

case ${1:-} in
  names) names ;;
  get)
    driver=${2:?the name of a driver}
    choose
    ;;
  with-driver)
    driver=${2:?the name of a driver}
    shift 2
    choose
    verify
    "$@"
    ;;
  *)
    sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 2
    ;;
esac
