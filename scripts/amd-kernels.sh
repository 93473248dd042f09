#!/usr/bin/env bash
# What AMD's compilers make of the kernels, without hardware: RADV's null device, six families.
#
#   scripts/amd-kernels.sh          every candidate of every experiment at its own batch size and 512;
#                                   a chosen kernel that spills fails
#   scripts/amd-kernels.sh --table  the same, and the table of docs/amd.md on the standard output
#
# VKTRAIN names the program (build/release/bin/vktrain without it). Families whose driver cannot be
# had fail the run, or are left out with VKTRAIN_MISSING_DRIVER=skip.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

families=(radv:polaris10 radv:vega10 radv:navi21 radv:gfx1100
  radv-backports:navi31 radv-backports:gfx1201)
vktrain=${VKTRAIN:-$project/build/release/bin/vktrain}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# Compiles for a family and keeps the rows. RADV warns on stderr that there is no hardware.
kernels() {
  # shellcheck disable=SC2016
  "$project/scripts/drivers.sh" with-driver "$1" bash -c \
    '"$0" kernels --all --batch-size 512 --fail-on-spills --format md >"$1" 2>"$1.err" ||
      { cat "$1.err"; exit 1; }' "$vktrain" "$out/$1.md" >&2
}

# Of the files of all families: a line for each shader with the most that a chosen kernel of it takes.
write_table() {
  awk -F ' *[|] *' '
    FNR == 1 { family[++families] = FILENAME; sub(/.*:/, "", family[families])
               sub(/[.]md$/, "", family[families])
               for (i = 1; i <= NF; ++i) column[$i] = i; next }
    FNR == 2 { next }
    function number(title, text) { text = $(column[title]); gsub(/,/, "", text); return text + 0 }
    { ++all[families]
      if (number("spills") + number("scratch B") > 0) ++spilling[families]
      if ($(column["chosen"]) != "yes") next
      ++chosen[families]
      shader = $2; sub(/<.*/, "", shader)
      if (!(shader in lds)) { order[++shaders] = shader; lds[shader] = 0 }
      if (families == 1) ++variants[shader]
      at = shader SUBSEP families
      if (number("VGPRs") > vgprs[at]) vgprs[at] = number("VGPRs")
      if (number("code B") > code[at]) code[at] = number("code B")
      if (!(at in waves) || number("waves") < waves[at]) waves[at] = number("waves")
      if (number("shared B") > lds[shader]) lds[shader] = number("shared B") }
    END {
      head = "| shader | kernels | LDS bytes |"; rule = "|---|---:|---:|"
      for (f = 1; f <= families; ++f) { head = head " " family[f] " |"; rule = rule "---:|" }
      print head; print rule
      for (s = 1; s <= shaders; ++s) {
        line = "| `" order[s] "` | " variants[order[s]] " | " lds[order[s]] " |"
        for (f = 1; f <= families; ++f) {
          at = order[s] SUBSEP f
          line = line " " vgprs[at] " / " waves[at] " / " code[at] " |"
        }
        print line
      }
      line = "| kernels, of which chosen | | |"
      for (f = 1; f <= families; ++f) line = line " " all[f] ", " chosen[f] " |"
      print line
      line = "| with spills or scratch memory | | |"
      for (f = 1; f <= families; ++f) line = line " " spilling[f] + 0 " |"
      print line }' "$@"
}

failed=0
done=()
for family in "${families[@]}"; do
  status=0
  kernels "$family" || status=$?
  [ "$status" -eq 0 ] || [ "$status" -eq 77 ] || failed=1 # 77: the driver cannot be had
  [ -s "$out/$family.md" ] || continue
  done+=("$out/$family.md")
  say "$family: $(($(wc -l <"$out/$family.md") - 2)) kernels" >&2
done
[ "$failed" -ne 0 ] || [ ${#done[@]} -gt 0 ] || exit 77
if [ "${1:-}" = --table ] && [ ${#done[@]} -gt 0 ]; then write_table "${done[@]}"; fi
exit "$failed"
