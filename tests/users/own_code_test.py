"""What the user's own code raises: one line with the innermost error, its file and line."""

import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import main
from flowpress import compress
from tests.users.small import HELPER, last_line, run, write_helper
from utils.errors import InputError

MAPPED = """
def broken(image, label):
    if image.shape[-1] == 1:
        raise ValueError("grey images are not for me")
    return image, label


class ModelHelper(AbstractModelHelper):"""
CLASS = "class ModelHelper(AbstractModelHelper):"
TRAIN = "    def build_dataset_train(self):\n        return tf.data.Dataset.from_tensor_slices"
FORWARD = '        x = keras.layers.Conv2D(4, 3, name="conv1")(inputs)'


def loss(*lines):
    """A calc_loss of the user's."""
    body = "".join(f"        {line}\n" for line in lines)
    return (CLASS, f"{CLASS}\n    def calc_loss(self, labels, outputs, trainable_vars):\n{body}")


@pytest.mark.parametrize(
    ("changes", "wanted", "source"),
    [
        (
            [(CLASS, MAPPED.strip()), ("labels)).batch(8)", "labels)).map(broken)")],
            "ModelHelper.build_dataset_train failed: ValueError: grey images are not for me.",
            "raise ValueError",
        ),
        (
            [(TRAIN, TRAIN.replace("return", "assert False, 'no data yet'\n        return"))],
            "ModelHelper.build_dataset_train failed: AssertionError: no data yet.",
            "assert False",
        ),
        (
            [(FORWARD, FORWARD.replace("3, name", "9, name"))],
            "ModelHelper.forward failed: ValueError: Computed output size would be zero or neg",
            "9, name",
        ),
        (
            [(FORWARD, f"{FORWARD}\n        x = keras.ops.matmul(x, keras.ops.ones((7, 3)))")],
            "ModelHelper.forward failed: ValueError: ",
            "keras.ops.matmul",
        ),
        (
            [loss("return {}['loss'], {}")],
            "in network and calc_loss failed: KeyError: 'loss'.",
            "return {}['loss']",
        ),
        (
            [loss("return tf.reduce_mean(outputs - tf.ones((8, 4))), {}")],
            "in network and calc_loss failed: ValueError: Dimensions must be equal, but are 3 and "
            "4 with input shapes: [8,3], [8,4].",
            "tf.ones((8, 4))",
        ),
        (
            [loss("tf.debugging.assert_less(labels, np.int64(2))", "return 0.0, {}")],
            "in network and calc_loss failed: InvalidArgumentError: ",
            "tf.debugging",
        ),
        (
            [("    num_epochs = 1", "    def setup_lrn_rate(self):\n        return self.rate, 3")],
            "failed while it ran: AttributeError: 'ModelHelper' object has no attribute 'rate'.",
            "return self.rate",
        ),
    ],
    ids=["map", "build", "layer", "forward", "calc_loss", "shapes", "assertion", "schedule"],
)  # fmt: skip
def test_by_the_command(changes, wanted, source, folder, capfd):
    write_helper(*changes)
    lines = pathlib.Path("net.py").read_text().splitlines()
    number = next(i for i, line in enumerate(lines, 1) if source in line)
    assert run("--learner=full-prec") == 2
    line = last_line(capfd)
    assert wanted in line
    assert f"(net.py, line {number}; traceback: --debug)" in line
    assert "in user code" not in line


def test_an_error_in_the_middle_of_training(folder, capfd):
    pairs = "\n".join(
        [
            "def pairs():",
            "    for index in range(3):",
            "        if index == 2:",
            "            raise RuntimeError('the disk was pulled out')",
            "        yield images[:8], labels[:8]",
            "", "",
        ]
    )  # fmt: skip
    made = (
        "        spec = tf.TensorSpec((8, 6, 6, 1)), tf.TensorSpec((8,), tf.int64)\n"
        "        data = tf.data.Dataset.from_generator(pairs, output_signature=spec)\n"
        "        return data.apply(tf.data.experimental.assert_cardinality(3))\n\n"
        "    def build_dataset_eval"
    )
    build = HELPER[HELPER.index(TRAIN) + len(TRAIN.partition("\n")[0]) + 1 :]
    build = build[: build.index("    def build_dataset_eval")]
    write_helper((CLASS, pairs + CLASS), (f"{build}    def build_dataset_eval", made))
    assert run("--learner=full-prec") == 2
    line = capfd.readouterr().err.splitlines()[-1]  # TensorFlow may write there too
    assert line.startswith("error: ")
    number = HELPER.splitlines().index(CLASS) + 4
    assert f"RuntimeError: the disk was pulled out. (net.py, line {number}; " in line


def test_a_helper_that_does_not_load(folder, capfd):
    pathlib.Path("net.py").write_text("import numpy as np\n\nSIZES = {}\nWIDTH = SIZES['width']\n")
    assert run("--learner=full-prec") == 2
    assert "net.py: KeyError: 'width'. (net.py, line 4; " in last_line(capfd)


def test_a_helper_that_cannot_be_made(folder, capfd):
    write_helper(
        (
            CLASS,
            f"{CLASS}\n    def __init__(self, *args, **kwargs):\n        raise OSError('off')\n",
        )
    )
    number = HELPER.splitlines().index(CLASS) + 3
    assert run("--learner=full-prec") == 2
    wanted = f"your code failed: OSError: off. (net.py, line {number}; traceback: --debug)"
    assert last_line(capfd) == wanted


def test_a_mistake_of_ours_is_one_line_and_status_1(folder, capfd, monkeypatch):
    from pipeline import stages

    def broken(*args, **kwargs):
        raise ZeroDivisionError("a plan of no stages")

    monkeypatch.setattr(stages, "run_stages", broken)
    write_helper()
    assert run("--learner=full-prec") == 1
    line = last_line(capfd)
    assert line.startswith("ZeroDivisionError: a plan of no stages. (own_code_test.py, line ")
    assert line.endswith("please report it with the traceback, which --debug shows.")
    with pytest.raises(ZeroDivisionError):
        main.run(["--model_helper=net.py", "--out_dir=out", "--debug", "--tflite=none"])


# --- the same from Python -------------------------------------------------------------------------

IMAGES = np.random.default_rng(0).random((16, 6, 6, 1), dtype=np.float32)
LABELS = np.arange(16) % 3


def network(loss=None):
    layers = [keras.Input((6, 6, 1)), keras.layers.Conv2D(4, 3), keras.layers.Flatten()]
    model = keras.Sequential([*layers, keras.layers.Dense(3)])
    if loss is not None:
        model.compile(loss=loss)
    return model


def batches():
    return tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(8)


def users_function(text, folder):
    """A function of the user's, from a file."""
    path = folder / "script.py"
    path.write_text(text)
    namespace = {"tf": tf, "keras": keras}
    exec(compile(text, path, "exec"), namespace)
    return namespace["function"]


def test_a_loss_from_python(folder):
    text = "def function(labels, outputs):\n    return tf.reduce_mean(outputs - tf.ones((8, 4)))\n"
    wrong = network(users_function(text, folder))
    with pytest.raises(InputError) as caught:
        compress(wrong, batches(), batches(), out_dir="out")
    assert str(caught.value).endswith(
        "ValueError: Dimensions must be equal, but are 3 and 4 with input shapes: [?,3], [8,4]. "
        "(script.py, line 2)"
    )
    assert isinstance(caught.value.__cause__, ValueError)


def test_data_from_python_that_fail_later(folder):
    text = (
        "def function():\n"
        "    yield tf.ones((8, 6, 6, 1)), tf.zeros(8, tf.int32)\n"
        "    raise RuntimeError('the second batch is missing')\n"
    )
    spec = tf.TensorSpec((8, 6, 6, 1)), tf.TensorSpec((8,), tf.int32)
    late = tf.data.Dataset.from_generator(users_function(text, folder), output_signature=spec)
    late = late.apply(tf.data.experimental.assert_cardinality(2))
    with pytest.raises(InputError) as caught:
        compress(network(), late, batches(), out_dir="out", nb_epochs=1, tflite="none", nb_smpls=8)
    wanted = r"RuntimeError: the second batch is missing. \(script.py, line 3\)"
    assert re.search(wanted, str(caught.value))
    assert "debug" not in str(caught.value)
