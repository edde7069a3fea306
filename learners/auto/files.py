"""The file that decides: made of a candidate, counted, run on held-out images."""

import dataclasses
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from learners.auto.offers import MICRO_FILE, PACKED_FILE, Offer
from nets.abstract_model_helper import AbstractModelHelper
from utils.errors import InputError
from utils.export.config import ConvertConfig
from utils.export.decode_tables import with_decode
from utils.export.errors import ExportError
from utils.export.runner import TFLiteRunner
from utils.export.tflite import convert
from utils.graph import from_keras
from utils.quantization.packed import pack
from utils.training import Evaluator, Scores, evaluate

POINTS = 100.0  # of a fraction


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seen:
    """What a candidate's file is like.

    Attributes:
        num_bytes: as the offer counts them.
        scores: on the held-out images.
    """

    num_bytes: int
    scores: Scores


class DecidingFile:
    """Makes and checks files.

    Args:
        offer: which file, and how its bytes count.
        config: how files are made.
        helper: data, loss and metrics.
        images: batches (images, labels) that decide.
        network: the network before: the drop is counted from it.

    Attributes:
        before: what it scores.
        num_images: that decide.
    """

    def __init__(
        self,
        offer: Offer,
        config: ConvertConfig,
        helper: AbstractModelHelper,
        images: tf.data.Dataset,
        network: keras.Model,
    ) -> None:
        self._offer, self._config, self._helper, self._images = offer, config, helper, images
        self._calibration: list[Any] | None = None
        self.before: Scores = evaluate(network, images, helper)
        self.num_images = sum(len(keras.tree.flatten(inputs)[0]) for inputs, *_ in images)

    def drop(self, scores: Scores) -> float:
        """Say how much worse than the network before: points of a fraction, else percent."""
        return POINTS * self.before.deciding.gap(self.before.value, scores.value)

    def see(self, model: keras.Model) -> Seen:
        """Make a network's file and run it.

        Raises:
            InputError: if it cannot be made.
        """
        content, run = self._made(model)
        stored = len(zlib.compress(content, 9)) if self._offer.deflated else len(content)
        return Seen(num_bytes=stored, scores=Evaluator(run, self._helper)(self._images))

    def count(self, model: keras.Model) -> int:
        """Make a network's file and count its bytes."""
        content, _ = self._made(model)
        return len(zlib.compress(content, 9)) if self._offer.deflated else len(content)

    def _made(self, model: keras.Model) -> tuple[bytes, Any]:
        """Give the content of the file, and what computes as it does."""
        if self._offer.kind == PACKED_FILE:
            return pack(from_keras(model, allow_unsafe=True)), model
        try:
            content = convert(
                model,
                "int8",
                self._samples(),
                io_format=self._config.tflite_io,
                target=self._config.target,
            )
        except ExportError as error:
            raise InputError(
                f"the file that decides cannot be made: {error} Choose by another: --tflite=none "
                "decides by the packed file."
            ) from error
        run = _like_network(TFLiteRunner(content), model)
        if self._offer.kind == MICRO_FILE:  # which gives the plain file's outputs, bit for bit
            content, _ = with_decode(content)
        return content, run

    def _samples(self) -> Sequence[Any]:
        if self._calibration is None:
            batches: Any = self._helper.build_dataset_calibration(self._config.nb_smpls_calib)
            self._calibration = [b[0] if isinstance(b, tuple) else b for b in batches]
        return self._calibration


def _like_network(runner: TFLiteRunner, model: keras.Model) -> Callable[[Any], Any]:
    """Let a file take and give what the network does."""
    names = [tensor.name for tensor in model.inputs]

    def run(inputs: Any) -> Any:
        flat = keras.tree.flatten(inputs) if not isinstance(inputs, dict) else None
        arrays = inputs if flat is None else dict(zip(names, map(np.asarray, flat), strict=True))
        found = runner(arrays if len(names) > 1 else arrays[names[0]])
        flat_outputs = found if isinstance(found, list) else [found]
        return keras.tree.pack_sequence_as(model.output, flat_outputs)

    return run


def float_bytes(model: keras.Model, kind: str) -> int:
    """Count the bytes of the float file that shares of a budget are of.

    Args:
        model: the network.
        kind: of the file that decides; for the packed one that is the numbers alone.
    """
    if kind == PACKED_FILE:
        return 4 * sum(int(np.prod(weight.shape)) for weight in model.weights)
    return len(convert(model, "float32"))
