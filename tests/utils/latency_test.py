import gc
import time

import keras
import numpy as np
import pytest

from utils.errors import InputError
from utils.export.tflite import convert
from utils.files import save_keras_model
from utils.latency import (
    LatencyStats,
    file_call,
    keras_call,
    limit_threads,
    measure,
    measure_anew,
    ratio,
)


@pytest.fixture(scope="module")
def network():
    inputs = keras.Input((8, 8, 1), name="images")
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))


def test_calls_alternate():
    calls = []
    runners = {name: lambda name=name: calls.append(name) for name in "AB"}
    stats = measure(runners, repeats=3, warmup=2, blocks=3)
    assert "".join(calls) == "AB" * 5
    assert {name: row.n for name, row in stats.items()} == {"A": 3, "B": 3}


def test_times_are_in_milliseconds():
    stats = measure({"A": lambda: time.sleep(0.004)}, repeats=9, warmup=0, blocks=3)["A"]
    assert 4 <= stats.p50 < 40
    assert stats.p50 <= stats.p95
    assert len(stats.block_p50) == 3


def test_percentiles(monkeypatch):
    ticks = iter(range(10**6))
    durations = [value * 10**6 for value in (1, 2, 3, 4, 100)]  # ns
    clock = {"now": 0}

    def now():
        tick = next(ticks)
        if tick % 2:
            clock["now"] += durations[tick // 2]
        return clock["now"]

    monkeypatch.setattr(time, "perf_counter_ns", now)
    stats = measure({"A": lambda: None}, repeats=5, warmup=0, blocks=2)["A"]
    assert (stats.p50, stats.mean) == (3.0, 22.0)
    assert stats.p95 == pytest.approx(np.percentile([1, 2, 3, 4, 100], 95))
    assert stats.block_p50 == (2.0, 52.0)


def test_garbage_collection_waits_and_comes_back():
    seen = []
    measure({"A": lambda: seen.append(gc.isenabled())}, repeats=2, warmup=0)
    assert seen == [False, False]
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        measure({"A": lambda: 1 / 0}, repeats=1, warmup=0)
    assert gc.isenabled()


def test_fewer_calls_than_blocks():
    assert len(measure({"A": lambda: None}, repeats=2, blocks=5)["A"].block_p50) == 2


@pytest.mark.parametrize("wrong", [{"repeats": 0}, {"blocks": 0}, {"warmup": -1}])
def test_refuses_wrong_counts(wrong):
    with pytest.raises(ValueError, match=r"must be >= 1 and `warmup` >= 0. Received: repeats="):
        measure({"A": lambda: None}, **wrong)


def test_ratio_needs_the_same_turns():
    one = LatencyStats(p50=1, p95=1, mean=1, n=2, block_p50=(1.0, 1.0))
    other = LatencyStats(p50=1, p95=1, mean=1, n=2, block_p50=(1.0,))
    with pytest.raises(ValueError, match="zip"):
        ratio(one, other)


def stats_of(blocks):
    middle = float(np.median(blocks))
    return LatencyStats(p50=middle, p95=middle, mean=middle, n=10, block_p50=tuple(blocks))


@pytest.mark.parametrize(
    ("factors", "clear"),
    [
        ([0.7, 1.4, 1.2, 1.3, 1.1, 1.5, 0.9, 1.2, 0.8, 1.3], False),  # 1.2, but not in every block
        ([1.02] * 10, False),  # steady, but less than two interpreters of one file may differ
        ([1.1, 1.2, 1.1, 1.2, 1.1, 1.2, 1.1, 1.2, 0.7, 1.2], True),  # one block fell out
        ([0.5, 0.6, 0.5, 0.6, 0.5, 0.6, 0.5, 0.6, 0.5, 0.6], True),
    ],
)
def test_only_a_difference_beyond_the_spread_is_clear(factors, clear):
    drift = np.linspace(1.0, 2.0, 10)  # the machine slows down under both
    found = ratio(stats_of(drift * factors), stats_of(drift))
    assert found.median == pytest.approx(np.median(factors))
    assert found.interval == pytest.approx((sorted(factors)[1], sorted(factors)[-2]))
    assert found.is_clear is clear


def test_equal_files_are_hardly_ever_clearly_different():
    """Measurements of a file against itself: each block's interpreters are faster or slower."""
    generator = np.random.default_rng(0)
    clear = 0
    for _ in range(400):
        blocks = generator.lognormal(sigma=0.1, size=(2, 10))
        clear += ratio(*map(stats_of, blocks)).is_clear
    assert clear <= 0.04 * 400  # 2.1 % of the intervals of ten blocks leave the truth out


def test_every_block_has_functions_of_its_own():
    calls, made = [], []

    def opener(name):
        made.append(name)
        return lambda: calls.append(f"{name}{len(made)}")

    openers = {name: (lambda name=name: opener(name)) for name in "AB"}
    stats = measure_anew(openers, repeats=5, warmup=2, blocks=2)
    assert "".join(made) == "ABAB"
    # One call of each to warm up and two to time, then one and three: all by the block's own.
    assert calls == ["A2", "B2"] * 3 + ["A4", "B4"] * 4
    assert {row.n for row in stats.values()} == {5}
    assert all(len(row.block_p50) == 2 for row in stats.values())
    with pytest.raises(ValueError, match=r"must be >= 1 and `warmup` >= 0. Received: repeats=0"):
        measure_anew(openers, repeats=0)


def test_keras_call_computes_the_model(network):
    outputs = keras_call(network, batch_size=3)()
    assert outputs.shape == (3, 4)


def test_keras_call_of_integer_inputs_and_sequential_models():
    embedding = keras.Sequential([keras.Input((5,), dtype="int32"), keras.layers.Embedding(3, 2)])
    assert keras_call(embedding)().shape == (1, 5, 2)


def test_keras_call_refuses_open_shapes():
    inputs = keras.Input((None, 3), name="frames")
    with pytest.raises(InputError, match=r"'frames' of .* has no fixed shape"):
        keras_call(keras.Model(inputs, keras.layers.Dense(2)(inputs)))


def test_files_of_both_kinds(tmp_path, network):
    save_keras_model(network, tmp_path / "a.keras")
    (tmp_path / "a.tflite").write_bytes(convert(network, "float32"))
    network.save(tmp_path / "a.h5")
    calls = {name: file_call(tmp_path / f"a.{name}") for name in ("keras", "h5", "tflite")}
    stats = measure(calls, repeats=4, warmup=1)
    assert all(row.p50 > 0 for row in stats.values())


def test_python_code_is_asked_for(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: x + 1.0)])
    model.save(tmp_path / "a.keras")
    with pytest.raises(InputError, match=r"a.keras: .*Lambda layer.*--allow_unsafe"):
        file_call(tmp_path / "a.keras")
    assert np.asarray(file_call(tmp_path / "a.keras", allow_unsafe=True)()).shape == (1, 3)


def test_refuses_other_files(tmp_path):
    with pytest.raises(
        InputError, match=r"of .keras, .h5 and .tflite files. Received: '.*a\.onnx'"
    ):
        file_call(tmp_path / "a.onnx")
    with pytest.raises(InputError, match=r"no such file"):
        file_call(tmp_path / "a.keras")
    with pytest.raises(InputError, match=r"cannot read the .tflite file"):
        file_call(tmp_path / "a.tflite")


def test_threads_are_settled_once_tensorflow_computes():
    keras.ops.ones(3)
    assert limit_threads(200) != 200
