import pytest
import tensorflow as tf

from utils.traced import traced


def test_python_conditions_over_tensors_are_refused_as_in_training():
    @traced
    def magnitude(value):
        return value if value > 0 else -value

    with pytest.raises(tf.errors.OperatorNotAllowedInGraphError):
        magnitude(tf.constant(-1.0))


def test_batches_of_many_sizes_are_two_traces():
    sizes = []

    @traced
    def doubled(values):
        sizes.append(values.shape[0])
        return 2 * values

    for size in (5, 4, 3, 2):
        assert doubled(tf.ones([size])).shape == (size,)
    assert sizes == [5, None]
