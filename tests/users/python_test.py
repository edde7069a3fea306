"""compress(): a folder of its own for each call, and advice as it is written in Python."""

import concurrent.futures
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from flowpress import compress
from utils.errors import InputError
from utils.folders import fresh_folder

IMAGES = np.random.default_rng(0).random((16, 6, 6, 1), dtype=np.float32)
LABELS = np.arange(16) % 3
QUICK = {"nb_smpls": 16, "nb_crops_per_smpl": 2, "nb_repts": 1, "nb_repts_warmup": 0,
         "tflite": "none", "nb_epochs": 1, "batch_size": 8}  # fmt: skip


def network():
    keras.utils.set_random_seed(3)
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.Conv2D(4, 3, name="conv1")(inputs)
    x = keras.layers.Conv2D(4, 3, name="conv2")(x)
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))


def batches():
    return tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(8)


def call(model=None, **options):
    return compress(model or network(), batches(), batches(), **(QUICK | options))


def test_each_call_has_a_folder_of_its_own(folder, capfd):
    """The second call differs in everything; with one folder for both it would be refused."""
    first, second = call(prune_ratio=0.5), call(prune_ratio=0.25, seed=7)
    folders = [pathlib.Path(report.after.path).parent for report in (first, second)]
    assert folders == [pathlib.Path("runs/compress"), pathlib.Path("runs/compress-2")]
    assert all((path / "report.html").is_file() for path in folders)
    filters = [report.model.get_layer("conv1").filters for report in (first, second)]
    assert filters == [2, 3]
    assert "note: files go to runs/compress-2" in capfd.readouterr().err


def test_a_folder_that_is_given_is_gone_on_from(folder, capfd):
    first = call(out_dir=pathlib.Path("mine"))
    capfd.readouterr()
    again = call(out_dir="mine")
    assert "already done, taken from mine/state/1_chn_pruned_rmt.keras" in capfd.readouterr().err
    for one, other in zip(first.model.weights, again.model.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not pathlib.Path("runs").exists()
    message = r"holds another run: --cpr_|holds another run: cpr_prune_ratio was 0.5, is 0.25. Rep"
    with pytest.raises(InputError, match=message) as caught:
        call(out_dir="mine", prune_ratio=0.25)
    text = str(caught.value)
    assert text.endswith("or start anew with resume=False or in another out_dir.")
    assert "--" not in text
    other = network()
    other.set_weights([2 * weight for weight in other.get_weights()])
    with pytest.raises(InputError, match=r"the network it starts from is another one\. Repeat"):
        call(other, out_dir="mine")


def test_a_call_that_is_refused_leaves_nothing(folder):
    with pytest.raises(InputError, match=r"between 0\."):
        call(budget="flops:1e-6")
    assert list(folder.iterdir()) == []


def test_folders_of_calls_at_the_same_time_differ(folder):
    def claim(_):
        with fresh_folder("runs/compress") as path:
            return str(path)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        names = list(pool.map(claim, range(24)))
    wanted = {"runs/compress"} | {f"runs/compress-{number}" for number in range(2, 25)}
    assert set(names) == wanted


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (
            {"loss_w_dst": 2.0},
            "`loss_w_dst` has no effect without a teacher. Received: 2.0. Add enbl_dst=True, or "
            "leave it out.",
        ),
        (
            {"budget": "flops:0.5", "prune_ratio": 0.25},
            'cpr_prune_ratio=0.25 and budget="flops:0.5" contradict each other: each says alone '
            "how much stays. Leave one out.",
        ),
        (
            {"search": True},
            "cpr_search=True needs a budget that every candidate keeps. Give one, e.g. "
            'budget="flops:0.5".',
        ),
        ({"agent": "tpe"}, "agent has no effect without a search. Switch one on (cpr_search=True), "
         "or leave agent out."),
        ({"learner": "full-prec", "enbl_dst": True}, "`enbl_dst` has no teacher here: without a "
         "learner that compresses there is no network before compression. Give "
         'teacher_path="teacher.keras", or leave it out.'),
        ({"learner": "prune"}, "Unknown learner 'prune' in learner. "),
        ({"out_dir": ""}, "`out_dir` must be a path. Received: ''."),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)  # fmt: skip
def test_advice_in_the_words_of_python(options, wanted, folder):
    with pytest.raises(InputError) as caught:
        compress(network(), batches(), batches(), **options)
    assert str(caught.value).startswith(wanted)
    assert list(folder.iterdir()) == []


def test_options_without_effect_say_so(folder, capfd):
    with pytest.raises(InputError, match=r"cannot be met"):
        call(lstsq_nb_iters=7, budget="flops:1e-6")
    note = "note: cpr_lstsq_nb_iters has no effect: least squares is solved in closed form"
    assert note in capfd.readouterr().err
