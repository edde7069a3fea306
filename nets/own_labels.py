"""Labels where there are none: a network's own answers; accuracy is then agreement with it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from datasets.config import DataConfig
from datasets.user_data.batches import Feed
from datasets.user_data.parts import Part, UserData
from nets.input_scale import SCALES, affine
from utils.errors import InputError

if TYPE_CHECKING:
    import keras

TEST_SHARE, HELD_OUT_SHARE = 0.2, 0.3  # of images that are given as arrays
FEWEST = 20
_BATCH_SIZE = 128


def answers(outputs: np.ndarray, ending: str, name: str) -> np.ndarray:
    """Give the classes that a network chooses.

    Args:
        outputs: float [n, classes], or [n, 1] of two classes.
        ending: what the output is, see `utils.graph.endings`.
        name: of the data, for messages.

    Returns:
        int64 [n].

    Raises:
        InputError: for outputs that are no classes: there is nothing to agree on.

    Example:
        >>> answers(np.array([[0.2, 0.8], [0.9, 0.1]]), "softmax", "data")
        array([1, 0])
    """
    if outputs.ndim == 2 and outputs.shape[1] >= 2:
        return outputs.argmax(axis=1).astype(np.int64)
    if outputs.ndim == 2 and ending == "sigmoid":
        return (outputs[:, 0] > 0.5).astype(np.int64)
    raise InputError(
        f"{name} has no labels, and the network's outputs [batch, "
        f"{', '.join(map(str, outputs.shape[1:]))}] are no classes whose agreement could be "
        "counted. Give data with labels, see docs/your_data.md."
    )


def answered(
    data: UserData,
    network: keras.Model,
    shape: tuple[int, ...],
    scale: str | None,
    ending: str,
    config: DataConfig,
) -> UserData:
    """Let a network's own answers be the labels of images that have none.

    Args:
        data: the images.
        network: answers.
        shape: of its input, without the batch.
        scale: that it was trained on, of `nets.input_scale.SCALES`.
        ending: see `answers`.
        config: how images are read.

    Raises:
        InputError: for a scale that cannot be told; images of another size; see `answers`.
    """
    if scale is None:
        raise InputError(
            f"{data.name} has no labels by which the scale of the images could be told, and "
            "the network does not begin with a Rescaling. Say on which it was trained: "
            f"--scale={'|'.join(name for name in SCALES if name != 'standard')}."
        )
    for part in (data.train, data.test, data.val):
        if part is not None:
            part.inputs.check(shape)
    if scale == "standard":
        raise InputError(
            f"--scale=standard is told from labelled images; {data.name} has no labels. Give "
            "the scale that the network was trained on."
        )
    scaled = affine(scale, white=data.train.inputs.white)
    facts = {"num_threads": config.nb_threads, "prefetch": config.prefetch_size}
    return labelled(data, network, Feed(shape=shape, scaled=scaled, **facts), ending)


def labelled(data: UserData, network: keras.Model, feed: Feed, ending: str) -> UserData:
    """Let a network's own answers be the labels of all parts.

    Raises:
        InputError: see `answers`.
    """

    def answered(part: Part) -> Part:
        outputs = [
            np.asarray(network(inputs, training=False))
            for inputs, _ in feed.ordered(part, _BATCH_SIZE)
        ]
        return dataclasses.replace(part, labels=answers(np.concatenate(outputs), ending, data.name))

    return dataclasses.replace(
        data,
        train=answered(data.train),
        test=answered(data.test),
        val=None if data.val is None else answered(data.val),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelledArrays:
    """Images that a network labelled.

    Attributes:
        train: (inputs, labels).
        num_held_out: samples at the end of `train` that are for choices where one trains.
        test: (inputs, labels) that are not among them.
    """

    train: tuple[np.ndarray, np.ndarray]
    num_held_out: int
    test: tuple[np.ndarray, np.ndarray]


def labelled_arrays(images: Any, network: keras.Model, ending: str) -> LabelledArrays:
    """Divide images into a part to train on and one to test, with a network's answers as labels.

    Args:
        images: array [n, …], as the network takes them; or a finite data set of batches of images.
        network: gives the answers.
        ending: see `answers`.

    Returns:
        The parts; the same at every call. As of a folder's images, a fifth tests, and 30 % are for
        choices.

    Raises:
        InputError: for too few images, other shapes, or outputs that are no classes.
    """
    array = _as_array(images)
    wanted = tuple(network.inputs[0].shape[1:])
    if len(network.inputs) != 1 or len(array) < FEWEST or not _fits(array.shape[1:], wanted):
        raise InputError(
            f"`images` must be {FEWEST} or more inputs {wanted} of a network with one input. "
            f"Received: {array.shape} for {len(network.inputs)}. Resize them, or give `train_ds` "
            "and `eval_ds` of batches with labels."
        )
    labels = answers(
        np.asarray(network.predict(array, batch_size=_BATCH_SIZE, verbose=0)), ending, "`images`"
    )
    order = np.random.default_rng(0).permutation(len(array))
    test, train = np.split(order, [max(round(TEST_SHARE * len(array)), 1)])
    return LabelledArrays(
        train=(array[train], labels[train]),
        num_held_out=max(round(HELD_OUT_SHARE * len(array)), 1),
        test=(array[test], labels[test]),
    )


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        size is None or size == own for own, size in zip(shape, wanted, strict=True)
    )


def _as_array(images: Any) -> np.ndarray:
    """Put a data set's batches together; labels beside them are left out."""
    if hasattr(images, "element_spec"):
        parts = [batch[0] if isinstance(batch, tuple) else batch for batch in images]
        return np.concatenate([np.asarray(part, np.float32) for part in parts])
    try:
        return np.asarray(images, np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"`images` must be an array or a tf.data.Dataset. Received: {type(images).__name__}. A "
            "folder of images is what --data takes, see docs/your_data.md."
        ) from error
