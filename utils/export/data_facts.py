"""What a user of a file must know of the data."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataFacts:
    """Labels and normalization, as far as they are known.

    Attributes:
        labels: names of the classes, in the order of the outputs; none where they are not known.
        mean: what is subtracted from each channel of a raw input; one number for all.
        std: what it is divided by then.
        is_image: whether inputs are images [height, width, channels].
    """

    labels: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    is_image: bool = False

    def __bool__(self) -> bool:
        return bool(self.labels or self.mean)


NO_FACTS = DataFacts()
