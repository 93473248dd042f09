#!/usr/bin/env python3
"""A Markdown table of what `vktrain bench ... --format json` wrote: the columns that have values.

    python3 benchmarks/bench_table.py step.json
"""

import json
import pathlib
import sys

# For readers of the JSON only, and what the line under the table says once for all rows.
LEFT_OUT = {"benchmark", "repetitions", "runs", "min_ms", "max_ms", "cpu_min_ms", "cpu_max_ms",
            "gbytes_cpu", "gflops_cpu", "peak_gflops", "peak_gbytes", "device", "driver", "version",
            "commit"}


def cell(value):
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def markdown(rows):
    keys = [key for key in rows[0]
            if key not in LEFT_OUT and any(row[key] is not None for row in rows)]
    numbers = {key for key in keys if not any(isinstance(row[key], str) for row in rows)}
    lines = ["| " + " | ".join(key.replace("_", " ") for key in keys) + " |",
             "|" + "".join(" ---: |" if key in numbers else " --- |" for key in keys)]
    lines += ["| " + " | ".join(cell(row[key]) for key in keys) + " |" for row in rows]
    first = rows[0]
    lines += ["", f"vktrain {first['version']} ({first['commit']}): {first['device']}, "
              f"{first['driver']}."]
    return "\n".join(lines) + "\n"


def main():
    if len(sys.argv) != 2:
        raise SystemExit("bench_table.py: give one file of vktrain bench ... --format json")
    try:
        rows = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SystemExit(f"bench_table.py: cannot read {sys.argv[1]}: {error}") from error
    if not rows:
        raise SystemExit(f"bench_table.py: {sys.argv[1]} has no rows")
    sys.stdout.write(markdown(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
