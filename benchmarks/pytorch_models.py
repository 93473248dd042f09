"""The models of the comparison in PyTorch, each with vktrain's name for it.

The same layers, the same optimizer with the same numbers, and a parameter count that must be the
one that vktrain reports. What a model leaves out is named in its `left_out`.
"""

import dataclasses
import inspect
import pathlib
import typing

import torch
from torch import nn

FOLDER = pathlib.Path(__file__).resolve().parent


def fully_connected(widths, batch_norm=False, dropout=0.0):
    layers, features = [nn.Flatten()], 784
    for width in widths:
        layers.append(nn.Linear(features, width))
        if batch_norm:
            layers.append(nn.BatchNorm1d(width))
        layers.append(nn.ReLU())
        if dropout:
            layers.append(nn.Dropout(dropout))
        features = width
    return nn.Sequential(*layers, nn.Linear(features, 10))


def cnn100k():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(16 * 7 * 7, 120), nn.ReLU(), nn.Linear(120, 10))


def cnn_bn():
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 84, 3, padding=1), nn.BatchNorm2d(84), nn.ReLU(), nn.Dropout2d(0.5),
        nn.Flatten(), nn.Linear(84 * 7 * 7, 10))


def lenet_lg():
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * 7 * 7, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(),
        nn.Linear(128, 10))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch norm, added to the input, or to its 1x1 convolution where the
    number of channels changes."""

    def __init__(self, channels, out):
        super().__init__()
        stride = 1 if channels == out else 2
        self.branch = nn.Sequential(
            nn.Conv2d(channels, out, 3, stride, padding=1, bias=False), nn.BatchNorm2d(out),
            nn.ReLU(), nn.Conv2d(out, out, 3, padding=1, bias=False), nn.BatchNorm2d(out))
        self.shortcut = nn.Identity() if channels == out else nn.Sequential(
            nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        return torch.relu(self.branch(x) + self.shortcut(x))


def resnet_small():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        ResidualBlock(16, 16), ResidualBlock(16, 32), ResidualBlock(32, 64),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


@dataclasses.dataclass(frozen=True)
class Model:
    name: str
    experiment: str  # vktrain's: an id, or a file in this folder
    parameters: int  # as vktrain counts them
    build: typing.Callable[[], nn.Module]
    optimizer: str
    settings: dict  # the optimizer's
    mean: float
    std: float
    left_out: str = ""

    def vktrain_argument(self):
        """What `vktrain bench step` takes."""
        is_file = self.experiment.endswith(".toml")
        return str(FOLDER / self.experiment) if is_file else self.experiment

    def make(self, device):
        """The network in training mode on this device, its parameters counted."""
        network = self.build()
        found = sum(parameter.numel() for parameter in network.parameters())
        if found != self.parameters:
            raise SystemExit(f"{self.name}: PyTorch's network has {found} parameters, vktrain's "
                             f"{self.parameters}; make the two equal in {__file__}")
        return network.to(device).train()

    def make_optimizer(self, network, **more):
        """`more`: capturable, fused; left out where this optimizer or this PyTorch has no such
        argument. SGD, for one, can be captured as it is."""
        kind = getattr(torch.optim, self.optimizer)
        known = inspect.signature(kind).parameters
        more = {name: value for name, value in more.items() if name in known}
        return kind(network.parameters(), **self.settings, **more)


def adam(learning_rate):
    return dict(lr=learning_rate, betas=(0.9, 0.999), eps=1e-8)


MODELS = {model.name: model for model in [
    Model("fcn100k", "a-fcn-100k", 85614, lambda: fully_connected([100, 64]),
          "Adam", adam(0.003), 0.1307, 0.3081),
    Model("fcn-lg", "models/fcn-lg.toml", 480010,
          lambda: fully_connected([400, 400], batch_norm=True, dropout=0.2),
          "Adam", adam(0.001), 0.286, 0.353),
    Model("fcn-500", "models/fcn-500.toml", 397510, lambda: fully_connected([500]),
          "Adam", adam(0.001), 0.0, 1.0),
    Model("cnn100k", "a-cnn-100k", 96658, cnn100k, "Adam", adam(0.003), 0.1307, 0.3081),
    Model("cnn-bn", "b-cnn-100k", 108814, cnn_bn, "Adam", adam(0.001), 0.286, 0.353),
    Model("lenet-lg", "d-cnn-5x5-32-64-fc256-128", 889354, lenet_lg,
          "SGD", dict(lr=0.001), 0.5, 0.5),
    Model("resnet-small", "resnet-small", 77754, resnet_small,
          "AdamW", dict(adam(0.005), weight_decay=0.01), 0.286, 0.353,
          left_out="the schedule of the learning rate and the augmentation of the images"),
]}


def floating_point_operations(network, batch):
    """Of one training step, in the linear layers and convolutions alone: two for each product in
    each of the three passes (output, gradient of the weights, gradient of the input); the gradient
    of the network's input is not computed."""
    layers = []

    def note(module, inputs, output):
        products = output[0].numel() * module.weight[0].numel()
        layers.append(2 * batch * products * (2 if inputs[0].is_leaf else 3))

    hooks = [module.register_forward_hook(note) for module in network.modules()
             if isinstance(module, (nn.Linear, nn.Conv2d))]
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()(torch.zeros(2, 1, 28, 28, device=device))
    network.train(was_training)
    for hook in hooks:
        hook.remove()
    return sum(layers)
