#!/usr/bin/env bash
# Measures everything that vktrain claims about a GPU, beside PyTorch with CUDA on the same machine,
# and writes JSON and Markdown files into a folder. A part that fails says so in summary.md, and the
# others still run.
set -euo pipefail

usage() {
  cat <<'END'
Usage: benchmarks/gpu.sh [OPTION ...] [PART ...]

Parts (default: all): devices peak gemm mixed conv step replicas scaling loader eager compile
cudagraph

  --vktrain PROGRAM        default: build/release/bin/vktrain
  --vktrain-device DEVICE  default: auto
  --python PROGRAM         one that has torch and numpy; default: python3
  --device DEVICE          PyTorch's, cuda or cpu; default: cuda
  --out FOLDER             default: runs/gpu-benchmarks
  --data FOLDER            FashionMNIST's; default: random images
  --threads N              of PyTorch on the CPU; default: 2
  --limit SECONDS          of one measurement; default: 900
  --quick                  tiny sizes and one pair: to see that everything runs
END
}

vktrain=build/release/bin/vktrain
vktrain_device=auto
python=python3
device=cuda
out=runs/gpu-benchmarks
images=(--random)
threads=2
limit=900
quick=false
parts=()
all_parts=(devices peak gemm mixed conv step replicas scaling loader eager compile cudagraph)

while [[ $# -gt 0 ]]; do
  case $1 in
    --vktrain | --vktrain-device | --python | --device | --out | --data | --threads | --limit)
      if [[ $# -lt 2 ]]; then
        echo "gpu.sh: $1 needs a value; see --help." >&2
        exit 2
      fi
      case $1 in
        --vktrain) vktrain=$2 ;;
        --vktrain-device) vktrain_device=$2 ;;
        --python) python=$2 ;;
        --device) device=$2 ;;
        --out) out=$2 ;;
        --data) images=(--data "$2") ;;
        --threads) threads=$2 ;;
        --limit) limit=$2 ;;
      esac
      shift 2
      ;;
    --quick)
      quick=true
      shift
      ;;
    -h | --help)
      usage
      exit
      ;;
    *)
      if [[ " ${all_parts[*]} " != *" $1 "* ]]; then
        echo "gpu.sh: unknown part or option '$1'; see --help." >&2
        exit 2
      fi
      parts+=("$1")
      shift
      ;;
  esac
done
[[ ${#parts[@]} -gt 0 ]] || parts=("${all_parts[@]}")

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
gemm_sizes=1024,4096
half=f16
[[ $device == cuda* ]] || half=bf16 # PyTorch's CPU part multiplies no f16 matrices
conv_batch=64,512
step_models=(a-fcn-100k "$here/models/fcn-lg.toml" "$here/models/fcn-500.toml" a-cnn-100k b-cnn-100k
  d-cnn-5x5-32-64-fc256-128 resnet-small)
step_batch=64,512
replicas=1,2,4,8,16,32
scaling_batch=16,64,256,1024,4096,16384
scaling_width=64,128,256,512,1024,2048,4096
scaling_options=
compare_models=()
bench_options=(--format json --device "$vktrain_device")
kernel_options=()
compare_options=(--pairs 3 --batch "$step_batch")
if $quick; then
  gemm_sizes=64
  conv_batch=8
  step_models=(a-fcn-100k)
  step_batch=16
  replicas=1,2
  scaling_batch=16,32
  scaling_width=64,128
  scaling_options="--repetitions 2 --min-time 0.01"
  compare_models=(fcn100k cnn100k)
  bench_options+=(--repetitions 2 --min-time 0.01)
  kernel_options=(--repetitions 2 --seconds 0.05)
  compare_options=(--pairs 2 --batch "$step_batch" --seconds 0.1 --repetitions 2)
fi

mkdir -p "$out"
summary=$out/summary.md
errors=0

# Runs a part of the measurement: its title, the file for its standard output, the command.
measure() {
  local title=$1 file=$2
  shift 2
  echo "$title" >&2
  local status=0
  timeout "$limit" "$@" >"$out/$file.partial" 2>"$out/$file.log" || status=$?
  if [[ $status -eq 0 ]]; then
    mv "$out/$file.partial" "$out/$file"
    rm -f "$out/$file.log"
  else
    rm -f "$out/$file.partial"
    errors=$((errors + 1))
    [[ $status -ne 124 ]] || echo "no result within $limit s; see --limit" >>"$out/$file.log"
    printf '## %s\n\nFailed: %s\n\n' "$title" "$(tail -n 1 "$out/$file.log")" >>"$summary"
    return 1
  fi
}

# Adds a Markdown file to the summary.
show() {
  { printf '## %s\n\n' "$1" && cat "$out/$2" && echo; } >>"$summary"
}

# A benchmark of vktrain as JSON for later use, and as Markdown for the summary.
bench_and_show() {
  local title=$1 file=$2
  shift 2
  measure "$title" "$file.json" "$vktrain" bench "$@" "${bench_options[@]}" || return 0
  measure "$title, table" "$file.md" "$python" "$here/bench_table.py" "$out/$file.json" || return 0
  show "$title" "$file.md"
}

# The same kernels in vktrain and in PyTorch, side by side.
kernels() {
  local title=$1 file=$2 ours=$3 theirs=$4
  local -a ours_arguments theirs_arguments
  read -ra ours_arguments <<<"$ours"
  read -ra theirs_arguments <<<"$theirs"
  measure "$title, vktrain" "$file.vktrain.json" "$vktrain" bench "${ours_arguments[@]}" \
    "${bench_options[@]}" || return 0
  measure "$title, PyTorch" "$file.pytorch.json" "$python" "$here/pytorch_kernels.py" \
    "${theirs_arguments[@]}" --device "$device" --threads "$threads" "${kernel_options[@]}" \
    || return 0
  measure "$title, table" "$file.md" "$python" "$here/compare_kernels.py" \
    "$out/$file.vktrain.json" "$out/$file.pytorch.json" || return 0
  show "$title" "$file.md"
}

# Training steps by turns, in one of PyTorch's modes.
steps() {
  local mode=$1
  shift
  local title="Training steps against PyTorch, $mode"
  measure "$title" "compare-$mode.md" "$python" "$here/compare.py" "${compare_models[@]}" \
    --mode "$mode" --device "$device" --vktrain "$vktrain" --vktrain-device "$vktrain_device" \
    --threads "$threads" "${images[@]}" "${compare_options[@]}" \
    --json "$out/compare-$mode.json" "$@" || return 0
  show "$title" "compare-$mode.md"
}

run_part() {
  case $1 in
    devices)
      measure "Devices" devices.txt "$vktrain" devices || return 0
      { echo '## Devices' && echo && sed 's/^/    /' "$out/devices.txt" && echo; } >>"$summary"
      ;;
    peak) bench_and_show "Peak" peak peak ;;
    gemm)
      kernels "Matrix products" gemm "gemm --size $gemm_sizes" \
        "--gemm $gemm_sizes"
      ;;
    mixed)
      kernels "Matrix products in mixed precision" mixed \
        "gemm --size $gemm_sizes --precision mixed --tune full" \
        "--gemm $gemm_sizes --types f32,$half"
      bench_and_show "Training steps in mixed precision" step-mixed step "${step_models[@]}" \
        --batch "$step_batch" --precision mixed
      ;;
    conv)
      kernels "Convolutions of b-cnn-100k" conv "conv --layers b-cnn-100k --batch $conv_batch" \
        "--conv cnn-bn --batch $conv_batch"
      ;;
    step) bench_and_show "Training steps" step step "${step_models[@]}" --batch "$step_batch" ;;
    replicas)
      bench_and_show "Replicas, batch 64" replicas step a-fcn-100k a-cnn-100k --batch 64 \
        --replicas "$replicas"
      ;;
    scaling)
      bench_and_show "Batch size" scaling step a-fcn-100k a-cnn-100k --batch "$scaling_batch"
      measure "Batch size and width" widths.md "$python" "$here/scaling.py" --vktrain "$vktrain" \
        --batches "$scaling_batch" --widths "$scaling_width" \
        --vktrain-options "--device $vktrain_device $scaling_options" || return 0
      show "Batch size and width" widths.md
      ;;
    loader | eager | compile) steps "$1" ;;
    cudagraph) steps cudagraph --fused ;;
  esac
}

# The summary is of this call's parts; that of an earlier call stays beside it.
[[ ! -e $summary ]] || mv "$summary" "$out/summary.before.md"
printf '# vktrain and PyTorch on one machine\n\n' >"$summary"
for part in "${parts[@]}"; do
  run_part "$part"
done
echo "$out: summary.md and the measurements; $errors failed." >&2
[[ $errors -eq 0 ]]
