#!/usr/bin/env python3
"""Time of a training step against the batch size and against the width of a network, by
`vktrain bench step`: a Markdown table on standard output and a plot (SVG).

    python3 benchmarks/scaling.py --vktrain build/release/bin/vktrain --plot docs/scaling.svg

Needs python3-matplotlib for --plot only. The network of the widths is 784-W-W-10 with batch 64;
that of the batch sizes is --experiment.
"""

import argparse
import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile

WIDTH_MODEL = """id = "width-{width}"
model.layers = ["flatten", "linear {width}", "relu", "linear {width}", "relu", "linear 10"]
data.split = "none"
optimizer.kind = "adam"
optimizer.learning_rate = 0.001
"""


def numbers(text):
    return [int(word) for word in text.split(",")]


def bench_step(options, experiments, batches):
    command = [options.vktrain, "bench", "step", *experiments, "--batch",
               ",".join(map(str, batches)), "--no-peak", "--format", "json",
               *options.vktrain_options.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"scaling.py: {' '.join(command)} ended with {done.returncode}: "
                         f"{done.stderr.strip()}")
    return json.loads(done.stdout)


def width_rows(options):
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for width in options.widths:
            path = pathlib.Path(folder) / f"width-{width}.toml"
            path.write_text(WIDTH_MODEL.format(width=width), encoding="utf-8")
            paths.append(str(path))
        return bench_step(options, paths, [64])


def table(head, values, rows):
    """Each step is compared with the one before it: a cliff is a row whose time grows much more
    than its work."""
    lines = [f"| {head} | ms a step | images/s | GFLOP/s | growth |",
             "| ---: | ---: | ---: | ---: | ---: |"]
    before = None
    for value, row in zip(values, rows):
        step = row["median_ms"]
        growth = "-" if before is None else f"{step / before[1]:.2f}x for {value / before[0]:g}x"
        rate = "-" if row["gflops"] is None else f"{row['gflops']:,.3g}"
        lines.append(f"| {value:,} | {step:,.3g} | {row['images_per_second']:,.0f} | {rate} | "
                     f"{growth} |")
        before = (value, step)
    return "\n".join(lines)


def plot(path, curves):
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "vktrain"  # the same data give the same file
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(1, len(curves), figsize=(9, 3.4))
    for axis, (head, values, rows) in zip(axes, curves):
        axis.loglog(values, [row["median_ms"] for row in rows], marker="o", base=2)
        axis.set_xlabel(head)
        axis.set_ylabel("ms a step")
        axis.grid(True, which="major", alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--vktrain", default="build/release/bin/vktrain", metavar="PROGRAM")
    parser.add_argument("--vktrain-options", default="", metavar="TEXT")
    parser.add_argument("--experiment", default="a-fcn-100k")
    parser.add_argument("--batches", type=numbers, default=[2**i for i in range(4, 15)])
    parser.add_argument("--widths", type=numbers, default=[2**i for i in range(6, 13)])
    parser.add_argument("--plot", metavar="FILE.svg")
    options = parser.parse_args()
    if options.plot and importlib.util.find_spec("matplotlib") is None:
        parser.error(f"--plot needs matplotlib, which {sys.executable} does not have; install "
                     "python3-matplotlib, or leave --plot out")
    batches = bench_step(options, [options.experiment], options.batches)
    widths = width_rows(options)
    first = batches[0]
    print(table(f"batch ({options.experiment})", options.batches, batches))
    print()
    print(table("width (784-W-W-10, batch 64)", options.widths, widths))
    print(f"\nvktrain {first['version']} ({first['commit']}): {first['device']}, "
          f"{first['driver']}.")
    if options.plot:
        plot(options.plot, [(f"batch size, {options.experiment}", options.batches, batches),
                            ("width W of 784-W-W-10, batch 64", options.widths, widths)])


if __name__ == "__main__":
    main()
