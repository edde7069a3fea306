"""Data as a user has them: one literal table of forms, tried in order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from datasets import DATASETS, load_dataset
from datasets.config import DataConfig
from datasets.user_data.array_files import is_idx_folder, read_idx_folder, read_npz
from datasets.user_data.image_folder import (
    is_plain_folder,
    read_image_folder,
    read_plain_folder,
)
from datasets.user_data.parts import GivenData, Part, Stored, UserData
from datasets.user_data.python_file import read_python_file
from datasets.user_data.record_files import is_record_folder, read_records
from datasets.user_data.table_files import is_table_folder, read_table
from utils.digests import arrays_digest, path_digest
from utils.errors import InputError
from utils.flags import nearest

_Read = Callable[[Path, str | None], UserData | GivenData]


@dataclasses.dataclass(frozen=True)
class Form:
    """A form in which data may come.

    Attributes:
        title: for messages.
        fits: whether a file or folder is of this form.
        read: reads it, given the column of the labels, too.
        without_tensorflow: whether it can be read before TensorFlow is imported.
    """

    title: str
    fits: Callable[[Path], bool]
    read: _Read
    without_tensorflow: bool = True


def _ends(*endings: str) -> Callable[[Path], bool]:
    return lambda path: path.is_file() and path.name.lower().endswith(endings)


FORMS = (
    Form("a .npz file", _ends(".npz"), lambda path, _: read_npz(path)),
    Form("a .csv file", _ends(".csv", ".tsv"), read_table),
    Form(
        "a .py file with train_data() and test_data()",
        _ends(".py"),
        lambda path, _: read_python_file(path),
        without_tensorflow=False,
    ),
    Form(
        "a folder of TFRecord files",
        lambda path: is_record_folder(path) if path.is_dir() else "tfrecord" in path.name,
        lambda path, _: read_records(path),
        without_tensorflow=False,
    ),
    Form(
        "a folder of idx files",
        lambda path: path.is_dir() and is_idx_folder(path),
        lambda path, _: read_idx_folder(path),
    ),
    Form(
        "a folder with train.csv and test.csv",
        lambda path: path.is_dir() and is_table_folder(path),
        read_table,
    ),
    Form(
        "a folder of images without labels",
        is_plain_folder,
        lambda path, _: read_plain_folder(path),
    ),
    Form(
        "a folder with a sub-folder of images for each class",
        Path.is_dir,
        lambda path, _: read_image_folder(path),
    ),
)

# What people call built-in data sets besides their names here.
ALIASES = {"fashion_mnist": "fmnist", "fashion-mnist": "fmnist", "cifar-10": "cifar10"}


def find_form(source: str) -> Form | None:
    """Find the form of what `--data` names.

    Args:
        source: a path, or the name of a built-in data set.

    Returns:
        The form; None for a built-in data set.

    Raises:
        InputError: if there is no such thing, or its form is unknown.
    """
    if ALIASES.get(source, source) in DATASETS:
        return None
    path = Path(source).expanduser()
    forms = f"Give {', '.join(form.title for form in FORMS)}, or the name of a built-in data set."
    if not path.exists():
        raise InputError(
            f"`data`: there is neither a file nor a folder {source!r}, nor a data set of that "
            f"name. {nearest(source, DATASETS)} {forms}"
        )
    form = next((form for form in FORMS if form.fits(path)), None)
    if form is None:
        raise InputError(f"`data`: {source} is none of what can be read. {forms}")
    return form


def read_data(
    source: str, config: DataConfig, label_column: str | None = None
) -> UserData | GivenData:
    """Read what `--data` names.

    Args:
        source: a path, or the name of a built-in data set.
        config: the flags about data, for built-in data sets.
        label_column: of tables.

    Raises:
        InputError: for missing, unreadable, damaged or oversized data, see the readers.
    """
    form = find_form(source)
    if form is None:
        return _built_in(ALIASES.get(source, source), config)
    return form.read(Path(source).expanduser(), label_column)


def _built_in(name: str, config: DataConfig) -> UserData:
    module = load_dataset(name)
    arrays, info = module.load(config), module.INFO
    train, test = (
        Part(inputs=Stored(images, float(info.max_value)), labels=labels.astype("int64"))
        for images, labels in (
            (arrays.train_images, arrays.train_labels),
            (arrays.test_images, arrays.test_labels),
        )
    )
    return UserData(name=name, train=train, test=test, mean=info.mean, std=info.std)


def source_digest(source: str, config: DataConfig) -> str:
    """Digest what `--data` names: a run that is resumed must have the same data.

    Args:
        source: a path, or the name of a built-in data set.
        config: the flags about data, for built-in data sets.
    """
    if find_form(source) is None:
        return arrays_digest(load_dataset(ALIASES.get(source, source)).load(config))
    return path_digest(Path(source).expanduser())
