#!/usr/bin/env python3
"""Times training steps in vktrain and in PyTorch by turns, and prints the ratios pair by pair.

Each turn is a process of its own: vktrain, PyTorch, vktrain, PyTorch, ... A ratio is that of two
neighbours, so that a machine that gets slower or faster meanwhile moves both of its sides.

    python3 benchmarks/compare.py --vktrain build/release/bin/vktrain --mode loader,eager
"""

import argparse
import datetime
import json
import os
import pathlib
import shlex
import statistics
import subprocess
import sys

from pytorch_models import FOLDER, MODELS
from pytorch_step import MODES, names_of


class Failure(Exception):
    """One sentence for the user."""


def run(subject, command, options, **environment):
    """The output of a program, which must end well and in time."""
    try:
        done = subprocess.run(command, env={**os.environ, **environment}, text=True, check=False,
                              timeout=options.timeout, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
    except subprocess.TimeoutExpired as error:
        raise Failure(f"{subject}: no result within {options.timeout:g} s; allow more with "
                      "--timeout, or measure less with --seconds") from error
    except OSError as error:
        raise Failure(f"{subject}: cannot run {command[0]}: {error.strerror}") from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        reason = lines[-1].rstrip(".") if lines else f"exit status {done.returncode}"
        raise Failure(f"{subject}: {shlex.join(command)} failed: {reason}")
    return done.stdout


def parse_json(subject, text):
    try:
        return json.loads(text)
    except ValueError as error:
        raise Failure(f"{subject}: the output is not JSON: {error}") from error


def threads_of_vktrain(options):
    return options.threads if options.vktrain_threads is None else options.vktrain_threads


def run_vktrain(model, batch, options):
    """The row of one training step."""
    subject = f"vktrain, {model.name} at batch {batch}"
    command = [options.vktrain, "bench", "step", model.vktrain_argument(), "--batch", str(batch),
               "--format", "json", "--repetitions", str(options.repetitions),
               "--min-time", f"{options.seconds / options.repetitions:g}",
               "--warmup", str(options.warmup), "--device", options.vktrain_device,
               *shlex.split(options.vktrain_options)]
    rows = parse_json(subject, run(subject, command, options,
                                   LP_NUM_THREADS=str(threads_of_vktrain(options))))
    if len(rows) != 1 or not rows[0].get("images_per_second"):
        raise Failure(f"{subject}: expected one row with images_per_second, found {len(rows)} rows")
    return rows[0]


def run_pytorch(model, batch, options):
    """The environment, and the results of all modes by name."""
    subject = f"PyTorch, {model.name} at batch {batch}"
    command = [sys.executable, str(FOLDER / "pytorch_step.py"), model.name, "--batch", str(batch),
               "--mode", ",".join(options.mode), "--device", options.device,
               "--threads", str(options.threads), "--seconds", f"{options.seconds:g}",
               "--repetitions", str(options.repetitions), "--warmup", str(options.warmup)]
    command += ["--random"] if options.random else ["--data", str(options.data)]
    command += ["--fused"] if options.fused else []
    found = parse_json(subject, run(subject, command, options,
                                    OMP_NUM_THREADS=str(options.threads)))
    return {**found["environment"], "peak": found["peak"]}, \
        {result["mode"]: result for result in found["results"]}


def check_parameters(names, options):
    """The built-in models must have as many parameters there as here."""
    text = run("vktrain", [options.vktrain, "experiments"], options)
    counts = {words[0]: words[1] for words in (line.split() for line in text.splitlines())
              if len(words) > 1}
    for model in (MODELS[name] for name in names):
        count = counts.get(model.experiment, "").replace(",", "")
        if not model.experiment.endswith(".toml") and count != str(model.parameters):
            raise Failure(f"{model.name}: vktrain's {model.experiment} has {count or 'no'} "
                          f"parameters, PyTorch's network {model.parameters}; make the two equal "
                          "in pytorch_models.py")


def seconds_of(vktrain, pytorch, by_cpu_time):
    """Seconds of a step on both sides."""
    if by_cpu_time:
        return vktrain["cpu_median_ms"] / 1e3, pytorch["cpu_seconds_per_step"]["median"]
    return vktrain["median_ms"] / 1e3, pytorch["seconds_per_step"]["median"]


def vktrain_share(row, flops):
    """Of vktrain's own peak: by processor time on CPU drivers, where bench's peak is by it too.
    The operations are PyTorch's count, so that both shares are of the same work."""
    if not row.get("peak_gflops"):
        return None
    on_cpu = row.get("gflops_cpu") is not None
    milliseconds = row["cpu_median_ms"] if on_cpu else row["median_ms"]
    return flops / (milliseconds / 1e3) / (row["peak_gflops"] * 1e9)


def summarize(model, batch, mode, pairs, by_cpu_time):
    seconds = [seconds_of(vktrain, pytorch, by_cpu_time) for vktrain, pytorch in pairs]
    ratios = [b / a for a, b in seconds]
    shares = [vktrain_share(vktrain, pytorch["flops_per_step"]) for vktrain, pytorch in pairs]
    shares = [share for share in shares if share is not None]
    share_key = "share_of_peak_by_cpu_time" if by_cpu_time else "share_of_peak"
    return {"model": model.name, "batch": batch, "mode": mode, "left_out": model.left_out,
            "by_cpu_time": by_cpu_time,
            "vktrain_images_per_second": statistics.median(batch / a for a, _ in seconds),
            "pytorch_images_per_second": statistics.median(batch / b for _, b in seconds),
            "ratio": {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)},
            "vktrain_share_of_peak": statistics.median(shares) if shares else None,
            "pytorch_share_of_peak": statistics.median(p[share_key] for _, p in pairs),
            "pairs": [{"vktrain": vktrain, "pytorch": pytorch, "ratio": ratio}
                      for (vktrain, pytorch), ratio in zip(pairs, ratios)]}


def measure(model, batch, options):
    """The rows of one model at one batch size, one for each mode, and both sides' descriptions."""
    turns = []
    for number in range(options.pairs):
        print(f"{model.name}, batch {batch}, pair {number + 1} of {options.pairs}", file=sys.stderr,
              flush=True)
        row = run_vktrain(model, batch, options)
        environment, results = run_pytorch(model, batch, options)
        turns.append((row, results))
    rows = [summarize(model, batch, mode, [(row, results[mode]) for row, results in turns],
                      options.by_cpu_time) for mode in options.mode]
    description = {key: turns[0][0].get(key)
                   for key in ("device", "driver", "version", "commit", "peak_gflops")}
    return rows, description, environment


def percent(share):
    return "-" if share is None else f"{100 * share:.1f}"


def threads_text(report):
    own, vktrain = report["threads"], report["vktrain_threads"]
    if own == vktrain:
        return f"{own} threads"
    return f"{own} threads for PyTorch, {vktrain} for vktrain"


def markdown(report):
    """The table, and under it what it was measured with."""
    unit = "images/s of processor time" if report["by_cpu_time"] else "images/s"
    lines = [f"| model | batch | PyTorch's mode | vktrain {unit} | PyTorch {unit} | ratio | lowest "
             "| highest | vktrain % of its peak | PyTorch % of its peak |",
             "| --- | ---: | --- |" + " ---: |" * 7]
    for row in report["rows"]:
        name = row["model"] + (" (a)" if row["left_out"] else "")
        ratio = row["ratio"]
        lines.append(f"| {name} | {row['batch']} | {row['mode']} | "
                     f"{row['vktrain_images_per_second']:,.0f} | "
                     f"{row['pytorch_images_per_second']:,.0f} | {ratio['median']:.2f} | "
                     f"{ratio['min']:.2f} | {ratio['max']:.2f} | "
                     f"{percent(row['vktrain_share_of_peak'])} | "
                     f"{percent(row['pytorch_share_of_peak'])} |")
    left_out = {row["left_out"] for row in report["rows"] if row["left_out"]}
    lines += [""] + [f"(a) PyTorch's side leaves out {text}." for text in sorted(left_out)]
    vktrain, pytorch = report["vktrain"], report["pytorch"]
    peak_key = "flops_per_cpu_second" if report["by_cpu_time"] else "flops_per_second"
    libraries = [os.path.realpath(path) for path in pytorch["blas"]] + pytorch["built_with"]
    libraries += [f"{name} {pytorch[name]}" for name in ("cuda", "cudnn") if pytorch[name]]
    lines += [
        f"{report['pairs']} pairs, {threads_text(report)}, {report['date']}, load average "
        f"{report['load_average']:.1f} at the beginning.", "",
        f"- vktrain {vktrain['version']} ({vktrain['commit']}): {vktrain['device']}, "
        f"{vktrain['driver']}; its peak {vktrain['peak_gflops'] or 0:,.0f} GFLOP/s"
        f"{' per second of processor time' if report['peak_by_cpu_time'] else ''}",
        f"- PyTorch {pytorch['torch']}: {pytorch['device']}, {'; '.join(libraries)}; its peak "
        f"{pytorch['peak'][peak_key] / 1e9:,.0f} GFLOP/s"
        f"{' per second of processor time' if report['by_cpu_time'] else ''}",
        f"- `{report['command']}`"]
    return "\n".join(lines) + "\n"


def write(path, text):
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"{', '.join(MODELS)} (all)")
    parser.add_argument("--batch", type=names_of(None, int), default=[64, 512], metavar="N,...")
    parser.add_argument("--mode", type=names_of(MODES), default=["loader", "eager"],
                        metavar="MODE,...", help=f"PyTorch's: {', '.join(MODES)}")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--vktrain", default="build/release/bin/vktrain", metavar="PROGRAM")
    parser.add_argument("--vktrain-device", default="auto", metavar="DEVICE")
    parser.add_argument("--vktrain-options", default="", metavar="TEXT",
                        help="more options for `vktrain bench step`")
    parser.add_argument("--device", default="cpu", help="PyTorch's: cpu or cuda")
    parser.add_argument("--threads", type=int, default=2,
                        help="of the CPU, for PyTorch and for lavapipe")
    parser.add_argument("--vktrain-threads", type=int, metavar="N",
                        help="of lavapipe alone; 0: it computes on the thread that submits "
                             "(default: --threads)")
    parser.add_argument("--data", type=pathlib.Path, metavar="DIR",
                        default=pathlib.Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--random", action="store_true", help="random images for PyTorch, too")
    parser.add_argument("--fused", action="store_true", help="PyTorch's optimizer in one kernel")
    parser.add_argument("--by-cpu-time", action="store_true",
                        help="compare processor time, where others use the machine; with --threads "
                        "1")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a side's turn")
    parser.add_argument("--repetitions", type=int, default=5, help="in a turn; the median counts")
    parser.add_argument("--warmup", type=int, default=10, metavar="STEPS")
    parser.add_argument("--timeout", type=float, default=600.0, metavar="SECONDS", help="of a turn")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="everything measured")
    parser.add_argument("--markdown", type=pathlib.Path, metavar="FILE",
                        help="the table (default: standard output)")
    options = parser.parse_args()
    unknown = [name for name in options.models if name not in MODELS]
    if unknown:
        parser.error(f"unknown model {unknown[0]}; there are {', '.join(MODELS)}")
    if min(options.pairs, options.threads, options.repetitions, options.warmup) < 1:
        parser.error("--pairs, --threads, --repetitions and --warmup must be at least 1")
    if options.vktrain_threads is not None and options.vktrain_threads < 0:
        parser.error("--vktrain-threads must be at least 0")
    for path in (options.json, options.markdown):
        if path is not None and not path.resolve().parent.is_dir():
            parser.error(f"the folder of {path} does not exist; make it first")
    return options


def compare(options):
    names = options.models or list(MODELS)
    check_parameters(names, options)
    report = {"command": shlex.join(["python3", *sys.argv]), "pairs": options.pairs,
              "threads": options.threads, "vktrain_threads": threads_of_vktrain(options),
              "by_cpu_time": options.by_cpu_time, "rows": [],
              "load_average": os.getloadavg()[0],
              "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")}
    for name in names:
        for batch in options.batch:
            rows, vktrain, pytorch = measure(MODELS[name], batch, options)
            report["rows"] += rows
            report.update(vktrain=vktrain, pytorch=pytorch)
    report["peak_by_cpu_time"] = any(pair["vktrain"].get("gflops_cpu") is not None
                                     for row in report["rows"] for pair in row["pairs"])
    return report


def main():
    options = parse_arguments()
    try:
        report = compare(options)
    except Failure as failure:
        print(f"compare.py: {failure}; nothing was written.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("compare.py: interrupted; nothing was written.", file=sys.stderr)
        return 130
    if options.json is not None:
        write(options.json, json.dumps(report, indent=2) + "\n")
    if options.markdown is not None:
        write(options.markdown, markdown(report))
    else:
        sys.stdout.write(markdown(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
