#!/usr/bin/env bash
# Checks formatting (clang-format) and runs clang-tidy over the sources. With --fix, formats them.
# Needs a build (scripts/test.sh makes one) for the compile commands and the generated headers.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

install_packages "${lint_packages[@]}"
cd "$project"
mapfile -t sources < <(git ls-files '*.cpp' '*.h')
if [ "${1:-}" = --fix ]; then
  clang-format -i "${sources[@]}"
  exit
fi
say "clang-format"
clang-format --dry-run -Werror "${sources[@]}"
say "clang-tidy"
mapfile -t units < <(git ls-files 'runtime/*.cpp' 'nn/*.cpp' 'apps/*.cpp')
printf '%s\n' "${units[@]}" |
  xargs -P "$(nproc)" -n 4 clang-tidy --quiet -p "build/$preset" \
    --extra-arg=-Wno-unknown-warning-option 2> >(grep -v 'warnings\? generated' >&2)
