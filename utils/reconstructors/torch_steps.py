"""The steps of a network in PyTorch, one line of `forward` each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from utils.reconstructors.rebuilding import RefusedError
from utils.reconstructors.target import SAME, Cell, Window
from utils.reconstructors.torch_recurrent import cell_module
from utils.reconstructors.torch_source import COUNTER, TorchFrame, dtype_text
from utils.reconstructors.torch_text import Local, Statement, literal

UNITS: Mapping[str, str] = {
    **{
        name: f"torch.{name}({{0}})"
        for name in (
            *("abs", "ceil", "cos", "cosh", "erf", "exp", "exp2", "expm1", "floor", "isfinite"),
            *("isinf", "isnan", "log", "log10", "log1p", "log2", "neg", "reciprocal", "round"),
            *("rsqrt", "sigmoid", "sign", "sin", "sinh", "sqrt", "square", "tan", "tanh", "trunc"),
        )
    },
    **{f"arc{name}": f"torch.a{name}({{0}})" for name in ("cos", "sin", "tan")},
    **{f"arc{name}h": f"torch.a{name}h({{0}})" for name in ("cos", "sin", "tan")},
    **{
        name: f"F.{name}({{0}})"
        for name in ("mish", "relu", "selu", "silu", "softplus", "softsign")
    },
    "celu": "F.celu({0}, {alpha})",
    "elu": "F.elu({0}, {alpha})",
    "gelu": "F.gelu({0})",
    "gelu_tanh": "F.gelu({0}, approximate='tanh')",
    "hard_sigmoid": "F.hardsigmoid({0})",
    "hard_swish": "F.hardswish({0})",
    "leaky_relu": "F.leaky_relu({0}, {negative_slope})",
    "not": "torch.logical_not({0})",
}
BINARY: Mapping[str, str] = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "pow": "torch.pow({0}, {1})",
    "max": "torch.maximum({0}, {1})",
    "min": "torch.minimum({0}, {1})",
    "and": "torch.logical_and({0}, {1})",
    "or": "torch.logical_or({0}, {1})",
    "equal": "{0} == {1}",
    "not_equal": "{0} != {1}",
    "less": "{0} < {1}",
    "less_equal": "{0} <= {1}",
    "greater": "{0} > {1}",
    "greater_equal": "{0} >= {1}",
}
_LIMITS = {"max": "min", "min": "max"}  # by a number: what the result is at least, or at most
_REDUCTIONS = {"mean": "mean", "sum": "sum", "max": "amax", "min": "amin"}
_MODES = {"nearest": "mode='nearest-exact'", "bilinear": "mode='bilinear', align_corners=False"}


class TorchTarget(TorchFrame):
    """Writes a network down as a module's source; the methods are those of `Target`."""

    units = UNITS

    # -- value by value -------------------------------------------------------------------------

    def unary(self, name: str, x: Any, **settings: float) -> Local:
        text = UNITS[name]
        for key, value in settings.items():
            text = text.replace(f"{{{key}}}", literal(value))
        return self._emit(text, x)

    def binary(self, name: str, x: Any, y: Any) -> Local:
        if name in _LIMITS and isinstance(x, (float, np.generic)):
            x, y = y, x
        if name in _LIMITS and isinstance(y, (float, np.generic)):
            return self._emit(f"torch.clamp({{0}}, {_LIMITS[name]}={{1}})", x, y)
        return self._emit(BINARY[name], x, y)

    def where(self, condition: Any, x: Any, y: Any) -> Local:
        return self._emit("torch.where({0}, {1}, {2})", condition, x, y)

    def clip(self, x: Any, low: float | None, high: float | None) -> Local:
        if (low, high) == (0.0, 6.0):
            return self._emit("F.relu6({0})", x)
        if high is None:
            return self._emit(f"torch.clamp({{0}}, min={literal(low)})", x)
        if low is None:
            return self._emit(f"torch.clamp({{0}}, max={literal(high)})", x)
        return self._emit(f"torch.clamp({{0}}, {literal(low)}, {literal(high)})", x)

    def cast(self, x: Any, dtype: str) -> Local:
        return self._emit(f"{{0}}.to({dtype_text(dtype)})", x)

    def softmax(self, x: Any, axis: int, *, log: bool = False) -> Local:
        name = "log_softmax" if log else "softmax"
        return self._emit(f"F.{name}({{0}}, {axis})", x)

    def stop_gradient(self, x: Any) -> Local:
        return self._emit("{0}.detach()", x)

    def rounded(self, x: Any, settled: Any) -> Local:
        return self._emit(f"{self._part('straight_through')}({{0}}, {{1}})", x, settled)

    def drop(self, x: Any, rate: float, shared: Sequence[int]) -> Local:
        if not shared:
            return self._module(f"nn.Dropout({literal(rate)})", {}, x)
        text = (
            f"{self._part('drop')}({{0}}, {literal(rate)}, {literal(tuple(shared))}, self.training)"
        )
        return self._emit(text, x)

    def noise(self, name: str, x: Any, amount: float) -> Local:
        made = {
            "gaussian_noise": "GaussianNoise",
            "gaussian_dropout": "GaussianDropout",
            "alpha_dropout": "nn.AlphaDropout",
        }[name]
        text = made if made.startswith("nn.") else self._part(made)
        return self._module(f"{text}({literal(amount)})", {}, x)

    def prelu(self, x: Any, slopes: np.ndarray) -> Local:
        channels = slopes.shape[0]
        if slopes.size in (1, channels):
            return self._module(f"nn.PReLU({slopes.size})", {"weight": slopes.ravel()}, x)
        held = self.constant("weight", slopes, trained=True)
        return self._emit("torch.where({0} > 0, {0}, {1} * {0})", x, held)

    # -- axes -----------------------------------------------------------------------------------

    def reduce(self, name: str, x: Any, axes: Sequence[int], keepdims: bool) -> Local:
        keep = ", keepdim=True" if keepdims else ""
        if name == "prod":  # which takes one axis at a time
            for axis in sorted(axes, reverse=True):
                x = self._emit(f"{{0}}.prod({axis}{keep})", x)
            return x
        return self._emit(f"{{0}}.{_REDUCTIONS[name]}({literal(tuple(axes))}{keep})", x)

    def transpose(self, x: Any, perm: Sequence[int]) -> Local:
        return self._emit(f"{{0}}.permute{literal(tuple(perm))}", x)

    def reshape(self, x: Any, sizes: Sequence[int | None]) -> Local:
        shown = ", ".join(
            f"{{0}}.shape[{place}]" if size is None else str(int(size))
            for place, size in enumerate(sizes)
        )
        return self._emit(f"{{0}}.reshape({shown})", x)

    def squeeze(self, x: Any, axes: Sequence[int]) -> Local:
        return self._emit(f"{{0}}.squeeze({literal(tuple(axes))})", x)

    def unsqueeze(self, x: Any, axes: Sequence[int]) -> Local:
        return self._emit("{0}" + "".join(f".unsqueeze({axis})" for axis in sorted(axes)), x)

    def tile(self, x: Any, repeats: Sequence[int]) -> Local:
        return self._emit(f"{{0}}.repeat{literal(tuple(repeats))}", x)

    def concat(self, parts: Sequence[Any], axis: int) -> Local:
        shown = ", ".join(f"{{{number}}}" for number in range(len(parts)))
        comma = "," if len(parts) == 1 else ""
        return self._emit(f"torch.cat(({shown}{comma}), {axis})", *parts)

    def slice(self, x: Any, parts: Mapping[int, tuple[int, int | None, int]]) -> Local:
        entries = []
        for place in range(max(parts) + 1):
            start, stop, step = parts.get(place, (0, None, 1))
            shown = f"{start or ''}:{'' if stop is None else stop}"
            entries.append(shown if step == 1 else f"{shown}:{step}")
        return self._emit(f"{{0}}[{', '.join(entries)}]", x)

    def flip(self, x: Any, axes: Sequence[int]) -> Local:
        return self._emit(f"{{0}}.flip({literal(tuple(axes))})", x)

    def take(self, x: Any, indices: np.ndarray, axis: int) -> Local:
        held = self.constant("indices", np.asarray(indices, np.int64))
        return self._emit(f"{{0}}.index_select({axis}, {{1}})", x, held)

    def look_up(self, table: Any, indices: Any) -> Local:
        return self._emit("F.embedding({0}, {1})", indices, table)

    def pad(self, x: Any, widths: Sequence[tuple[int, int]], value: float) -> Local:
        filled = f", value={literal(value)}" if value else ""
        return self._emit(f"F.pad({{0}}, {literal(_torch_widths(widths))}{filled})", x)

    # -- kernels --------------------------------------------------------------------------------

    def convolution(self, x: Any, kernel: np.ndarray, bias: Any, window: Window) -> Local:
        x, padding = self._padded(x, window, 0.0)
        settings = [
            f"{kernel.shape[1] * window.groups}, {kernel.shape[0]}, {_short(window.size)}",
            *_settings(window, padding, grouped=True),
            *(["bias=False"] if bias is None else []),
        ]
        text = f"nn.Conv{len(window.size)}d({', '.join(settings)})"
        return self._module(text, {"weight": kernel, "bias": bias}, x)

    def _padded(self, x: Any, window: Window, value: float) -> tuple[Any, Sequence[int]]:
        """Pad what a module cannot; give the rest, one width per axis."""
        pads = window.pads
        none = (0,) * len(window.size)
        if isinstance(pads, str):
            walk = literal((window.size, window.strides, window.dilation))[1:-1]
            filled = f", {literal(value)}" if value else ""
            return self._emit(f"{self._part('pad_same')}({{0}}, {walk}{filled})", x), none
        if all(before == behind for before, behind in pads):
            return x, tuple(before for before, _ in pads)
        return self.pad(x, [(0, 0), (0, 0), *pads], value), none

    def transposed(self, x: Any, kernel: np.ndarray, bias: Any, window: Window) -> Local:
        cut = _pairs(window)
        inner = tuple(min(pair) for pair in cut)
        settings = [
            f"{kernel.shape[0]}, {kernel.shape[1]}, {_short(window.size)}",
            *_settings(window, inner, grouped=False),
            *([f"output_padding={_short(window.extra)}"] if any(window.extra) else []),
            *(["bias=False"] if bias is None else []),
        ]
        text = f"nn.ConvTranspose{len(window.size)}d({', '.join(settings)})"
        found = self._module(text, {"weight": kernel, "bias": bias}, x)
        rest = {
            axis + 2: (before - own, -(behind - own) or None, 1)
            for axis, ((before, behind), own) in enumerate(zip(cut, inner, strict=True))
            if before != behind
        }
        return self.slice(found, rest) if rest else found

    def linear(self, x: Any, kernel: np.ndarray, bias: Any) -> Local:
        rest = "" if bias is not None else ", bias=False"
        text = f"nn.Linear({kernel.shape[1]}, {kernel.shape[0]}{rest})"
        return self._module(text, {"weight": kernel, "bias": bias}, x)

    def matmul(self, x: Any, y: Any) -> Local:
        return self._emit("{0} @ {1}", x, y)

    def einsum(self, equation: str, *operands: Any) -> Local:
        shown = ", ".join(f"{{{place}}}" for place in range(len(operands)))
        return self._emit(f"torch.einsum({literal(equation)}, {shown})", *operands)

    def choose(self, name: str, x: Any, axis: int, keepdims: bool) -> Local:
        keep = ", keepdim=True" if keepdims else ""
        return self._emit(f"{{0}}.{name}({axis}{keep})", x)

    def pool(self, name: str, x: Any, window: Window, sizes: Sequence[int | None]) -> Local:
        rank = len(window.size)
        walk = f"{_short(window.size)}, {_short(window.strides)}"
        if name == "max":
            fits = _fits(window)
            x, padding = (x, fits) if fits else self._padded(x, window, float("-inf"))
            rest = f", padding={_short(padding)}" if any(padding) else ""
            return self._emit(f"F.max_pool{rank}d({{0}}, {walk}{rest})", x)
        pool = f"F.avg_pool{rank}d"
        padding = _fits(window)
        if padding:
            rest = f", padding={_short(padding)}, count_include_pad=False" if any(padding) else ""
            return self._emit(f"{pool}({{0}}, {walk}{rest})", x)
        if window.pads == SAME:
            ones = self._padded(self._emit("torch.ones_like({0})", x), window, 0.0)[0]
            x = self._padded(x, window, 0.0)[0]
            text = f"{pool}({{0}}, {walk}) / {pool}({{1}}, {walk})"
            return self._emit(text, x, ones)
        x = self.pad(x, [(0, 0), (0, 0), *_pairs(window)], 0.0)
        found = self._emit(f"{pool}({{0}}, {walk})", x)
        return self._emit("{0} * {1}", found, self.constant("share", _shares(window, sizes)))

    def resize(self, x: Any, sizes: Sequence[int], scales: Sequence[float], mode: str) -> Local:
        how = f"size={literal(tuple(sizes))}" if sizes else f"scale_factor={literal(tuple(scales))}"
        return self._emit(f"F.interpolate({{0}}, {how}, {_MODES[mode]})", x)

    # -- normalization --------------------------------------------------------------------------

    def batch_norm(
        self,
        x: Any,
        rank: int,
        arrays: Mapping[str, np.ndarray],
        epsilon: float,
        momentum: float,
    ) -> Local:
        share = round(1.0 - momentum, 9)  # of the new statistics; Keras' is of the old ones
        settings = f"{arrays['mean'].size}, eps={literal(float(epsilon))}, momentum={share}"
        held = {
            "weight": arrays["gamma"],
            "bias": arrays["beta"],
            "running_mean": arrays["mean"],
            "running_var": arrays["variance"],
            COUNTER: np.zeros((), np.int64),
        }
        return self._module(f"nn.BatchNorm{max(rank - 2, 1)}d({settings})", held, x)

    def layer_norm(
        self, x: Any, gamma: Any, beta: Any, shape: Sequence[int], epsilon: float
    ) -> Local:
        settings = f"{literal(tuple(shape))}, eps={literal(float(epsilon))}"
        if gamma is None and beta is None:
            return self._module(f"nn.LayerNorm({settings}, elementwise_affine=False)", {}, x)
        gamma = np.ones(shape, np.float32) if gamma is None else gamma
        beta = np.zeros(shape, np.float32) if beta is None else beta
        held = {"weight": gamma, "bias": beta}
        return self._module(f"nn.LayerNorm({settings})", held, x)

    def group_norm(
        self, x: Any, groups: int, gamma: np.ndarray, beta: np.ndarray, epsilon: float
    ) -> Local:
        text = f"nn.GroupNorm({groups}, {gamma.size}, eps={literal(float(epsilon))})"
        return self._module(text, {"weight": gamma, "bias": beta}, x)

    # -- recurrent layers -----------------------------------------------------------------------

    def recurrent(self, x: Any, cell: Cell, states: Sequence[Any]) -> tuple[Local, Sequence[Local]]:
        made = cell_module(cell)
        if made.is_own:
            self._part("Recurrent")
        attribute = self._hold("", made.text, made.arrays)
        sequence, *last = (self._new() for _ in range(1 + made.num_states))
        given = ""
        if states:
            given = made.states.format(*(f"{{{place + 1}}}" for place in range(len(states))))
        self._statements.append(
            Statement(
                text=f"self.{attribute}({{0}}{given})",
                inputs=(x, *states),
                outputs=(sequence, *last),
                left=made.left,
            )
        )
        if made.is_own:
            return sequence, last
        return sequence, [self._emit("{0}.squeeze(0)", each) for each in last]


def _short(values: Sequence[int]) -> str:
    """Write sizes as the modules take them: one number where all are alike.

    Example:
        >>> _short((3, 3)), _short((3, 1))
        ('3', '(3, 1)')
    """
    return str(values[0]) if len(set(values)) == 1 else literal(tuple(values))


def _settings(window: Window, padding: Sequence[int], *, grouped: bool) -> list[str]:
    """Write what differs from the defaults of a convolution."""
    found = []
    for name, values, default in (
        ("stride", window.strides, 1),
        ("padding", padding, 0),
        ("dilation", window.dilation, 1),
    ):
        if set(values) != {default}:
            found.append(f"{name}={_short(values)}")
    if grouped and window.groups != 1:
        found.append(f"groups={window.groups}")
    return found


def _pairs(window: Window) -> list[tuple[int, int]]:
    return [] if isinstance(window.pads, str) else [*window.pads]


def _fits(window: Window) -> tuple[int, ...]:
    """Give the padding that a pool can do itself: alike on both sides, half a window at most."""
    pairs = _pairs(window)
    fits = pairs and all(
        before == behind <= size // 2
        for (before, behind), size in zip(pairs, window.size, strict=True)
    )
    return tuple(before for before, _ in pairs) if fits else ()


def _shares(window: Window, sizes: Sequence[int | None]) -> np.ndarray:
    """Say by what a mean over zeros, too, is multiplied to be one over the map alone.

    Returns:
        float32 array [1, 1, outputs …].
    """
    found = np.ones((1, 1), np.float64)
    for (before, behind), size, stride, length in zip(
        _pairs(window), window.size, window.strides, sizes, strict=True
    ):
        if length is None:
            raise RefusedError("it pads an axis of open size")
        inside = np.pad(np.ones(length), (before, behind))
        counts = np.lib.stride_tricks.sliding_window_view(inside, size)[::stride].sum(-1)
        found = np.multiply.outer(found, size / counts)
    return found.astype(np.float32)


def _torch_widths(widths: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """Write widths as `F.pad` takes them: the last axis first, axes in front left out.

    Example:
        >>> _torch_widths([(0, 0), (0, 0), (1, 2), (0, 3)])
        (0, 3, 1, 2)
    """
    used = next((place for place, pair in enumerate(widths) if any(pair)), len(widths) - 1)
    return tuple(width for pair in reversed(widths[used:]) for width in pair)
