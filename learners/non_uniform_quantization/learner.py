"""The learner `non-uniform`: weights that take 2^bits values, wherever these lie.

The recipe is that of `learners/low_bits/learner.py`; codebooks are fitted and moved as
`codebooks.py` says, and trained as `utils/quantization/learned_codebook.py` says.

Reference:
    Han, Mao & Dally, "Deep Compression", ICLR 2016, arXiv:1510.00149, section 3 (codebooks, their
    gradient); Frantar, Singh & Alistarh, "Optimal Brain Compression", NeurIPS 2022,
    arXiv:2208.11580, section 5 (rounding).
"""

from learners.low_bits.coding import Coding
from learners.low_bits.learner import LowBitLearner
from learners.non_uniform_quantization.codebooks import CodebookCoding
from learners.non_uniform_quantization.config import NonUniformQuantConfig


class NonUniformQuantLearner(LowBitLearner):
    """Round to codebooks, train the weights, the codebooks, or both."""

    @property
    def rounds_on_walk(self) -> bool:
        """Whether moments of training images are looked at before training."""
        return self.config.rounding == "obq"

    @classmethod
    def coding_by(cls, config: NonUniformQuantConfig) -> Coding:
        """Say which codebooks there may be."""
        return CodebookCoding(config.grouping, config.init_style, config.opt_mode)
