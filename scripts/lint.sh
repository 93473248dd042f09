#!/usr/bin/env bash
# Checks formatting (clang-format) and runs clang-tidy over the sources. With --fix, formats them.
# clang-tidy's analyzer takes more than half of the time: with --recent it only looks at the sources
# of the last 10 commits. Needs a build (scripts/test.sh makes one) for the compile commands and the
# generated headers.
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
# tidy OPTION...: over the files named on the standard input.
tidy() {
  xargs -r -P "$(nproc)" -n 4 clang-tidy --quiet -p "build/$preset" \
    --extra-arg=-Wno-unknown-warning-option "$@" 2> >(grep -v 'warnings\? generated' >&2)
}
# The sources of other systems have no compile command here.
units=$(git ls-files 'runtime/*.cpp' 'nn/*.cpp' 'apps/*.cpp' | grep -v '_windows\.cpp$' | sort)
if [ "${1:-}" = --recent ]; then
  recent=$(git log -10 --name-only --pretty=format: | sort -u)
  say "clang-tidy without the analyzer: what is older than 10 commits"
  comm -23 <(echo "$units") <(echo "$recent") | tidy --checks=-clang-analyzer-*
  units=$(comm -12 <(echo "$units") <(echo "$recent"))
fi
say "clang-tidy"
echo "$units" | tidy
