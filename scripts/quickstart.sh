#!/usr/bin/env bash
# Installs what is missing (Debian, Ubuntu), builds vktrain, trains catalogue runs on FashionMNIST on
# the best Vulkan device and prints reached against reported accuracy. Safe to run again: finished
# runs are not repeated. Options go to `vktrain reproduce` (for example --device 1).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

install_packages "${build_packages[@]}" "${run_packages[@]}"
preset=quickstart
configure_and_build vktrain

vktrain="$project/build/quickstart/bin/vktrain"
say "Vulkan devices"
"$vktrain" devices
say "Training the suite 'quick'"
"$vktrain" reproduce --suite quick --out "$project/runs/quickstart" "$@"
