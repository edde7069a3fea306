"""The learner `uniform`: weights, and activations where asked, on grids of equal steps.

The recipe is that of `learners/low_bits/learner.py`; grids are fitted, moved and learned as
`learners/low_bits/grids.py` says. Batch norms stay where they are: with a grid for each output
channel folding would change nothing but the scales.

Reference:
    Frantar et al., "GPTQ", ICLR 2023, arXiv:2210.17323, and "Optimal Brain Compression", NeurIPS
    2022, arXiv:2208.11580 (rounding); Esser et al., "Learned Step Size Quantization", ICLR 2020,
    arXiv:1902.08153 (training).
"""

from learners.low_bits.coding import Coding
from learners.low_bits.learner import LowBitLearner
from learners.low_bits.grids import GridCoding


class UniformQuantLearner(LowBitLearner):
    """Round to grids, train the weights and the grids' scales."""

    @property
    def rounds_on_walk(self) -> bool:
        """Whether moments of training images are looked at before training."""
        return self.config.rounding == "obq"

    def coding(self) -> Coding:
        """Say which grids there may be."""
        return GridCoding(self.config.grouping, self.config.grid)
