"""On which scale a network takes its inputs."""

import keras
import numpy as np
import pytest

from nets.config import NetworkOnDataConfig
from nets.input_scale import SCALES, Affine, affine, candidates, choose, scale_of_layers
from utils.flags import describe
from utils.graph import from_keras

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("scale", "function"),
    [
        ("0..1", lambda x: x / 255),
        ("0..255", lambda x: x),
        ("raw", lambda x: x),
        ("-1..1", lambda x: keras.applications.mobilenet_v2.preprocess_input(x.copy())),
        ("imagenet", lambda x: keras.applications.densenet.preprocess_input(x.copy())),
        ("caffe", lambda x: keras.applications.vgg16.preprocess_input(x.copy())),
        ("standard", lambda x: (x / 255 - [0.1, 0.2, 0.3]) / [0.5, 0.6, 0.7]),
    ],
)
def test_scales_are_those_of_keras(scale, function):
    found = affine(scale, white=255.0, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))(PIXELS)
    np.testing.assert_allclose(found, function(PIXELS), rtol=1e-5, atol=1e-5)


def test_scales_of_other_whites():
    assert affine("0..255", white=16.0) == Affine((255 / 16,), (0.0,))
    assert affine("-1..1", white=None) == Affine((1.0,), (0.0,))


def test_the_flag_takes_the_scales():
    spec = next(spec for spec in describe(NetworkOnDataConfig) if spec.name == "scale")
    assert spec.info.choices == SCALES


def test_candidates_begin_with_what_the_layers_tell():
    assert candidates((8, 8, 3), white=255.0, own="0..255", as_they_are=False)[0] == "0..255"
    names = candidates((8, 8, 3), white=255.0, own=None, as_they_are=False)
    assert names[0] == "0..1"
    assert {"imagenet", "caffe"} < set(names)
    assert "raw" not in names  # it is 0..255
    assert candidates((8, 8, 1), white=1.0, own=None, as_they_are=True)[0] == "0..1"
    assert candidates((8, 8, 1), white=16.0, own=None, as_they_are=True)[0] == "raw"
    assert not {"imagenet", "caffe"} & set(
        candidates((192,), white=255.0, own=None, as_they_are=False)
    )
    assert candidates((8,), white=None, own=None, as_they_are=True) == ("raw",)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([keras.layers.Rescaling(1 / 255)], "0..255"),
        ([keras.layers.Rescaling(1 / 127.5, offset=-1)], "0..255"),
        ([keras.layers.Rescaling(2.0, offset=-1)], "0..1"),
        ([keras.layers.Resizing(4, 4), keras.layers.Rescaling(1 / 255)], "0..255"),
        ([keras.layers.Normalization(mean=120.0, variance=60.0**2)], "0..255"),
        ([keras.layers.Normalization(mean=0.4, variance=0.04)], "0..1"),
        ([], None),
    ],
)
def test_what_the_first_layers_tell(layers, expected):
    model = keras.Sequential([keras.Input((8, 8, 1)), *layers, keras.layers.Conv2D(2, 3)])
    assert scale_of_layers(from_keras(model)) == expected


def test_an_adapted_normalization_tells_too():
    layer = keras.layers.Normalization()
    layer.adapt(PIXELS)
    model = keras.Sequential([keras.Input((3, 4, 3)), layer, keras.layers.Conv2D(2, 3)])
    assert scale_of_layers(from_keras(model)) == "0..255"


def chosen(scores, **facts):
    facts = {"chance": 0.1, "num_samples": 100, **facts}
    return choose(tuple(scores), scores.__getitem__, **facts)


def test_the_best_is_taken_where_nothing_tells():
    choice = chosen({"0..1": 0.93, "-1..1": 0.97, "standard": 0.96})
    assert (choice.scale, choice.near_chance, choice.better) == ("-1..1", False, None)
    assert chosen({"0..1": 0.96, "-1..1": 0.97}).scale == "0..1"  # one sample is no reason


def test_what_the_layers_tell_is_believed_where_it_works():
    choice = chosen({"0..255": 0.95, "0..1": 0.99}, is_told=True)
    assert choice.scores == {"0..255": 0.95}
    assert chosen({"0..255": 0.12, "0..1": 0.99}, is_told=True).scale == "0..1"


def test_the_users_choice_is_kept_and_a_better_one_named():
    choice = chosen({"0..1": 0.96, "0..255": 0.5}, given="0..255")
    assert (choice.scale, choice.better, choice.near_chance) == ("0..255", "0..1", False)


def test_guessing():
    choice = chosen({"0..1": 0.11, "-1..1": 0.14})
    assert (choice.scale, choice.near_chance, choice.better) == ("0..1", True, None)
    assert chosen({"raw": 0.0}, chance=0.0).near_chance
    assert not chosen({"raw": 0.4}, chance=0.0).near_chance
