import pytest

from utils.graph.ir import Node
from utils.graph.row import Window, argument, channel_axis, unchanged, with_argument

NODE = Node(name="n", layer="n", op="keras.layers.Add", attrs={}, args=(1, 2), kwargs={"axis": 3})


def test_arguments_by_position_and_by_name():
    assert argument(NODE, 1, "second") == 2
    assert argument(NODE, 2, "axis") == 3
    assert argument(NODE, 2, "missing", default=7) == 7


def test_replaced_arguments_leave_the_others():
    assert with_argument(NODE, 0, "first", 9).args == (9, 2)
    changed = with_argument(NODE, 2, "axis", 5)
    assert (changed.args, changed.kwargs, NODE.kwargs) == ((1, 2), {"axis": 5}, {"axis": 3})


def test_most_ops_do_not_change_with_their_channels():
    assert unchanged(NODE, cut=None) == (NODE,)


@pytest.mark.parametrize(("data_format", "axis"), [("channels_first", 1), ("channels_last", 3)])
def test_channel_axis(data_format, axis):
    assert channel_axis({"data_format": data_format}, rank=4) == axis


def test_window():
    window = Window((3, 5), strides=(2, 2), dilation=(2, 1))
    assert window.num_positions == 15
    assert window.reach == (5, 5)
    assert Window().reach == (1, 1)
