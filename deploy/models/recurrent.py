"""A small LSTM in NumPy: trained by back-propagation through time with Adam, written as an ONNX graph.

Nothing larger is needed for a model of sixteen units, and no framework of gigabytes. Gates stand in ONNX's order: input,
output, forget, cell.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def initial(inputs, hidden, random):
    """Weights at the start; the forget gate's bias is 1, so that the cell remembers at first."""
    scale = 1 / np.sqrt(hidden)
    weights = {
        "w": random.uniform(-scale, scale, (4 * hidden, inputs)),
        "r": random.uniform(-scale, scale, (4 * hidden, hidden)),
        "b": np.zeros(4 * hidden),
        "v": random.uniform(-scale, scale, hidden),
        "c": np.zeros(1),
    }
    weights["b"][2 * hidden : 3 * hidden] = 1
    return weights


def forward(weights, x):
    """The output for a batch of sequences (batch, steps, inputs), and what the way back needs."""
    hidden = len(weights["v"])
    h = c = np.zeros((len(x), hidden))
    steps = []
    for t in range(x.shape[1]):
        gates = x[:, t] @ weights["w"].T + h @ weights["r"].T + weights["b"]
        i, o, f = (sigmoid(gates[:, n * hidden : (n + 1) * hidden]) for n in range(3))
        g = np.tanh(gates[:, 3 * hidden :])
        before_h, before_c = h, c
        c = f * c + i * g
        h = o * np.tanh(c)
        steps.append((before_h, before_c, i, o, f, g, c))
    return h @ weights["v"] + weights["c"], h, steps


def gradients(weights, x, y):
    output, h, steps = forward(weights, x)
    error = 2 * (output - y) / len(y)
    down = {"v": h.T @ error, "c": np.array([error.sum()])}
    down |= {name: np.zeros_like(weights[name]) for name in "wrb"}
    dh, dc = np.outer(error, weights["v"]), np.zeros_like(h)
    for t in reversed(range(x.shape[1])):
        before_h, before_c, i, o, f, g, c = steps[t]
        tanh_c = np.tanh(c)
        dc = dc + dh * o * (1 - tanh_c**2)
        gates = [dc * g * i * (1 - i), dh * tanh_c * o * (1 - o), dc * before_c * f * (1 - f), dc * i * (1 - g**2)]
        gates = np.concatenate(gates, axis=1)
        down["w"] += gates.T @ x[:, t]
        down["r"] += gates.T @ before_h
        down["b"] += gates.sum(0)
        dh, dc = gates @ weights["r"], dc * f
    return down, ((output - y) ** 2).mean()


def train(x, y, hidden, rounds, random):
    weights = initial(x.shape[2], hidden, random)
    first = {name: np.zeros_like(value) for name, value in weights.items()}
    second = {name: np.zeros_like(value) for name, value in weights.items()}
    for number in range(1, rounds + 1):
        pick = random.choice(len(x), 128, replace=False)
        down, _ = gradients(weights, x[pick], y[pick])
        for name, gradient in down.items():
            gradient = np.clip(gradient, -1, 1)
            first[name] = 0.9 * first[name] + 0.1 * gradient
            second[name] = 0.999 * second[name] + 0.001 * gradient**2
            step = first[name] / (1 - 0.9**number) / (np.sqrt(second[name] / (1 - 0.999**number)) + 1e-8)
            weights[name] -= 0.003 * step
    return weights


def to_onnx(weights, steps, scale):
    """The graph, its output multiplied by `scale`: input `x` of (1, steps, inputs), output `y` of (1, 1)."""
    hidden, inputs = len(weights["v"]), weights["w"].shape[1]
    constant = lambda name, value: numpy_helper.from_array(np.asarray(value, dtype=np.float32), name)
    constants = [
        constant("w", weights["w"][None]),
        constant("r", weights["r"][None]),
        constant("b", np.concatenate([weights["b"], np.zeros(4 * hidden)])[None]),
        constant("v", weights["v"][:, None] * scale),
        constant("c", weights["c"] * scale),
        numpy_helper.from_array(np.array([0], dtype=np.int64), "axes"),
    ]
    nodes = [
        helper.make_node("Transpose", ["x"], ["by_step"], "transpose", perm=[1, 0, 2]),
        helper.make_node("LSTM", ["by_step", "w", "r", "b"], ["", "last"], "lstm", hidden_size=hidden),
        helper.make_node("Squeeze", ["last", "axes"], ["state"], "squeeze"),
        helper.make_node("Gemm", ["state", "v", "c"], ["y"], "head"),
    ]
    graph = helper.make_graph(
        nodes,
        "lstm",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, steps, inputs])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()
