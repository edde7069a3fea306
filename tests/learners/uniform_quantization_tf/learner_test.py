"""The recipe on a small network, alone and behind others: what its files hold."""

import pathlib
import types
from typing import Any

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers

import learners
from learners.uniform_quantization_tf.config import UniformQuantTFConfig
from tests.learners.networks import randomised
from tests.learners.runs import TWO_STEPS, compress
from utils.errors import InputError
from utils.export.flatbuffer import read_graph
from utils.report import Report


def copied(network: keras.Model) -> keras.Model:
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy


def run(names: str, network: keras.Model, folder: pathlib.Path, **values: Any) -> Report:
    own = {"nb_epochs": "0", "tflite": "int8", "uqtf_rounding": "nearest", **values}
    return compress(names, folder, copied(network), **own)


def file_of(folder: pathlib.Path, kind: str = "int8") -> bytes:
    (path,) = folder.rglob(f"model_{kind}.tflite")
    return path.read_bytes()


def kernels_in(content: bytes) -> list[np.ndarray]:
    """Read the integer kernels of a file: constants of two or four axes."""
    interpreter = Interpreter(model_content=content)
    made = {index for row in interpreter._get_ops_details() for index in row["outputs"]}
    made |= {row["index"] for row in interpreter.get_input_details()}
    return [
        interpreter.get_tensor(row["index"])
        for row in interpreter.get_tensor_details()
        if row["dtype"] == np.int8 and row["index"] not in made and len(row["shape"]) in (2, 4)
    ]


def kernels_of(model: keras.Model) -> list[np.ndarray]:
    return [np.asarray(w) for w in model.weights if w.name == "kernel"]


@pytest.fixture(scope="module")
def report(trained_digits: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Train two steps with 4 bits, the ranges learned; make both files."""
    folder = tmp_path_factory.mktemp("report")
    flags = {"uqtf_weight_bits": 4, "uqtf_range_update": "learned", "tflite": "float32,int8"}
    return run("uniform-tf", trained_digits, folder, nb_epochs=TWO_STEPS, **flags)


def test_the_artefact_is_plain_and_lies_on_the_grids(report: Report) -> None:
    own = {type(layer).__module__.partition(".")[0] for layer in report.model.layers}
    assert own == {"keras"}
    for kernel in kernels_of(report.model)[1:-1]:
        columns = kernel.reshape(-1, kernel.shape[-1] if kernel.ndim == 4 else 1)
        assert max(np.unique(column).size for column in columns.T) <= 15
    rows = [row.facts for row in report.layers if "bits" in row.facts]
    assert [row["bits"] for row in rows] == [8, *[4] * (len(rows) - 2), 8]
    assert rows[0]["granularity"] == "output channel" and rows[-1]["granularity"] == "layer"


def test_the_file_holds_integers_only(report: Report) -> None:
    content = file_of(pathlib.Path(report.after.path).parent)
    graph = read_graph(content)
    assert graph.kind() == "int8" and not graph.float_operators()
    assert any("int4" in note for note in report.notes)


def test_files_agree_with_the_network_that_each_is_made_of(report: Report) -> None:
    rows = {row.kind: row for row in report.files if row.network == "after"}
    assert rows["int8"].agreement >= 0.99 and rows["float32"].agreement == 1.0


@pytest.mark.parametrize(("delay", "freeze"), [(1, None), (0, 1)])
def test_delays_divide_the_steps(
    trained_digits: keras.Model, tmp_path: pathlib.Path, delay: int, freeze: int | None
) -> None:
    flags = {"nb_epochs": TWO_STEPS, "tflite": "none", "uqtf_quant_delay": delay}
    if freeze is not None:
        flags["uqtf_freeze_bn_delay"] = freeze
    report = run("uniform-tf", trained_digits, tmp_path, **flags)
    parts = {point.stage: point.step for point in report.training}
    assert sum(parts.values()) == 2
    assert parts.get("uniform-tf: full_precision", 0) == delay
    norms = [la for la in report.model.layers if isinstance(la, layers.BatchNormalization)]
    assert bool(norms) == (freeze is None)
    assert report.after.top1 >= report.before.top1 - 0.02


def test_the_rate_is_a_part_of_the_networks_own() -> None:
    learner = types.SimpleNamespace(
        helper=types.SimpleNamespace(config=types.SimpleNamespace(lrn_rate_init=0.5)),
        config=UniformQuantTFConfig(lrn_rate_dcy=0.1),
    )
    rate = learners.learner_class("uniform-tf").fine_tune_lrn_rate
    assert rate.fget(learner) == 0.05


@pytest.mark.parametrize("before", ["chn-pruned-rmt", "filter-pruned"])
def test_cut_channels_stay_cut_in_the_file(
    before: str, trained_digits: keras.Model, tmp_path: pathlib.Path
) -> None:
    report = run(
        f"{before},uniform-tf", trained_digits, tmp_path, nb_epochs="0,0", budget="flops:0.5"
    )
    found = sorted(kernel.size for kernel in kernels_in(file_of(tmp_path)))
    assert found == sorted(kernel.size for kernel in kernels_of(report.model))
    assert sum(found) < sum(kernel.size for kernel in kernels_of(trained_digits))


def test_zeros_stay_zeros_in_the_file(trained_digits: keras.Model, tmp_path: pathlib.Path) -> None:
    run(
        "weight-sparse,uniform-tf", trained_digits, tmp_path, nb_epochs=f"0,{TWO_STEPS}",
        ws_prune_ratio=0.6, ws_criterion="magnitude", ws_prune_ratio_prtl="uniform",
        uqtf_freeze_bn_delay=1,
    )  # fmt: skip
    sizes = sum(kernel.size for kernel in kernels_of(trained_digits))
    zeros = sum(int((kernel == 0).sum()) for kernel in kernels_in(file_of(tmp_path)))
    assert zeros >= 0.6 * sizes * 0.95


def test_operators_without_integers_are_refused_at_the_start(trained_digits: keras.Model) -> None:
    learner = learners.learner_class("uniform-tf")
    inputs = keras.Input((8, 8, 3))
    x = layers.LayerNormalization(name="odd")(layers.Conv2D(4, 3, name="conv")(inputs))
    model = randomised(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)), name="net"))
    config = UniformQuantTFConfig()
    with pytest.raises(
        InputError, match=r"odd \(LayerNormalization has no int8 kernel\).*allow_fl"
    ):
        learner.check(model, config, None, allow_unsafe=False)
    learner.check(model, UniformQuantTFConfig(allow_float=True), None, allow_unsafe=False)
    bare = keras.Model(inputs, layers.ReLU()(inputs))
    with pytest.raises(InputError, match="no kernel to quantize"):
        learner.check(bare, config, None, allow_unsafe=False)


def test_a_search_gives_layers_4_or_8_bits_and_the_file_has_them(
    trained_digits: keras.Model, tmp_path: pathlib.Path
) -> None:
    report = run(
        "uniform-tf", trained_digits, tmp_path, uqtf_enbl_rl_agent=True, uqtf_equivalent_bits=5.0,
        uqtf_nb_rlouts=3, uqtf_nb_rlouts_min=3, uqtf_nb_smpls_search=100, uqtf_nb_smpls=100,
    )  # fmt: skip
    (search,) = report.searches
    assert search.quantity == "bits" and len(search.rollouts) == 3
    rows = [row.facts["bits"] for row in report.layers if "bits" in row.facts]
    assert rows[0] == rows[-1] == 8 and set(rows[1:-1]) <= {4, 8} and 4 in rows
    spans = [int(np.abs(kernel.astype(int)).max()) for kernel in kernels_in(file_of(tmp_path))]
    assert sorted(spans)[0] <= 7 < sorted(spans)[-1]
