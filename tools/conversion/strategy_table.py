"""Accuracy and agreement of quantized networks, and one table over all strategies."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
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
        labels: class of each sample, int [n]; None where there is none.
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
        accuracy: part of the labels that it meets; None without labels.
        float_accuracy: of the float network.
        agreement: part of the samples where both choose one class.
        distance: `||q - f|| / ||f||` of the outputs.
        reason: why there is no figure; empty else.
    """

    name: str
    weights: str = ""
    accuracy: float | None = None
    float_accuracy: float | None = None
    agreement: float = float("nan")
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
    inputs, labels, count = [], [], 0
    for batch, truth in source.helper.build_dataset_eval().unbatch().batch(_BATCH):
        plain = np.asarray(source.helper.plain_labels(truth))
        left = num_samples - count
        inputs.append(np.asarray(batch)[:left])
        labels.append((plain.argmax(-1) if plain.ndim > 1 else plain)[:left])
        count += len(inputs[-1])
        if count >= num_samples:
            break
    return Evaluation(inputs=inputs, labels=np.concatenate(labels), count=count)


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
    before = np.concatenate([_first(model(each, training=False)) for each in data.inputs])
    after = np.concatenate([_first(run(each)) for each in data.inputs])
    chosen = [each.reshape(len(each), -1).argmax(-1) for each in (before, after)]
    shares = [
        None if data.labels is None else float(np.mean(each == data.labels)) for each in chosen
    ]
    return Row(
        name=name,
        weights=weights,
        float_accuracy=shares[0],
        accuracy=shares[1],
        agreement=float(np.mean(chosen[0] == chosen[1])),
        distance=float(np.linalg.norm(after - before)) / max(float(np.linalg.norm(before)), 1e-30),
    )


def _first(outputs: Any) -> np.ndarray:
    """Give the network's (first) output, float64."""
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    first = outputs[0] if isinstance(outputs, list | tuple) else outputs
    return np.asarray(first, np.float64)


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

    trained = source.quantize(config)
    if config.scheme.is_integer:
        network = IntegerNetwork(trained.graph, trained.scalings, trained.weights)
        return lambda inputs: network(*(inputs if isinstance(inputs, list) else [inputs]))
    simulated = to_keras(trained.simulated())
    return lambda inputs: simulated(inputs, training=False)


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
        found.add_row(
            row.name, row.weights, accuracy, f"{row.agreement:.2%}", f"{row.distance:.4f}"
        )
    return found
