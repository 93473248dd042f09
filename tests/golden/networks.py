"""Builds a case's network and optimizer in PyTorch, with the initial values of README.md.

The formulas of the two Keras optimizers are those of TensorFlow 2's tf.keras.optimizers.
"""

import math

import numpy as np
import torch
from torch import nn


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


# --- Mixed precision ------------------------------------------------------------------------------


def to_half(values):
    """Rounded to half floats, which end at 65504; in the type that they had."""
    return values.clamp(-65504.0, 65504.0).half().to(values.dtype)


class MixedProduct(torch.autograd.Function):
    """product(x, weight) + bias of rounded operands; the gradient is rounded after scaling, too."""

    @staticmethod
    def forward(ctx, x, weight, bias, product, scale):
        ctx.save_for_backward(x, weight)
        ctx.product, ctx.scale, ctx.has_bias = product, scale, bias is not None
        y = product(to_half(x), to_half(weight))
        if bias is None:
            return y
        return y + (bias if y.dim() == 2 else bias[:, None, None])

    @staticmethod
    def backward(ctx, dy):
        dy = to_half(dy * ctx.scale) / ctx.scale
        operands = [to_half(saved).detach().requires_grad_() for saved in ctx.saved_tensors]
        with torch.enable_grad():
            dx, dweight = torch.autograd.grad(ctx.product(*operands), operands, dy)
        dbias = dy.sum([d for d in range(dy.dim()) if d != 1]) if ctx.has_bias else None
        return dx, dweight, dbias, None, None


def product_of(module):
    """x and weight to y without bias; None for a module that computes in full precision."""
    if isinstance(module, nn.Linear):
        return nn.functional.linear
    depthwise = module.groups > 1 and module.in_channels == module.groups
    return None if depthwise else lambda x, weight: nn.functional.conv2d(
        x, weight, None, module.stride, module.padding, module.dilation, module.groups)


def use_mixed_precision(model, batch_size):
    """From now on linear layers and convolutions compute as nn/precision.h says."""
    scale = 16.0 * 2 ** math.ceil(math.log2(batch_size))
    for module in model.children():
        if type(module) not in (nn.Linear, nn.Conv2d):
            continue
        product = product_of(module)
        if product:
            module.forward = lambda x, m=module, f=product: MixedProduct.apply(x, m.weight, m.bias,
                                                                               f, scale)


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
