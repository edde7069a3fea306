"""What PyTorch lacks: copied into the source of the networks that need it.

Nothing here may use anything but `torch`, `nn` and `F`, or another part.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn


def pad_same(x, size, strides, dilation, value=0.0):  # type: ignore[no-untyped-def]
    """Pad so that ceil(length / stride) windows fit, the odd row behind, as TensorFlow does."""
    widths = []
    for axis in reversed(range(len(size))):
        reach = (size[axis] - 1) * dilation[axis] + 1
        total = max(reach - 1 - (x.shape[axis + 2] - 1) % strides[axis], 0)
        widths += [total // 2, total - total // 2]
    return F.pad(x, widths, value=value)


def drop(x, rate, shared, training):  # type: ignore[no-untyped-def]
    """Drop values in training, together along the `shared` axes, and scale up what stays."""
    if not training:
        return x
    sizes = [1 if axis in shared else size for axis, size in enumerate(x.shape)]
    return x * (torch.rand(sizes, device=x.device) >= rate) / (1.0 - rate)


def straight_through(x, settled):  # type: ignore[no-untyped-def]
    """Give `settled`, with the gradient of `x`."""
    return x + (settled - x).detach()


class GaussianNoise(nn.Module):
    """Adds normal noise in training."""

    def __init__(self, stddev):  # type: ignore[no-untyped-def]
        super().__init__()
        self.stddev = stddev

    def forward(self, x):  # type: ignore[no-untyped-def]
        """Disturb a batch."""
        return x + self.stddev * torch.randn_like(x) if self.training else x


class GaussianDropout(nn.Module):
    """Multiplies by normal noise around 1 in training."""

    def __init__(self, rate):  # type: ignore[no-untyped-def]
        super().__init__()
        self.stddev = (rate / (1.0 - rate)) ** 0.5

    def forward(self, x):  # type: ignore[no-untyped-def]
        """Disturb a batch."""
        return x * (1.0 + self.stddev * torch.randn_like(x)) if self.training else x


class Recurrent(nn.Module):
    """A recurrent layer whose activations or order of products `torch.nn` does not have.

    Takes [batch, steps, features]; gives all states in order, and the last ones.
    """

    def __init__(self, kind, inputs, units, activation, gate, bias, reset_after):  # type: ignore[no-untyped-def]
        super().__init__()
        gates = {"rnn": 1, "gru": 3, "lstm": 4}[kind]
        self.kind, self.reset_after = kind, reset_after
        self.activation, self.gate = activation, gate
        self.kernel = nn.Parameter(torch.zeros(inputs, gates * units))
        self.recurrent = nn.Parameter(torch.zeros(units, gates * units))
        self.bias = nn.Parameter(torch.zeros(2, gates * units)) if bias else None

    def forward(self, x, *states):  # type: ignore[no-untyped-def]
        """Run over a batch of sequences."""
        units = self.recurrent.shape[0]
        count = 2 if self.kind == "lstm" else 1
        states = states or tuple(x.new_zeros(x.shape[0], units) for _ in range(count))
        given = x @ self.kernel
        if self.bias is not None:
            given = given + self.bias[0]
        outputs = []
        for step in given.unbind(1):
            states = getattr(self, "step_" + self.kind)(step, *states)
            outputs.append(states[0])
        return torch.stack(outputs, 1), *states

    def back(self, state, gates=slice(None)):  # type: ignore[no-untyped-def]
        """Multiply a state by the kernel of some gates."""
        found = state @ self.recurrent[:, gates]
        return found if self.bias is None else found + self.bias[1, gates]

    def step_rnn(self, step, state):  # type: ignore[no-untyped-def]
        """Make a step: a(x W + h U)."""
        return (self.activation(step + self.back(state)),)

    def step_lstm(self, step, state, memory):  # type: ignore[no-untyped-def]
        """Make a step: Keras' order of gates: enter, forget, new, leave."""
        enter, forget, new, leave = (step + self.back(state)).chunk(4, 1)
        memory = self.gate(forget) * memory + self.gate(enter) * self.activation(new)
        return self.gate(leave) * self.activation(memory), memory

    def step_gru(self, step, state):  # type: ignore[no-untyped-def]
        """Make a step: Keras' order of gates: update, reset, new."""
        units = state.shape[1]
        update, reset = self.gate(
            step[:, : 2 * units] + self.back(state, slice(0, 2 * units))
        ).chunk(2, 1)
        last = slice(2 * units, None)
        if self.reset_after:
            new = step[:, last] + reset * self.back(state, last)
        else:
            new = step[:, last] + self.back(reset * state, last)
        return (update * state + (1.0 - update) * self.activation(new),)
