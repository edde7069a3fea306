"""Free Spoken Digit Dataset: 3,000 recordings of the digits 0 to 9, six speakers, as spectrograms.

A recording becomes a picture of 51 time steps by 40 mel bands, the usual input of keyword spotting:
one second (shorter ones in the middle of silence, longer ones cut to their middle), a Fourier
transform of 256 samples every 160, triangular mel filters up to 4 kHz, decibels below the loudest
entry, of which the uppermost 80 are spread over 0..255. So 0 is silence, also in the padding of the
random crop, which shifts a recording in time and pitch.

Reference: Jackson et al., "Free Spoken Digit Dataset", https://github.com/Jakobovski/
free-spoken-digit-dataset; its official split holds out takes 0 to 4 of each digit and speaker. All
speakers are on both sides of it: how well a network does on voices that it never heard is seen with
`--split=speaker:<name>`.
"""

from __future__ import annotations

import dataclasses
import functools
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from datasets import pipeline
from datasets.config import DataConfig
from datasets.dataset_info import Arrays, DatasetInfo
from datasets.paths import find_directory
from datasets.spectrogram import as_pictures, band_power, mel_filters
from utils.archives import open_archive, read_npy
from utils.errors import InputError
from utils.flags import flag

if TYPE_CHECKING:
    import tensorflow as tf

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
OFFICIAL = "official"
_FILE = "fsdd_8k_int16.npz"
_NUM_RECORDINGS = 3000
_NUM_TAKES = 50
_NUM_TEST_TAKES = 5
_MAX_BYTES = 64 << 20  # 22 minutes of sound take 21 MB
# Type and shape of each array; None for as many as there are.
_SHAPES: Mapping[str, tuple[str, tuple[int, ...] | None]] = {
    "pcm": ("int16", None),
    "offset": ("int64", (_NUM_RECORDINGS + 1,)),
    "label": ("uint8", (_NUM_RECORDINGS,)),
    "speaker": ("uint8", (_NUM_RECORDINGS,)),
    "take": ("uint8", (_NUM_RECORDINGS,)),
}

SAMPLE_RATE = 8000
_WINDOW = 256
_HOP = 160
_NUM_BANDS = 40
_LOWEST, _HIGHEST = 20.0, 4000.0  # Hz
_DECIBELS = 80.0
_AT_ONCE = 500  # recordings whose spectra are in memory together

INFO = DatasetInfo(
    name="fsdd",
    title="Free Spoken Digit Dataset",
    num_classes=10,
    image_shape=(1 + SAMPLE_RATE // _HOP, _NUM_BANDS, 1),
    num_train=2700,
    num_test=300,
    max_value=255,
    mean=(0.2396,),
    std=(0.3011,),
    crop_padding=2,
    folder="fsdd",
    class_names=tuple("0123456789"),
    is_image=False,
    files=((_FILE, None),),
    source=(
        "The recordings are at https://github.com/Jakobovski/free-spoken-digit-dataset; "
        "docs/fsdd.md says how to pack them."
    ),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FsddDataConfig(DataConfig):
    """The flags about data, and who is held out."""

    split: str = flag(
        OFFICIAL,
        "What is the test split: the official takes 0 to 4, or all recordings of one speaker, of "
        "whom none is in the training split then.",
        choices=(OFFICIAL, *(f"speaker:{name}" for name in SPEAKERS)),
    )


class Recordings(NamedTuple):
    """The file's content.

    Attributes:
        pcm: int16 [samples], all recordings one after another, 8,000 samples a second.
        offset: int64 [3001], where each begins; the last entry is the number of samples.
        label: uint8 [3000], the digit.
        speaker: uint8 [3000], index into `SPEAKERS`.
        take: uint8 [3000], 0..49.
    """

    pcm: np.ndarray
    offset: np.ndarray
    label: np.ndarray
    speaker: np.ndarray
    take: np.ndarray


def load(config: DataConfig) -> Arrays:
    """Read the recordings and compute their spectrograms; repeated calls share the arrays.

    Args:
        config: the flags that say where the file lies and, of `FsddDataConfig`, what is held out.

    Returns:
        The arrays; pictures uint8 [n, 51 steps, 40 bands, 1].

    Raises:
        InputError: for a missing, truncated or corrupted file.
    """
    split = config.split if isinstance(config, FsddDataConfig) else OFFICIAL
    return _load(find_directory(INFO, config) / _FILE, split)


def build(split: str, config: DataConfig, plan: pipeline.BatchPlan) -> tf.data.Dataset:
    """Build the batches of one split, see `datasets.pipeline.build`."""
    return pipeline.build(split, load(config), INFO, config, plan)


@functools.lru_cache(maxsize=2)
def _load(path: Path, split: str) -> Arrays:
    pictures, facts = _whole(path)
    test = facts.take < _NUM_TEST_TAKES
    if split != OFFICIAL:
        test = facts.speaker == SPEAKERS.index(split.partition(":")[2])
    labels = facts.label.astype(np.int32)
    return Arrays(pictures[~test], labels[~test], pictures[test], labels[test])


@functools.lru_cache(maxsize=1)
def _whole(path: Path) -> tuple[np.ndarray, Recordings]:
    """Compute all pictures; of the recordings themselves only the facts stay in memory."""
    recordings = read_recordings(path)
    filters = mel_filters(_NUM_BANDS, _WINDOW // 2 + 1, SAMPLE_RATE, _LOWEST, _HIGHEST)
    parts = []
    for start in range(0, _NUM_RECORDINGS, _AT_ONCE):
        sound = one_second(recordings, range(start, start + _AT_ONCE))
        parts.append(as_pictures(band_power(sound, _WINDOW, _HOP, filters), _DECIBELS))
    return np.concatenate(parts), recordings._replace(pcm=np.empty(0, np.int16))


def one_second(recordings: Recordings, numbers: range) -> np.ndarray:
    """Cut recordings to their middle second, or put them in the middle of a silent one.

    Args:
        recordings: the file's content.
        numbers: which ones.

    Returns:
        int16 [recordings, 8000].
    """
    sound = np.zeros((len(numbers), SAMPLE_RATE), np.int16)
    for row, number in zip(sound, numbers, strict=True):
        pcm = recordings.pcm[recordings.offset[number] : recordings.offset[number + 1]]
        pcm = pcm[max(pcm.size - row.size, 0) // 2 :][: row.size]
        first = (row.size - pcm.size) // 2
        row[first : first + pcm.size] = pcm
    return sound


def read_recordings(path: Path) -> Recordings:
    """Read and check the file.

    Args:
        path: the `.npz` file.

    Returns:
        Its content.

    Raises:
        InputError: if it is missing, truncated, corrupted, larger than the data set can be, or
            holds other arrays.
    """
    with open_archive(path, ".npz", _MAX_BYTES) as archive:
        arrays = {name: read_npy(archive, f"{name}.npy") for name in (*_SHAPES, "speakers")}
    for name, (dtype, shape) in _SHAPES.items():
        array = arrays[name]
        if array.dtype != dtype or array.shape != (shape or (array.size,)):
            wanted = f"{dtype} of shape {shape}" if shape else f"a vector of {dtype}"
            raise _wrong(
                path, f"the array {name!r} must be {wanted}", f"{array.dtype}, {array.shape}"
            )
    speakers = arrays.pop("speakers").ravel().tolist()
    if speakers != list(SPEAKERS):
        raise _wrong(path, f"`speakers` must be {', '.join(SPEAKERS)}", speakers)
    recordings = Recordings(**arrays)
    _check_numbers(path, recordings)
    return recordings


def _check_numbers(path: Path, recordings: Recordings) -> None:
    ends = recordings.offset[[0, -1]].tolist()
    if ends != [0, recordings.pcm.size]:
        raise _wrong(path, f"`offset` must begin with 0 and end with {recordings.pcm.size}", ends)
    if not (np.diff(recordings.offset) > 0).all():
        number = int(np.flatnonzero(np.diff(recordings.offset) <= 0)[0])
        raise _wrong(path, "`offset` must rise", f"no samples for recording {number}")
    bounds = {"label": INFO.num_classes, "speaker": len(SPEAKERS), "take": _NUM_TAKES}
    for name, bound in bounds.items():
        array = getattr(recordings, name)
        if array.max() >= bound:
            number = int(np.argmax(array >= bound))
            raise _wrong(
                path, f"the {name} of recording {number} must be in 0..{bound - 1}", array[number]
            )


def _wrong(path: Path, wanted: str, received: object) -> InputError:
    return InputError(f"{path}: {wanted}. Received: {received}. Fetch it again. {INFO.source}")


def pack(folder: Path | str, path: Path | str) -> None:
    """Pack the recordings as they are published, `<digit>_<speaker>_<take>.wav`, into one file.

    Args:
        folder: `recordings` of the data set's repository.
        path: the `.npz` file to write.

    Raises:
        InputError: if a recording is missing or is no 16-bit sound of one channel at 8,000 Hz.
    """
    names = {
        f"{digit}_{speaker}_{take}.wav": (digit, number, take)
        for digit in range(INFO.num_classes)
        for number, speaker in enumerate(SPEAKERS)
        for take in range(_NUM_TAKES)
    }
    parts = [_read_wav(Path(folder) / name) for name in sorted(names)]
    facts = np.array([names[name] for name in sorted(names)], np.uint8)
    np.savez_compressed(
        path,
        pcm=np.concatenate(parts),
        offset=np.cumsum([0, *(part.size for part in parts)], dtype=np.int64),
        **dict(zip(("label", "speaker", "take"), facts.T, strict=True)),
        speakers=np.array(SPEAKERS),
    )


def _read_wav(path: Path) -> np.ndarray:
    if not path.is_file():
        raise InputError(f"{path}: no such file. Give the folder `recordings`. {INFO.source}")
    try:
        with wave.open(str(path), "rb") as stream:
            kind = (stream.getnchannels(), stream.getsampwidth(), stream.getframerate())
            if kind != (1, 2, SAMPLE_RATE):
                raise wave.Error(f"channels, bytes, Hz are {kind}, not {(1, 2, SAMPLE_RATE)}")
            return np.frombuffer(stream.readframes(stream.getnframes()), "<i2")
    except (wave.Error, EOFError) as error:
        raise InputError(f"{path}: is no recording of this data set: {error}.") from error
