"""The ModelHelper of a network's file and data that lie somewhere: `--model` and `--data`.

Everything that a helper of one's own would say is told from the two: sizes by the network's input,
the scale by its first layers and its accuracy, the loss by its outputs and the labels.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from datasets.user_data import find_form, read_data, source_digest
from datasets.user_data.batches import Feed
from datasets.user_data.fit import fitting_shape
from datasets.user_data.parts import GivenData, Part, UserData
from nets.abstract_model_helper import AbstractModelHelper
from nets.config import GivenDataConfig, NetworkOnDataConfig
from nets.input_scale import (
    COLOR_SCALES,
    RAW,
    SCALES,
    Affine,
    Choice,
    affine,
    candidates,
    choose,
    input_shape,
    scale_of_layers,
)
from nets.network_file import read_network
from nets.own_labels import answered
from nets.task import VALUES, Task, find_task
from utils.command import notes
from utils.errors import InputError
from utils.export.data_facts import DataFacts

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from nets.keras_model_helper import KerasModelHelper

_MANY_SAMPLES, _FEW_SAMPLES = 256, 64  # that the network is tried on; few of large inputs
_LARGE_INPUT = 64 * 64 * 3


class ModelHelper(AbstractModelHelper):
    """A trained network on data, see the module."""

    config_class = NetworkOnDataConfig
    num_epochs = 10
    epochs_decay = (6, 9)
    decay_rates = (1.0, 0.1, 0.01)

    config: NetworkOnDataConfig

    # --- what is given ------------------------------------------------------------------------

    def check_files(self) -> None:
        """Read the data as far as that needs no TensorFlow; a folder's images by their heads."""
        form = find_form(self._source)
        if form is None or form.without_tensorflow:
            _ = self._data

    @property
    def _source(self) -> str:
        return str(self.config.data_source)

    @functools.cached_property
    def _data(self) -> UserData | GivenData:
        found = read_data(self._source, self.config.data, self.config.label_column)
        for note in getattr(found, "notes", ()):
            notes.print(f"note: {note}", markup=False)
        return found

    @functools.cached_property
    def _network(self) -> keras.Model:
        _ = self._data  # a .py file may register layers that the network has
        from utils.graph.keras_reading import functional_model

        return functional_model(self._load())

    def _load(self) -> keras.Model:
        """Load the network's file."""
        return read_network(
            str(self.config.model),
            input_shape=self.config.input_shape,
            weights=self.config.weights,
            allow_unsafe=self.allow_unsafe,
        )

    @property
    def _file(self) -> Path:
        """The file that the network is named after."""
        return Path(str(self.config.weights_file))

    @functools.cached_property
    def _ready(self) -> _Ready | None:
        """What is told from network and data; None where the data are batches already."""
        if isinstance(self._data, GivenData):
            return None
        ready = _Ready(self._network, self._data, self.config, self.seed, self.allow_unsafe)
        for line in ready.words(self._file.name):
            notes.print(f"note: {line}", markup=False)
        return ready

    @functools.cached_property
    def _inner(self) -> KerasModelHelper:
        """The helper that scores the network and its copies."""
        from nets.keras_model_helper import KerasModelHelper

        ready, data = self._ready, self._data
        if ready is None:
            network, splits = self._network, (data.train, data.test)
        else:
            network = ready.compiled
            splits = (
                ready.feed.ordered(ready.train, self._batch_size),
                ready.feed.ordered(ready.test, self.config.batch_size_eval),
            )
        helper = KerasModelHelper(network, *splits, self.config, self.seed)
        if ready is None:
            line = _first_batch(helper, network)
            notes.print(f"note: {self._file.name} on {data.name}: {line}", markup=False)
        return helper

    # --- data ---------------------------------------------------------------------------------

    def data_digest(self) -> str | None:
        """Digest the files of the data, or the built-in data set's arrays."""
        return self._data_digest

    @functools.cached_property
    def _data_digest(self) -> str | None:
        return source_digest(self._source, self.config.data)

    @property
    def _batch_size(self) -> int:
        """Samples per step and worker: no more than there are."""
        ready = self._ready
        count = self.config.batch_size if ready is None else len(ready.train) // self.worker[1]
        return max(1, min(self.config.batch_size, count))

    def build_dataset_train(
        self, enbl_trn_val_split: bool = False, *, first_step: int = 0
    ) -> tf.data.Dataset | tuple[tf.data.Dataset, tf.data.Dataset]:
        """Build training batches: all samples in another order every epoch, not augmented."""
        ready = self._ready
        if ready is None:
            if enbl_trn_val_split:
                raise InputError(
                    f"{self._source} gives batches, of which none can be held out for a search. "
                    "Let train_data() return arrays (inputs, labels)."
                )
            self._inner.worker = self.worker
            return self._inner.build_dataset_train(first_step=first_step)
        kept, held_out = self._divided if enbl_trn_val_split else (ready.train, None)
        training = ready.feed.training(
            kept,
            min(self._batch_size, len(kept)),
            seed=self.seed,
            first_step=first_step,
            worker=self.worker,
        )
        if held_out is None:
            return training
        return training, ready.feed.ordered(held_out, self.config.batch_size_eval)

    def build_dataset_val(self) -> tf.data.Dataset | None:
        """Build the batches of the data's own validation part, where there is one."""
        ready = self._ready
        if ready is None or ready.val is None:
            return None
        return ready.feed.ordered(ready.val, self.config.batch_size_eval)

    def build_dataset_eval(self) -> tf.data.Dataset:
        """Build the batches of the test part."""
        return self._inner.build_dataset_eval()

    def build_dataset_calibration(self, nb_smpls: int) -> tf.data.Dataset:
        """Build batches of training samples in a seeded order, none of them held out."""
        ready = self._ready
        if ready is None:
            return super().build_dataset_calibration(nb_smpls)
        kept = self._divided[0]
        rows = np.random.default_rng(self.seed).permutation(len(kept))[:nb_smpls]
        return ready.feed.ordered(kept.select(rows), self.config.batch_size_eval)

    @functools.cached_property
    def _divided(self) -> tuple[Part, Part]:
        """Samples that train and those held out for choices, by the data where they say so."""
        ready: Any = self._ready
        if ready.val is not None:
            return ready.train, ready.val
        return ready.train.divide(self.config.data.val_fraction, self.seed)

    def plain_labels(self, labels: Any) -> Any:
        """Give the labels of a batch without sample weights."""
        return self._inner.plain_labels(labels)

    # --- network ------------------------------------------------------------------------------

    def build_model(self) -> keras.Model:
        """Copy the network of the file."""
        return self._inner.build_model()

    def calc_loss(
        self, labels: Any, outputs: Any, trainable_vars: Sequence[Any]
    ) -> tuple[Any, Mapping[str, Any]]:
        """Compute the loss that outputs and labels tell, and the accuracy."""
        return self._inner.calc_loss(labels, outputs, trainable_vars)

    def build_metrics(self) -> Sequence[keras.metrics.Metric]:
        """Make the metrics that go with the loss."""
        return self._inner.build_metrics()

    def _output_meanings(self) -> Sequence[str | None]:
        return self._inner._output_meanings()

    @property
    def scores_classes(self) -> bool:
        """Whether the loss that was told is a cross-entropy between classes."""
        return self._inner.scores_classes

    # --- facts --------------------------------------------------------------------------------

    @property
    def model_name(self) -> str:
        """The file's name."""
        return self._file.stem

    @property
    def dataset_name(self) -> str:
        """The data set's name, or the name of the file or folder."""
        return Path(self._source).name or self._source

    @property
    def data_facts(self) -> DataFacts:
        """The names of the classes, where they have names, and what was told of the scale."""
        return DataFacts() if self._ready is None else self._ready.data_facts()

    @property
    def steps_per_epoch(self) -> int:
        """Training steps per epoch."""
        if self._ready is None:
            self._inner.worker = self.worker
            return self._inner.steps_per_epoch
        return max(1, len(self._ready.train) // (self._batch_size * self.worker[1]))

    @functools.cached_property
    def nb_smpls_train(self) -> int:
        """Training samples."""
        return self._inner.nb_smpls_train if self._ready is None else len(self._ready.train)


class _Ready:
    """What is told from a network and samples.

    Attributes:
        train: with labels as the loss takes them.
        test: likewise.
        val: likewise; None where the data say nothing of it.
        feed: makes batches.
        compiled: the network with its loss.
    """

    def __init__(
        self,
        network: keras.Model,
        data: UserData,
        config: GivenDataConfig,
        seed: int,
        allow_unsafe: bool,
    ) -> None:
        from utils.graph import endings, from_keras

        self._network, self._data = network, data
        shape = input_shape(network)
        graph = from_keras(network, allow_unsafe=allow_unsafe)
        ending = endings(graph)[0].kind
        self._shape = fitting_shape(data.train.inputs.shape, shape, data.name)
        if data.unlabelled:
            scale = config.scale or scale_of_layers(graph)
            self._data = data = answered(data, network, self._shape, scale, ending, config.data)
            config = dataclasses.replace(config, scale=scale)
        parts = [part for part in (data.train, data.test, data.val) if part is not None]
        self.task = find_task(network.outputs, ending, parts, data.classes, data.name)
        for part in parts:
            if part.inputs.shape != data.train.inputs.shape:
                raise InputError(
                    f"{data.name}: its parts have inputs of shapes {data.train.inputs.shape} and "
                    f"{part.inputs.shape}. Give one shape."
                )
            part.inputs.check(self._shape)
        self._feed_facts: dict[str, Any] = {
            "shape": self._shape,
            "num_threads": config.data.nb_threads,
            "prefetch": config.data.prefetch_size,
        }
        self.choice = self._choose(config.scale, scale_of_layers(graph), seed)
        self.feed = Feed(scaled=self._affine(self.choice.scale), **self._feed_facts)
        self.train, self.test = self._labelled(data.train), self._labelled(data.test)
        self.val = None if data.val is None else self._labelled(data.val)
        network.compile(**self.task.compile_arguments())
        self.compiled = network

    def _labelled(self, part: Part) -> Part:
        return Part(inputs=part.inputs, labels=self.task.labels(part.labels))

    # --- the scale ----------------------------------------------------------------------------

    def _choose(self, given: str | None, own: str | None, seed: int) -> Choice:
        """Try the network on a few training samples."""
        white, train = self._data.train.inputs.white, self._data.train
        count = _MANY_SAMPLES if np.prod(self._shape) <= _LARGE_INPUT else _FEW_SAMPLES
        rows = np.random.default_rng(seed).permutation(len(train))[:count]
        self._tried = train.select(rows)
        stored = getattr(train.inputs, "array", None)
        names = candidates(
            self._shape,
            white=white,
            own=own,
            as_they_are=stored is not None and stored.dtype.kind == "f",
        )
        if given is not None:
            self._check_given(given, white)
        return choose(
            names,
            self._score,
            chance=self.task.chance(self._tried.labels),
            num_samples=len(rows),
            given=given,
            is_told=own is not None,
        )

    def _check_given(self, scale: str, white: float | None) -> None:
        """Refuse a scale that these inputs cannot have."""
        if white is None and scale != RAW:
            raise InputError(
                "`scale` is for images whose values lie in 0..1 or 0..255. Received: "
                f"--scale={scale} for {self._data.name}, whose inputs are taken as they are. Leave "
                "it out."
            )
        if scale in COLOR_SCALES and self._num_channels != len("rgb"):
            others = ", ".join(name for name in SCALES if name not in COLOR_SCALES)
            raise InputError(
                f"--scale={scale} is for images of three channels; the network takes inputs of "
                f"shape {self._shape}. Give another: {others}."
            )

    @property
    def _num_channels(self) -> int:
        """Channels of an image; those of flat rows are not told apart."""
        return self._shape[-1] if len(self._shape) == len("hwc") else 1

    @functools.cached_property
    def _raw(self) -> list[tf.Tensor]:
        """Batches of the inputs that are tried, before they are scaled; read once."""
        feed = Feed(scaled=lambda inputs: inputs, **self._feed_facts)
        return [inputs for inputs, _ in feed.ordered(self._tried, 64)]

    def _score(self, scale: str) -> float:
        scaled = self._affine(scale)
        outputs = [np.asarray(self._network(scaled(raw), training=False)) for raw in self._raw]
        return self.task.score(self._tried.labels, np.concatenate(outputs))

    @functools.cached_property
    def _statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and deviation of each channel, of inputs divided by white."""
        mean, std = self._data.mean, self._data.std
        if mean is not None and std is not None and len(mean) == self._num_channels:
            return mean, std
        pixels = np.concatenate([np.asarray(inputs) for inputs in self._raw])
        pixels = pixels.reshape(-1, self._num_channels) / float(self._tried.inputs.white or 1)
        deviations = np.maximum(pixels.std(axis=0), 1e-6)
        return tuple(pixels.mean(axis=0).tolist()), tuple(deviations.tolist())

    def _affine(self, scale: str) -> Affine:
        mean, std = self._statistics if scale == "standard" else ((), ())
        return affine(scale, white=self._data.train.inputs.white, mean=mean, std=std)

    def data_facts(self) -> DataFacts:
        """Say what users of a file must know of the data."""
        scaled, white = self._affine(self.choice.scale), self._data.train.inputs.white
        normalization = None if white is None else scaled.normalization()
        mean, std = normalization or ((), ())
        labels = tuple(map(str, self._data.classes))
        return DataFacts(labels=labels, mean=mean, std=std, is_image=white is not None)

    # --- in words -----------------------------------------------------------------------------

    def words(self, name: str) -> list[str]:
        """Say what the network reaches before anything is done, and on which scale."""
        choice, count, data = self.choice, len(self._tried), self._data
        reached = _reached(self.task, choice.scores[choice.scale], count)
        size = " x ".join(map(str, self._shape))
        white = data.train.inputs.white
        scaled = "" if white is None else f", values {choice.scale}"
        if white is not None and choice.scale != RAW and white not in (1.0, 255.0):
            scaled += f" ({white:g} in the data is taken for white)"
        lines = [
            f"{name} on {data.name}: {len(data.train):,} training and {len(data.test):,} test "
            f"samples of {size}{scaled}; before anything is done {reached}."
        ]
        if choice.better is not None:
            lines.append(
                f"with --scale={choice.better} it would be right on "
                f"{choice.scores[choice.better]:.1%} instead of {choice.scores[choice.scale]:.1%}."
            )
        elif choice.near_chance:
            lines.append(self._advice(name))
        return lines

    def _advice(self, name: str) -> str:
        """Say what to look at where the network is right by chance, whatever the scale."""
        choice, classes = self.choice, self._data.classes
        others = [f"{s} {v:.1%}" for s, v in choice.scores.items() if s != choice.scale]
        tried = f" Other values of --scale do not help: {', '.join(others)}." if others else ""
        order = f" ({', '.join(classes[:4])}{', …' if len(classes) > 4 else ''})" if classes else ""
        return (
            f"{name} is no better than guessing on these data.{tried} Was it trained, on these "
            f"classes, numbered in this order{order}, and on inputs as "
            "--scale=0..1|0..255|-1..1|imagenet makes them?"
        )


def _first_batch(helper: KerasModelHelper, network: keras.Model) -> str:
    """Say what a network reaches on the first batch, where batches are all that is given."""
    inputs, labels = next(iter(helper.build_dataset_eval()))
    loss, metrics = helper.calc_loss(labels, network(inputs, training=False), [])
    reached = {"loss": loss, **metrics}
    words = ", ".join(f"{name} {float(value):.4g}" for name, value in reached.items())
    return f"before anything is done {words} on the first batch of test_data()."


def _reached(task: Task, score: float, count: int) -> str:
    if task.kind == VALUES:
        return f"it explains {score:.1%} of the variance of {count} training samples"
    return f"it is right on {round(score * count)} of {count} training samples ({score:.1%})"
