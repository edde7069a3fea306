"""Statistics of a network's tensors."""

import keras
import numpy as np
import pytest

from utils.errors import InputError
from utils.graph import Graph, Ref, from_keras
from utils.quantization.observation import checked_inputs, observe, pieces

_IMAGES = np.random.default_rng(0).normal(size=(10, 4, 4, 2)).astype(np.float32)


def _graph(factor: float = 2.0) -> Graph:
    inputs = keras.Input((4, 4, 2), name="image")
    outputs = keras.layers.Rescaling(factor, name="scaled")(inputs)
    return from_keras(keras.Model(inputs, outputs))


@pytest.mark.parametrize("with_histogram", [True, False])
def test_tensors_are_what_the_layers_give(with_histogram: bool) -> None:
    refs = [Ref("image"), Ref("scaled")]
    batches = [_IMAGES[:4], {"image": _IMAGES[4:]}]
    found = observe(
        _graph(), refs, batches, with_histogram=with_histogram, by_channel={Ref("scaled")}
    )
    ends = found[Ref("image")].range("minmax")
    assert (ends.least[0], ends.greatest[0]) == (_IMAGES.min(), _IMAGES.max())
    axes = (0, 1, 2)
    np.testing.assert_allclose(found[Ref("scaled")].greatest, 2 * _IMAGES.max(axis=axes))
    np.testing.assert_allclose(
        found[Ref("scaled")].mean, 2 * _IMAGES.mean(axis=axes, dtype=np.float64), rtol=1e-5
    )


def test_values_that_are_not_finite_are_traced_to_their_layer() -> None:
    with pytest.raises(InputError, match="'scaled' has NaN or infinite"):
        observe(_graph(1e38), [Ref("scaled")], [_IMAGES * 100])


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (_IMAGES[0], "must have the shape"),
        (_IMAGES.astype(str), "must be numbers"),
        ({"picture": _IMAGES}, r"must hold the inputs \['image'\]"),
        ([_IMAGES, _IMAGES], "Received: 2 arrays"),
    ],
)
def test_wrong_samples_are_refused(batch: object, message: str) -> None:
    inputs = keras.Input((4, 4, 2), name="image")
    with pytest.raises(InputError, match=message):
        checked_inputs(keras.Model(inputs, keras.layers.ReLU()(inputs)), batch)


def test_pieces_are_all_of_a_batch() -> None:
    cut = list(pieces([_IMAGES], 4))
    assert [len(each[0]) for each in cut] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate([each[0] for each in cut]), _IMAGES)
