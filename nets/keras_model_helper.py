"""A ModelHelper around a Keras model and data that exist already."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from datasets.given import Given, read_given, unpacked
from nets.abstract_model_helper import AbstractModelHelper
from nets.compile_arguments import compile_arguments, output_meanings, scores_classes
from nets.compiled_scores import CompiledMetrics, CompiledScores
from nets.config import HelperConfig
from utils.digests import arrays_digest
from utils.errors import InputError
from utils.graph import copy_network, traceable
from utils.graph.keras_reading import functional_model
from utils.shards import counted


class KerasModelHelper(AbstractModelHelper):
    """A ModelHelper around a model and data that exist already.

    Args:
        model: any Keras model. Compiled, its loss and metrics are used; else those that the shapes
            of the labels tell.
        train_data: see `datasets.given`.
        eval_data: likewise.
        config: the flags' values.
        seed: of the order of the training data.
        num_held_out: samples at the end of the arrays (x, y) `train_data` that are held out where
            training is asked for without some; 0 for none, as of batches.

    Raises:
        InputError: if the model has no graph, the data do not fit it, or the loss cannot be told.
    """

    def __init__(
        self,
        model: keras.Model,
        train_data: Any,
        eval_data: Any,
        config: HelperConfig,
        seed: int,
        num_held_out: int = 0,
    ) -> None:
        super().__init__(config, seed)
        network = functional_model(model)
        # A Sequential's own graph has another name than the model.
        self._source = model if isinstance(model, keras.Sequential) else network
        parts = {
            "train_ds": (train_data, config.batch_size),
            "eval_ds": (eval_data, config.batch_size_eval),
        }
        if num_held_out:
            parts["kept"] = _rows(train_data, slice(None, -num_held_out)), config.batch_size
            parts["held out"] = _rows(train_data, slice(-num_held_out, None)), parts["eval_ds"][1]
        given = {
            name: read_given(name, data, _input_shapes(network), batch_size=size, seed=seed)
            for name, (data, size) in parts.items()
        }
        self._train, self._eval = given["train_ds"], given["eval_ds"]
        self._kept, self._held_out = given.get("kept"), given.get("held out")
        self._data_digest = _digest(train_data, eval_data)
        labels = self._eval.batches.element_spec[1]
        _check_same_form(self._train.batches.element_spec[1], labels)
        arguments, extra = compile_arguments(model, network, unpacked(labels)[0])
        names = getattr(model, "output_names", None)
        self._scores = CompiledScores(arguments, names, labels, network.output, extra)
        self._meanings = output_meanings(arguments["loss"], names, len(network.outputs))
        self._scores_classes = scores_classes(arguments["loss"], len(network.outputs))

    def data_digest(self) -> str | None:
        """Digest the data where they were given as arrays; batches cannot be told apart."""
        return self._data_digest

    @property
    def model_name(self) -> str:
        """The model's own name."""
        return self._source.name

    def build_model(self) -> "keras.Model":
        """Copy the model, so that the caller's stays as it is."""
        return traceable(copy_network(self._source, allow_unsafe=True))  # asked for on reading it

    def build_dataset_train(
        self, enbl_trn_val_split: bool = False, *, first_step: int = 0
    ) -> "tf.data.Dataset | tuple[tf.data.Dataset, tf.data.Dataset]":
        """Give the training batches, without end, from a step on.

        Raises:
            InputError: if some are to be held out, and none can be.
        """
        if not enbl_trn_val_split:
            return self._of_worker(self._train, first_step)
        if self._kept is None or self._held_out is None:
            raise InputError(
                "of `train_ds` no samples can be held out for a search. Write a ModelHelper whose "
                "build_dataset_train does, see docs/self_defined_models.md."
            )
        return self._of_worker(self._kept, first_step), self._held_out.batches

    def _of_worker(self, given: Given, first_step: int) -> "tf.data.Dataset":
        """Give training batches, of every step's the one of this worker."""
        rank, num_workers = self.worker
        training = given.training(first_step * num_workers)
        return training if num_workers == 1 else training.shard(num_workers, rank)

    def build_dataset_calibration(self, nb_smpls: int) -> "tf.data.Dataset":
        """Give training samples, none of them held out."""
        if self._kept is None:
            return super().build_dataset_calibration(nb_smpls)
        samples = self._kept.batches.unbatch().take(nb_smpls)
        return counted(samples.batch(self.config.batch_size_eval).cache())

    def build_dataset_eval(self) -> "tf.data.Dataset":
        """Give the held-out batches."""
        return self._eval.batches

    def plain_labels(self, labels: Any) -> Any:
        """Give the labels of a batch without their sample weights."""
        return unpacked(labels)[0]

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one pass through the training data, a batch in each for every worker."""
        return max(1, self._train.num_batches // self.worker[1])

    @functools.cached_property
    def nb_smpls_train(self) -> int:
        """Images of one pass, the last batch counted as full."""
        return self._train.num_batches * self._train.batch_size()

    def calc_loss(
        self, labels: Any, outputs: Any, trainable_vars: Sequence[Any]
    ) -> tuple[Any, Mapping[str, Any]]:
        """Compute the loss, and the metrics that are means over samples; see `build_metrics`."""
        loss = self._scores.loss(labels, outputs) + self.weight_decay(trainable_vars)
        return loss, self._scores.means(labels, outputs)

    def build_metrics(self) -> Sequence[keras.metrics.Metric]:
        """Make all metrics that `evaluate` has."""
        return (CompiledMetrics(self._scores),)

    def _output_meanings(self) -> Sequence[str | None]:
        return self._meanings

    @property
    def scores_classes(self) -> bool:
        """Whether the loss is a cross-entropy between classes of the only output."""
        return self._scores_classes


def _rows(data: tuple[Any, Any], rows: slice) -> tuple[Any, Any]:
    inputs, labels = data
    return inputs[rows], labels[rows]


def _digest(*splits: Any) -> str | None:
    """Digest splits that are arrays; None where one is made of batches."""
    if not all(isinstance(split, tuple) for split in splits):
        return None
    return arrays_digest(np.asarray(array) for array in keras.tree.flatten(splits))


def _check_same_form(train: Any, held_out: Any) -> None:
    """Refuse labels that are one-hot in one split and classes in the other, and the like."""
    ours, theirs = (keras.tree.flatten(unpacked(labels)[0]) for labels in (train, held_out))
    if len(ours) != len(theirs) or not all(
        one.shape[1:].is_compatible_with(other.shape[1:])
        for one, other in zip(ours, theirs, strict=True)
    ):
        raise InputError(
            "`train_ds` and `eval_ds` must have labels of one form. Received: "
            f"{[tuple(one.shape) for one in ours]} and {[tuple(one.shape) for one in theirs]}."
        )


def _input_shapes(network: keras.Model) -> dict[str, tuple[int | None, ...]]:
    """Name the inputs as a batch does: by the keys of the dict that the model takes, if any."""
    called_with = network.input
    if isinstance(called_with, Mapping):
        return {name: tuple(called_with[name].shape) for name in sorted(called_with)}
    return {tensor.name: tuple(tensor.shape) for tensor in network.inputs}
