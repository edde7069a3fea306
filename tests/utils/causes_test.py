"""Exceptions of users' code, as TensorFlow and Keras wrap them."""

import importlib.util

import keras
import pytest
import tensorflow as tf

from utils.causes import Place, blaming, essence, explanation, own_place, user_place
from utils.errors import InputError

USERS = """
import keras, tensorflow as tf


class OwnError(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


def refuses(x):
    if x.shape[-1] == 3:
        raise ValueError("three is no size")  # line 12
    return x


def own_error(x):
    raise OwnError("one", "two")  # line 17


def calls(x):
    return refuses(x)


def plain(x):
    return {}["colour"]  # line 25


def generator():
    yield 1.0
    raise RuntimeError("the generator broke")  # line 30


class Layer(keras.layers.Layer):
    def call(self, x):
        return keras.ops.matmul(x, keras.ops.ones((7, 3)))  # line 35


def two_sizes(y, predicted):
    return keras.ops.mean(predicted - keras.ops.ones((3, 4)))  # line 39


def far_label(y, predicted):
    far = tf.cast(y, "int32") + 5
    return tf.nn.sparse_softmax_cross_entropy_with_logits(far, predicted)  # line 44
"""
ONES = tf.ones((3, 3))


@pytest.fixture
def users(tmp_path):
    """A module of the user's, anywhere."""
    path = tmp_path / "net.py"
    path.write_text(USERS)
    spec = importlib.util.spec_from_file_location("users_net", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def mapped(function):
    return tf.data.Dataset.from_tensors(ONES).map(function)


def fitted(loss):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    model.compile(loss=loss)
    model.fit(ONES, tf.zeros(3, tf.int32), verbose=0)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (lambda net: net.plain(1), "KeyError: 'colour'. (net.py, line 25; "),
        (lambda net: mapped(net.refuses), "ValueError: three is no size. (net.py, line 12; "),
        (lambda net: mapped(net.calls), "ValueError: three is no size. (net.py, line 12; "),
        (lambda net: mapped(net.own_error), "OwnError: one and two. (net.py, line 17; "),
        (
            lambda net: tf.function(net.calls)(ONES),
            "ValueError: three is no size. (net.py, line 12",
        ),
        (
            lambda net: list(tf.data.Dataset.from_generator(net.generator, output_types="float32")),
            "RuntimeError: the generator broke. (net.py, line 30; ",
        ),
        (
            lambda net: net.Layer()(keras.Input((3,))),
            "ValueError: Dimensions must be equal, but are 3 and 7 with input shapes: [?,3], [7,3]."
            " (net.py, line 35; ",
        ),
        (
            lambda net: fitted(net.two_sizes),
            "ValueError: Dimensions must be equal, but are 3 and 4 with input shapes: [?,3], [3,4]."
            " (net.py, line 39; ",
        ),
        (
            lambda net: fitted(net.far_label),
            "InvalidArgumentError: Received a label value of 5 which is outside the valid range of "
            "[0, 3).  Label values: 5 5 5. (net.py, line 44; ",
        ),
    ],
    ids=lambda value: "" if callable(value) else value.partition(".")[0].replace(" ", "_"),
)
def test_the_innermost_error_with_its_line(body, wanted, users):
    with pytest.raises(Exception) as caught:
        body(users)
    text = explanation(caught.value)
    assert text.startswith(wanted)
    assert text.endswith("traceback: --debug)")
    assert "in user code" not in text


def test_errors_of_python_functions_inside_a_graph(users):
    def looks_up(x):
        return tf.py_function(lambda value: users.plain(value), [x], tf.float32)

    with pytest.raises(tf.errors.OpError) as caught:
        list(mapped(looks_up))
    assert essence(caught.value) == "KeyError: 'colour'."


def test_essence_of_a_graph_error():
    text = (
        "Graph execution error:\n\nDetected at node Loss defined at (most recent call last):\n"
        '  File "x.py", line 1\n\nReceived a label value of 5 which is outside the valid range\n'
        "\t [[{{node Loss}}]] [Op:__inference_1]"
    )
    error = tf.errors.InvalidArgumentError(None, None, text)
    assert essence(error) == (
        "InvalidArgumentError: Received a label value of 5 which is outside the valid range."
    )
    assert user_place(error) == Place("x.py", 1)
    assert essence(ValueError()) == "ValueError: no message."
    assert essence(ValueError("{{function_node f}} Bad shape. [Op:Add] name: ")) == (
        "ValueError: Bad shape."
    )


def test_errors_of_ours_have_no_line_of_the_users():
    with pytest.raises(AttributeError) as caught:
        essence(None).nothing  # noqa: B018
    assert user_place(caught.value) is None
    assert explanation(caught.value).endswith("nothing'. (traceback: --debug)")
    assert own_place(caught.value).file == __file__
    with pytest.raises(AttributeError) as caught:
        explanation(object())
    assert own_place(caught.value).file.endswith("utils/causes.py")


def test_a_script_that_only_calls_us_is_not_to_blame():
    text = (
        'Detected at node a defined at:\n  File "/home/me/script.py", line 3, in <module>\n'
        f'  File "{__file__}", line 1, in f\n  File "{tf.__file__}", line 2, in g\n\nIt broke\n'
    )
    assert user_place(ValueError(text)) is None
    inner = text.replace(tf.__file__, "/home/me/loss.py")
    assert str(user_place(ValueError(inner))) == "loss.py, line 2"


def test_blames_the_part(users):
    message = r"^Net.forward failed: KeyError: 'x'. \(traceback: --debug\)$"
    with pytest.raises(InputError, match=message), blaming("Net.forward"):
        raise KeyError("x")
    message = r"^Net.forward failed: KeyError: 'colour'. \(net.py, line 25; traceback: --debug\)$"
    with pytest.raises(InputError, match=message), blaming("Net.forward"):
        users.plain(1)
    with pytest.raises(InputError, match=r"^own words$"), blaming("Net.forward"):
        raise InputError("own words")
    with blaming("Net.forward"):
        pass
