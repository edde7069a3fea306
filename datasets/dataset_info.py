"""The facts of a data set, and the arrays it consists of."""

import dataclasses
from typing import NamedTuple

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """What is known about a data set before a file is opened.

    Attributes:
        name: short name; the key `data_dir_local_<name>` of path.conf.
        title: the name people know.
        num_classes: labels are 0 .. num_classes - 1.
        image_shape: (height, width, channels).
        num_train: images of the training split.
        num_test: images of the test split.
        max_value: the raw value of a white pixel.
        mean: per channel, of pixels divided by `max_value`, over the training split.
        std: likewise, the standard deviation.
        crop_padding: zero pixels added on every side before the random crop of training images;
            0 means no crop.
        flip: True if a mirrored image keeps its label.
        folder: its folder below $FLOWPRESS_DATA; empty for data that comes with a package.
        subfolders: folders below the data folder in which the files may lie instead.
        files: (file name, exact bytes or None if that varies) of every file it is read from.
        source: where to get it, for error messages.
        class_names: of the labels, in order.
        is_image: False where `image_shape` is that of another signal.
    """

    name: str
    title: str
    num_classes: int
    image_shape: tuple[int, int, int]
    num_train: int
    num_test: int
    max_value: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop_padding: int = 0
    flip: bool = False
    folder: str = ""
    subfolders: tuple[str, ...] = ()
    files: tuple[tuple[str, int | None], ...] = ()
    source: str = ""
    class_names: tuple[str, ...] = ()
    is_image: bool = True


class Arrays(NamedTuple):
    """Both splits of a data set in memory.

    Images are uint8 [n, height, width, channels], labels int32 [n].
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
