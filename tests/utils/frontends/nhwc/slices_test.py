"""Strided slices against TensorFlow's own, over drawn bounds and masks."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.frontends.nhwc.slices import strided
from utils.frontends.source import NotConvertible, SourceNode

SHAPE = (4, 3, 5)
X = np.arange(np.prod(SHAPE)).reshape(SHAPE)
MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")


@settings(deadline=None, max_examples=80)
@given(data=st.data())
def test_as_tensorflow(data):
    count = data.draw(st.integers(1, 4))
    numbers = st.lists(st.integers(-5, 5), min_size=count, max_size=count)
    begin, end = data.draw(numbers), data.draw(numbers)
    step = data.draw(st.lists(st.sampled_from([1, 2, -1]), min_size=count, max_size=count))
    masks = {name: data.draw(st.integers(0, 2**count - 1)) for name in MASKS}
    masks["ellipsis_mask"] = data.draw(st.sampled_from([0, 1, 2]))
    try:
        wanted = tf.strided_slice(X, begin, end, step, **masks).numpy()
    except Exception:  # TensorFlow's own: then nothing is asked
        return
    node = SourceNode("s", "StridedSlice", (), ("y",), masks)
    found = strided(node, SHAPE, [np.array(each) for each in (begin, end, step)])
    np.testing.assert_array_equal(X[found.slices].reshape(found.shape), wanted)


@pytest.mark.parametrize(
    ("bounds", "masks", "words"),
    [
        (([0], [1, 2], [1]), {}, "its bounds are"),
        (([0], [1], [0]), {}, "its bounds are"),
        (([9], [1], [1]), {"shrink_axis_mask": 1}, "takes entry 9 of an axis of 4"),
        (([0] * 4, [1] * 4, [1] * 4), {}, "cuts 4 axes of a tensor of 3"),
    ],
)
def test_refusals(bounds, masks, words):
    node = SourceNode("s", "StridedSlice", (), ("y",), masks)
    with pytest.raises(NotConvertible, match=words):
        strided(node, SHAPE, [np.array(each) for each in bounds])
