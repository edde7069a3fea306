"""What post-training quantization is told."""

from __future__ import annotations

import dataclasses

from utils.errors import InputError
from utils.flags import flag
from utils.quantization.calibration import METHODS, PERCENTILE
from utils.quantization.strategies import STRATEGIES, Strategy

ROUNDINGS = ("nearest", "mse", "adaround", "obq")
WEIGHTS = {"perlayer": False, "perchannel": True}


@dataclasses.dataclass(frozen=True, kw_only=True)
class PostTrainingConfig:
    """Grids, ranges, rounding."""

    strategy: str = flag(
        "minmax",
        "Grids and arithmetic; _t computes in integers, bit by bit.",
        choices=tuple(STRATEGIES),
    )
    weight_quan: str = flag(
        "perchannel",
        "Scales of weights: one per output channel, or one per layer.",
        choices=tuple(WEIGHTS),
    )
    weight_bits: int = flag(8, "Bits of a weight.", lower=2, upper=8)
    activation_bits: int = flag(8, "Bits of an activation, 8 or 16.", lower=8, upper=16)
    calibration: str = flag(
        "mse", "How ranges of activations are taken from samples.", choices=METHODS
    )
    percentile: float = flag(
        PERCENTILE,
        "Percent of the values that a range holds, for --calibration=percentile.",
        lower=50.0,
        upper=100.0,
        lower_open=True,
    )
    rounding: str = flag(
        "nearest",
        "How weights are rounded: to the nearest; to the nearest, large ones cut off for the least "
        "squared error; adaround; obq (column by column, each making up for those before).",
        choices=ROUNDINGS,
    )
    equalize: bool = flag(False, "Scale channels of layers in a row so that one grid fits all.")
    bias_correction: bool = flag(
        True, "Let biases take back what rounding shifts the mean of an output by."
    )

    def check(self) -> None:
        """Find what cannot be, before TensorFlow starts.

        Raises:
            InputError: for 9 to 15 bits, 16 bits with zero points, or integers of other widths.
        """
        if self.activation_bits not in (8, 16):
            raise InputError(
                f"`activation_bits` must be 8 or 16. Received: {self.activation_bits}."
            )
        if self.activation_bits == 16 and self.scheme.is_affine:
            raise InputError(
                "`activation_bits` of 16 are symmetric about zero in every kernel that there is. "
                f"Received: --strategy={self.strategy}. Choose symmetry_max or scale_shift."
            )
        if self.scheme.is_integer and (self.weight_bits, self.activation_bits) != (8, 8):
            raise InputError(
                f"`strategy` {self.strategy} computes with 8 bits. Received: --weight_bits="
                f"{self.weight_bits}, --activation_bits={self.activation_bits}."
            )

    @property
    def scheme(self) -> Strategy:
        """The strategy's row."""
        return STRATEGIES[self.strategy]

    @property
    def is_per_channel(self) -> bool:
        """Whether output channels have scales of their own."""
        return WEIGHTS[self.weight_quan]
