#!/usr/bin/env python3
"""Puts the rows of `vktrain bench gemm` or `conv` beside those of pytorch_kernels.py.

    python3 benchmarks/compare_kernels.py vktrain.json pytorch.json
"""

import argparse
import json
import pathlib
import sys


def sizes(value):
    """Of an extent, which vktrain writes as the text 28x28."""
    return tuple(int(part) for part in value.split("x")) if isinstance(value, str) else tuple(value)


def vktrain_key(row):
    if row["benchmark"] == "gemm":
        return ("gemm", row["form"], row["m"], row["n"], row["k"])
    height, width = sizes(row["input"])
    return ("conv", row["pass"], row["batch"], row["in_channels"], height, width,
            row["out_channels"], *sizes(row["window"]))


def pytorch_key(row):
    if row["kind"] == "gemm":
        return ("gemm", row["form"], row["m"], row["n"], row["k"])
    return ("conv", row["pass"], row["batch"], *row["input"], row["out"], *row["kernel"])


def vktrain_rate(row):
    """GFLOP/s by the device's clock where there is one, as PyTorch's are by CUDA events."""
    if row.get("gpu_ms"):
        return row["gflops"] * row["median_ms"] / row["gpu_ms"]
    return row["gflops"]


def describe(key):
    if key[0] == "gemm":
        return f"{key[1]} {key[2]} x {key[3]} x {key[4]}"
    _, name, batch, channels, height, width, out, kernel_height, kernel_width = key
    return (f"{name}, {batch} x {channels} x {height} x {width} to {out}, "
            f"{kernel_height} x {kernel_width}")


def markdown(vktrain, pytorch):
    """A row for each kernel of both, a pair of columns for each of PyTorch's types."""
    found = {(pytorch_key(row), row["type"]): row["flops_per_second"] / 1e9
             for row in pytorch["results"]}
    types = list(dict.fromkeys(row["type"] for row in pytorch["results"]))
    head = "".join(f" PyTorch {name} | ratio |" for name in types)
    lines = [f"| GFLOP/s of | vktrain | % of its peak |{head}",
             "| --- | ---: | ---: |" + " ---: | ---: |" * len(types)]
    for row in vktrain:
        key = vktrain_key(row)
        if not any((key, name) in found for name in types):
            continue
        ours, share = vktrain_rate(row), row.get("peak_percent")
        line = f"| {describe(key)} | {ours:,.1f} | {'-' if share is None else f'{share:.1f}'} |"
        for name in types:
            theirs = found.get((key, name))
            line += f" {theirs:,.1f} | {ours / theirs:.2f} |" if theirs else " - | - |"
        lines.append(line)
    if len(lines) == 2:
        raise SystemExit("compare_kernels.py: the two files have no kernel in common; measure the "
                         "same shapes and batch sizes")
    environment = pytorch["environment"]
    return "\n".join(lines + [
        "", f"vktrain {vktrain[0]['version']} ({vktrain[0]['commit']}): {vktrain[0]['device']}, "
        f"{vktrain[0]['driver']}; PyTorch {environment['torch']}: {environment['device']}, "
        f"{environment['threads']} threads, CUDA {environment['cuda'] or 'not used'}; "
        f"{environment['date']}."]) + "\n"


def read(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SystemExit(f"compare_kernels.py: cannot read {path}: {error}") from error


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vktrain", type=pathlib.Path, help="of vktrain bench ... --format json")
    parser.add_argument("pytorch", type=pathlib.Path, help="of pytorch_kernels.py")
    options = parser.parse_args()
    sys.stdout.write(markdown(read(options.vktrain), read(options.pytorch)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
