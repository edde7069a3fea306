import numpy as np
import pytest

from utils.frontends.layout import new_layout
from utils.frontends.source import NotConvertible
from utils.frontends.values import Value


def test_constants_and_computed_values():
    constant = Value(array=np.zeros((2, 3)))
    computed = Value(tensor=object(), layout=new_layout((1, 3, 4), (False,) * 3, (0, 2, 1)))
    assert constant.is_constant and not computed.is_constant
    assert (constant.shape, constant.rank, computed.shape) == ((2, 3), 2, (1, 3, 4))
    assert computed.replace(nonnegative=True).nonnegative
    assert Value(array=np.zeros(1), other=np.ones(1)).is_shape
    with pytest.raises(NotConvertible, match="constant"):
        _ = constant.axes
