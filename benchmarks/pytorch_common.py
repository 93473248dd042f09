"""What the PyTorch benchmarks share: settings of the library, a description of it, timing, output.

Strict f32: no TF32 in matrix products and convolutions, as vktrain has none.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import sys
import time

import torch


def configure(device, threads):
    """Threads are set always: Debian 12's PyTorch starts with one, whatever the machine has."""
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit(f"--device {device}: this PyTorch ({torch.__version__}) finds no CUDA "
                         "device; use --device cpu")
    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    if hasattr(torch, "set_float32_matmul_precision"):
        torch.set_float32_matmul_precision("highest")


def synchronize(device):
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def blas_libraries():
    """The files that provide BLAS in this process. torch.__config__ names only what PyTorch
    was built for; Debian's takes whatever libblas.so.3 points to, with a tenfold difference."""
    maps = pathlib.Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    paths = {line.split(maxsplit=5)[5] for line in maps if line.count("/") > 1}
    names = ("blas", "mkl_core", "mkl_rt")
    return sorted(path for path in paths if any(name in os.path.basename(path) for name in names))


def built_with():
    """The lines of torch.__config__ that say which libraries compute, and BLAS_INFO."""
    found = []
    for line in torch.__config__.show().splitlines():
        text = line.strip(" -")
        if text.startswith(("Intel(R) M", "CPU capability", "CUDA Runtime", "CuDNN")):
            found.append(text)
        found += [item.strip() for item in text.split(",") if item.strip().startswith("BLAS_INFO=")]
    return found


def environment(device):
    cuda = device.startswith("cuda")
    return {
        "device": torch.cuda.get_device_name() if cuda else processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda if cuda else None,
        "cudnn": torch.backends.cudnn.version() if cuda else None,
        "built_with": built_with(),
        "blas": blas_libraries(),
        "openmp": {name: value for name, value in os.environ.items()
                   if name.startswith(("OMP_", "GOMP_", "KMP_"))},
        "python": platform.python_version(),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": " ".join([os.path.basename(sys.argv[0])] + sys.argv[1:]),
    }


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def wall_seconds(work, device):
    """Of one call, with what it leaves to the device."""
    synchronize(device)
    begin = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - begin


def kernel_seconds(work, device):
    """The same on the device's own clock, CUDA events, where there is one."""
    if not device.startswith("cuda"):
        return wall_seconds(work, device)
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    work()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1e3


def measure(run, seconds_of, options):
    """Seconds and processor seconds of one run, `options.repetitions` times, and the runs behind
    each. `run(n)` does n runs. A repetition goes on until its share of `options.seconds` is over,
    however much slower the machine gets meanwhile; finding the number of runs between two looks at
    the clock is the warm-up."""
    share = options.seconds / options.repetitions
    chunk = 1
    while seconds_of(lambda: run(chunk), options.device) < share / 10:
        chunk *= 2
    wall, cpu, runs = [], [], []
    for _ in range(options.repetitions):
        elapsed, count, cpu_begin = 0.0, 0, time.process_time()
        while elapsed < share:
            elapsed += seconds_of(lambda: run(chunk), options.device)
            count += chunk
        wall.append(elapsed / count)
        cpu.append((time.process_time() - cpu_begin) / count)
        runs.append(count)
    return wall, cpu, runs


def measure_kernel(kernel, options):
    """The same for one call that needs no arguments."""
    def run(calls):
        for _ in range(calls):
            kernel()

    run(2)
    wall, cpu, runs = measure(run, kernel_seconds, options)
    return {"seconds": spread(wall), "cpu_seconds": spread(cpu), "runs": runs}


def measure_peak(options):
    """The library's own peak, which each of its figures is a share of: an f32 matrix product of
    this size, the best of its repetitions, per second and per second of processor time."""
    size = 4096 if options.device.startswith("cuda") else 1024
    a, b = (torch.randn(size, size, device=options.device) for _ in range(2))
    brief = argparse.Namespace(device=options.device, repetitions=5,
                               seconds=min(options.seconds, 0.5))
    timing = measure_kernel(lambda: torch.mm(a, b), brief)
    flops = 2 * size**3
    return {"size": size, "flops_per_second": flops / timing["seconds"]["min"],
            "flops_per_cpu_second": flops / timing["cpu_seconds"]["min"]}


def write_json(value, out):
    """To a file, by renaming, or to the standard output."""
    text = json.dumps(value, indent=2) + "\n"
    if out is None:
        sys.stdout.write(text)
        return
    partial = out.with_name(out.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(out)
