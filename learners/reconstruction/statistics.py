"""Second moments of one layer's sampled inputs and target outputs: all that selection needs.

A layer that reads channels is the linear map `Y = X W` on sampled rows: a convolution's rows are
im2col patches in the order of its HWIO kernel, a Dense layer's are its inputs. Selection and
refitting need X and Y only through `[X 1]^T [X 1]` and `[X 1]^T Y`, which add up batch by batch:
the rows themselves are never held.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class LayerStatistics:
    """Accumulated moments of one reading layer.

    Attributes:
        moment: float64 [P + 1, P + 1], `[X 1]^T [X 1]` over all rows; P = kernel rows.
        cross: float64 [P + 1, O], `[X 1]^T Y`; O = output channels.
        target_squares: float64 [O], column sums of `Y ** 2`.
    """

    moment: np.ndarray
    cross: np.ndarray
    target_squares: np.ndarray

    @classmethod
    def empty(cls, num_rows: int, num_outputs: int) -> "LayerStatistics":
        """Start with nothing seen: `num_rows` kernel rows, `num_outputs` output channels."""
        return cls(
            np.zeros((num_rows + 1, num_rows + 1)),
            np.zeros((num_rows + 1, num_outputs)),
            np.zeros(num_outputs),
        )

    @classmethod
    def of_kernel(cls, moment: np.ndarray, kernel: np.ndarray) -> "LayerStatistics":
        """Derive the moments of targets `Y = X W` from those of the rows.

        Args:
            moment: float64 [P + 1, P + 1], `[X 1]^T [X 1]`.
            kernel: W, float [P, O].
        """
        weights = np.asarray(kernel, np.float64)
        cross = moment[:, :-1] @ weights
        return cls(moment, cross, np.sum(weights * cross[:-1], axis=0))

    def __add__(self, other: "LayerStatistics") -> "LayerStatistics":
        return LayerStatistics(
            self.moment + other.moment,
            self.cross + other.cross,
            self.target_squares + other.target_squares,
        )

    @property
    def count(self) -> float:
        """Number of sampled rows."""
        return float(self.moment[-1, -1])

    def gram(self, centred: bool) -> np.ndarray:
        """`X^T X` [P, P], about the mean when `centred`."""
        sums = self.moment[:-1, -1]
        shift = np.outer(sums, sums) / self.count if centred else 0.0
        return self.moment[:-1, :-1] - shift

    def cross_gram(self, centred: bool) -> np.ndarray:
        """`X^T Y` [P, O], about the means when `centred`."""
        shift = np.outer(self.moment[:-1, -1], self.cross[-1]) / self.count if centred else 0.0
        return self.cross[:-1] - shift

    def target_energy(self, centred: bool) -> float:
        """`||Y||_F^2`, about the mean when `centred`."""
        shift = self.cross[-1] ** 2 / self.count if centred else 0.0
        return float(np.sum(self.target_squares - shift))

    def weighted(self, weights: np.ndarray) -> "LayerStatistics":
        """Moments of the targets multiplied by `weights` [O], e.g. how much each output matters."""
        return LayerStatistics(self.moment, self.cross * weights, self.target_squares * weights**2)

    def means(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean row of X [P] and of Y [O]."""
        return self.moment[:-1, -1] / self.count, self.cross[-1] / self.count

    def offset(self, kernel: np.ndarray, centred: bool) -> np.ndarray:
        """Give what, added to `X W` of a kernel [P, O], makes its mean that of Y: float64 [O].

        Zeros unless `centred`: nothing takes up an offset.
        """
        if not centred:
            return np.zeros(kernel.shape[1])
        mean_x, mean_y = self.means()
        return mean_y - mean_x @ kernel


def row_channels(channels: np.ndarray, num_positions: int) -> np.ndarray:
    """Say which channel each kernel row belongs to.

    Args:
        channels: int [in_features], the channel each input feature of the kernel reads, -1 for
            features that are not up for choice.
        num_positions: spatial positions of the kernel (9 for 3x3, 1 for Dense).

    Returns:
        int [num_positions * in_features], in the order of an HWIO kernel reshaped to rows.

    Example:
        >>> row_channels(np.array([0, 1]), 2)
        array([0, 1, 0, 1])
    """
    return np.tile(channels, num_positions)
