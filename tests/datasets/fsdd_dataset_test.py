import wave
import zipfile

import numpy as np
import pytest

from datasets import fsdd_dataset
from datasets.config import DataConfig
from datasets.fsdd_dataset import INFO, SPEAKERS, FsddDataConfig, Recordings, one_second
from datasets.pipeline import BatchPlan
from utils.errors import InputError
from utils.flags import build

NUM = 3000


def small_arrays(**changes):
    """A whole file of very short recordings, three samples each."""
    numbers = np.arange(NUM)
    return {
        "pcm": np.arange(3 * NUM).astype(np.int16),
        "offset": np.arange(0, 3 * NUM + 1, 3),
        "label": (numbers // 300).astype(np.uint8),
        "speaker": (numbers // 50 % 6).astype(np.uint8),
        "take": (numbers % 50).astype(np.uint8),
        "speakers": np.array(SPEAKERS),
        **changes,
    }


def write(folder, **changes):
    path = folder / "fsdd_8k_int16.npz"
    np.savez_compressed(path, **small_arrays(**changes))
    return path


def config_of(folder, split="official"):
    return FsddDataConfig(data_dir_local=str(folder), split=split)


def test_real_file(real_file):
    config = config_of(real_file("fsdd"))
    arrays = fsdd_dataset.load(config)
    assert arrays.train_images.shape == (INFO.num_train, *INFO.image_shape)
    assert arrays.test_images.shape == (INFO.num_test, *INFO.image_shape)
    assert np.bincount(arrays.test_labels).tolist() == [30] * 10
    pixels = arrays.train_images / INFO.max_value
    assert pixels.mean() == pytest.approx(INFO.mean[0], abs=1e-4)
    assert pixels.std() == pytest.approx(INFO.std[0], abs=1e-4)
    _, labels = next(iter(fsdd_dataset.build("test", config, BatchPlan(batch_size=4))))
    assert labels.numpy().tolist() == [0] * 4


def test_the_pictures_can_be_told_apart(real_file):
    """A linear classifier by ridge regression, as in the data set's description: 94.3 %."""
    arrays = fsdd_dataset.load(config_of(real_file("fsdd")))
    train, test = (
        images.reshape(len(images), -1) / 255
        for images in (arrays.train_images, arrays.test_images)
    )
    mean = train.mean(axis=0)
    gram = (train - mean) @ (train - mean).T
    ridge = 0.3 * np.trace(gram) / len(gram) * np.eye(len(gram))
    wanted = np.eye(10)[arrays.train_labels] - 0.1
    scores = (test - mean) @ ((train - mean).T @ np.linalg.solve(gram + ridge, wanted))
    assert np.mean(scores.argmax(axis=1) == arrays.test_labels) > 0.92


def test_a_speaker_is_held_out(tmp_path):
    write(tmp_path)
    arrays = fsdd_dataset.load(config_of(tmp_path, "speaker:nicolas"))
    assert len(arrays.test_labels) == 500 and len(arrays.train_labels) == 2500
    official = fsdd_dataset.load(config_of(tmp_path))
    assert len(official.test_labels) == 300
    assert len(fsdd_dataset.load(DataConfig(data_dir_local=str(tmp_path))).test_labels) == 300


def test_whose_recordings_are_held_out(tmp_path):
    """Each speaker's recordings are of another length, and so of another picture."""
    speaker = np.arange(NUM) // 50 % 6
    lengths = 400 * (1 + speaker)
    write(
        tmp_path,
        pcm=np.tile(np.array([3000, -3000], np.int16), lengths.sum() // 2),
        offset=np.concatenate([[0], np.cumsum(lengths)]),
    )
    arrays = fsdd_dataset.load(config_of(tmp_path, "speaker:jackson"))
    loud = (arrays.test_images > 0).any(axis=(2, 3)).sum(axis=1)
    others = (arrays.train_images > 0).any(axis=(2, 3)).sum(axis=1)
    assert len(set(loud)) == 1 and len(set(others)) == 5 and loud[0] not in others


def test_unknown_speaker():
    with pytest.raises(InputError, match=r"`split` must be one of 'official', 'speaker:george', "):
        build(FsddDataConfig, {"split": "speaker:me"})


def test_one_second():
    lengths = (3, 8000, 9001)
    pcm = np.concatenate([np.arange(1, n + 1) for n in lengths]).astype(np.int16)
    offset = np.cumsum([0, *lengths])
    nothing = np.zeros(3, np.uint8)
    sound = one_second(Recordings(pcm, offset, nothing, nothing, nothing), range(3))
    assert sound.shape == (3, 8000)
    assert np.flatnonzero(sound[0]).tolist() == [3998, 3999, 4000]
    assert sound[0, 3998:4001].tolist() == [1, 2, 3]
    np.testing.assert_array_equal(sound[1], np.arange(1, 8001))
    np.testing.assert_array_equal(sound[2], np.arange(501, 8501))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"pcm": np.zeros(9000, np.float32)},
            r"'pcm' must be a vector of int16. Received: float32, \(9000,\)",
        ),
        (
            {"pcm": np.zeros((2, 2), np.int16)},
            r"'pcm' must be a vector of int16. Received: int16, \(2, 2\)",
        ),
        (
            {"label": np.zeros(10, np.uint8)},
            r"'label' must be uint8 of shape \(3000,\). Received: uint8, \(10,\)",
        ),
        (
            {"offset": np.arange(0, 3 * NUM + 1, 3).astype(np.int32)},
            r"'offset' must be int64 of shape \(3001,\). Received: int32",
        ),
        ({"offset": np.arange(NUM + 1)}, r"begin with 0 and end with 9000. Received: \[0, 3000\]"),
        (
            {"offset": np.append(np.full(NUM, 0), 3 * NUM)},
            r"`offset` must rise. Received: no samples for recording 0",
        ),
        (
            {"label": np.append(np.zeros(NUM - 1, np.uint8), np.uint8(10))},
            r"the label of recording 2999 must be in 0..9. Received: 10",
        ),
        (
            {"speaker": np.full(NUM, 6, np.uint8)},
            r"the speaker of recording 0 must be in 0..5. Received: 6",
        ),
        (
            {"take": np.full(NUM, 50, np.uint8)},
            r"the take of recording 0 must be in 0..49. Received: 50",
        ),
        (
            {"speakers": np.array(["me"])},
            r"`speakers` must be george, jackson, .*. Received: \['me'\]",
        ),
    ],
)
def test_wrong_content(tmp_path, changes, message):
    path = write(tmp_path, **changes)
    with pytest.raises(InputError, match=message):
        fsdd_dataset.read_recordings(path)


def test_missing_array(tmp_path):
    path = tmp_path / "fsdd_8k_int16.npz"
    np.savez(path, pcm=np.zeros(3, np.int16))
    with pytest.raises(InputError, match=r"lacks the array 'offset.npy'"):
        fsdd_dataset.read_recordings(path)


def test_pickled_arrays_are_refused(tmp_path):
    path = write(tmp_path, speakers=np.array([{"name": "george"}], dtype=object))
    with pytest.raises(InputError, match=r"'speakers.npy' holds pickled objects, which may run"):
        fsdd_dataset.read_recordings(path)


def test_files_of_another_size_are_refused_before_they_are_read(tmp_path):
    path = write(tmp_path, pcm=np.zeros(40 << 20, np.int16))
    with pytest.raises(InputError, match=r"unpacks to 83,\d+,\d+ bytes, more than the limit of 67"):
        fsdd_dataset.read_recordings(path)


def test_damaged_file(tmp_path):
    path = write(tmp_path)
    with zipfile.ZipFile(path) as archive:
        place = archive.getinfo("label.npy").header_offset + 60
    data = bytearray(path.read_bytes())
    data[place] ^= 255
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"entry 'label.npy' at byte [\d,]+ is damaged"):
        fsdd_dataset.load(config_of(tmp_path))


def test_missing_file_is_named(tmp_path):
    message = r"Free Spoken Digit Dataset: fsdd_8k_int16.npz was not found"
    with pytest.raises(InputError, match=message):
        fsdd_dataset.load(config_of(tmp_path))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """All 3,000 files, each with its own few samples."""
    folder = tmp_path_factory.mktemp("recordings")
    for digit in range(10):
        for speaker in SPEAKERS:
            for take in range(50):
                with wave.open(str(folder / f"{digit}_{speaker}_{take}.wav"), "wb") as stream:
                    stream.setparams((1, 2, 8000, 0, "NONE", None))
                    stream.writeframes(np.array([digit, take, -7], "<i2").tobytes())
    return folder


def test_packed_recordings_are_those_of_the_folder(recordings, tmp_path):
    path = tmp_path / "packed.npz"
    fsdd_dataset.pack(recordings, path)
    found = fsdd_dataset.read_recordings(path)
    assert np.diff(found.offset).tolist() == [3] * NUM
    expected = np.stack([found.label, found.take, np.full(NUM, -7)], axis=1)
    np.testing.assert_array_equal(found.pcm.reshape(NUM, 3), expected)
    assert found.take[:4].tolist() == [0, 1, 10, 11]  # in the order of the files' names
    assert np.bincount(found.speaker * 10 + found.label).tolist() == [50] * 60


def test_packing_asks_for_all_recordings(tmp_path):
    with pytest.raises(InputError, match=r"0_george_0.wav: no such file. Give the folder"):
        fsdd_dataset.pack(tmp_path, tmp_path / "packed.npz")
    with wave.open(str(tmp_path / "0_george_0.wav"), "wb") as stream:
        stream.setparams((2, 2, 8000, 0, "NONE", None))
    with pytest.raises(InputError, match=r"channels, bytes, Hz are \(2, 2, 8000\), not \(1, 2, "):
        fsdd_dataset.pack(tmp_path, tmp_path / "packed.npz")


def test_the_real_file_is_packed_like_this(real_file):
    """Only what every file must be: the wav files themselves are not there to compare with."""
    found = fsdd_dataset.read_recordings(real_file("fsdd/fsdd_8k_int16.npz"))
    names = [
        f"{digit}_{SPEAKERS[speaker]}_{take}.wav"
        for digit, speaker, take in zip(found.label, found.speaker, found.take, strict=True)
    ]
    assert names == sorted(names) and len(set(names)) == NUM
