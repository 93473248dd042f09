#!/usr/bin/env python3
"""Times training steps of a model in PyTorch, on FashionMNIST or on random images.

Modes:
  loader     the loop that tutorials and course reports write: DataLoader with shuffle, loss.item()
  eager      images in memory or on the device, batches by a permutation, no loss.item()
  compile    the same with torch.compile (PyTorch 2)
  cudagraph  the whole step, gather and optimizer included, in one CUDA graph

    python3 benchmarks/pytorch_step.py MODEL ... --batch 64,512 --mode loader,eager [--device cuda]
"""

import argparse
import gzip
import pathlib
import sys

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import pytorch_common as common
from pytorch_models import MODELS, floating_point_operations

MODES = ["loader", "eager", "compile", "cudagraph"]


def read_idx(folder, name, header):
    """The bytes behind the header of an IDX file, plain or gzipped."""
    path = folder / name
    try:
        data = path.read_bytes() if path.exists() else gzip.open(f"{path}.gz").read()
    except OSError as error:
        raise SystemExit(f"{path}: {error.strerror}; give the folder of FashionMNIST with --data, "
                         "or take --random") from error
    return torch.frombuffer(bytearray(data[header:]), dtype=torch.uint8)


def load_images(options, model):
    """All training images as [count, 1, 28, 28] floats, normalised, and their labels."""
    if options.random:
        torch.manual_seed(0)
        return torch.randn(options.random, 1, 28, 28), torch.randint(10, (options.random,))
    images = read_idx(options.data, "train-images-idx3-ubyte", 16).reshape(-1, 1, 28, 28)
    labels = read_idx(options.data, "train-labels-idx1-ubyte", 8).long()
    return (images.float() / 255 - model.mean) / model.std, labels


class Trainer:
    """Trains one model at one batch size; `run(steps)` does so many more steps."""

    def __init__(self, model, images, labels, batch, device, **optimizer_settings):
        self.network = model.make(device)
        self.images, self.labels = images, labels
        self.batch, self.device = batch, device
        self.loss = nn.CrossEntropyLoss()
        self.optimizer = model.make_optimizer(self.network, **optimizer_settings)
        self.flops = floating_point_operations(self.network, batch)

    def step(self, x, y):
        self.optimizer.zero_grad()
        loss = self.loss(self.network(x), y)
        loss.backward()
        self.optimizer.step()
        return loss


class LoaderTrainer(Trainer):
    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.loader = DataLoader(TensorDataset(self.images, self.labels), batch_size=self.batch,
                                 shuffle=True, drop_last=True)
        self.batches = iter(self.loader)
        self.running_loss = 0.0

    def run(self, steps):
        for _ in range(steps):
            item = next(self.batches, None)
            if item is None:
                self.batches = iter(self.loader)
                item = next(self.batches)
            x, y = (tensor.to(self.device) for tensor in item)
            self.running_loss += self.step(x, y).item()


class EagerTrainer(Trainer):
    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.images, self.labels = self.images.to(self.device), self.labels.to(self.device)
        self.order, self.position = None, 0

    def next_indices(self):
        if self.order is None or self.position + self.batch > len(self.labels):
            self.order, self.position = torch.randperm(len(self.labels), device=self.device), 0
        self.position += self.batch
        return self.order[self.position - self.batch:self.position]

    def run(self, steps):
        for _ in range(steps):
            indices = self.next_indices()
            self.step(self.images[indices], self.labels[indices])


class CompiledTrainer(EagerTrainer):
    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        if not hasattr(torch, "compile"):
            raise SystemExit(f"--mode compile: PyTorch {torch.__version__} has no torch.compile; "
                             "it came with 2.0")
        self.network = torch.compile(self.network)


class GraphTrainer(EagerTrainer):
    """One replay is one step: the graph also counts the steps of the epoch on the device and
    gathers the batch, so that nothing is left to the host but the replay and, once an epoch, a new
    order."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        if not self.device.startswith("cuda"):
            raise SystemExit("--mode cudagraph: CUDA graphs need --device cuda")
        self.epoch_steps = len(self.labels) // self.batch
        self.rows = torch.empty(self.epoch_steps, self.batch, dtype=torch.long, device=self.device)
        self.counter = torch.zeros(1, dtype=torch.long, device=self.device)
        self.replays = 0
        self.new_epoch()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # allocates the optimizer's state before the capture
            for _ in range(3):
                self.whole_step()
        torch.cuda.current_stream().wait_stream(stream)
        self.optimizer.zero_grad(set_to_none=True)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.whole_step()
        self.new_epoch()

    def new_epoch(self):
        order = torch.randperm(len(self.labels), device=self.device)
        self.rows.copy_(order[:self.rows.numel()].view_as(self.rows))
        self.counter.zero_()

    def whole_step(self):
        indices = self.rows.index_select(0, self.counter).flatten()
        self.counter.add_(1).remainder_(self.epoch_steps)
        self.optimizer.zero_grad(set_to_none=True)
        self.loss(self.network(self.images[indices]), self.labels[indices]).backward()
        self.optimizer.step()

    def run(self, steps):
        for _ in range(steps):
            if self.replays == self.epoch_steps:
                self.new_epoch()
                self.replays = 0
            self.graph.replay()
            self.replays += 1


TRAINERS = {"loader": LoaderTrainer, "eager": EagerTrainer, "compile": CompiledTrainer,
            "cudagraph": GraphTrainer}


def run(model, batch, mode, images, labels, options):
    settings = {"fused": True} if options.fused else {}
    if mode == "cudagraph":
        settings["capturable"] = True
    torch.manual_seed(0)
    try:
        trainer = TRAINERS[mode](model, images, labels, batch, options.device, **settings)
        trainer.run(options.warmup)
        wall, cpu, steps = common.measure(trainer.run, common.wall_seconds, options)
    except RuntimeError as error:  # of the device, of torch.compile, of an optimizer
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise SystemExit(f"{model.name}, batch {batch}, {mode}: PyTorch failed: "
                         f"{reason[0]}") from error
    return {"model": model.name, "experiment": model.experiment, "parameters": model.parameters,
            "batch": batch, "mode": mode, "fused": options.fused, "left_out": model.left_out,
            "steps": steps, "flops_per_step": trainer.flops,
            "seconds_per_step": common.spread(wall),
            "images_per_second": common.spread([batch / seconds for seconds in wall]),
            "cpu_seconds_per_step": common.spread(cpu)}


def names_of(allowed, convert=str):
    """A parser of lists with commas whose entries must be among those."""
    def parse(text):
        values = [convert(item) for item in text.split(",")]
        for value in values:
            if allowed and value not in allowed:
                raise argparse.ArgumentTypeError(f"{value!r}; there are {', '.join(allowed)}")
        return values
    return parse


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL", choices=list(MODELS),
                        help=", ".join(MODELS))
    parser.add_argument("--batch", type=names_of(None, int), default=[64, 512], metavar="N,...")
    parser.add_argument("--mode", type=names_of(MODES), default=["eager"], metavar="MODE,...")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of the CPU (default: %(default)s)")
    parser.add_argument("--data", type=pathlib.Path, metavar="DIR",
                        default=pathlib.Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--random", type=int, nargs="?", const=60000, default=0, metavar="COUNT",
                        help="random images, by default as many as FashionMNIST has")
    parser.add_argument("--fused", action="store_true", help="the optimizer in one kernel")
    parser.add_argument("--warmup", type=int, default=10, metavar="STEPS")
    parser.add_argument("--repetitions", type=int, default=5, metavar="N")
    parser.add_argument("--seconds", type=float, default=3.0,
                        help="of all repetitions together (default: %(default)s)")
    parser.add_argument("--out", type=pathlib.Path, metavar="FILE", help="JSON (default: stdout)")
    options = parser.parse_args()
    for name in ("threads", "repetitions", "warmup"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1")
    if min(options.batch) < 2 or 0 < options.random < max(options.batch):
        parser.error("--batch must be at least 2, and at most the number of images")
    return options


def main():
    options = parse_arguments()
    common.configure(options.device, options.threads)
    peak = common.measure_peak(options)
    results = []
    for name in options.models:
        images, labels = load_images(options, MODELS[name])
        for batch in options.batch:
            for mode in options.mode:
                result = run(MODELS[name], batch, mode, images, labels, options)
                flops = result["flops_per_step"]
                results.append({
                    **result,
                    "share_of_peak": flops / result["seconds_per_step"]["median"]
                    / peak["flops_per_second"],
                    "share_of_peak_by_cpu_time": flops / result["cpu_seconds_per_step"]["median"]
                    / peak["flops_per_cpu_second"]})
    common.write_json({"environment": common.environment(options.device), "peak": peak,
                       "results": results}, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
