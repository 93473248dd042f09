#!/usr/bin/env bash
# Runs the tests, or the part that is worth its time, on every driver of scripts/drivers.sh and under
# every kind of check of the validation layer.
#
#   scripts/check-drivers.sh             the parts that CI runs
#   scripts/check-drivers.sh --full      all tests of runtime and nn everywhere (an hour)
#   scripts/check-drivers.sh JOB...      only these: validation, amd, backports, swiftshader
#
# It takes the programs of VKTRAIN_BUILD (build/release without it). A driver that cannot be had
# (other systems than Debian have only the installed ones) fails its job, or is left out, with a line,
# with VKTRAIN_MISSING_DRIVER=skip.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

build=${VKTRAIN_BUILD:-$project/build/release}
export VKTRAIN="$build/bin/vktrain"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export VKTRAIN_CACHE_DIR="$scratch"

# Operations of each kind, and two short trainings beside PyTorch's.
part='ActivationTest.Relu:BatchNormTest.*:SoftmaxCrossEntropyTest.*:MaxPool2dTest.*:AdamTest.*'
part+=':EndStepTest.*:GatherBatchTest.*:Conv2dWholeInput.*:SingleOperationTest.*:PrecisionTest.*'
golden=':Files/GoldenTest.FollowsPyTorch/sgd:Files/GoldenTest.FollowsPyTorch/conv_residual'
# SwiftShader compiles a kernel of a convolution or a matrix product in 2 to 5 seconds, on one thread
# while all others wait, which looks like a hang: tests with hundreds of them take too long.
part_swiftshader="$part"
# GPU-assisted checks instrument every kernel, which takes minutes for a few hundred.
part_gpu_assisted='ActivationTest.Relu:AdamTest.EqualBetas:SingleOperationTest.GemmCountsAndComputes'
part+=$golden
if [ "${1:-}" = --full ]; then
  shift
  part='*'
  part_swiftshader='*-Families/*:Tilings/*'
  part_gpu_assisted='*'
fi

# tests FILTER: the runtime's tests and those of operations and training that the filter names.
tests() {
  "$build/tests/runtime/runtime_tests" --gtest_brief=1
  "$build/tests/nn/nn_tests" --gtest_brief=1 --gtest_filter="$1"
}

# Synchronization is what scripts/test.sh runs everything under.
job_validation() {
  local checks
  for checks in core best-practices; do
    say "validation layer: $checks"
    VKTRAIN_TEST_VALIDATION=$checks tests "$part"
  done
  say "validation layer: gpu"
  VKTRAIN_TEST_VALIDATION=gpu tests "$part_gpu_assisted"
}

job_amd() { "$project/scripts/amd-kernels.sh"; }

on_driver() {
  VKTRAIN_TEST_VALIDATION=0 "$project/scripts/drivers.sh" with-driver "$1" \
    bash -c "$(declare -f tests); set -e; build='$build'; tests '$2'
      \"\$build/bin/vktrain\" check --filter 'training: '"
}
job_backports() { on_driver lavapipe-backports "$part"; }
job_swiftshader() { on_driver swiftshader "$part_swiftshader"; }

jobs=("$@")
[ ${#jobs[@]} -gt 0 ] || jobs=(validation amd backports swiftshader)
for job in "${jobs[@]}"; do
  declare -F "job_$job" >/dev/null || {
    say "There is no job $job: take validation, amd, backports or swiftshader" >&2
    exit 2
  }
  started=$SECONDS
  # Not by ||, which would switch -e off within the job.
  set +e
  (
    set -e
    "job_$job"
  )
  status=$?
  set -e
  case $status in
    0) say "$job: passed in $((SECONDS - started)) s" ;;
    77) say "$job: SKIPPED, its driver cannot be had" ;;
    *) exit "$status" ;;
  esac
done
