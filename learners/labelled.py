"""Training images with their labels, for learners that choose by a loss."""

from typing import Any

from nets.abstract_model_helper import AbstractModelHelper
from utils.errors import InputError


def labelled_batches(helper: AbstractModelHelper, num_images: int) -> Any:
    """Give training images in batches, each a tuple of inputs, labels, and what else there is.

    Args:
        helper: gives the data.
        num_images: how many, or all where there are fewer.

    Returns:
        The `tf.data.Dataset`.

    Raises:
        InputError: if the helper gives images for calibration without their labels.
    """
    dataset: Any = helper.build_dataset_calibration(num_images)
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) < 2:
        raise InputError(
            f"{type(helper).__name__}.build_dataset_calibration must give (images, labels): "
            f"channels are chosen by a loss. Received elements of: {spec}. Return the labels too, "
            "or leave the method out."
        )
    return dataset
