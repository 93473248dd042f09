#!/usr/bin/python3
"""Writes the golden files: short PyTorch trainings on FashionMNIST that the tests follow.

Needs python3-torch and python3-numpy. Deterministic: the same PyTorch on the same kind of processor
writes the same bytes. README.md describes the files; the formulas of the two Keras optimizers are
those of TensorFlow 2's tf.keras.optimizers.

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

# A golden training must not hang on rounding: tests ask for 1e-4, and a ReLU whose input is nearly
# 0, a maximum whose window holds two nearly equal values, or Adam on a gradient that is nearly 0,
# can turn 1e-8 into 1e-3. So every case also runs in float64, and a few times in float32 with
# random numbers of this size added to the outputs of all linear layers and convolutions; that is
# several times the error of any sound float32 arithmetic. Its file is written only when all of
# these agree within the limit. Where a case fails, another learning rate helps.
DISTURBANCE = 1e-6
CONDITION_LIMIT = 2e-5


# --- Cases ----------------------------------------------------------------------------------------


def network(widths, activation, batch_norm=(False, False)):
    """A classifier 784 - widths... - 10; the activation follows every linear layer but the last."""
    layers = [{"type": "flatten"}]
    for width, normalised in zip(widths, batch_norm):
        layers.append({"type": "linear", "out": width})
        if normalised:
            layers.append({"type": "batch_norm", "epsilon": 1e-5, "momentum": 0.1})
        layers.append({"type": activation})
    return layers + [{"type": "linear", "out": 10}]


def sgd(learning_rate, momentum=0.0, dampening=0.0, nesterov=False, weight_decay=0.0):
    return dict(kind="sgd", definition="pytorch", learning_rate=learning_rate, momentum=momentum,
                dampening=dampening, nesterov=nesterov, weight_decay=weight_decay)


def adam(learning_rate, kind="adam", definition="pytorch", weight_decay=0.0, epsilon=1e-8):
    return dict(kind=kind, definition=definition, learning_rate=learning_rate, beta1=0.9,
                beta2=0.999, epsilon=epsilon, weight_decay=weight_decay)


def rmsprop(learning_rate, momentum=0.0, weight_decay=0.0):
    return dict(kind="rmsprop", definition="pytorch", learning_rate=learning_rate, alpha=0.99,
                epsilon=1e-8, momentum=momentum, weight_decay=weight_decay)


def adagrad(learning_rate, definition="pytorch", epsilon=1e-10, initial_accumulator=0.0):
    return dict(kind="adagrad", definition=definition, learning_rate=learning_rate,
                epsilon=epsilon, initial_accumulator=initial_accumulator, weight_decay=0.0)


SMALL = network([32, 16], "relu")


def linear(out):
    return {"type": "linear", "out": out}


def conv(out, kernel, stride=1, padding=0, dilation=1, groups=1, bias=True):
    """Numbers hold for height and width; padding "same" is Keras's."""
    return {"type": "conv2d", "out": out, "kernel": pair(kernel), "stride": pair(stride),
            "padding": pair(padding), "dilation": pair(dilation), "groups": groups, "bias": bias}


def max_pool(kernel, stride, padding=0, dilation=1):
    return {"type": "max_pool2d", "kernel": pair(kernel), "stride": pair(stride),
            "padding": pair(padding), "dilation": pair(dilation)}


def avg_pool(kernel, stride, padding=0, count_include_pad=True):
    return {"type": "avg_pool2d", "kernel": pair(kernel), "stride": pair(stride),
            "padding": pair(padding), "count_include_pad": count_include_pad}


def pair(value):
    return [value, value] if isinstance(value, int) else value


def named(name, layer):
    return {"name": name, **layer}


GLOBAL_POOL = {"type": "global_avg_pool2d"}
BATCH_NORM = {"type": "batch_norm", "epsilon": 1e-5, "momentum": 0.1}
FLATTEN = {"type": "flatten", "order": "channels_first"}
FLATTEN_LAST = {"type": "flatten", "order": "channels_last"}
RELU, TANH, ELU, GELU, SILU = ({"type": name} for name in ("relu", "tanh", "elu", "gelu", "silu"))
LEAKY_RELU = {"type": "leaky_relu", "alpha": 0.1}

A_CNN_100K = [conv(8, 3, padding=1), RELU, max_pool(2, 2), conv(16, 3, padding=1), RELU,
              max_pool(2, 2), FLATTEN, linear(120), RELU, linear(10)]
B_CNN_10K = [conv(6, 3, padding=1), BATCH_NORM, RELU, max_pool(2, 2),
             conv(10, 3, padding=1), BATCH_NORM, RELU, max_pool(2, 2),
             conv(16, 3, padding=1), BATCH_NORM, RELU, {"type": "dropout2d", "p": 0.0},
             FLATTEN, linear(10)]
D_CNN = [conv(32, 5, padding=2), RELU, max_pool(2, 2), conv(64, 5, padding=2), RELU,
         max_pool(2, 2), FLATTEN, linear(256), RELU, linear(128), RELU, linear(10)]
E_CNN_FINAL = [conv(10, 5, padding="same"), ELU, max_pool(4, 2), conv(32, 5, padding="same"), ELU,
               max_pool(4, 2), conv(120, 5), ELU, FLATTEN_LAST, linear(64), ELU, linear(10)]
E_CNN_INITIAL = [conv(6, 5, padding="same"), TANH, avg_pool(2, 2), conv(16, 5), TANH,
                 avg_pool(2, 2), conv(120, 5), TANH, FLATTEN_LAST, linear(84), TANH, linear(10)]

CONV_KINDS = [conv(8, [5, 3], stride=2, padding=[2, 1]), LEAKY_RELU,
              conv(12, 3, padding=2, dilation=2, groups=4), SILU,
              conv(12, 3, stride=[2, 1], padding=1, groups=12, bias=False), GELU,
              conv(24, [2, 3], padding=1, dilation=[1, 2], groups=12), TANH,
              conv(16, 1), TANH, GLOBAL_POOL, linear(10)]
POOLING = [conv(6, 3), max_pool(3, 2, padding=1), TANH, conv(8, 3, padding=1),
           max_pool(2, 1, dilation=2), TANH,
           avg_pool([3, 2], [2, 1], padding=1, count_include_pad=True), TANH,
           avg_pool(3, 2, padding=1, count_include_pad=False), FLATTEN, linear(10)]
KERAS_SAME = [conv(6, 3, stride=2, padding="same"), TANH, max_pool(3, 2, padding="same"),
              conv(8, 4, padding="same"), TANH,
              avg_pool(2, 2, padding="same", count_include_pad=False),
              FLATTEN_LAST, linear(12), TANH, linear(10)]
CONV_BATCH_NORM = [conv(6, 3, padding=1), BATCH_NORM, TANH, avg_pool(2, 2),
                   conv(10, 3, padding=1), {**BATCH_NORM, "epsilon": 1e-3, "momentum": 0.3}, ELU,
                   avg_pool(2, 2), FLATTEN, linear(24), BATCH_NORM, TANH, linear(10)]
RESIDUAL = [conv(8, 3, stride=2, padding=1), BATCH_NORM, named("stem", ELU),
            conv(8, 3, padding=1), BATCH_NORM, ELU, named("body", conv(8, 3, padding=1)),
            {"type": "add", "inputs": ["stem", "body"]}, named("block", ELU),
            named("halved", conv(12, 3, stride=2, padding=1)),
            named("shortcut", {**conv(12, 1, stride=2, bias=False), "inputs": ["block"]}),
            {"type": "add", "inputs": ["halved", "shortcut"]}, ELU, GLOBAL_POOL, linear(10)]
CONCAT = [named("stem", conv(6, 3, stride=2, padding=1)), TANH, named("narrow", conv(5, 1)),
          named("wide", {**conv(7, 3, padding=1), "inputs": ["stem"]}),
          named("pooled", {**max_pool(3, 1, padding=1), "inputs": ["stem"]}),
          {"type": "concat", "inputs": ["narrow", "wide", "pooled", "stem"]}, TANH,
          conv(8, 3, stride=2), TANH, FLATTEN, linear(10)]


def case(name, description, optimizer, layers=SMALL, batch_size=64, steps=100, mean=0.1307,
         std=0.3081, l1=0.0, l2=0.0, excluded=(), label_smoothing=0.0, clip_norm=0.0,
         evaluation_images=1000, disturbed_trainings=4):
    """`excluded`: parameters and statistics that rounding alone moves; they get no checksum, and
    the model that they belong to no evaluation."""
    loss = {key: value for key, value in (("label_smoothing", label_smoothing),
                                          ("clip_norm", clip_norm)) if value}
    return dict(case=name, description=description, layers=layers, mean=mean, std=std,
                batch_size=batch_size, steps=steps, optimizer=optimizer,
                penalty={"l1": l1, "l2": l2}, **loss, excluded=list(excluded),
                evaluation_images=evaluation_images, disturbed_trainings=disturbed_trainings)


def conv_case(name, description, optimizer, layers, **settings):
    """A case of convolutions: fewer and smaller batches, as they take longer, and more trainings to
    find the pooling windows that rounding decides."""
    return case(name, description, optimizer, layers,
                **{"steps": 50, "batch_size": 32, "evaluation_images": 256,
                   "disturbed_trainings": 10, **settings})


CASES = [
    case("sgd", "Plain SGD.", sgd(0.05)),
    case("sgd_momentum", "SGD with momentum.", sgd(0.009, momentum=0.9)),
    case("sgd_nesterov", "SGD with Nesterov momentum.", sgd(0.012, momentum=0.9, nesterov=True)),
    case("sgd_dampening", "SGD with momentum, dampening and weight decay; the first step is not "
         "dampened.", sgd(0.02, momentum=0.9, dampening=0.1, weight_decay=1e-3)),
    case("adam", "Adam.", adam(0.0009)),
    case("adam_weight_decay", "Adam, weight decay added to the gradient.",
         adam(0.0012, weight_decay=0.01)),
    case("adamw", "AdamW, decoupled weight decay.", adam(0.002, kind="adamw", weight_decay=0.01)),
    case("rmsprop", "RMSprop, not centred.", rmsprop(0.0005)),
    case("rmsprop_momentum", "RMSprop with momentum and weight decay.",
         rmsprop(0.00008, momentum=0.9, weight_decay=1e-3)),
    case("adagrad", "Adagrad, accumulator from 0.", adagrad(0.005)),
    case("keras_adam", "Adam as Keras defines it: epsilon is added before the bias correction.",
         adam(0.002, definition="keras", epsilon=1e-7)),
    case("keras_adagrad", "Adagrad as Keras defines it: accumulator from 0.1, epsilon outside the "
         "root.", adagrad(0.03, definition="keras", epsilon=1e-7, initial_accumulator=0.1)),
    case("l1_penalty", "L1 penalty of all linear weights, not of biases; its gradient at 0 is 0.",
         sgd(0.03), l1=1e-4),
    case("l2_penalty", "L2 penalty (no factor 1/2) of all linear weights, not of biases.",
         sgd(0.05), l2=1e-3),
    case("activation_tanh", "Tanh.", adam(0.001), layers=network([32, 16], "tanh")),
    case("activation_sigmoid", "Sigmoid.", adam(0.003), layers=network([32, 16], "sigmoid")),
    case("activation_elu", "ELU with alpha 1.", adam(0.001), layers=network([32, 16], "elu")),
    case("batch_norm_sgd", "Batch norm before the activations.", sgd(0.075),
         layers=network([32, 16], "relu", batch_norm=[True, True]), mean=0.286, std=0.353),
    # A pixel that is constant in a batch is, before batch norm, a bias: the true gradient of its
    # weights is 0. Adam with its usual epsilon would turn the rounding noise there into steps of
    # 0.1 learning rates, and later images do have ink in that pixel.
    case("batch_norm_adam", "Batch norm before the activations, Adam. Its epsilon is large: batch "
         "norm makes the true gradients of some weights 0, and a small epsilon would train them on "
         "rounding noise.", adam(0.003, epsilon=1e-3),
         layers=network([32, 16], "relu", batch_norm=[True, True]), mean=0.286, std=0.353),
    case("batch_norm_adam_default", "Batch norm after the second linear layer only, Adam with its "
         "usual epsilon. That layer's bias has a true gradient of 0, and Adam moves it by rounding "
         "noise; so it, and the running mean that sees it, have no checksums and the model no "
         "evaluation. The losses do not depend on that bias.", adam(0.0009),
         layers=network([32, 16], "relu", batch_norm=[False, True]), mean=0.286, std=0.353,
         excluded=["3.bias", "4.running_mean"]),
    case("odd_shapes", "Layer widths and a batch size that no tile divides.", adam(0.001),
         layers=network([37, 13], "tanh"), batch_size=50),
    case("a-fcn-100k", "The catalogue's run of this name.", adam(0.003),
         layers=network([100, 64], "relu"), batch_size=512),
    case("d-fcn-base-sgd-lr0.02", "The catalogue's run of this name. Only 20 steps: later some of "
         "its many ReLU inputs come so near to 0 that rounding decides their sign.", sgd(0.02),
         layers=network([300, 200], "relu"), batch_size=512, steps=20),
    case("d-fcn-slow", "The network of the catalogue's runs d-fcn, at a learning rate that is low "
         "enough for 100 steps.", sgd(0.005), layers=network([300, 200], "relu"), batch_size=512),
    case("activation_leaky_relu", "Leaky ReLU with slope 0.1 below 0.", adam(0.001),
         layers=[FLATTEN, linear(32), LEAKY_RELU, linear(16), LEAKY_RELU, linear(10)]),
    case("activation_gelu", "GELU, by the error function.", adam(0.001),
         layers=network([32, 16], "gelu")),
    case("activation_silu", "SiLU.", adam(0.001), layers=network([32, 16], "silu")),
    case("label_smoothing", "A tenth of each target is spread over all classes. The evaluation has "
         "plain targets.", adam(0.0009), label_smoothing=0.1),
    case("clip_norm", "The norm of all gradients together is limited to 0.5, which every step "
         "exceeds.", sgd(0.05, momentum=0.9), clip_norm=0.5),
    # The learning rates of the next two and of e-cnn-final are lower than the catalogue's (0.003,
    # 0.001 and 0.001): there the nearly equal values in pooling windows and the ReLU inputs near 0
    # decide after a few steps.
    conv_case("a-cnn-100k", "The catalogue's network of this name with its Adam, at a lower "
              "learning rate and in batches of 64 instead of 512.", adam(0.0004), A_CNN_100K,
              batch_size=64),
    conv_case("b-cnn-10k", "The catalogue's network of this name with its Adam, at a lower "
              "learning rate, in batches of 64 instead of 512, and with dropout2d off (p = 0), as "
              "its random numbers are nobody else's. The biases before batch norm have a true "
              "gradient of 0, and Adam moves them by rounding noise; so they, and the running "
              "means that see them, have no checksums and the model no evaluation; batch norm's "
              "own biases have none as they are still near to 0. conv_batch_norm has all of it.",
              adam(0.0001), B_CNN_10K, batch_size=64, mean=0.286, std=0.353,
              excluded=["0.bias", "1.bias", "1.running_mean", "4.bias", "5.bias",
                        "5.running_mean", "8.bias", "9.bias", "9.running_mean"]),
    conv_case("d-cnn-5x5-32-64-fc256-128", "The catalogue's network of this name and its SGD; "
              "batches of 16 instead of 64.", sgd(0.001), D_CNN, batch_size=16, mean=0.5, std=0.5,
              evaluation_images=128),
    conv_case("e-cnn-final", "The catalogue's network of this name with its optimizer, at a lower "
              "learning rate. Keras's definitions hold: Adam, channels last in flatten, L2 on "
              "linear weights only.", adam(0.0001, definition="keras", epsilon=1e-7),
              E_CNN_FINAL, mean=0.0, std=1.0, l2=1e-4),
    conv_case("e-cnn-initial-lenet5-tanh", "The catalogue's network of this name with its "
              "optimizer, with Keras's definitions.", adam(0.001, definition="keras", epsilon=1e-7),
              E_CNN_INITIAL, mean=0.0, std=1.0, l2=1e-4),
    conv_case("conv_batch_norm", "Batch norm of channels by SGD: running statistics, biases before "
              "batch norm and evaluation have checksums.", sgd(0.05), CONV_BATCH_NORM),
    conv_case("conv_kinds", "Strided, dilated, grouped and depthwise convolutions, kernels that "
              "are not square, no bias, 1x1, global average pooling, leaky ReLU, SiLU, GELU.",
              sgd(0.5, momentum=0.9), CONV_KINDS),
    conv_case("conv_pooling", "Overlapping pooling windows with padding, dilation, and both ways "
              "to divide the mean.", sgd(0.01, momentum=0.9), POOLING),
    conv_case("conv_keras_same", "Keras's padding \"same\" where it is uneven: stride 2, kernels "
              "of even size, pooling.", adam(0.002, definition="keras", epsilon=1e-7), KERAS_SAME),
    conv_case("conv_residual", "Two residual blocks, one with a 1x1 shortcut, and batch norm.",
              sgd(0.05, momentum=0.9), RESIDUAL),
    conv_case("conv_concat", "Branches of one value, concatenated with that value.",
              sgd(0.02, momentum=0.9), CONCAT),
]


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


# --- Network --------------------------------------------------------------------------------------


def hash32(index):
    """The 32-bit integer hash of README.md; index is a uint64 array."""
    mask = np.uint64(0xFFFFFFFF)
    h = index & mask
    h ^= h >> np.uint64(16)
    h = h * np.uint64(0x7FEB352D) & mask
    h ^= h >> np.uint64(15)
    h = h * np.uint64(0x846CA68B) & mask
    return h ^ (h >> np.uint64(16))


def initial_values(parameter, shape, fan_in):
    """Uniform in [-1/sqrt(fan_in), 1/sqrt(fan_in)): computed in double, rounded to float32 once."""
    index = np.arange(math.prod(shape), dtype=np.uint64) + np.uint64(parameter * 0x9E3779B9)
    bound = 1.0 / math.sqrt(fan_in)
    values = (hash32(index) / 2.0**32 - 0.5) * 2.0 * bound
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


class Function(nn.Module):
    """A function without parameters as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


class Conv2dSame(nn.Conv2d):
    """Conv2d with Keras's padding "same"."""

    def forward(self, x):
        return super().forward(pad_same(x, self.kernel_size, self.stride, self.dilation, 0.0))


def pad_same(x, kernel, stride, dilation, value):
    """ceil(input / stride) outputs; an odd element of padding goes to the end."""
    begin_and_end = []
    for size, k, s, d in reversed(list(zip(x.shape[2:], kernel, stride, dilation))):
        total = max((-(-size // s) - 1) * s + d * (k - 1) + 1 - size, 0)
        begin_and_end += [total // 2, total - total // 2]
    return nn.functional.pad(x, begin_and_end, value=value)


def same_max_pool(layer):
    kernel, stride, dilation = layer["kernel"], layer["stride"], layer["dilation"]
    return Function(lambda x: nn.functional.max_pool2d(
        pad_same(x, kernel, stride, dilation, -math.inf), kernel, stride, dilation=dilation))


def same_avg_pool(layer):
    """Divides by the number of elements inside of the input, as Keras does."""
    def mean(x):
        def window_mean(values):
            return nn.functional.avg_pool2d(pad_same(values, layer["kernel"], layer["stride"],
                                                     [1, 1], 0.0), layer["kernel"], layer["stride"])
        return window_mean(x) / window_mean(torch.ones_like(x))
    assert not layer["count_include_pad"]
    return Function(mean)


def build_pool(layer):
    same = layer["padding"] == "same"
    if layer["type"] == "max_pool2d":
        return same_max_pool(layer) if same else nn.MaxPool2d(
            layer["kernel"], layer["stride"], layer["padding"], layer["dilation"])
    return same_avg_pool(layer) if same else nn.AvgPool2d(
        layer["kernel"], layer["stride"], layer["padding"],
        count_include_pad=layer["count_include_pad"])


def build_conv(layer, channels):
    kind, padding = nn.Conv2d, layer["padding"]
    if padding == "same":
        kind, padding = Conv2dSame, 0
    return kind(channels, layer["out"], layer["kernel"], layer["stride"], padding,
                layer["dilation"], layer["groups"], layer["bias"])


def build_layer(layer, shape):
    """The module of a layer whose (first) input has this shape, [batch, features, ...]."""
    kind = layer["type"]
    activations = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "elu": nn.ELU,
                   "gelu": nn.GELU, "silu": nn.SiLU}
    if kind in activations:
        return activations[kind]()
    if kind == "leaky_relu":
        return nn.LeakyReLU(layer["alpha"])
    if kind == "linear":
        return nn.Linear(shape[1], layer["out"])
    if kind == "conv2d":
        return build_conv(layer, shape[1])
    if kind in ("max_pool2d", "avg_pool2d"):
        return build_pool(layer)
    if kind == "batch_norm":
        norm = nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d
        return norm(shape[1], eps=layer["epsilon"], momentum=layer["momentum"])
    if kind == "dropout2d":
        return nn.Dropout2d(layer["p"])
    functions = {"global_avg_pool2d": lambda x: x.mean((2, 3)), "add": lambda x, y: x + y,
                 "concat": lambda *x: torch.cat(x, 1), "flatten": lambda x: x.flatten(1)}
    if layer.get("order") == "channels_last":
        return Function(lambda x: x.permute(0, 2, 3, 1).flatten(1))
    return Function(functions[kind])


class Network(nn.Module):
    """The layers in their order, each on the layer before or on those that it names. Modules have
    their layer's name, by default its position."""

    def __init__(self, layers):
        super().__init__()
        self.steps = []
        previous = "input"
        values = {"input": torch.zeros(1, 1, 28, 28)}
        for position, layer in enumerate(layers):
            name, inputs = layer.get("name", str(position)), layer.get("inputs", [previous])
            module = build_layer(layer, values[inputs[0]].shape)
            self.add_module(name, module)
            self.steps.append((name, module, inputs))
            values[name] = module.eval()(*(values[key] for key in inputs))
            previous = name
        self.train()

    def forward(self, x):
        values = {"input": x}
        for name, module, inputs in self.steps:
            values[name] = module(*(values[key] for key in inputs))
        return values[self.steps[-1][0]]


def fan_in(module):
    return math.prod(module.weight.shape[1:])


def build_model(spec, dtype):
    model = Network(spec["layers"])
    number = 0  # counts batch norm's parameters too, although they start at 1 and 0
    with torch.no_grad():
        for module in model.children():
            for parameter in module.parameters():
                if isinstance(module, (nn.Linear, nn.Conv2d)):
                    parameter.copy_(initial_values(number, parameter.shape, fan_in(module)))
                number += 1
    return model.to(dtype)


# --- Optimizers -----------------------------------------------------------------------------------


class KerasAdam(torch.optim.Optimizer):
    """w -= lr sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + epsilon)"""

    def __init__(self, parameters, lr, beta1, beta2, epsilon):
        super().__init__(parameters, {})
        self.lr, self.beta1, self.beta2, self.epsilon = lr, beta1, beta2, epsilon
        self.t = 0

    @torch.no_grad()
    def step(self):
        self.t += 1
        rate = self.lr * math.sqrt(1 - self.beta2**self.t) / (1 - self.beta1**self.t)
        for w in self.param_groups[0]["params"]:
            state = self.state[w]
            if not state:
                state.update(m=torch.zeros_like(w), v=torch.zeros_like(w))
            state["m"].mul_(self.beta1).add_(w.grad, alpha=1 - self.beta1)
            state["v"].mul_(self.beta2).addcmul_(w.grad, w.grad, value=1 - self.beta2)
            w.addcdiv_(state["m"], state["v"].sqrt().add_(self.epsilon), value=-rate)


class KerasAdagrad(torch.optim.Optimizer):
    """a += g^2;  w -= lr g / (sqrt(a) + epsilon)"""

    def __init__(self, parameters, lr, initial_accumulator, epsilon):
        super().__init__(parameters, {})
        self.lr, self.initial_accumulator, self.epsilon = lr, initial_accumulator, epsilon

    @torch.no_grad()
    def step(self):
        for w in self.param_groups[0]["params"]:
            state = self.state[w]
            if not state:
                state["a"] = torch.full_like(w, self.initial_accumulator)
            state["a"].addcmul_(w.grad, w.grad)
            w.addcdiv_(w.grad, state["a"].sqrt().add_(self.epsilon), value=-self.lr)


def build_optimizer(settings, parameters):
    s = settings
    lr = s["learning_rate"]
    if s["definition"] == "keras":
        if s["kind"] == "adam":
            return KerasAdam(parameters, lr, s["beta1"], s["beta2"], s["epsilon"])
        return KerasAdagrad(parameters, lr, s["initial_accumulator"], s["epsilon"])
    if s["kind"] == "sgd":
        return torch.optim.SGD(parameters, lr, momentum=s["momentum"], dampening=s["dampening"],
                               nesterov=s["nesterov"], weight_decay=s["weight_decay"])
    if s["kind"] == "rmsprop":
        return torch.optim.RMSprop(parameters, lr, alpha=s["alpha"], eps=s["epsilon"],
                                   momentum=s["momentum"], weight_decay=s["weight_decay"])
    if s["kind"] == "adagrad":
        return torch.optim.Adagrad(parameters, lr, eps=s["epsilon"],
                                   initial_accumulator_value=s["initial_accumulator"],
                                   weight_decay=s["weight_decay"])
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[s["kind"]]
    return kind(parameters, lr, betas=(s["beta1"], s["beta2"]), eps=s["epsilon"],
                weight_decay=s["weight_decay"])


# --- Training -------------------------------------------------------------------------------------


def disturb(model, seed):
    """From now on adds uniform random numbers to the outputs of linear layers and convolutions."""
    generator = torch.Generator().manual_seed(seed)

    def add_noise(_module, _inputs, output):
        return output + DISTURBANCE * (2 * torch.rand(output.shape, generator=generator) - 1)

    for module in model.children():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            module.register_forward_hook(add_noise)


def train(spec, training_set, test_set, dtype, disturbance_seed=None):
    """One training in dtype; returns the model and what it did."""
    model = build_model(spec, dtype)
    if disturbance_seed is not None:
        disturb(model, disturbance_seed)
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
            if key not in ("evaluation_images", "disturbed_trainings")}
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
    text = to_text(contents(spec, model, run, run_f64))
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
