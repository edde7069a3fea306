"""Accuracy and agreement of quantized networks, and one table over all strategies."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from learners.post_training.config import WEIGHTS, PostTrainingConfig
from tools.conversion.quantization_source import Opened
from utils.errors import InputError
from utils.quantization.strategies import STRATEGIES

if TYPE_CHECKING:
    import keras

_BATCH = 100


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """Samples to compare on.

    Attributes:
        inputs: batches, as the network takes them.
        labels: of the samples [n, …]; None where there are none, or no single array of them.
        count: n.
    """

    inputs: Sequence[Any]
    labels: np.ndarray | None
    count: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """What came of one network.

    Attributes:
        name: of it.
        weights: granularity of its weights.
        accuracy: part of the labels that it meets; None without labels, or where they are no
            classes.
        float_accuracy: of the float network.
        agreement: part of the samples (of a map the positions) where both choose one class, by the
            first output; None where it has no classes.
        distance: `||q - f|| / ||f||` of all outputs, the worst of several.
        reason: why there is no figure; empty else.
    """

    name: str
    weights: str = ""
    accuracy: float | None = None
    float_accuracy: float | None = None
    agreement: float | None = None
    distance: float = float("nan")
    reason: str = ""


def evaluation(source: Opened, num_samples: int) -> Evaluation:
    """Take samples: the helper's test images, else those of calibration, without labels.

    Args:
        source: the helper or the samples.
        num_samples: at most.
    """
    if source.helper is None:
        return Evaluation(
            inputs=source.batches,
            labels=None,
            count=sum(len(each[0] if isinstance(each, list) else each) for each in source.batches),
        )
    import keras

    inputs, labels, count = [], [], 0
    for batch, truth in source.helper.build_dataset_eval().unbatch().batch(_BATCH):
        left = num_samples - count
        inputs.append(keras.tree.map_structure(lambda each, n=left: np.asarray(each)[:n], batch))
        labels.append(source.helper.plain_labels(truth))
        count += len(keras.tree.flatten(inputs[-1])[0])
        if count >= num_samples:
            break
    if any(keras.tree.is_nested(each) for each in labels):
        return Evaluation(inputs=inputs, labels=None, count=count)
    whole = np.concatenate([np.asarray(each) for each in labels])[:count]
    return Evaluation(inputs=inputs, labels=whole, count=count)


def scored(
    name: str,
    data: Evaluation,
    model: keras.Model,
    run: Callable[[Any], Any],
    *,
    weights: str = "",
) -> Row:
    """Compare a network with the float one.

    Args:
        name: for the row.
        data: the samples.
        model: the float network.
        run: inputs -> outputs of the other.
        weights: for the row.
    """
    before = _joined(model(each, training=False) for each in data.inputs)
    after = _joined(run(each) for each in data.inputs)
    chosen, changed = _classes(before[0]), _classes(after[0])
    return Row(
        name=name,
        weights=weights,
        float_accuracy=_share(chosen, data.labels, before[0]),
        accuracy=_share(changed, data.labels, after[0]),
        agreement=None if chosen is None else float(np.mean(chosen == changed)),
        distance=max(map(_distance, after, before)),
    )


def _joined(batches: Iterable[Any]) -> list[np.ndarray]:
    """Join the batches of each output, float64, in the order of the network's outputs."""
    import keras

    flat = [
        [np.asarray(output, np.float64) for output in keras.tree.flatten(each)] for each in batches
    ]
    return [np.concatenate(parts) for parts in zip(*flat, strict=True)]


def _classes(outputs: np.ndarray) -> np.ndarray | None:
    """Give the class that is chosen; None of a single score, which no other can beat."""
    return outputs.argmax(-1) if outputs.ndim > 1 and outputs.shape[-1] > 1 else None


def _share(
    chosen: np.ndarray | None, labels: np.ndarray | None, outputs: np.ndarray
) -> float | None:
    if chosen is None or labels is None:
        return None
    if labels.shape == outputs.shape:
        labels = labels.argmax(-1)
    return float(np.mean(chosen == labels)) if labels.shape == chosen.shape else None


def _distance(after: np.ndarray, before: np.ndarray) -> float:
    return float(np.linalg.norm(after - before)) / max(float(np.linalg.norm(before)), 1e-30)


def compare(source: Opened, config: PostTrainingConfig, num_samples: int) -> list[Row]:
    """Quantize a network by every strategy, weights per layer and per channel.

    Args:
        source: the network and samples.
        config: all else.
        num_samples: see `evaluation`.

    Returns:
        A row for each; where a network has no integer arithmetic, the reason.
    """
    from utils.graph import to_keras

    data, model = evaluation(source, num_samples), to_keras(source.graph)
    rows = []
    for name, strategy in STRATEGIES.items():
        for weights in WEIGHTS if strategy.is_quantized else ("",):
            changed = dataclasses.replace(
                config, strategy=name, weight_quan=weights or config.weight_quan
            )
            try:
                changed.check()
                run = _network(source, changed)
            except InputError as error:
                rows.append(Row(name=name, weights=weights, reason=str(error)))
                continue
            rows.append(scored(name, data, model, run, weights=weights))
    return rows


def _network(source: Opened, config: PostTrainingConfig) -> Callable[[Any], Any]:
    from utils.graph import to_keras
    from utils.quantization.integer_network import IntegerNetwork

    trained = source.quantize(config, keep=False)
    if config.scheme.is_integer:
        network = IntegerNetwork(trained.graph, trained.scalings, trained.weights)
        names = [ref.node for ref in trained.graph.inputs]
        return lambda inputs: network(*_in_order(inputs, names))
    simulated = to_keras(trained.simulated())
    return lambda inputs: simulated(inputs, training=False)


def _in_order(inputs: Any, names: Sequence[str]) -> Sequence[Any]:
    if isinstance(inputs, dict):
        return [inputs[name] for name in names]
    return inputs if isinstance(inputs, list | tuple) else [inputs]


def table(rows: Sequence[Row], num_samples: int) -> Any:
    """Make the table for the console.

    Args:
        rows: of `compare`.
        num_samples: that they were compared on.
    """
    from rich import box
    from rich.table import Table

    found = Table(title=f"Strategies on up to {num_samples} samples", box=box.SIMPLE_HEAD)
    found.add_column("strategy")
    found.add_column("weights")
    for heading in ("accuracy", "agreement", "distance"):
        found.add_column(heading, justify="right")
    for row in rows:
        if row.reason:
            found.add_row(row.name, row.weights, row.reason)
            continue
        accuracy = "" if row.accuracy is None else f"{row.accuracy:.2%}"
        agreement = "" if row.agreement is None else f"{row.agreement:.2%}"
        found.add_row(row.name, row.weights, accuracy, agreement, f"{row.distance:.4f}")
    return found
