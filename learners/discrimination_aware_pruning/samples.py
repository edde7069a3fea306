"""The training images that channels are chosen with, and their labels."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from learners.labelled import labelled_batches
from nets.abstract_model_helper import AbstractModelHelper


@dataclasses.dataclass(frozen=True)
class Samples:
    """Images with labels, the same in the same batches at every pass.

    Attributes:
        images: batches of inputs.
        labels: of each batch.
    """

    images: tf.data.Dataset
    labels: Sequence[Any]

    @property
    def num_images(self) -> int:
        """Count them."""
        return sum(len(keras.tree.flatten(labels)[0]) for labels in self.labels)


def labelled_samples(helper: AbstractModelHelper, num_images: int) -> Samples:
    """Draw training images, in batches as training has them.

    Args:
        helper: gives the data.
        num_images: how many, or all where there are fewer.

    Returns:
        The samples.

    Raises:
        InputError: if the helper gives images for calibration without their labels.
    """
    # One pass of a helper's own data decides: another might come in another order.
    batches = labelled_batches(helper, num_images).unbatch().batch(helper.config.batch_size).cache()
    labels = [element[1] for element in batches]
    return Samples(batches.map(lambda images, *_: images), labels)
