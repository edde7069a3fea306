"""Rounding by moments: never worse than the nearest points, and every weight on the code."""

import numpy as np
import pytest

from learners.kernels.layers import KernelLayer
from learners.low_bits.grids import GridCoding
from learners.low_bits.rounding import round_to_code
from utils.quantization.groups import Grouping


def layer(rows: int, outputs: int) -> KernelLayer:
    return KernelLayer(
        name="fc",
        node="fc",
        layer="fc",
        weights=("kernel",),
        shapes=((rows, outputs),),
        out_axes=(-1,),
    )


def moments(seed: int, rows: int = 24, outputs: int = 5) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(200, 6)) @ rng.normal(size=(6, rows))
    inputs += 0.3 * rng.normal(size=inputs.shape)
    kernel = rng.normal(size=(rows, outputs))
    return inputs.T @ inputs, inputs.T @ (inputs @ kernel), kernel


GROUPINGS = {
    "channel": lambda axes: Grouping("channel", axes=axes),
    "tensor": lambda axes: Grouping("tensor"),
    "split": lambda axes: Grouping("split", size=7),
}


@pytest.mark.parametrize("grouping", GROUPINGS)
@pytest.mark.parametrize("bits", [2, 4])
def test_better_than_the_nearest_points_and_on_the_grid(grouping: str, bits: int) -> None:
    gram, cross, kernel = moments(bits)
    coding = GridCoding(GROUPINGS[grouping])
    here = layer(*kernel.shape)

    def error(values: np.ndarray) -> float:
        return float(np.sum((values - kernel) * (gram @ (values - kernel))))

    found, code = round_to_code(
        gram, cross, lambda values, weights: coding.fit(here, values, bits, weights), kernel=kernel
    )
    rows, outputs = np.indices(kernel.shape)
    np.testing.assert_allclose(code.nearest(found, rows, outputs), found, atol=1e-9)
    plain = coding.fit(here, kernel, bits, None)
    assert error(found) < 0.5 * error(plain.nearest(kernel, rows, outputs))
    still = round_to_code(
        gram,
        cross,
        lambda values, weights: coding.fit(here, values, bits, weights),
        kernel=kernel,
        num_moves=0,
    )[0]
    assert error(found) <= error(still)


def test_absent_weights_stay_zero() -> None:
    gram, cross, kernel = moments(3)
    kernel[::2] = 0.0
    coding = GridCoding(GROUPINGS["channel"])
    found, _ = round_to_code(
        gram,
        cross,
        lambda values, weights: coding.fit(layer(*kernel.shape), values, 3, weights),
        kernel=kernel,
        present=kernel != 0,
    )
    assert not found[::2].any()
    assert found[1::2].any()
