"""The golden trainings: networks as lists of layers, optimizers as settings, and the cases.

A layer and an optimizer are what README.md describes and a golden file holds; networks.py builds
them.
"""


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
         evaluation_images=1000, disturbed_trainings=4, mixed_steps=0):
    """`excluded`: parameters and statistics that rounding alone moves; they get no checksum, and
    the model that they belong to no evaluation. `mixed_steps`: the file also has the losses of so
    many steps in mixed precision."""
    loss = {key: value for key, value in (("label_smoothing", label_smoothing),
                                          ("clip_norm", clip_norm)) if value}
    return dict(case=name, description=description, layers=layers, mean=mean, std=std,
                batch_size=batch_size, steps=steps, optimizer=optimizer,
                penalty={"l1": l1, "l2": l2}, **loss, excluded=list(excluded),
                evaluation_images=evaluation_images, disturbed_trainings=disturbed_trainings,
                mixed_steps=mixed_steps)


def conv_case(name, description, optimizer, layers, **settings):
    """A case of convolutions: fewer and smaller batches, as they take longer, and more trainings to
    find the pooling windows that rounding decides."""
    return case(name, description, optimizer, layers,
                **{"steps": 50, "batch_size": 32, "evaluation_images": 256,
                   "disturbed_trainings": 10, **settings})


CASES = [
    case("sgd", "Plain SGD.", sgd(0.05), mixed_steps=20),
    case("sgd_momentum", "SGD with momentum.", sgd(0.009, momentum=0.9)),
    case("sgd_nesterov", "SGD with Nesterov momentum.", sgd(0.012, momentum=0.9, nesterov=True)),
    case("sgd_dampening", "SGD with momentum, dampening and weight decay; the first step is not "
         "dampened.", sgd(0.02, momentum=0.9, dampening=0.1, weight_decay=1e-3)),
    case("adam", "Adam.", adam(0.0009), mixed_steps=20),
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
                        "5.running_mean", "8.bias", "9.bias", "9.running_mean"],
              mixed_steps=20),
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
              sgd(0.5, momentum=0.9), CONV_KINDS, mixed_steps=20),
    conv_case("conv_pooling", "Overlapping pooling windows with padding, dilation, and both ways "
              "to divide the mean.", sgd(0.01, momentum=0.9), POOLING),
    conv_case("conv_keras_same", "Keras's padding \"same\" where it is uneven: stride 2, kernels "
              "of even size, pooling.", adam(0.002, definition="keras", epsilon=1e-7), KERAS_SAME),
    conv_case("conv_residual", "Two residual blocks, one with a 1x1 shortcut, and batch norm.",
              sgd(0.05, momentum=0.9), RESIDUAL),
    conv_case("conv_concat", "Branches of one value, concatenated with that value.",
              sgd(0.02, momentum=0.9), CONCAT),
]
