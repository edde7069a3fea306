"""Grids as codes: moved scales against a numerical search, storing, groups of several kernels."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.optimize

from learners.kernels.layers import KernelLayer
from learners.low_bits.grids import GridCode, GridCoding
from utils.quantization.groups import Grouping

GROUPINGS: dict[str, Callable[[tuple[int, ...]], Grouping]] = {
    "channel": lambda axes: Grouping("channel", axes=axes),
    "tensor": lambda axes: Grouping("tensor"),
    "split": lambda axes: Grouping("split", size=5),
}


def layer(*shapes: tuple[int, ...], out_axes: tuple[int, ...] = (-1,)) -> KernelLayer:
    return KernelLayer(
        name="layer",
        node="layer",
        layer="layer",
        weights=tuple(f"kernel_{number}" for number in range(len(shapes))),
        shapes=shapes,
        out_axes=out_axes,
    )


def problem(seed: int, grouping: str) -> tuple[GridCode, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    kernel = rng.normal(size=(6, 4))
    code = GridCoding(GROUPINGS[grouping]).fit(layer((6, 4)), kernel, 3, None)
    rows, outputs = np.indices(kernel.shape)
    factor = rng.normal(size=(9, 6))
    gram = factor.T @ factor
    return code, code.nearest(kernel, rows, outputs), gram, gram @ kernel


@pytest.mark.parametrize("grouping", GROUPINGS)
def test_moved_scales_are_the_best_for_the_steps(grouping: str) -> None:
    code, settled, gram, cross = problem(1, grouping)
    ids = code.places.ids

    def loss(kernel: np.ndarray) -> float:
        return float(np.sum(kernel * (gram @ kernel - 2 * cross)))

    better = code.improved(gram, cross, settled)
    moved = code.moved(settled, better)
    found = scipy.optimize.minimize(
        lambda factors: loss(settled * factors[ids]), np.ones(code.places.num_groups)
    )
    assert loss(moved) < loss(settled)
    assert loss(moved) == pytest.approx(found.fun, rel=1e-6)


def test_a_scale_that_would_turn_negative_stays() -> None:
    code, settled, gram, cross = problem(2, "channel")
    kept = code.improved(gram, -cross, settled)
    np.testing.assert_array_equal(kept.scaling.scale, code.scaling.scale)  # type: ignore[attr-defined]


@pytest.mark.parametrize("grouping", GROUPINGS)
@pytest.mark.parametrize("out_axes", [(-1,), (-2,), (-2, -1)])
def test_stored_weights_are_the_settled_kernel(grouping: str, out_axes: tuple[int, ...]) -> None:
    here = layer((2, 3, 4), (2, 3, 4), out_axes=out_axes)
    kernel = np.random.default_rng(3).normal(size=(here.num_rows, here.num_outputs))
    code = GridCoding(GROUPINGS[grouping]).fit(here, kernel, 4, None)
    rows, outputs = np.indices(kernel.shape)
    settled = code.nearest(kernel, rows, outputs)
    wanted = here.tensors(settled)
    for key, stored in code.tensors(settled).items():
        np.testing.assert_allclose(stored.dequantized(), wanted[key], rtol=1e-6)


def test_quantizers_leave_the_settled_kernel_as_it_is() -> None:
    import keras

    here = layer((2, 3, 4))
    kernel = np.random.default_rng(4).normal(size=(6, 4))
    code = GridCoding(GROUPINGS["channel"]).fit(here, kernel, 3, None)
    rows, outputs = np.indices(kernel.shape)
    for key, stored in code.tensors(code.nearest(kernel, rows, outputs)).items():
        quantizer: Any = code.quantizers()[key]
        parameters = {n: keras.ops.convert_to_tensor(v) for n, v in quantizer.parameters.items()}
        held = stored.dequantized()
        np.testing.assert_array_equal(quantizer.quantize(held, parameters), held)


def test_facts() -> None:
    for grouping, said in {
        "channel": "output channel",
        "tensor": "layer",
        "split": "bucket of 5",
    }.items():
        code = problem(5, grouping)[0]
        assert code.facts() == {"bits": 3, "granularity": said}
