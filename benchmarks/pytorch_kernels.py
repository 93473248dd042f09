#!/usr/bin/env python3
"""Times PyTorch's matrix products, and the three passes of a model's convolutions, one by one.

On the GPU these are cuBLAS and cuDNN, timed by CUDA events; f32 is strict, without TF32.

    python3 benchmarks/pytorch_kernels.py --gemm 1024,4096 --types f32,f16 --device cuda
    python3 benchmarks/pytorch_kernels.py --conv cnn-bn --batch 512
"""

import argparse
import pathlib
import sys

import torch
from torch import nn

import pytorch_common as common
from pytorch_models import MODELS
from pytorch_step import names_of

FORMS = ["nt", "nn", "tn"]
TYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def gemm_shape(text):
    """M, N, K from "512" or "512x100x784"."""
    sizes = [int(size) for size in text.split("x")]
    if len(sizes) not in (1, 3) or min(sizes) < 1:
        raise ValueError(f"{text!r} is neither a size nor MxNxK")
    return tuple(sizes * (3 if len(sizes) == 1 else 1))


def time_gemm(shape, form, type_name, options):
    """One product in one of vktrain's forms: nt is A[M,K] B[N,K]^T, nn A[M,K] B[K,N], tn A[K,M]^T
    B[K,N]."""
    m, n, k = shape

    def matrix(rows, columns, stored_transposed):
        sizes = (columns, rows) if stored_transposed else (rows, columns)
        stored = torch.randn(*sizes, device=options.device).to(TYPES[type_name])
        return stored.t() if stored_transposed else stored

    a, b = matrix(m, k, form == "tn"), matrix(k, n, form == "nt")
    out = torch.empty(m, n, dtype=TYPES[type_name], device=options.device)
    timing = common.measure_kernel(lambda: torch.mm(a, b, out=out), options)
    return {"kind": "gemm", "form": form, "m": m, "n": n, "k": k, "type": type_name, **timing,
            "flops_per_second": 2 * m * n * k / timing["seconds"]["median"]}


def convolutions(model):
    """The model's convolutions in their order, each with its input's shape without the batch."""
    found = []
    network = model.make("cpu").eval()
    hooks = [module.register_forward_hook(
        lambda module, inputs, _: found.append((module, tuple(inputs[0].shape[1:]))))
        for module in network.modules() if isinstance(module, nn.Conv2d)]
    network(torch.zeros(2, 1, 28, 28))
    for hook in hooks:
        hook.remove()
    return found


def conv_passes(module, shape, batch, device):
    """The passes as functions; the first layer has no gradient of its input in a training step, but
    its row is measured all the same."""
    conv = module.to(device)
    x = torch.randn(batch, *shape, device=device)
    weight = conv.weight.detach()
    with torch.no_grad():
        gradient = torch.randn_like(conv(x))

    def backward(mask):
        return torch.ops.aten.convolution_backward(
            gradient, x, weight, None, conv.stride, conv.padding, conv.dilation, False, [0, 0],
            conv.groups, mask)

    flops = 2 * gradient.numel() * weight[0].numel()
    return flops, {
        "forward": lambda: nn.functional.conv2d(x, weight, None, conv.stride, conv.padding,
                                                conv.dilation, conv.groups),
        "data gradient": lambda: backward([True, False, False]),
        "weight gradient": lambda: backward([False, True, False])}


def time_convolutions(model, batch, options):
    rows = []
    for module, shape in convolutions(model):
        flops, passes = conv_passes(module, shape, batch, options.device)
        for name, work in passes.items():
            timing = common.measure_kernel(work, options)
            rows.append({"kind": "conv", "experiment": model.experiment, "batch": batch,
                         "input": list(shape), "out": module.out_channels,
                         "kernel": list(module.kernel_size), "pass": name, "type": "f32",
                         "flops_per_second": flops / timing["seconds"]["median"], **timing})
    return rows


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gemm", type=names_of(None, gemm_shape), default=[], metavar="SHAPE,...",
                        help="N for N x N x N, or MxNxK")
    parser.add_argument("--form", type=names_of(FORMS), default=FORMS, metavar="FORM,...",
                        help="of the matrices, nt, nn, tn as in vktrain bench gemm (default: all)")
    parser.add_argument("--types", type=names_of(list(TYPES)), default=["f32"], metavar="TYPE,...",
                        help=f"of the matrices: {', '.join(TYPES)} (default: f32)")
    parser.add_argument("--conv", type=names_of(list(MODELS)), default=[], metavar="MODEL,...")
    parser.add_argument("--batch", type=names_of(None, int), default=[512], metavar="N,...",
                        help="of the convolutions (default: 512)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of the CPU (default: %(default)s)")
    parser.add_argument("--repetitions", type=int, default=5, metavar="N")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each kernel's repetitions")
    parser.add_argument("--out", type=pathlib.Path, metavar="FILE", help="JSON (default: stdout)")
    options = parser.parse_args()
    if not options.gemm and not options.conv:
        parser.error("nothing to measure; give --gemm or --conv")
    if min(options.threads, options.repetitions, *options.batch) < 1:
        parser.error("--threads, --repetitions and --batch must be at least 1")
    return options


def main():
    options = parse_arguments()
    common.configure(options.device, options.threads)
    rows = [time_gemm(shape, form, kind, options) for kind in options.types
            for form in options.form for shape in options.gemm]
    for name in options.conv:
        for batch in options.batch:
            rows += time_convolutions(MODELS[name], batch, options)
    common.write_json({"environment": common.environment(options.device), "results": rows},
                      options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
