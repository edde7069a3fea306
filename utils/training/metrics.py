"""What is known of metrics: which way is better, and which one of a run decides."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import keras

from utils.errors import InputError
from utils.flags import nearest

MODES = ("max", "min")
LOSS = "loss"

_ACCURACIES = (
    keras.metrics.Accuracy,
    keras.metrics.BinaryAccuracy,
    keras.metrics.CategoricalAccuracy,
    keras.metrics.SparseCategoricalAccuracy,
)
_NO_CLASSES = (keras.metrics.BinaryAccuracy,)
# The larger the better, but not fractions: they may be negative.
_NO_SHARES = (
    keras.metrics.R2Score,
    keras.metrics.CosineSimilarity,
    keras.metrics.PearsonCorrelation,
    keras.metrics.ConcordanceCorrelation,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metric:
    """What is known of a metric.

    Attributes:
        name: as in the scores.
        higher_is_better: which way; None where it is not known.
        is_share: a fraction in [0, 1], of which 0 is the worst: differences count as they are. Of
            others they count relative to the value.
        is_accuracy: the fraction of the samples (pixels, labels) that is right.
        picks_class: an accuracy that takes the largest of the outputs for the answer.
        is_partial: of one output among several.
        is_extra: nobody asked for it: it decides only where nothing else can.
        is_chosen: named by --metric.
    """

    name: str
    higher_is_better: bool | None = None
    is_share: bool = False
    is_accuracy: bool = False
    picks_class: bool = False
    is_partial: bool = False
    is_extra: bool = False
    is_chosen: bool = False

    def merit(self, value: float) -> float:
        """Turn a value so that larger is better.

        Raises:
            ValueError: if the direction is not known.
        """
        if self.higher_is_better is None:
            raise ValueError(f"which way {self.name!r} is better is not known.")
        return value if self.higher_is_better else -value

    def gap(self, reference: float, value: float) -> float:
        """Say how much worse a value is than a reference; negative where it is better.

        Args:
            reference: of the network that the other is compared with.
            value: of the other.

        Returns:
            The difference of fractions; of other metrics in parts of the reference.

        Example:
            >>> Metric(name="auc", higher_is_better=True, is_share=True).gap(0.75, 0.5)
            0.25
            >>> Metric(name="mae", higher_is_better=False).gap(4.0, 5.0)
            0.25
        """
        difference = self.merit(reference) - self.merit(value)
        if self.is_share or not reference:
            return difference
        return difference / abs(reference)

    def is_blind(self, value: float) -> bool:
        """Whether nothing can be worse than this value, so that a comparison with it is empty."""
        return math.isnan(value) or (self.is_share and bool(self.higher_is_better) and value <= 0.0)


class Scores(dict[str, float]):
    """Loss and metrics of a network over a data set, by name.

    Args:
        values: with `loss`.
        deciding: the one that networks are compared by.
        accuracy: the accuracy, None where there is not just one.
    """

    def __init__(
        self, values: Mapping[str, float], deciding: Metric, accuracy: Metric | None = None
    ) -> None:
        super().__init__(values)
        self.deciding = deciding
        self._accuracy = accuracy

    @property
    def value(self) -> float:
        """The deciding metric's value.

        Raises:
            InputError: if it is computed over the whole evaluation set only, and this is another.
        """
        if self.deciding.name not in self:
            raise InputError(
                f"`metric`: {self.deciding.name!r} is computed on the evaluation set only. Give "
                "dump_n_eval the argument `labels`, so that it can score any images, or name "
                f"another: {', '.join(self)}."
            )
        return self[self.deciding.name]

    @property
    def merit(self) -> float:
        """The deciding metric's value, turned so that larger is better."""
        return self.deciding.merit(self.value)

    @property
    def top1(self) -> float | None:
        """The accuracy, None where there is none."""
        return None if self._accuracy is None else self[self._accuracy.name]

    @property
    def picks_class(self) -> bool:
        """Whether the largest output is the network's answer."""
        return self._accuracy is not None and self._accuracy.picks_class


def described(name: str, metric: Any, *, is_partial: bool = False) -> Metric:
    """Say what is known of a Keras metric.

    Args:
        name: in the scores.
        metric: an object; one of the user's may say `higher_is_better` itself.
        is_partial: of one output among several.

    Returns:
        Its facts. The direction of Keras' own classes, and of the functions they wrap, is known.
    """
    own = getattr(metric, "higher_is_better", None)
    if own is not None:
        return Metric(name=name, higher_is_better=bool(own), is_partial=is_partial)
    metric = _behind_function(metric)
    direction = {"up": True, "down": False}.get(str(getattr(metric, "_direction", None)))
    is_accuracy = isinstance(metric, _ACCURACIES)
    return Metric(
        name=name,
        higher_is_better=direction,
        is_share=direction is True and not isinstance(metric, _NO_SHARES),
        is_accuracy=is_accuracy,
        picks_class=is_accuracy and not isinstance(metric, _NO_CLASSES),
        is_partial=is_partial,
    )


def _behind_function(metric: Any) -> Any:
    """Give Keras' own object for a wrapped function of Keras', else the metric itself."""
    function = getattr(metric, "_fn", None)
    name = getattr(function, "__name__", "")
    own = (getattr(keras.metrics, name, None), getattr(keras.losses, name, None))
    if getattr(metric, "_direction", None) is not None or not any(f is function for f in own if f):
        return metric
    found = keras.metrics.get(name)
    return found if isinstance(found, keras.metrics.Metric) else metric


def scalar(name: str) -> Metric:
    """Say what is known of a number that a `calc_loss` or `dump_n_eval` gives under a name."""
    if name == LOSS:
        return Metric(name=name, higher_is_better=False)
    if name == "accuracy":
        return Metric(
            name=name, higher_is_better=True, is_share=True, is_accuracy=True, picks_class=True
        )
    return Metric(name=name)


def the_accuracy(known: Mapping[str, Metric]) -> Metric | None:
    """Find the accuracy: the metric of that name, else the only one of that kind."""
    if known.get("accuracy", Metric(name="")).is_accuracy:
        return known["accuracy"]
    found = [metric for metric in known.values() if metric.is_accuracy]
    return found[0] if len(found) == 1 else None


def choose(
    known: Mapping[str, Metric], wanted: str | None = None, mode: str | None = None
) -> Metric:
    """Choose the metric that networks are compared by.

    Args:
        known: all metrics, in the order of the scores.
        wanted: its name; None for the accuracy, else the first metric of all outputs whose
            direction is known, else the loss.
        mode: "max" or "min": which way is better; None as is known.

    Returns:
        The metric, with a direction.

    Raises:
        InputError: for a name that is not there, or whose direction is not known.
    """
    if wanted is None:
        if mode is not None:
            raise InputError(
                f"`metric_mode` has no effect without `metric`. Received: {mode!r}. Name the "
                f"metric, one of {', '.join(known)}, or leave it out."
            )
        ranked = [the_accuracy(known), *known.values()]
        usable = [m for m in ranked if m is not None and _decides_by_itself(m)]
        usable.sort(key=lambda metric: metric.is_extra)
        return usable[0] if usable else known.get(LOSS, scalar(LOSS))
    if wanted not in known:
        raise InputError(
            f"`metric`: this network has no metric {wanted!r}. {nearest(wanted, known)}"
        )
    metric = dataclasses.replace(known[wanted], is_chosen=True)
    if mode is not None:
        metric = dataclasses.replace(metric, higher_is_better=mode == "max")
    if metric.higher_is_better is None:
        raise InputError(
            f"`metric`: which way {wanted!r} is better is not known. Add --metric_mode=max (the "
            "higher the better) or --metric_mode=min."
        )
    return metric


def _decides_by_itself(metric: Metric) -> bool:
    return (
        metric.name != LOSS
        and not metric.is_partial
        and metric.higher_is_better is not None
    )  # fmt: skip
