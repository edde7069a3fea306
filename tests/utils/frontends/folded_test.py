import numpy as np
import pytest

from utils.frontends.folded import folded, guarded
from utils.frontends.source import NotConvertible, SourceNode
from utils.frontends.values import Value

NODE = SourceNode("n", "op", ("x",), ("y",))


def test_what_does_not_depend_on_open_sizes_is_told_apart():
    shape = Value(array=np.array([99991, 3, 8]), other=np.array([107910, 3, 8]))
    (channels,) = folded(NODE, lambda node, arrays: [arrays[0][1:]], [shape])
    assert not channels.is_shape
    (batch,) = folded(NODE, lambda node, arrays: [arrays[0][:1] * 2], [shape])
    assert batch.array[0] == 199982 and batch.is_shape


def test_stand_ins_that_do_not_fit_each_other_count_as_open():
    def fold(node, arrays):
        return [arrays[0].reshape(3, -1)]

    value = Value(array=np.arange(6), other=np.arange(7))
    assert folded(NODE, fold, [value])[0].is_shape


@pytest.mark.parametrize(("error", "words"), [
    (NotConvertible("because"), "^because$"),
    (MemoryError(), "more memory than there is"),
    (KeyError("axis"), "does not fit what it reads .KeyError"),
])  # fmt: skip
def test_every_error_becomes_a_reason(error, words):
    def fail():
        raise error

    with pytest.raises(NotConvertible, match=words):
        guarded(fail)
