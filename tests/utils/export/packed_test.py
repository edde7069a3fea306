import keras
import numpy as np
import pytest

from utils.errors import InputError
from utils.export.check import check_all
from utils.export.config import ConvertConfig, ExportConfig
from utils.export.conversion import Exported, convert_all
from utils.export.errors import ExportError
from utils.export.exporters import Source
from utils.export.files import converted_files, export_files
from utils.export.packed import PackedRunner, is_low_bit, packed_file, same_weight
from utils.quantization.packed import load_packed

KINDS = {"auto": ["few"], "always": ["few", "plain"], "never": []}


@pytest.mark.parametrize("packed", KINDS)
def test_networks_of_few_bits_get_one_unasked(packed, low_bit_network, network):
    networks = [
        Exported(name="few", model=low_bit_network),
        Exported(name="plain", model=network),
    ]
    found = convert_all(networks, [], ConvertConfig(packed=packed), None)
    assert [name for name, kind in found if kind == "fpq"] == KINDS[packed]
    assert all(each.content and not each.failed for each in found.values())


def test_what_counts_as_few_bits(network, low_bit_network):
    assert is_low_bit(low_bit_network) and not is_low_bit(network)
    inputs = keras.Input((30,))
    zeros = keras.Model(inputs, keras.layers.Dense(40, kernel_initializer="zeros")(inputs))
    assert not is_low_bit(zeros)


def test_written_checked_and_loaded(low_bit_network, low_bit_images, accuracy, tmp_path):
    labels = np.argmax(low_bit_network(low_bit_images), -1)
    labels[:5] = (labels[:5] + 1) % 10
    (result,) = export_files(
        low_bit_network,
        tmp_path / "model.keras",
        ExportConfig(tflite="none"),
        calibration=None,
        dataset=[(low_bit_images, labels)],
        calc_metrics=accuracy,
    )
    assert result.kind == "fpq" and result.path == str(tmp_path / "model.fpq")
    assert result.top1 == result.keras_top1 == 0.75 and result.agreement == 1.0
    assert result.file_bytes == (tmp_path / "model.fpq").stat().st_size
    assert result.notes[0].startswith("The packed file stores 6 kernels as indices of 3 bits; zero")
    loaded = load_packed(tmp_path / "model.fpq")
    np.testing.assert_array_equal(loaded(low_bit_images), low_bit_network(low_bit_images))


def test_it_is_made_of_the_result_only(low_bit_network):
    before = Exported(name="before", model=low_bit_network, is_result=False)
    assert convert_all([before], [], ConvertConfig(packed="always"), None) == {}


def test_a_network_that_cannot_be_described_is_told(low_bit_network, monkeypatch):
    def refuse(graph):
        raise InputError("the layer 'x' holds a lock.")

    monkeypatch.setattr("utils.export.packed.pack", refuse)
    network = Exported(name="after", model=low_bit_network)
    found = convert_all([network], [], ConvertConfig(), None)["after", "fpq"]
    assert found.declined == "the layer 'x' holds a lock. Leave it out: --packed=never."


def test_a_file_of_another_network_misses_its_limit(low_bit_network, low_bit_images, accuracy):
    other = keras.models.clone_model(low_bit_network)
    files = converted_files(
        convert_all([Exported(name="after", model=other)], [], ConvertConfig(packed="always"), None)
    )
    dataset = [(low_bit_images, np.zeros(20, int))]
    (result,) = check_all({"after": low_bit_network}, files, dataset, accuracy).files
    assert not result.passed and "rounding explains 1e-06" in result.declined


def test_several_inputs_and_outputs():
    keras.utils.set_random_seed(0)
    wide, narrow = keras.Input((8,), name="wide"), keras.Input((3,), name="narrow")
    joined = keras.layers.Concatenate()([wide, narrow])
    heads = {"one": keras.layers.Dense(5)(joined), "two": keras.layers.Dense(2)(joined)}
    model = keras.Model({"wide": wide, "narrow": narrow}, heads)
    inputs = {"wide": np.ones((4, 8), np.float32), "narrow": np.ones((4, 3), np.float32)}
    outputs = PackedRunner(packed_file(Source(model=model)).content)(inputs)
    for output, expected in zip(outputs, keras.tree.flatten(model(inputs)), strict=True):
        np.testing.assert_allclose(output, expected, rtol=1e-6)


def test_a_changed_weight_is_found(low_bit_network, monkeypatch):
    from utils.export import packed

    other = packed.unpack(packed.pack(packed.from_keras(low_bit_network)))
    other.params["conv"]["kernel"][0, 0, 0, 0] += 1
    monkeypatch.setattr(packed, "unpack", lambda *_, **__: other)
    with pytest.raises(ExportError, match=r"changes the weight 'kernel' of 'conv'"):
        packed_file(Source(model=low_bit_network))


def test_weights_are_the_same_bit_by_bit():
    one = np.array([0.0, 1.0, np.nan], np.float32)
    assert same_weight(one, np.array([-0.0, 1.0, np.nan], np.float32))
    assert not same_weight(one, np.array([0.0, np.nextafter(np.float32(1), 2), np.nan], np.float32))
    assert not same_weight(one, one.astype(np.float64))
    assert not same_weight(np.zeros(2, np.int32), np.ones(2, np.int32))
