"""What users get wrong: one clear line, exit status 2, nothing written."""

import dataclasses
import gzip
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping

import keras
import numpy as np
import pytest
from PIL import Image

import main
from datasets.cifar10_dataset import INFO as CIFAR10
from datasets.fsdd_dataset import INFO as FSDD
from datasets.fsdd_dataset import SPEAKERS
from datasets.idx_format import FILES as IDX_FILES
from nets import load_helper_class
from nets.backbones import convnet
from utils.errors import InputError

ROOT = pathlib.Path(main.__file__).resolve().parent
PRUNE = "--learner=chn-pruned-rmt"
CHANNEL = "--learner=channel"
LISTED = f"{CHANNEL} --cp_prune_option=list"
TRAINED = "--pretrained_path=trained.keras"

FILTERS = f"--learner=filter-pruned {TRAINED} --fp_config=prune.yaml"
SOFT = f"--learner=soft-pruned {TRAINED}"
UNIFORM = f"--learner=uniform {TRAINED}"
INTEGERS = f"--learner=uniform-tf {TRAINED}"
CODEBOOKS = f"--learner=non-uniform {TRAINED}"
SEARCHED = "--nuql_enbl_rl_agent"
SPARSE = f"--learner=weight-sparse {TRAINED}"

HELPER = """
import keras, numpy as np, tensorflow as tf
from nets.abstract_model_helper import AbstractModelHelper

images = np.random.default_rng(0).random((24, 6, 6, 1), dtype=np.float32)
labels = np.arange(24) % 3

class ModelHelper(AbstractModelHelper):
    num_epochs = 1

    def build_dataset_train(self):
        return tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)

    def build_dataset_eval(self):
        return tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)

    def forward(self, inputs):
        x = keras.layers.Conv2D(4, 3, name="conv1")(inputs)
        x = keras.layers.Conv2D(4, 3, name="conv2")(x)
        return keras.layers.Dense(3, name="fc")(keras.layers.Flatten()(x))
"""


# --- files that are wrong -------------------------------------------------------------------------


def helper_file(*changes: tuple[str, str], text: str = HELPER) -> Callable[[], None]:
    """Write net.py: the helper above with some text replaced."""

    def write() -> None:
        changed = text
        for old, new in changes:
            assert old in changed
            changed = changed.replace(old, new)
        pathlib.Path("net.py").write_text(changed)

    return write


def truncated(name: str, source: str = "trained.keras") -> Callable[[], None]:
    def write() -> None:
        data = pathlib.Path(source).read_bytes()
        pathlib.Path(name).write_bytes(data[: len(data) // 2])

    return write


def damaged_keras() -> None:
    """Flip bytes in the middle of the weights."""
    data = bytearray(pathlib.Path("trained.keras").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(255 - byte for byte in data[middle : middle + 64])
    pathlib.Path("damaged.keras").write_bytes(data)


def truncated_npz() -> None:
    np.savez("whole.npz", weights=np.zeros((100, 100)))
    truncated("half.npz", "whole.npz")()


def pickled_npz() -> None:
    np.savez("objects.npz", allow_pickle=True, weights=np.array([{"a": 1}], dtype=object))


def foreign_npz() -> None:
    np.savez("foreign.npz", **{"conv1/kernel": np.zeros((5, 5, 1, 8), np.float32)})


def narrower_network() -> None:
    inputs = keras.Input((8, 8, 1), name="images")
    keras.Model(inputs, convnet.build(inputs, 10, widths=(32, 40, 64))).save("narrower.keras")


def lambda_network() -> None:
    inputs = keras.Input((8, 8, 1), name="images")
    doubled = keras.layers.Lambda(lambda x: 2 * x)(inputs)
    outputs = keras.layers.Dense(10)(keras.layers.Flatten()(doubled))
    keras.Model(inputs, outputs).save("lambda.keras")


def document(*changes: tuple[str, str]) -> Callable[[], None]:
    """Write prune.yaml: two steps of filter-pruned, with some text replaced."""
    text = (
        "pruners: {p: {criterion: l1_norm, ratio: 0.4}}\n"
        "prune_schedulers: [{pruner: {func_name: p}, epochs: [0, 2]}]\n"
        "lr_schedulers: [{start_epoch: 0, end_epoch: 2, multiplier: 1}]\n"
    )

    def write() -> None:
        changed = text
        for old, new in changes:
            assert old in changed
            changed = changed.replace(old, new)
        pathlib.Path("prune.yaml").write_text(changed)

    return write


def empty_folder() -> None:
    os.mkdir("data")


def cifar_files(*, cut: int = 0, label: tuple[int, int] | None = None) -> Callable[[], None]:
    """Write files of CIFAR-10's sizes, black images of class 0 (sparse on disk)."""

    def write() -> None:
        os.mkdir("data")
        for name, size in CIFAR10.files:
            with open(f"data/{name}", "wb") as stream:
                stream.truncate(size)
        first = pathlib.Path("data", CIFAR10.files[0][0])
        os.truncate(first, CIFAR10.files[0][1] - cut)
        if label is not None:
            with first.open("r+b") as stream:
                stream.seek(label[0] * 3073)
                stream.write(bytes([label[1]]))

    return write


def fmnist_files(damage: Callable[[], None] | None = None, label: int = 0) -> Callable[[], None]:
    """Write files of Fashion-MNIST's shapes, black images; record 7 of training has `label`."""

    def write() -> None:
        os.mkdir("data")
        for name, count, is_image in zip(
            IDX_FILES, (60_000, 60_000, 10_000, 10_000), (True, False, True, False), strict=True
        ):
            shape = (count, 28, 28) if is_image else (count,)
            body = bytearray(int(np.prod(shape)))
            if name == IDX_FILES[1]:
                body[7] = label
            header = struct.pack(f">{1 + len(shape)}I", 0x0800 + len(shape), *shape)
            data = gzip.compress(header + bytes(body), compresslevel=1)
            pathlib.Path("data", name).write_bytes(data)
        if damage is not None:
            damage()

    return write


def corrupt_fmnist() -> None:
    path = pathlib.Path("data", IDX_FILES[0])
    data = bytearray(path.read_bytes())
    data[-8] ^= 1  # of the checksum
    path.write_bytes(data)


def fsdd_file(**changes: np.ndarray) -> Callable[[], None]:
    """Write a file of the spoken digits' shapes, one sample each, with other arrays in it."""

    def write() -> None:
        os.mkdir("data")
        arrays = {
            "pcm": np.random.default_rng(0).integers(-99, 99, 3000, np.int16),
            "offset": np.arange(3001),
            **{name: np.zeros(3000, np.uint8) for name in ("label", "speaker", "take")},
            "speakers": np.array(SPEAKERS),
        }
        np.savez_compressed(f"data/{FSDD.files[0][0]}", **{**arrays, **changes})

    return write


def damaged_fsdd() -> None:
    fsdd_file()()
    path = pathlib.Path("data", FSDD.files[0][0])
    data = bytearray(path.read_bytes())
    data[1000] ^= 255  # among the samples, which come first
    path.write_bytes(data)


def damaged_state() -> None:
    os.makedirs("out/state")
    truncated("out/state/1_full_prec.keras")()


# --- the table ------------------------------------------------------------------------------------


def list_file(text: str) -> Callable[[], None]:
    def write() -> None:
        pathlib.Path("ratio.list").write_text(text)

    return write


def setting_file(quantity: str, name: str, values: Mapping[str, int]) -> Callable[[], None]:
    """Write a setting for layers of 100 weights each."""

    def write() -> None:
        network = dict.fromkeys(values, 100)
        document = {"schema_version": 2, "quantity": quantity, "network": network, "values": values}
        pathlib.Path(name).write_text(json.dumps(document))

    return write


def bits_file(**values: int) -> Callable[[], None]:
    return setting_file("bits", "bits.json", values)


def weights_file(**values: int) -> Callable[[], None]:
    return setting_file("sparsity", "ratios.json", values)


def prune_dict(text: str) -> Callable[[], None]:
    def write() -> None:
        pathlib.Path("prune.yaml").write_text(text)

    return write


def image_files(*changes: tuple[str, bytes | None]) -> Callable[[], None]:
    """Write photos/train and photos/val of ten classes; then other bytes, or folders (None)."""

    def write() -> None:
        for name in (f"photos/{part}/{label}" for part in ("train", "val") for label in range(10)):
            os.makedirs(name)
            Image.fromarray(np.zeros((8, 8), np.uint8)).save(f"{name}/one.png")
        for name, data in changes:
            path = pathlib.Path("photos", name)
            if data is None:
                path.mkdir(parents=True)
            else:
                path.write_bytes(data)

    return write


def few_classes() -> None:
    for name in ("photos/cat", "photos/dog"):
        os.makedirs(name)
        for number in range(5):
            Image.fromarray(np.zeros((8, 8), np.uint8)).save(f"{name}/{number}.png")


def png(width: int, height: int) -> bytes:
    """A PNG's head that claims so many pixels, and nothing behind it."""
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII5B", 13, b"IHDR", width, height, 8, 0, 0, 0, 0)


def npz_file(**changes: np.ndarray | None) -> Callable[[], None]:
    """Write d.npz for a network on digits, with other arrays in it, or without some."""

    def write() -> None:
        arrays: dict[str, np.ndarray | None] = {
            "x_train": np.zeros((20, 8, 8, 1), np.uint8),
            "y_train": np.arange(20) % 10,
            "x_test": np.zeros((20, 8, 8, 1), np.uint8),
            "y_test": np.arange(20) % 10,
        }
        kept = {name: array for name, array in {**arrays, **changes}.items() if array is not None}
        np.savez("d.npz", allow_pickle=True, **kept)

    return write


def table_file(*rows: str) -> Callable[[], None]:
    def write() -> None:
        pathlib.Path("d.csv").write_text("\n".join(rows) + "\n")

    return write


def large_idx() -> None:
    os.mkdir("data")
    for name in IDX_FILES:
        header = struct.pack(">4I", 0x0803, 2**31, 2**10, 2**10)
        pathlib.Path("data", name).write_bytes(gzip.compress(header))


def cut_records() -> None:
    os.mkdir("data")
    pathlib.Path("data", "train.tfrecord").write_bytes(struct.pack("<QI", 100, 0) + b"short")


@dataclasses.dataclass(frozen=True)
class Bad:
    """A call that must be refused.

    Attributes:
        name: of the row.
        args: what is given besides `--out_dir=out` (which later arguments may override).
        expected: fragments of the one line.
        files: makes the files that the call needs, in the current folder.
        started: True where the mistake shows only once the network is at work: then lines of
            progress may come before the error.
    """

    name: str
    args: str
    expected: tuple[str, ...]
    files: Callable[[], None] | None = None
    started: bool = False


OWN = "--model_helper=net.py"
GIVEN = "--model=trained.keras"
PHOTOS = f"{GIVEN} --data=photos"
ARRAYS = f"{GIVEN} --data=d.npz"
COLUMNS = f"{GIVEN} --data=d.csv"
NO_TFLITE = "--tflite=none"

TABLE = [
    # a network's file and data
    Bad("network without data", GIVEN, ("--model=trained.keras", "--data=FOLDER", "your_data.md")),
    Bad("data without a network", "--data=digits", ("--data=digits", "--model=net.keras")),
    Bad("network beside a helper", f"{GIVEN} --data=digits --model_helper=convnet_at_digits",
        ("--model_helper=convnet_at_digits", "Leave it out")),
    Bad("network that is missing", "--model=gone.keras --data=digits",
        ("`model`", "no file 'gone.keras'")),
    Bad("network of another kind", "--model=file --data=digits",
        ("`model` must end in .keras, .h5", "'file'")),
    Bad("data that are missing", f"{GIVEN} --data=photo",
        ("`data`", "'photo'", "Valid: ", "digits", ".npz")),
    Bad("data of no known form", f"{GIVEN} --data=file", ("`data`", "file", ".npz", ".csv")),
    Bad("budget that cannot be read", f"{GIVEN} --data=digits --budget=flops",
        ("(0, 1]", "Received: 'flops'")),
    Bad("unknown scale", f"{GIVEN} --data=digits --scale=2..3",
        ("`scale` must be one of '0..1', '0..255'", "'2..3'")),
    Bad("a flag of data without them", "--scale=0..1", ("--scale does not apply", "--model=")),
    Bad("folder without classes", PHOTOS, ("photos", "a sub-folder of images for each class",
        "Found: none"), lambda: os.mkdir("photos")),
    Bad("one class only", PHOTOS, ("photos/train", "two or more", "only 'cat'"),
        lambda: os.makedirs("photos/train/cat")),
    Bad("validation without training", PHOTOS, ("photos", "has val/ but no train/"),
        lambda: os.makedirs("photos/val/cat")),
    Bad("class without images", PHOTOS, ("photos/train/sheep", "no image", "It is empty"),
        image_files(("train/sheep", None), ("val/sheep", None))),
    Bad("classes that differ", PHOTOS, ("photos/val", "has sheep besides"),
        image_files(("val/sheep", None))),
    Bad("text for an image", PHOTOS, ("photos/train/3/two.png", "no PNG, JPEG, GIF or BMP"),
        image_files(("train/3/two.png", b"hello"))),
    Bad("empty image", PHOTOS, ("photos/val/7/two.png", "the file is empty"),
        image_files(("val/7/two.png", b""))),
    Bad("image that ends in its head", PHOTOS, ("photos/train/3/two.png", "truncated"),
        image_files(("train/3/two.png", png(8, 8)[:20]))),
    Bad("image of ten billion pixels", PHOTOS,
        ("photos/train/3/two.png", "100000 x 100000 pixels", "more than 100,000,000"),
        image_files(("train/3/two.png", png(100_000, 100_000)))),
    Bad("image that ends early", PHOTOS, ("photos/train/3/two.png", "cannot be decoded", "Mend"),
        image_files(("train/3/two.png", png(8, 8))), started=True),
    Bad("fewer classes than outputs", PHOTOS, ("has 2 classes (cat, dog)", "10 outputs"),
        few_classes, started=True),
    Bad("pickled objects for data", ARRAYS, ("d.npz", "pickled objects", "Refused before"),
        npz_file(x_train=np.array([{"a": 1}] * 20, dtype=object))),
    Bad("data of other names", ARRAYS, ("d.npz", "Missing: y_train", "Found: x_train"),
        npz_file(y_train=None)),
    Bad("labels of another number", ARRAYS, ("d.npz", "x_train has 20 samples, y_train 4"),
        npz_file(y_train=np.arange(4))),
    Bad("inputs of another size", ARRAYS, ("shape (6, 6, 1)", "takes (8, 8, 1)", "Resize"),
        npz_file(x_train=np.zeros((20, 6, 6, 1)), x_test=np.zeros((20, 6, 6, 1))), started=True),
    Bad("labels beyond the outputs", ARRAYS, ("lie in 0..19", "10 outputs", "0..9"),
        npz_file(y_train=np.arange(20)), started=True),
    Bad("values for classes", ARRAYS, ("labels are 1 values each", "10 outputs"),
        npz_file(y_train=np.full(20, 0.5)), started=True),
    Bad("inputs that are not finite", ARRAYS, ("1 samples of x_train", "NaN", "number 7"),
        npz_file(x_train=np.where(np.arange(20) == 7, np.nan, 0.0).reshape(20, 1, 1, 1)
                 * np.ones((8, 8, 1)))),
    Bad("table without labels", COLUMNS, ("d.csv", "label or class or target or y",
        "The first line has: a, b", "--label_column"), table_file("a,b", "1,2")),
    Bad("table without that column", f"{COLUMNS} --label_column=kind",
        ("d.csv", "named kind"), table_file("a,label", "1,2")),
    Bad("table with a gap", COLUMNS, ("d.csv, line 3, column 'b'", "Received: ''"),
        table_file("a,b,label", "1,2,0", "1,,0")),
    Bad("table with NaN", COLUMNS, ("d.csv, line 2, column 'a'", "Received: 'nan'"),
        table_file("a,b,label", "nan,2,0")),
    Bad("table with a short row", COLUMNS, ("d.csv, line 3", "2 values", "3 columns"),
        table_file("a,b,label", "1,2,0", "1,2")),
    Bad("table without rows", COLUMNS, ("d.csv", "no rows"), table_file("a,b,label")),
    Bad("table for another network", COLUMNS, ("has 2 features", "takes 64"),
        table_file("a,b,label", *(f"1,2,{n % 10}" for n in range(50))), started=True),
    Bad("scale of a table", f"{COLUMNS} --scale=0..255", ("`scale`", "--scale=0..255", "d.csv"),
        table_file(",".join([*(f"p{n}" for n in range(64)), "label"]),
                   *(",".join(["1"] * 64 + [str(n % 10)]) for n in range(50))), started=True),
    Bad("idx file that declares petabytes", f"{GIVEN} --data=data",
        ("data/train-images", "(2147483648, 1024, 1024)", "cannot hold"), large_idx),
    Bad("truncated TFRecord file", f"{GIVEN} --data=data",
        ("data/train.tfrecord", "truncated", "byte 0"), cut_records, started=True),
    Bad("data file without functions", f"{GIVEN} --data=my_data.py",
        ("my_data.py", "Missing: train_data, test_data"),
        lambda: pathlib.Path("my_data.py").write_text("x = 1\n") and None, started=True),
    # names
    Bad("unknown learner", "--learner=chn-prunned-rmt",
        ("Unknown learner 'chn-prunned-rmt'", "Did you mean 'chn-pruned-rmt'?", "Valid: ")),
    Bad("no learner", "--learner=", ("Unknown learner ''", "Valid: ", "full-prec")),
    Bad("learner missing in a list", "--learner=full-prec,",
        ("Unknown learner ''", "Valid: ", "full-prec")),
    Bad("unknown helper", "--model_helper=resnet_at_cifar",
        ("Unknown model helper 'resnet_at_cifar'", "Did you mean 'resnet_at_cifar10'?", ".py")),
    Bad("unknown flag", f"{PRUNE} --cpr_prune_ration=0.5",
        ("Unknown flag --cpr_prune_ration", "Did you mean --cpr_prune_ratio?")),
    Bad("unknown flag without a likeness", "--zzqqzz=1",
        ("Unknown flag --zzqqzz", "See --help")),
    Bad("flag of another learner", "--cpr_prune_ratio=0.5",
        ("--cpr_prune_ratio does not apply", "it belongs to --learner=chn-pruned-rmt")),
    Bad("flag of another helper", "--resnet_size=20",
        ("--resnet_size does not apply", "it belongs to --model_helper=resnet_at_cifar10")),
    # values
    Bad("ratio of one", f"{PRUNE} --cpr_prune_ratio=1",
        ("`cpr_prune_ratio` must be in [0, 1)", "Received: 1.0", "1 was legal once")),
    Bad("ratio above one", f"{PRUNE} --cpr_prune_ratio=1.5", ("in [0, 1)", "Received: 1.5")),
    Bad("negative ratio", f"{PRUNE} --cpr_prune_ratio=-0.1", ("in [0, 1)", "Received: -0.1")),
    Bad("ratio NaN", f"{PRUNE} --cpr_prune_ratio=nan", ("in [0, 1)", "Received: nan")),
    Bad("ratio in words", f"{PRUNE} --cpr_prune_ratio=half",
        ("`cpr_prune_ratio` must be in [0, 1)", "Received: 'half'")),
    Bad("fraction of images", f"{PRUNE} --cpr_nb_smpls=2.5",
        ("`cpr_nb_smpls` must be in [1, 1000000]", "Received: '2.5'")),
    Bad("no images", f"{PRUNE} --cpr_nb_smpls=0", ("`cpr_nb_smpls`", "Received: 0")),
    Bad("infinite rate", "--lrn_rate_init=inf",
        ("`lrn_rate_init` must be in (0, inf)", "Received: inf")),
    Bad("batch of none", "--batch_size=0", ("`batch_size` must be in [1, 1000000]", "Received: 0")),
    Bad("negative seed", "--seed=-1", ("`seed` must be in [0, 2147483647]", "Received: -1")),
    Bad("a truth value in words", "--strict=maybe",
        ("`strict` must be True or False", "Received: 'maybe'")),
    Bad("unknown choice", f"{PRUNE} --cpr_criterion=lass",
        ("`cpr_criterion` must be one of 'lasso', 'backward', 'l1'", "Received: 'lass'")),
    Bad("unknown mode", "--exec_mode=test",
        ("`exec_mode` must be one of 'train', 'eval'", "Received: 'test'")),
    Bad("missing value", "--learner=full-prec --seed", ("--seed", "value", "--help")),
    Bad("missing learner", "--learner", ("--learner", "value", "--help")),
    Bad("empty value", "--seed=", ("`seed`", "Received: ''")),
    Bad("positional argument", "train", ("Unexpected argument 'train'", "--flag=value")),
    Bad("flag file that is missing", "--flagfile=no.flags", ("no.flags",)),
    Bad("unknown tflite kind", "--tflite=int9", ("'int9'", "Did you mean 'int8'?", "float32")),
    Bad("gap outside [0, 1]", "--tflite_max_gap=2", ("`tflite_max_gap`", "in [0, 1]", "2.0")),
    # targets
    Bad("unknown target", "--target=ethos-u56",
        ("`target` must be one of 'litert', 'tflm'", "Received: 'ethos-u56'")),
    Bad("target without a file for it", "--target=ethos-u55 --tflite=float32",
        ("`target` is about int8 files", "--tflite=float32", "Add int8")),
    Bad("file that the target cannot run", "--target=ethos-u55 --tflite=int8,tflm",
        ("tflm runs in TensorFlow Lite Micro only", "--target=ethos-u55", "Leave tflm out")),
    Bad("floats without a target", "--allow_float",
        ("`allow_float` has no effect without a device", "Add --target")),
    Bad("cycles of nothing", f"{PRUNE} --budget=cycles:0.5",
        ("`budget`: cycles", "Received: no --target", "one of ethos-u55")),
    Bad("cycles of what does not tell", f"{PRUNE} --budget=cycles:0.5 --target=cortex-m",
        ("`budget`: cycles", "Received: --target=cortex-m", "one of ethos-u55")),
    Bad("weights that the target does not compute with",
        f"{INTEGERS} --uqtf_weight_bits=4 --target=ethos-u55",
        ("`target`: ethos-u55 computes with weights of int8", "int4 (--uqtf_weight_bits)")),
    Bad("a budget that takes weights of 4 bits to a target without them",
        f"{INTEGERS} --budget=bits:4 --target=ethos-u55",
        ("`target`: ethos-u55 computes with weights of int8", "int4 (--budget)"), started=True),
    Bad("operator that the target lacks", f"{OWN} --target=cortex-m --tflite=int8",
        ("`target`: 1 operator", "on cortex-m: GELU (", "no such operator"),
        helper_file(('name="conv2"', 'name="conv2", activation="gelu"')), started=True),
    # budgets
    Bad("budget of another kind", f"{PRUNE} --budget=watts:0.5",
        ("`budget` must be", "flops:", "Received: 'watts:0.5'")),
    Bad("budget above one", f"{PRUNE} --budget=flops:1.5", ("(0, 1]", "'flops:1.5'")),
    Bad("budget of nothing", f"{PRUNE} --budget=flops:0", ("(0, 1]", "'flops:0'")),
    Bad("budget NaN", f"{PRUNE} --budget=flops:nan", ("(0, 1]", "'flops:nan'")),
    Bad("budget without a share", f"{PRUNE} --budget=flops", ("(0, 1]", "Received: 'flops'")),
    Bad("budget for a learner that keeps all", "--budget=flops:0.5",
        ("`budget`", "full-prec", "chn-pruned-rmt")),
    Bad("budget out of reach", f"{PRUNE} {TRAINED} --budget=flops:1e-5",
        ("The budget flops:1e-5 cannot be met", "between 0.", "and 1.000", "Choose a target"),
        started=True),
    # epochs
    Bad("too many numbers of epochs", "--nb_epochs=1,2",
        ("`nb_epochs` must be one number or one per stage (1)", "Received: '1,2'")),
    Bad("negative epochs", "--nb_epochs=-1", ("`nb_epochs`", ">= 0", "'-1'")),
    Bad("epochs NaN", "--nb_epochs=nan", ("`nb_epochs`", ">= 0", "'nan'")),
    Bad("epochs in words", "--nb_epochs=many", ("`nb_epochs`", ">= 0", "'many'")),
    # data
    Bad("no data folder", "--model_helper=lenet_at_cifar10",
        ("CIFAR-10: no data folder is set", "data_batch_1.bin", "--data_dir_local")),
    Bad("data folder that is missing", "--model_helper=lenet_at_cifar10 --data_dir_local=nowhere",
        ("the folder nowhere was not found", "data_batch_1.bin", "test_batch.bin")),
    Bad("data folder of something else", "--model_helper=lenet5_at_mnist --data_dir_local=data",
        ("train-images-idx3-ubyte.gz", "not found", "Looked in data"), empty_folder),
    Bad("data on HDFS", "--model_helper=lenet_at_cifar10 --data_disk=hdfs",
        ("`data_disk` must be 'local'", "'hdfs'", "--data_dir_local")),
    Bad("truncated batch", "--model_helper=lenet_at_cifar10 --data_dir_local=data",
        ("data_batch_1.bin: truncated at byte 30729000", "must have 30730000"),
        cifar_files(cut=1000)),
    Bad("label out of range", "--model_helper=lenet_at_cifar10 --data_dir_local=data",
        ("data_batch_1.bin: corrupted at byte 9219", "record 3", "in 0..9", "Received: 77"),
        cifar_files(label=(3, 77))),
    Bad("truncated idx file", "--model_helper=convnet_at_fmnist --data_dir_local=data",
        (IDX_FILES[0], "truncated at byte"),
        fmnist_files(truncated(f"data/{IDX_FILES[0]}", f"data/{IDX_FILES[0]}"))),
    Bad("corrupted idx file", "--model_helper=convnet_at_fmnist --data_dir_local=data",
        (IDX_FILES[0], "corrupted between bytes", "Fetch it again"), fmnist_files(corrupt_fmnist)),
    Bad("label out of range in an idx file",
        "--model_helper=convnet_at_fmnist --data_dir_local=data",
        (IDX_FILES[1], "record 7", "byte 15", "in 0..9", "Received: 200"),
        fmnist_files(label=200)),
    Bad("no recordings", "--model_helper=dscnn_at_fsdd --data_dir_local=data",
        ("Free Spoken Digit Dataset: fsdd_8k_int16.npz was not found", "docs/fsdd.md"),
        empty_folder),
    Bad("damaged recordings", "--model_helper=gru_at_fsdd --data_dir_local=data",
        ("fsdd_8k_int16.npz: entry 'pcm.npy' at byte 0 is damaged", "anew"), damaged_fsdd),
    Bad("recordings of another kind", "--model_helper=gru_at_fsdd --data_dir_local=data",
        ("'pcm' must be a vector of int16", "Received: float64, (3000,)", "Fetch it again"),
        fsdd_file(pcm=np.zeros(3000))),
    Bad("too many recordings", "--model_helper=gru_at_fsdd --data_dir_local=data",
        ("fsdd_8k_int16.npz: unpacks to 100,", "more than the limit of 67,108,864"),
        fsdd_file(pcm=np.zeros(50_000_000, np.int16))),
    Bad("no such speaker", "--model_helper=gru_at_fsdd --split=speaker:me",
        ("`split` must be one of 'official', 'speaker:george'", "'speaker:me'")),
    Bad("batch larger than the data", "--batch_size=100000", ("100000", "1438"), started=True),
    # networks
    Bad("nothing to start from", PRUNE,
        ("starts from a trained network", "--save_path", "--learner=full-prec,chn-pruned-rmt")),
    Bad("weights that are missing", "--pretrained_path=gone.keras",
        ("`pretrained_path`", "gone.keras")),
    Bad("weights of PyTorch", "--pretrained_path=net.pt",
        ("`pretrained_path` must end in .keras, .h5, .hdf5, .fpq, .npz", "'net.pt'"),
        lambda: pathlib.Path("net.pt").write_bytes(b"x")),
    Bad("truncated network", "--pretrained_path=half.keras",
        ("half.keras", "truncated or damaged at byte"), truncated("half.keras")),
    Bad("damaged network", "--pretrained_path=damaged.keras",
        ("damaged.keras", "at byte", "is damaged"), damaged_keras),
    Bad("truncated arrays", "--pretrained_path=half.npz",
        ("half.npz", "truncated or damaged at byte"), truncated_npz),
    Bad("pickled arrays", "--pretrained_path=objects.npz",
        ("objects.npz", "'weights.npy' holds pickled objects"), pickled_npz),
    Bad("weights of another network", f"{PRUNE} --pretrained_path=narrower.keras",
        ("'conv2/kernel'", "(3, 3, 32, 40)", "(3, 3, 32, 64)"), narrower_network, started=True),
    Bad("arrays of another network", f"{PRUNE} --pretrained_path=foreign.npz",
        ("'conv1/kernel'", "(5, 5, 1, 8)", "(3, 3, 1, 32)"), foreign_npz, started=True),
    Bad("network with Python code", f"{PRUNE} --pretrained_path=lambda.keras",
        ("lambda.keras", "Lambda", "--allow_unsafe"), lambda_network, started=True),
    Bad("warm start from nothing",
        f"{PRUNE} {TRAINED} --cpr_warm_start --cpr_save_path_ws=w.keras",
        ("cpr_save_path_ws", "w.keras", "cpr_warm_start")),
    Bad("layers to skip that do not exist", f"{PRUNE} {TRAINED} --cpr_skip_op_names=conv9",
        ("`cpr_skip_op_names`", "'conv9'", "Valid: ", "conv2"), started=True),
    Bad("everything skipped", f"{PRUNE} {TRAINED} --cpr_skip_op_names=conv,fc",
        ("no channels can be pruned", "--cpr_skip_op_names"), started=True),
    # documents of filter pruning
    Bad("no document", FILTERS, ("--fp_config=prune.yaml", "cannot be read")),
    Bad("a document that is no YAML", FILTERS, ("--fp_config=prune.yaml", "is no YAML"),
        document(("[0, 2]", "[0, 2"))),
    Bad("unknown key in a document", FILTERS, ("`pruners.p` unknown key 'raito'", "'ratio'"),
        document(("ratio", "raito"))),
    Bad("ratios that leave no filters", FILTERS,
        ("would lose all filters", "add up to 1.2", "below 1"), document(("0.4", "0.6"))),
    Bad("rates that overlap", FILTERS, ("`lr_schedulers[1].start_epoch` must be at least 2",),
        document(("multiplier: 1}", "multiplier: 1}, {start_epoch: 1, multiplier: 0.1}"))),
    Bad("filters that go after the end", f"{FILTERS} --nb_epochs=2",
        ("after epoch 2, and training lasts 2 epochs", "--nb_epochs"), document()),
    Bad("ratios beside a budget", f"{FILTERS} --budget=flops:0.5",
        ("--fp_config=prune.yaml", "--budget", "contradict each other"), document()),
    Bad("a document beside flags", f"{FILTERS} --fp_criterion=taylor",
        ("--fp_config=prune.yaml and --fp_criterion=taylor contradict",), document()),
    Bad("filters of a layer that is not there", f"{FILTERS} --nb_epochs=3",
        ("--fp_config=prune.yaml", "no layer with filters is named 'cov1'", "'conv1'"),
        document(("ratio: 0.4", "prune_type: specified_layer_prune, layers_to_be_pruned: "
                                "{cov1: 0.4}")), started=True),
    # weight sparsification
    Bad("a schedule that ends before it begins",
        f"{SPARSE} --ws_iter_ratio_beg=0.5 --ws_iter_ratio_end=0.4",
        ("`ws_iter_ratio_beg` must be below `ws_iter_ratio_end`", "Received: 0.5 and 0.4")),
    Bad("stairs without a step", f"{SPARSE} --ws_schedule=step --ws_sparse_step=5",
        ("`ws_frequency` must not exceed `ws_sparse_step`", "Received: 100 and 5")),
    Bad("stairs without training", f"{SPARSE} --ws_schedule=step --nb_epochs=0",
        ("`ws_schedule` step", "--nb_epochs is 0", "--ws_schedule=once")),
    Bad("a ratio of all weights", f"{SPARSE} --ws_prune_ratio=1",
        ("`ws_prune_ratio` must be in [0, 1)", "Received: 1.0")),
    Bad("a granularity in words", f"{SPARSE} --ws_granularity=4:2",
        ("`ws_granularity` must be element, N:M", "Received: '4:2'")),
    Bad("N:M that does not divide", f"{SPARSE} --ws_granularity=2:7",
        ("`ws_granularity` 2:7 does not divide", "conv2: 32 input channels are no multiple of 7",
         "--ws_skip_indivisible"), started=True),
    Bad("a prune dict that is missing", f"{SPARSE} --ws_prune_dict=no.yaml",
        ("`ws_prune_dict`", "no.yaml")),
    Bad("a prune dict of another network", f"{SPARSE} --ws_prune_dict=prune.yaml",
        ("prune.yaml", "'cnov2'", "Did you mean 'conv2'?"), prune_dict("cnov2: 0.5"), started=True),
    Bad("a prune dict with a ratio of one", f"{SPARSE} --ws_prune_dict=prune.yaml",
        ("prune.yaml", "'conv2'", "in [0, 1)", "Received: 1"), prune_dict("conv2: 1")),
    Bad("a prune dict and a ratio",
        f"{SPARSE} --ws_prune_dict=prune.yaml --ws_prune_ratio=0.5",
        ("--ws_prune_dict=prune.yaml and --ws_prune_ratio=0.5 contradict",),
        prune_dict("conv2: 0.5")),
    Bad("a part in no name", f"{SPARSE} --ws_skip_op_names=cnov",
        ("ws_skip_op_names: no layer with a kernel has 'cnov'", "Valid: conv1"), started=True),
    Bad("a global ranking of errors", f"{SPARSE} --ws_criterion=obs --ws_ranking=global",
        ("`ws_ranking` global", "`ws_criterion` obs", "--ws_prune_ratio_prtl=optimal")),
    Bad("a start without a schedule", f"{SPARSE} --ws_criterion=obs --ws_prune_ratio_init=0.5",
        ("`ws_prune_ratio_init` has no effect", "--ws_schedule=poly")),
    Bad("a schedule without a start", f"{SPARSE} --ws_criterion=obs --ws_schedule=poly",
        ("`ws_schedule` poly", "--ws_prune_ratio_init=0.5")),
    Bad("a ratio beside N:M", f"{SPARSE} --ws_granularity=2:4 --ws_prune_ratio=0.9",
        ("`ws_granularity` 2:4 removes 0.5", "`ws_prune_ratio` is 0.9")),
    Bad("a start beyond the end",
        f"{SPARSE} --ws_criterion=obs --ws_schedule=poly --ws_prune_ratio_init=0.9",
        ("`ws_prune_ratio_init` must not exceed `ws_prune_ratio`", "0.9 and 0.75")),
    Bad("a budget of weights that cannot be met", f"{SPARSE} --budget=nonzeros:0.0001",
        ("The budget nonzeros:0.0001 cannot be met", "fewer --ws_skip_* flags"), started=True),
    Bad("a setting beside the search that is the default", f"{SPARSE} --setting=ratios.json",
        ("--setting and a search contradict each other",
         "--ws_prune_ratio_prtl=optimal, the default: give another value"), weights_file(conv2=3)),
    Bad("a setting of sparsity for another network",
        f"{SPARSE} --ws_prune_ratio_prtl=uniform --setting=ratios.json",
        ("was made for another network", "no entry for 'conv2'"),
        weights_file(conv9=3), started=True),
    Bad("a budget beside N:M", f"{SPARSE} --ws_granularity=2:4 --budget=nonzeros:0.5",
        ("--budget and --ws_granularity=2:4 contradict each other",)),
    # soft pruning
    Bad("thresholds that rise", f"{SOFT} --sfp_thresholds=0.5,0.6",
        ("`sfp_thresholds` must be numbers in (0, 1)", "Received: 0.5, 0.6")),
    Bad("a scope that is not there", f"{SOFT} --sfp_scope_names=cnov",
        ("`sfp_scope_names`", "'cnov'", "Valid: conv1"), started=True),
    Bad("a budget for thresholds", f"{SOFT} --budget=flops:0.5",
        ("`budget` has no effect on soft-pruned", "filter-pruned")),
    # low bits
    Bad("no bits", f"{UNIFORM} --uql_weight_bits=0",
        ("`uql_weight_bits` must be in [1, 16]", "Received: 0")),
    Bad("bits between those of integers and floats", f"{UNIFORM} --uql_activation_bits=24",
        ("`uql_activation_bits` must be in [1, 16], or 32 for none", "Received: 24")),
    Bad("buckets larger than kernels",
        f"{UNIFORM} --uql_use_buckets --uql_bucket_type=split --uql_bucket_size=100000",
        ("`uql_bucket_size` is larger than the kernels of conv1 (", "Choose at most",
         "--uql_bucket_type=channel"), started=True),
    Bad("a size of buckets without buckets", f"{UNIFORM} --uql_bucket_size=64",
        ("`uql_bucket_size` has no effect without buckets", "Add --uql_use_buckets")),
    Bad("bits for another network", f"{UNIFORM} --setting=bits.json",
        ("--setting=bits.json was made for another network", "no entry for 'conv2'"),
        bits_file(conv9=3), started=True),
    Bad("bits for another network, behind hours of training",
        "--learner=full-prec,uniform --nb_epochs=0,0 --tflite=none --setting=bits.json",
        ("--setting=bits.json was made for another network", "no entry for 'conv2'"),
        bits_file(conv9=3), started=True),
    Bad("a budget of fewer bits than there are, behind hours of training",
        "--learner=full-prec,uniform --nb_epochs=0,0 --tflite=none --budget=bits:1.5",
        ("bits:1.5 cannot be met with 2 to 8 bits",), started=True),
    Bad("more bits than a weight has", f"{UNIFORM} --setting=bits.json",
        ("--setting=bits.json", "'conv2' is given 33 bits, more than 32"), bits_file(conv2=33)),
    Bad("bits beside a setting", f"{UNIFORM} --uql_weight_bits=3 --setting=bits.json",
        ("--uql_weight_bits=3", "--setting=bits.json", "contradict")),
    Bad("layers of `uniform` that do not exist", f"{UNIFORM} --uql_skip_op_names=conv9",
        ("`uql_skip_op_names`", "'conv9'", "conv2"), started=True),
    Bad("more bits than integer kernels have", f"{INTEGERS} --uqtf_weight_bits=16",
        ("`uqtf_weight_bits` must be in [2, 8]", "Received: 16")),
    Bad("activations of other than 8 bits", f"{INTEGERS} --uqtf_activation_bits=4",
        ("`uqtf_activation_bits`", "Received: 4", "--uql_activation_bits")),
    Bad("ranges that are found in an unknown way", f"{INTEGERS} --uqtf_calibration=best",
        ("`uqtf_calibration` must be one of", "'best'")),
    Bad("more bits than files of integers hold", f"{INTEGERS} --budget=bits:0.5",
        ("bits:0.5 cannot be met with 4 or 8 bits", "between 0.1250"), started=True),
    Bad("equivalent bits of integers without a search", f"{INTEGERS} --uqtf_equivalent_bits=5",
        ("`uqtf_equivalent_bits` has no effect without a search", "--uqtf_enbl_rl_agent")),
    Bad("more bits than codebooks have", f"{CODEBOOKS} --nuql_weight_bits=9",
        ("`nuql_weight_bits` must be in [1, 8]", "Received: 9")),
    Bad("a codebook begun in an unknown way", f"{CODEBOOKS} --nuql_init_style=random",
        ("`nuql_init_style` must be one of 'quantile', 'uniform', 'kmeans'", "'random'")),
    Bad("fewest bits above the most", f"{CODEBOOKS} {SEARCHED} --nuql_w_bit_min=6 "
        "--nuql_w_bit_max=5", ("`nuql_w_bit_min` must not exceed `nuql_w_bit_max`", "6 and 5")),
    Bad("equivalent bits below the fewest", f"{CODEBOOKS} {SEARCHED} --nuql_equivalent_bits=2 "
        "--nuql_w_bit_min=3", ("`nuql_equivalent_bits` must lie between `nuql_w_bit_min` (3)",
                               "`nuql_w_bit_max` (8)", "Received: 2")),
    Bad("a budget of fewer bits than there are", f"{CODEBOOKS} {SEARCHED} --budget=bits:1.5",
        ("bits:1.5 cannot be met with 2 to 8 bits", "bits between 0.0625",
         "--nuql_w_bit_min"), started=True),
    Bad("equivalent bits beside a budget", f"{CODEBOOKS} {SEARCHED} --nuql_equivalent_bits=3 "
        "--budget=bits:3", ("--nuql_equivalent_bits=3", "--budget=bits:3", "contradict")),
    Bad("equivalent bits without a search", f"{CODEBOOKS} --nuql_equivalent_bits=3",
        ("`nuql_equivalent_bits` has no effect without a search", "Add --nuql_enbl_rl_agent")),
    Bad("list of ratios that is missing", f"{LISTED} {TRAINED}",
        ("`cp_prune_list_file`: ratio.list cannot be read", "No such file", "separated by commas")),
    Bad("list with a ratio above one", f"{LISTED} {TRAINED}",
        ("`cp_prune_list_file`: ratio.list, entry 2", "stays, in (0, 1]", "Received: '1.5'"),
        list_file("0.5, 1.5, 0.5, 0.5")),
    Bad("list with a word", f"{LISTED} {TRAINED}",
        ("`cp_prune_list_file`: ratio.list, entry 4", "Received: 'half'"),
        list_file("1.0, 0.5, 0.5, half")),
    Bad("list of another length", f"{LISTED} {TRAINED}",
        ("ratio.list holds 3 ratios, and 4 layers", "in this order: conv1, conv2, conv3, fc1"),
        list_file("0.5, 0.5, 0.5"), started=True),
    Bad("list beside a budget", f"{LISTED} {TRAINED} --budget=flops:0.5",
        ("--budget and --cp_prune_option=list contradict", "Leave one out"), list_file("0.5")),
    Bad("list of what goes, of everything",
        f"--learner=chn-pruned-gpu {TRAINED} --cpg_prune_ratio_type=list "
        "--cpg_prune_ratio_file=ratio.list",
        ("`cpg_prune_ratio_file`: ratio.list, entry 1", "removed, in [0, 1)", "'1.0'"),
        list_file("1.0, 0.5, 0.5")),
    Bad("two ways to tune groups", f"{CHANNEL} --cp_finetune --cp_retrain",
        ("--cp_finetune and --cp_retrain contradict", "Leave one out")),
    Bad("one ratio and a search", f"{CHANNEL} --cp_uniform_preserve_ratio=0.5",
        ("`cp_uniform_preserve_ratio`", "--cp_prune_option=auto", "--cp_prune_option=uniform")),
    Bad("setting and a search", f"{CHANNEL} {TRAINED} --setting=ratios.json",
        ("--setting and a search contradict", "the search is --cp_prune_option=auto")),
    Bad("layers of `channel` that do not exist",
        f"{CHANNEL} {TRAINED} --cp_skip_op_names=conv9",
        ("`cp_skip_op_names`", "'conv9'", "Valid: ", "conv2"), started=True),
    Bad("nothing to score", "--exec_mode=eval", ("--exec_mode=eval", "model.keras", "Train first")),
    Bad("damaged state of an earlier run", "--nb_epochs=1",
        ("1_full_prec.keras", "truncated or damaged at byte"), damaged_state, started=True),
    # paths
    Bad("output below a file", "--out_dir=file/below",
        ("cannot write", "file is a file, not a folder")),
    Bad("artefact below a file", "--save_path_eval=file/model.keras",
        ("cannot write", "file is a file, not a folder")),
    Bad("artefact that is a folder", "--save_path_eval=folder.keras", ("cannot write", "a folder"),
        lambda: os.mkdir("folder.keras")),
    Bad("logs below a file", "--save_path_eval=a/model.keras --save_path=b/model.keras "
        "--log_dir=file/logs", ("cannot write", "file is a file, not a folder")),
    Bad("wrong ending", "--save_path=model.h5",
        ("must end in .keras", "'model.h5'")),
    Bad("teacher with a wrong ending", "--enbl_dst --save_path_dst=teacher.pt",
        ("must end in .keras", "'teacher.pt'")),
    Bad("hints without a teacher", "--loss_w_hint=1",
        ("`loss_w_hint`", "without a teacher", "Received: 1.", "Add --enbl_dst")),
    Bad("negative weight of hints", "--enbl_dst --loss_w_hint=-1", ("`loss_w_hint`", "-1")),
    # own helpers
    Bad("own helper that is missing", "--model_helper=gone.py", ("'gone.py'", "no such file")),
    Bad("file without a helper", OWN, ("net.py", "expected a class ModelHelper", "Found: none"),
        helper_file(text="x = 1\n")),
    Bad("helper that raises", OWN, ("net.py", "ZeroDivisionError"), helper_file(text="1 / 0\n")),
    Bad("helper with a syntax error", OWN, ("net.py", "SyntaxError", "line 1"),
        helper_file(text="def broken(:\n")),
    Bad("forward that returns nothing", OWN, ("ModelHelper.forward", "None"),
        helper_file(('return keras.layers.Dense(3, name="fc")', "x = keras.layers.Dense(3)"))),
    Bad("forward that returns arrays", OWN, ("ModelHelper.forward", "keras.ops"),
        helper_file(("return keras.layers.Dense(3", "return images, keras.layers.Dense(3"))),
    Bad("forward that raises", OWN, ("ModelHelper.forward", "AttributeError", "Conv9D"),
        helper_file(("Conv2D(4, 3, name=\"conv2\")", "Conv9D(4, 3)"))),
    Bad("labels beyond the classes", f"{OWN} {NO_TFLITE} --batch_size=8",
        ("label", "5", "[0, 3)"), helper_file(("% 3", "% 6")), started=True),
    Bad("data without labels", f"{OWN} {NO_TFLITE}", ("pairs (images, labels)", "TensorSpec"),
        helper_file(("from_tensor_slices((images, labels))", "from_tensor_slices(images)")),
        started=True),
    Bad("no test images", f"{OWN} {NO_TFLITE} --batch_size=8", ("evaluation data is empty",),
        helper_file(("(images, labels)).batch(8)\n\n    def forward",
                     "(images, labels)).batch(8).take(0)\n\n    def forward")),
        started=True),
    Bad("network that cannot be pruned", f"{OWN} --learner=full-prec --strict {NO_TFLITE}",
        ("--strict", "layers cannot be compressed", "Leave --strict out"),
        helper_file(("        x = keras.layers.Conv2D(4, 3, name=\"conv2\")(x)",
                     "        x = keras.ops.cumsum(keras.layers.Conv2D(4, 3)(x), axis=3)")),
        started=True),
]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> pathlib.Path:
    """A network of convnet_at_digits; to be refused it need not be good."""
    path = tmp_path_factory.mktemp("network") / "trained.keras"
    load_helper_class("convnet_at_digits")().build_model().save(path)
    return path


@pytest.fixture
def folder(trained, tmp_path, monkeypatch) -> pathlib.Path:
    """The current folder: a file, a trained network, and no data set anywhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLOWPRESS_DATA", raising=False)
    monkeypatch.setattr("datasets.paths.PATH_CONF", tmp_path / "path.conf")
    (tmp_path / "file").write_text("")
    (tmp_path / "trained.keras").write_bytes(trained.read_bytes())
    return tmp_path


def contents(folder: pathlib.Path) -> dict[str, int]:
    """Files and folders with their times of change, without what Python itself keeps."""
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts
    }


def refusal(stderr: str, started: bool) -> str:
    """The one line beginning with `error: `; before the work starts, the only line at all."""
    lines = stderr.splitlines()
    assert "Traceback" not in stderr
    errors = [line for line in lines if line.startswith("error: ")]
    assert errors == lines[-1:], stderr
    assert started or len(lines) == 1, stderr
    return errors[0]


def test_the_table_is_large_and_its_names_differ():
    assert len(TABLE) >= 40
    assert len({row.name for row in TABLE}) == len(TABLE)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name.replace(" ", "_"))
def test_is_refused(row, folder, capfd):
    if row.files is not None:
        row.files()
    before = contents(folder)
    status = main.run(["--out_dir=out", *row.args.split()])
    line = refusal(capfd.readouterr().err, row.started)
    assert [part for part in row.expected if part not in line] == [], line
    assert status == 2
    assert contents(folder) == before


@pytest.mark.parametrize(
    "name", ["unknown flag", "weights of another network", "label out of range"]
)
def test_is_refused_by_the_command(name, folder):
    row = next(row for row in TABLE if row.name == name)
    if row.files is not None:
        row.files()
    before = contents(folder)
    done = subprocess.run(
        [sys.executable, str(ROOT / "main.py"), "--out_dir=out", *row.args.split()],
        capture_output=True,
        text=True,
        check=False,
    )
    line = refusal(done.stderr, row.started)
    assert [part for part in row.expected if part not in line] == [], line
    assert (done.returncode, done.stdout) == (2, "")
    assert contents(folder) == before


def test_loss_that_becomes_nan_keeps_the_last_good_model(folder, capfd):
    late = "images[35] = np.nan  # behind the batches that are tried at the start\nlabels = np.ara"
    helper_file(("random((24,", "random((40,"), ("labels = np.ara", late), ("nge(24)", "nge(40)"))()
    args = [OWN, "--batch_size=8", "--lrn_rate_init=1e-3", "--nb_epochs=4", NO_TFLITE]
    status = main.run(["--out_dir=out", *args])
    line = refusal(capfd.readouterr().err, started=True)
    assert status == 2
    assert re.search(
        r"became NaN or infinite at step [1-9]\d*; the last good model, of step \d", line
    )
    assert "out/state/1_full_prec.keras" in line
    assert "Lower --lrn_rate_init: it was 0.001, try --lrn_rate_init=0.0001." in line
    model = keras.saving.load_model("out/state/1_full_prec.keras", compile=False)
    assert all(np.isfinite(np.asarray(weight)).all() for weight in model.weights)
    assert not pathlib.Path("out/model.keras").exists()


def test_label_beyond_the_classes_late_in_an_epoch(folder, capfd):
    helper_file(("labels = np.arange(24) % 3", "labels = np.arange(24) % 3\nlabels[20] = 5"))()
    status = main.run(["--out_dir=out", OWN, "--batch_size=8", NO_TFLITE])
    line = refusal(capfd.readouterr().err, started=True)
    assert status == 2
    assert "failed while it ran" in line
    assert "Received a label value of 5 which is outside the valid range of [0, 3)" in line


def test_debug_shows_the_traceback(folder):
    with pytest.raises(InputError, match="starts from a trained network"):
        main.run([PRUNE, "--debug"])
