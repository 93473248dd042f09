#!/usr/bin/python3
"""Writes the golden files: short PyTorch trainings on FashionMNIST that the tests follow.

Needs python3-torch and python3-numpy. Deterministic: the same PyTorch on the same kind of processor
writes the same bytes. README.md describes the files, cases.py lists the trainings, networks.py
builds their networks and optimizers.

    python3 tests/golden/make_golden.py [--data DIR] [--out DIR] [CASE ...]
"""

import argparse
import gzip
import json
import math
import pathlib
import sys

import numpy as np
import torch
from torch import nn

from cases import CASES
from networks import build_model, build_optimizer, use_mixed_precision

# A golden training must not hang on rounding: tests ask for 1e-4, and a ReLU whose input is nearly
# 0, a maximum whose window holds two nearly equal values, or Adam on a gradient that is nearly 0,
# can turn 1e-8 into 1e-3. So every case also runs in float64, and a few times in float32 with
# random numbers of this size added to the outputs of all linear layers and convolutions; that is
# several times the error of any sound float32 arithmetic. Its file is written only when all of
# these agree within the limit. Where a case fails, another learning rate helps.
DISTURBANCE = 1e-6
CONDITION_LIMIT = 2e-5


# --- Data -----------------------------------------------------------------------------------------


def read_idx(folder, name, dimensions):
    """The bytes of an IDX file, plain or gzipped, shaped [count, ...]."""
    path = folder / name
    data = path.read_bytes() if path.exists() else gzip.open(f"{path}.gz").read()
    magic = 0x800 + dimensions
    header = np.frombuffer(data, ">u4", 1 + dimensions)
    if header[0] != magic:
        raise SystemExit(f"{path}: expected an IDX file with magic {magic}, found {header[0]}")
    return np.frombuffer(data, np.uint8, offset=header.nbytes).reshape(header[1:])


class Images:
    """Images and labels in file order."""

    def __init__(self, folder, prefix):
        self.images = torch.from_numpy(read_idx(folder, f"{prefix}-images-idx3-ubyte", 3).copy())
        self.labels = torch.from_numpy(read_idx(folder, f"{prefix}-labels-idx1-ubyte", 1).copy())

    def batch(self, first, count, spec, dtype):
        """x [count, 1, 28, 28] = (byte / 255 - mean) / std, computed in dtype; labels [count]."""
        x = self.images[first:first + count].to(dtype).unsqueeze(1)
        x = (x / 255 - spec["mean"]) / spec["std"]
        return x, self.labels[first:first + count].long()


# --- Training -------------------------------------------------------------------------------------


def disturb(model, seed):
    """From now on adds uniform random numbers to the outputs of linear layers and convolutions."""
    generator = torch.Generator().manual_seed(seed)

    def add_noise(_module, _inputs, output):
        return output + DISTURBANCE * (2 * torch.rand(output.shape, generator=generator) - 1)

    for module in model.children():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            module.register_forward_hook(add_noise)


def train(spec, training_set, test_set, dtype, disturbance_seed=None, mixed=False):
    """One training in dtype; returns the model and what it did."""
    model = build_model(spec, dtype)
    if disturbance_seed is not None:
        disturb(model, disturbance_seed)
    if mixed:
        use_mixed_precision(model, spec["batch_size"])
    optimizer = build_optimizer(spec["optimizer"], model.parameters())
    kernels = [module.weight for module in model.children() if isinstance(module, nn.Linear)]
    penalty = spec["penalty"]
    run = {"losses": [], "cross_entropy": [], "correct": []}
    for step in range(spec["steps"]):
        x, labels = training_set.batch(step * spec["batch_size"], spec["batch_size"], spec, dtype)
        logits = model(x)
        cross_entropy = nn.functional.cross_entropy(
            logits, labels, label_smoothing=spec.get("label_smoothing", 0.0))
        loss = cross_entropy
        if penalty["l1"]:
            loss = loss + penalty["l1"] * sum(w.abs().sum() for w in kernels)
        if penalty["l2"]:
            loss = loss + penalty["l2"] * sum(w.square().sum() for w in kernels)
        optimizer.zero_grad()
        loss.backward()
        if "clip_norm" in spec:
            nn.utils.clip_grad_norm_(model.parameters(), spec["clip_norm"])
        optimizer.step()
        run["losses"].append(loss.item())
        run["cross_entropy"].append(cross_entropy.item())
        run["correct"].append(int((logits.argmax(1) == labels).sum()))

    model.eval()
    with torch.no_grad():
        x, labels = test_set.batch(0, spec["evaluation_images"], spec, dtype)
        logits = model(x)
        run["evaluation_loss"] = nn.functional.cross_entropy(logits, labels).item()
        run["evaluation_correct"] = int((logits.argmax(1) == labels).sum())
    return model, run


def checked_tensors(spec, model):
    """Parameters and running statistics without the excluded ones."""
    tensors = list(model.named_parameters()) + list(model.named_buffers())
    return [(name, tensor.detach()) for name, tensor in tensors
            if tensor.is_floating_point() and name not in spec["excluded"]]


def loss_difference(spec, run, run_f64):
    """The largest relative difference of any loss."""
    pairs = list(zip(run["losses"], run_f64["losses"]))
    pairs += zip(run["cross_entropy"], run_f64["cross_entropy"])
    if not spec["excluded"]:
        pairs.append((run["evaluation_loss"], run_f64["evaluation_loss"]))
    return max(abs(a - b) / abs(b) for a, b in pairs)


def count_difference(run, run_f64):
    """The largest difference of a step's number of correct predictions."""
    return max(abs(a - b) for a, b in zip(run["correct"], run_f64["correct"]))


# --- Files ----------------------------------------------------------------------------------------


def rounded(value, digits):
    """9 digits identify a float32; 12 keep a double's last, machine-dependent bits out."""
    return float(f"{value:.{digits}g}")


def checksum(name, tensor):
    values = tensor.double().flatten().tolist()
    return {"name": name, "shape": list(tensor.shape),
            "sum": rounded(math.fsum(values), 12),
            "sum_squares": rounded(math.fsum(v * v for v in values), 12),
            "first": [rounded(v, 9) for v in values[:4]]}


def checksum_difference(spec, model, model_f64):
    """The largest difference of any checksum, on the scale that README.md gives."""
    largest = 0.0
    for (name, a), (_, b) in zip(checked_tensors(spec, model), checked_tensors(spec, model_f64)):
        a, b = checksum(name, a), checksum(name, b)
        count, squares = math.prod(b["shape"]), b["sum_squares"]
        first = max(abs(x - y) for x, y in zip(a["first"], b["first"]))
        largest = max(largest, abs(a["sum"] - b["sum"]) / math.sqrt(count * squares),
                      abs(a["sum_squares"] - squares) / squares, first / math.sqrt(squares / count))
    return largest


def contents(spec, model, run, run_f64):
    """The contents of a golden file."""
    file = {key: value for key, value in spec.items()
            if key not in ("evaluation_images", "disturbed_trainings", "mixed_steps")}
    for key in ("losses", "cross_entropy") if any(spec["penalty"].values()) else ("losses",):
        file[key] = [rounded(loss, 9) for loss in run[key]]
        file[f"{key}_f64"] = [rounded(loss, 12) for loss in run_f64[key]]
    file["correct"] = run["correct"]
    if not spec["excluded"]:
        file["evaluation"] = {"images": spec["evaluation_images"],
                              "loss": rounded(run["evaluation_loss"], 9),
                              "correct": run["evaluation_correct"]}
    parameters = {name for name, _ in model.named_parameters()}
    checksums = [checksum(name, tensor) for name, tensor in checked_tensors(spec, model)]
    file["parameters"] = [item for item in checksums if item["name"] in parameters]
    statistics = [item for item in checksums if item["name"] not in parameters]
    if statistics:
        file["running_statistics"] = statistics
        file["num_batches_tracked"] = {name: int(tensor) for name, tensor in model.named_buffers()
                                       if name.endswith("num_batches_tracked")}
    file["torch_version"] = torch.__version__
    return file


def to_text(file):
    """JSON with a key a line, a layer or parameter a line, and ten numbers a line."""
    members = []
    for key, value in file.items():
        text = json.dumps(value)
        if isinstance(value, list) and value and isinstance(value[0], dict):
            text = "[\n" + ",\n".join(f"    {json.dumps(item)}" for item in value) + "\n  ]"
        elif isinstance(value, list) and len(value) > 10:
            rows = [json.dumps(value[i:i + 10])[1:-1] for i in range(0, len(value), 10)]
            text = "[\n" + ",\n".join(f"    {row}" for row in rows) + "\n  ]"
        members.append(f"  {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(members) + "\n}\n"


def mixed_losses(spec, training_set, test_set):
    """Of the first steps in mixed precision, whose sums are in float64 here."""
    _, run = train({**spec, "steps": spec["mixed_steps"]}, training_set, test_set, torch.float64,
                   mixed=True)
    return [rounded(loss, 12) for loss in run["losses"]]


def make(spec, training_set, test_set, folder):
    """Trains a case, reports how much rounding moves it, and writes its file if that is little."""
    model, run = train(spec, training_set, test_set, torch.float32)
    model_f64, run_f64 = train(spec, training_set, test_set, torch.float64)
    differences = [loss_difference(spec, run, run_f64)]
    checksums = [checksum_difference(spec, model, model_f64)]
    counts = [count_difference(run, run_f64)]
    for seed in range(spec["disturbed_trainings"]):
        disturbed_model, disturbed = train(spec, training_set, test_set, torch.float32, seed)
        differences.append(loss_difference(spec, disturbed, run_f64))
        checksums.append(checksum_difference(spec, disturbed_model, model_f64))
        counts.append(count_difference(disturbed, run_f64))
    print(f"{spec['case']:<26} {spec['optimizer']['learning_rate']:<7g} "
          f"{run['losses'][0]:7.4f} {run['losses'][-1]:7.4f} {differences[0]:9.1e} "
          f"{max(differences):9.1e} {checksums[0]:9.1e} {max(checksums):9.1e} {max(counts):4}",
          flush=True)
    if max(differences) > CONDITION_LIMIT:
        print(f"  not written: the losses hang on rounding by more than {CONDITION_LIMIT}")
        return False
    file = contents(spec, model, run, run_f64)
    if spec["mixed_steps"]:
        file["losses_mixed"] = mixed_losses(spec, training_set, test_set)
    text = to_text(file)
    (folder / f"{spec['case']}.json").write_text(text, encoding="utf-8")
    return True


def main():
    parser = argparse.ArgumentParser(description="Writes the golden files of the PyTorch trainings")
    parser.add_argument("--data", type=pathlib.Path, metavar="DIR",
                        default=pathlib.Path("/usr/share/datasets/fashion-mnist"),
                        help="folder with the four FashionMNIST files (default: %(default)s)")
    parser.add_argument("--out", type=pathlib.Path, metavar="DIR",
                        default=pathlib.Path(__file__).resolve().parent,
                        help="where the files go (default: beside this script)")
    parser.add_argument("cases", nargs="*", metavar="CASE", help="only these (default: all)")
    options = parser.parse_args()
    unknown = set(options.cases) - {spec["case"] for spec in CASES}
    if unknown:
        parser.error(f"unknown case {', '.join(sorted(unknown))}; there are "
                     + ", ".join(spec["case"] for spec in CASES))

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    training_set = Images(options.data, "train")
    test_set = Images(options.data, "t10k")
    print("Largest relative difference to float64 of the losses and of the checksums, in the plain "
          "and in the\ndisturbed float32 trainings, and of the correct predictions in a step\n")
    print(f"{'case':<26} {'lr':<7} {'first':>7} {'last':>7} {'losses':>9} {'disturbed':>9} "
          f"{'checksums':>9} {'disturbed':>9} {'corr':>4}")
    written = [make(spec, training_set, test_set, options.out) for spec in CASES
               if not options.cases or spec["case"] in options.cases]
    return 0 if all(written) else 1


if __name__ == "__main__":
    sys.exit(main())
