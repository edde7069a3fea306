import keras
import numpy as np
import pytest
from keras import layers

from nets.pretrained import check_pretrained_path, load_pretrained
from utils.errors import InputError
from utils.quantization.packed import save_packed

INPUT = np.random.default_rng(0).random((4, 6, 6, 1), dtype=np.float32)


def build(width=4, named=True, extra=False):
    def name(text):
        return text if named else None

    inputs = keras.Input((6, 6, 1))
    x = layers.Conv2D(width, 3, name=name("conv"))(inputs)
    x = layers.BatchNormalization(name=name("bn"))(x)
    if extra:
        x = layers.Conv2D(width, 1, name="added")(x)
    return keras.Model(inputs, layers.Dense(3, name=name("fc"))(layers.Flatten()(x)))


def save(model, path):
    if path.name.endswith(".weights.h5"):
        model.save_weights(path)
    elif path.suffix == ".keras":
        model.save(path)
    elif path.suffix == ".fpq":
        save_packed(model, path)
    else:
        np.savez(path, **{variable.path: np.array(variable) for variable in model.weights})
    return path


@pytest.fixture(params=["a.keras", "a.fpq", "a.weights.h5", "a.npz"])
def file(request, tmp_path):
    return tmp_path / request.param


def test_weights_come_back(file):
    source, model = build(), build()
    load_pretrained(model, save(source, file))
    assert np.array_equal(source(INPUT), model(INPUT))


@pytest.mark.parametrize("ending", [".keras", ".fpq", ".weights.h5"])
def test_names_that_keras_made_up(tmp_path, ending):
    source, model = build(named=False), build(named=False)
    load_pretrained(model, save(source, tmp_path / f"a{ending}"))
    assert np.array_equal(source(INPUT), model(INPUT))


@pytest.mark.parametrize(
    ("options", "weight", "in_file", "in_network"),
    [
        ({"width": 8}, "conv/", r"shape \(3, 3, 1, 8\)", r"shape \(3, 3, 1, 4\)"),
        ({"extra": True}, "added/", r"shape \(1, 1, 4, 4\)", "no such weight"),
    ],
)
def test_another_network_is_refused_and_nothing_changed(file, options, weight, in_file, in_network):
    model = build()
    before = np.array(model(INPUT))
    if file.name.endswith(".weights.h5") and "extra" in options:
        weight, in_file, in_network = "added/", in_file, "no such weight"
    message = rf"first that does not fit is '{weight}.*': the file has {in_file}, the network has "
    with pytest.raises(InputError, match=message + in_network):
        load_pretrained(model, save(build(**options), file))
    assert np.array_equal(before, model(INPUT))


@pytest.mark.parametrize("name", ["a.keras", "a.h5", "a.weights.h5", "a.npz"])
def test_statistics_of_the_data_come_along(tmp_path, name):
    """What Normalization divides by follows its weights."""

    def make(data):
        layer = layers.Normalization(name="n")
        layer.adapt(data)
        parts = [keras.Input((3,)), layer, layers.Dense(2, name="d")]
        return keras.Sequential(parts, name="s")

    x = np.random.default_rng(0).normal(5.0, 3.0, (20, 3)).astype(np.float32)
    source, model = make(x), make(x**2)
    if name == "a.h5":
        source.save(tmp_path / name)
    else:
        save(source, tmp_path / name)
    load_pretrained(model, tmp_path / name)
    np.testing.assert_array_equal(model(x), source(x))


class Unknown(layers.Layer):
    """A class that the file's readers do not know."""

    def call(self, x):
        return 2.0 * x


@pytest.mark.parametrize("name", ["a.keras", "a.h5"])
def test_weights_of_a_network_that_cannot_be_built(tmp_path, capsys, name):
    def make(middle):
        return keras.Sequential([keras.Input((3,)), layers.Dense(4, name="d"), middle])

    source, model = make(Unknown(name="u")), make(layers.Rescaling(2.0, name="u"))
    source.save(tmp_path / name)
    load_pretrained(model, tmp_path / name)
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(model(x), source(x))
    said = " ".join(capsys.readouterr().err.split())
    assert "'Unknown' is unknown" in said and "Its weights fit and are taken." in said
    other = keras.Sequential([keras.Input((3,)), layers.Dense(5)])
    with pytest.raises(InputError, match="'Unknown' is unknown"):
        load_pretrained(other, tmp_path / name)


def test_missing_layer_is_named(file):
    with pytest.raises(
        InputError, match=r"'added/.*': the file has no such weight, the network has"
    ):
        load_pretrained(build(extra=True), save(build(), file))


def test_helper_translates_names(tmp_path):
    source, model = build(), build()
    arrays = {f"net.{v.path}": np.array(v) for v in source.weights}
    np.savez(tmp_path / "a.npz", **arrays)

    def translate(found):
        return {name.removeprefix("net."): array for name, array in found.items()}

    load_pretrained(model, tmp_path / "a.npz", translate)
    assert np.array_equal(source(INPUT), model(INPUT))


def test_translation_fails(tmp_path):
    np.savez(tmp_path / "a.npz", odd=np.zeros(3))

    def translate(found):
        raise KeyError("conv")

    with pytest.raises(InputError, match=r"not named like this network's weights: .* name: 'odd'"):
        load_pretrained(build(), tmp_path / "a.npz", translate)


def test_text_is_no_weight(tmp_path):
    np.savez(tmp_path / "a.npz", note=np.array("hello"))
    with pytest.raises(InputError, match=r"array 'note' must hold numbers. Received: dtype <U5"):
        load_pretrained(build(), tmp_path / "a.npz")


def test_damaged_h5(tmp_path):
    path = save(build(), tmp_path / "a.weights.h5")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match=r"a.weights.h5: is truncated or damaged \("):
        load_pretrained(build(), path)


def test_path_is_checked_without_reading(tmp_path):
    with pytest.raises(InputError, match=r"in .keras, .h5, .hdf5, .fpq, .npz. Received: 'a.ckpt"):
        check_pretrained_path("a.ckpt")
    with pytest.raises(InputError, match=r"`pretrained_path`: there is no file .*b.npz"):
        check_pretrained_path(tmp_path / "b.npz")


@pytest.mark.parametrize("ending", ["npz", "weights.h5"])
def test_weights_that_are_nan_are_refused_by_name(tmp_path, ending):
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1, name="fc")], name="m")
    path = tmp_path / f"w.{ending}"
    model.set_weights([np.full((2, 1), np.nan), np.zeros(1)])
    if ending == "npz":
        np.savez(path, **{"fc/kernel": model.get_weights()[0], "fc/bias": np.zeros(1)})
    else:
        model.save_weights(path)
    with pytest.raises(InputError, match=r"fc/(kernel|0).* holds NaN or infinite"):
        load_pretrained(keras.models.clone_model(model), path)
