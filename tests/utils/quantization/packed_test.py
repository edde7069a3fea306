"""Packed files: the very network comes back, and nothing else gets in."""

import json
import math
import struct
import tracemalloc
import zlib

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import layers

from utils.errors import InputError
from utils.files import load_keras_model
from utils.graph import from_keras, to_keras
from utils.quantization.activation import ActivationQuantizer
from utils.quantization.packed import (
    MAGIC,
    codings,
    load_packed,
    pack,
    payload_bytes,
    save_packed,
    unpack,
)

HEAD = struct.Struct("<8sIIIIQ")


def rounded(kernel, bits):
    """The kernel on a symmetric grid of each last channel."""
    high = 2 ** (bits - 1) - 1
    scale = np.abs(kernel).max(tuple(range(kernel.ndim - 1))) / np.float32(high)
    return np.rint(kernel / scale) * scale


def network():
    keras.utils.set_random_seed(3)
    images, extra = keras.Input((12, 12, 3), name="images"), keras.Input((5,), name="extra")
    x = layers.Conv2D(16, 3, padding="same", use_bias=False, name="stem")(images)
    x = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
    x = layers.Conv2D(32, 3, strides=2, name="conv")(x)
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.Dropout(0.2, seed=1)(layers.Flatten()(x))
    x = layers.Concatenate()([x, extra * np.linspace(1, 2, 5, dtype=np.float32)])
    outputs = {"classes": layers.Dense(10, name="fc")(x), "size": layers.Dense(1, name="size")(x)}
    return keras.Model({"images": images, "extra": extra}, outputs, name="net")


@pytest.fixture(scope="module")
def model():
    """Kernels of 4, 3, 4 and 2 bits, one half empty, one as it was."""
    model = network()
    generator = np.random.default_rng(0)
    for name, bits in {"stem": 4, "conv": 3, "fc": 2}.items():
        kernel = np.asarray(model.get_layer(name).kernel)
        model.get_layer(name).kernel.assign(rounded(kernel, bits))
    fc = np.asarray(model.get_layer("fc").kernel)
    model.get_layer("fc").kernel.assign(fc * (generator.random(fc.shape) < 0.2))
    return model


@pytest.fixture(scope="module")
def content(model):
    return pack(from_keras(model))


def batch():
    generator = np.random.default_rng(1)
    shapes = {"images": (4, 12, 12, 3), "extra": (4, 5)}
    return {name: generator.normal(size=shape).astype("float32") for name, shape in shapes.items()}


def test_the_very_network_comes_back(model, tmp_path):
    save_packed(model, tmp_path / "net.fpq")
    for loaded in (load_packed(tmp_path / "net.fpq"), load_keras_model(tmp_path / "net.fpq")):
        assert [weight.path for weight in loaded.weights] == [w.path for w in model.weights]
        for old, new in zip(model.get_weights(), loaded.get_weights(), strict=True):
            assert old.dtype == new.dtype and (old + 0).tobytes() == (new + 0).tobytes()
        expected, outputs = model(batch()), loaded(batch())
        assert sorted(outputs) == sorted(expected)
        for name in expected:
            np.testing.assert_array_equal(outputs[name], expected[name])


def test_equal_networks_give_equal_bytes(model, content):
    assert pack(from_keras(model)) == content
    assert pack(unpack(content)) == content


def test_bytes_are_those_of_the_bits(model, content):
    """Indices, scales and floats, counted by hand."""
    bits = 0
    for layer in model.layers:
        for weight in layer.get_weights():
            width = {"stem": 4, "conv": 3}.get(layer.name)
            if layer.name == "fc" and weight.ndim == 2:  # levels -1 and 1 behind a bitmap
                bits += weight.size + np.count_nonzero(weight) + 32 * 10
            elif width is not None and weight.ndim == 4:
                bits += width * weight.size + 32 * weight.shape[-1]
            else:
                bits += 8 * weight.nbytes
    bits += 8 * 5 * 4  # a constant of the graph
    assert payload_bytes(content) == pytest.approx(bits / 8, rel=0.02)
    assert {name: coding.width for name, coding in codings(content).items() if coding.width} == {
        "stem/0": 4,
        "conv/0": 3,
        "fc/0": 1,
    }


def fields(content):
    """Header and payload, by the page docs/packed_files.md and no code of ours."""
    magic, version, stored, size, zero, payload = HEAD.unpack_from(content)
    assert (magic, version, zero) == (b"\x89FPQ\r\n\x1a\n", 1, 0)
    text = zlib.decompress(content[32 : 32 + stored])
    assert len(text) == size
    start = 32 + (stored + 3) // 4 * 4
    assert len(content) == start + payload + 4
    assert zlib.crc32(content[:-4]) == struct.unpack("<I", content[-4:])[0]
    return json.loads(text), content[start:-4]


def read_array(entry, data):
    """An array by the page, one number after the other; gives the bytes it took as well."""
    size = math.prod(entry["shape"])
    place, mask = 0, [True] * size
    if "nonzeros" in entry:
        mask = [bool(data[i // 8] >> i % 8 & 1) for i in range(size)]
        place += filled((size + 7) // 8)
    if entry["coding"] == "raw":
        dtype = np.dtype(entry["dtype"])
        values, stored = np.zeros(size, dtype), np.frombuffer(data, dtype, sum(mask), place)
        values[mask] = stored
        return values.reshape(entry["shape"]), place + filled(stored.nbytes)
    values, table = np.zeros(size, np.float32), place
    place += filled(table_bytes(entry, size))
    bit = 8 * place
    for position in np.flatnonzero(mask):
        index = 0
        for j in range(entry["bits"]):
            index |= (data[(bit + j) // 8] >> (bit + j) % 8 & 1) << j
        bit += entry["bits"]
        values[position] = read_value(entry, size, data[table:], int(position), index)
    taken = place + filled((sum(mask) * entry["bits"] + 7) // 8)
    return values.reshape(entry["shape"]), taken


def filled(count):
    return (count + 3) // 4 * 4


def num_slices(entry, size):
    if "bucket" in entry:
        return -(-size // entry["bucket"])
    return math.prod(entry["shape"][axis] for axis in entry["axes"])


def table_bytes(entry, size):
    if entry["coding"] == "codebook":
        return 4 * num_slices(entry, size) * entry["entries"]
    width = {"float32": 4, "float64": 8}[entry["scales"]]
    return num_slices(entry, size) * (width + 2 * entry.get("offsets", False))


def slice_of(entry, position):
    if "bucket" in entry:
        return position // entry["bucket"]
    found = 0
    for axis in entry["axes"]:
        found = found * entry["shape"][axis] + int(np.unravel_index(position, entry["shape"])[axis])
    return found


def read_value(entry, size, table, position, index):
    chosen = slice_of(entry, position)
    if entry["coding"] == "codebook":
        return struct.unpack_from("<f", table, 4 * (chosen * entry["entries"] + index))[0]
    kind, width = {"float32": ("<f", 4), "float64": ("<d", 8)}[entry["scales"]]
    level = entry["levels"][index]
    if entry.get("offsets"):
        offsets = width * num_slices(entry, size)
        level += struct.unpack_from("<h", table, offsets + 2 * chosen)[0]
    return struct.unpack_from(kind, table, width * chosen)[0] * level


def test_the_page_is_enough_for_another_reader(model):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 2))
    other = keras.Model(inputs, layers.Conv2D(8, 3, name="c")(layers.Conv2D(8, 3)(inputs)))
    generator = np.random.default_rng(0)
    low = np.arange(8, dtype=np.float32)  # zero points of channels
    other.layers[1].kernel.assign((generator.integers(0, 8, (3, 3, 2, 8)) - low) * np.float32(0.3))
    table = generator.normal(size=3).astype(np.float32)
    other.layers[2].kernel.assign(table[generator.integers(0, 3, (3, 3, 8, 8))])
    for network in (model, other):
        header, payload = fields(pack(from_keras(network)))
        arrays, place = {}, 0
        for entry in header["tensors"]:
            array, taken = read_array(entry, payload[place:])
            arrays[entry["array"]], place = array, place + taken
        assert place == len(payload)
        named = [w["array"] for layer in header["graph"]["layers"] for w in layer["weights"]]
        for key, weight in zip(named, network.get_weights(), strict=True):
            np.testing.assert_array_equal(arrays[key], weight)


def test_quantizers_of_activations_come_along(tmp_path):
    inputs = keras.Input((8,))
    x = ActivationQuantizer(bits=4, name="quantizer")(layers.Dense(6, activation="relu")(inputs))
    model = keras.Model(inputs, layers.Dense(3)(x))
    model.get_layer("quantizer").scale.assign(0.1)
    save_packed(model, tmp_path / "net.fpq")
    loaded = load_packed(tmp_path / "net.fpq")
    assert loaded.get_layer("quantizer").bits == 4
    batch = np.random.default_rng(0).normal(size=(9, 8)).astype(np.float32)
    np.testing.assert_array_equal(loaded(batch), model(batch))


def test_code_needs_leave(tmp_path):
    inputs = keras.Input((4,))
    save_packed(
        keras.Model(inputs, layers.Lambda(lambda x: x + 1.0, name="code")(inputs)),
        tmp_path / "net.fpq",
    )
    with pytest.raises(InputError, match=r"net.fpq: layer 'code' is a Lambda"):
        load_packed(tmp_path / "net.fpq")
    loaded = load_packed(tmp_path / "net.fpq", allow_unsafe=True)
    np.testing.assert_array_equal(loaded(np.zeros((1, 4))), np.ones((1, 4)))


@pytest.fixture(scope="module")
def small():
    """A file of a few hundred bytes with each coding."""
    inputs = keras.Input((8,))
    x = layers.Dense(16, name="a")(inputs)
    model = keras.Model(inputs, layers.Dense(8, name="b")(layers.Dense(16, name="t")(x)))
    generator = np.random.default_rng(0)
    grid = generator.integers(-3, 4, (8, 16)) * (generator.random((8, 16)) < 0.6)
    model.get_layer("a").kernel.assign(np.float32(0.1) * grid.astype(np.float32))
    table = generator.normal(size=4).astype(np.float32)
    model.get_layer("t").kernel.assign(table[generator.integers(0, 4, (16, 16))])
    return pack(from_keras(model))


def sealed(header, payload):
    """A file that is whole, whatever it says."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    stored = zlib.compress(text)
    return resealed(
        HEAD.pack(MAGIC, 1, len(stored), len(text), 0, len(payload))
        + stored
        + bytes(-len(stored) % 4)
        + payload
        + bytes(4)
    )


def resealed(content):
    return content[:-4] + struct.pack("<I", zlib.crc32(content[:-4]))


def test_refuses_what_was_cut_off(small):
    for size in (*range(0, 60), *range(60, len(small), 37), len(small) - 1):
        with pytest.raises(InputError, match=r"is no packed file|is damaged: it has"):
            unpack(small[:size])
    with pytest.raises(InputError, match=r"is damaged: it has .* bytes, .* by its first line"):
        unpack(small + b"\0")


@given(st.data())
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_refuses_every_flipped_bit(small, data):
    bit = data.draw(st.integers(0, 8 * len(small) - 1))
    flipped = bytearray(small)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(InputError):
        unpack(bytes(flipped))


def _tensor(name, **changes):
    def change(header):
        entry = next(e for e in header["tensors"] if e["array"] == name)
        entry.update(changes)
        for key in [key for key, value in changes.items() if value is None]:
            del entry[key]

    return change


BAD = {
    "no tensors": (lambda h: h.update(tensors=3), r"tensors must be a list. Received: 3"),
    "no object": (lambda h: h["tensors"].append(3), r"must be objects with an `array`"),
    "stored twice": (
        lambda h: h["tensors"].append(h["tensors"][0]),
        r"the array 'a/0' is stored twice",
    ),
    "one too few": (lambda h: h["tensors"].pop(), r"its arrays take .* bytes, its payload has"),
    "another name": (
        _tensor("a/0", array="q/0"),
        r"the arrays and the graph disagree; the first difference is 'a/0'",
    ),
    "other shape": (
        _tensor("a/0", shape=[16, 8]),
        r"array 'a/0' is float32\[16, 8\], the graph says float32\[8, 16\]",
    ),
    "huge shape": (_tensor("a/0", shape=[1 << 20, 1 << 20]), r"shape must be of at most 4,294,"),
    "huge size": (_tensor("a/0", shape=[1 << 40]), r"'a/0': shape must be a list of at most 16 in"),
    "negative size": (_tensor("a/0", shape=[-8, -16]), r"integers from 0 to"),
    "much for nothing": (
        _tensor("a/0", shape=[1 << 15, 1 << 16], nonzeros=0),
        r"its arrays take .* bytes, its payload has",
    ),
    "coding": (_tensor("a/0", coding="huffman"), r"coding must be one of raw, levels, codebook"),
    "width": (_tensor("a/0", bits=9), r"bits must be an integer from 1 to 8. Received: 9"),
    "no width": (_tensor("a/0", bits=True), r"bits must be an integer from 1 to 8. Received: True"),
    "too many levels": (
        _tensor("t/0", entries=99),
        r"'t/0': entries must be an integer from 1 to 4. Received: 99",
    ),
    "fewer values than indices": (_tensor("t/0", entries=1), r"its arrays take|has the index"),
    "no levels": (_tensor("a/0", levels=[]), r"levels must be a list with at least one integer"),
    "endless levels": (_tensor("a/0", levels=[0] * 1000), r"levels must be a list of at most"),
    "level": (_tensor("a/0", levels=[1e9]), r"integers from -32768 to 32,768"),
    "axis": (_tensor("a/0", axes=[2]), r"axes must be a list of at most 2 integers from 0 to 1"),
    "axis twice": (_tensor("a/0", axes=[0, 0]), r"axes must be ascending"),
    "bucket and axes": (_tensor("a/0", bucket=8), r"either `axes` or `bucket` must be given"),
    "bucket": (_tensor("a/0", axes=None, bucket=0), r"bucket must be an integer from 1 to"),
    "offsets": (_tensor("a/0", offsets=1), r"offsets must be true or false. Received: 1"),
    "more than all": (_tensor("a/0", nonzeros=500), r"nonzeros must be an integer from 0 to 128"),
    "scales": (_tensor("a/0", scales="int8"), r"scales must be one of float32, float64"),
    "objects": (
        _tensor("b/0", dtype="object"),
        r"dtype must be one of bool, float16, float32, float64",
    ),
    "no graph": (lambda h: h.pop("graph"), r"is no graph: `format` must be 'flowpress-graph'"),
    "graph twice": (
        lambda h: h["graph"]["layers"].append(h["graph"]["layers"][-1]),
        r"is used twice|two layers have the same name",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_refuses_bad_headers(case, small):
    change, message = BAD[case]
    header, payload = fields(small)
    change(header)
    with pytest.raises(InputError, match=message) as caught:
        unpack(sealed(header, payload), name="x.fpq")
    assert str(caught.value).startswith("x.fpq: ") and "\n" not in str(caught.value)


def test_refuses_bad_preambles(small):
    header, payload = fields(small)
    text = json.dumps(header).encode()
    stored = zlib.compress(text)

    def file(version=1, stored=stored, size=None):
        size = len(text) if size is None else size
        head = HEAD.pack(MAGIC, version, len(stored), size, 0, len(payload))
        return resealed(head + stored + bytes(-len(stored) % 4) + payload + bytes(4))

    assert unpack(file()).name
    with pytest.raises(InputError, match=r"is of version 2, this release reads version 1"):
        unpack(file(version=2))
    with pytest.raises(InputError, match=r"header has 4,294,967,295 bytes, at most 16,777,216"):
        unpack(file(size=(1 << 32) - 1))
    with pytest.raises(InputError, match=r"header has another size than its first line says"):
        unpack(file(size=len(text) - 1))
    with pytest.raises(InputError, match=r"header cannot be unpacked"):
        unpack(file(stored=b"\0" * 40))
    with pytest.raises(InputError, match=r"is no packed file"):
        unpack(b"PK\3\4" + small)
    with pytest.raises(InputError, match=r"name 'array' twice"):
        unpack(sealed(text.replace(b'"array": "a/0"', b'"array": "a/0", "array": "a/0"'), payload))
    with pytest.raises(InputError, match=r"its header is no JSON"):
        unpack(sealed(b"[" * 100_000, payload))


def test_a_bomb_takes_no_memory(small):
    """What unpacks to more than it says is stopped there; what says too much is not unpacked."""
    _, payload = fields(small)
    stored = zlib.compress(b" " * (200 << 20), 1)
    bombs = []
    for size in (100, 16 << 20, 200 << 20):
        head = HEAD.pack(MAGIC, 1, len(stored), size, 0, len(payload))
        bombs.append(resealed(head + stored + bytes(-len(stored) % 4) + payload + bytes(4)))
    tracemalloc.start()
    for bomb in bombs:
        with pytest.raises(InputError):
            unpack(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 << 20


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 70), 1 << 70),
    st.sampled_from([0, 1, -1, 2, 7, 8, 9, 1 << 31, 1 << 32, 1 << 62]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.lists(st.integers(-2, 300), max_size=4),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@given(st.data())
@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_a_header_says_it_loads_or_is_refused(small, data):
    header, payload = fields(small)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(header["tensors"]))
        if isinstance(place, dict) and place:
            place[data.draw(st.sampled_from([*place, "nonzeros", "bucket"]))] = data.draw(JUNK)
    try:
        graph = unpack(sealed(header, payload))
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert to_keras(graph).count_params() == 8 * 16 + 16 + 16 * 16 + 16 + 16 * 8 + 8


def test_refuses_files_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match=r"none.fpq: cannot be read: No such file"):
        load_packed(tmp_path / "none.fpq")
    with pytest.raises(InputError, match=r"is no ordinary file"):
        load_packed("/dev/null")  # /dev/zero would never end
    with pytest.raises(InputError, match=r"cannot be read: Is a directory"):
        load_packed(tmp_path)
    (tmp_path / "empty.fpq").write_bytes(b"")
    with pytest.raises(InputError, match=r"empty.fpq: is no packed file"):
        load_packed(tmp_path / "empty.fpq")
