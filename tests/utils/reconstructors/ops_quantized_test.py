import pytest
import tensorflow as tf

from utils.reconstructors.ops_quantized import nudged
from utils.reconstructors.rebuilding import RefusedError


@pytest.mark.parametrize("ends", [(-1.1, 2.3), (0.0, 6.0), (-0.3, 0.1), (-3.7, 0.0)])
def test_the_grid_is_that_of_tensorflow(ends):
    low, high, step = nudged(*ends, 8)
    found = tf.quantization.fake_quant_with_min_max_vars([-9.0, 9.0], *ends, num_bits=8)
    assert [low, high] == pytest.approx(found.numpy().tolist(), abs=1e-6)
    assert low / step == pytest.approx(round(low / step), abs=1e-4)  # 0 is on the grid


def test_an_empty_range_is_refused():
    with pytest.raises(RefusedError, match="is empty"):
        nudged(0.0, 0.0, 8)
