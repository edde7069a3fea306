import numpy as np
import pytest

from utils.errors import InputError
from utils.frontends.folded import MIN_ALLOWANCE_BYTES, FoldAllowance, folded, guarded
from utils.frontends.source import NotConvertible, SourceNetwork, SourceNode
from utils.frontends.values import Value

NODE = SourceNode("n", "op", ("x",), ("y",))


def allowance(**constants):
    return FoldAllowance(SourceNetwork("net", (), ("y",), (), constants))


def test_what_does_not_depend_on_open_sizes_is_told_apart():
    shape = Value(array=np.array([99991, 3, 8]), other=np.array([107910, 3, 8]))
    (channels,) = folded(NODE, lambda node, arrays: [arrays[0][1:]], [shape], allowance())
    assert not channels.is_shape
    (batch,) = folded(NODE, lambda node, arrays: [arrays[0][:1] * 2], [shape], allowance())
    assert batch.array[0] == 199982 and batch.is_shape


def test_stand_ins_that_do_not_fit_each_other_count_as_open():
    def fold(node, arrays):
        return [arrays[0].reshape(3, -1)]

    value = Value(array=np.arange(6), other=np.arange(7))
    assert folded(NODE, fold, [value], allowance())[0].is_shape


def test_all_constants_together_have_a_limit():
    large = [np.zeros(1 << 28, np.int8) for _ in range(4)]  # no page of them is touched
    left = allowance()
    for array in large[:3]:
        left.take(NODE, [array], [])
    left.take(NODE, [large[0][::2], np.broadcast_to(np.float32(1), (1 << 40,))], [large[0], None])
    words = r"^net: .* more than 1,073,741,824 bytes, .* node 'n' \(op\)\. Simplify"
    with pytest.raises(InputError, match=words):
        left.take(NODE, [large[3]], [])


def test_large_files_may_work_more_out():
    own = np.zeros(100 << 20, np.int8)  # the weights of a ResNet-50
    assert 8 * own.nbytes <= MIN_ALLOWANCE_BYTES
    left = allowance(w=np.zeros(1 << 28, np.int8))
    left.take(NODE, [np.zeros(1 << 31, np.int8)], [])
    with pytest.raises(InputError, match="2,147,483,648"):
        left.take(NODE, [np.zeros(1, np.int8)], [])


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
