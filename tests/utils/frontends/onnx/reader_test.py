import pathlib
import time

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from tests.utils.frontends.damage import outcomes
from tests.utils.frontends.onnx.one_graph import case, compare, kinds, network_of, run_built, save
from utils.errors import InputError
from utils.frontends.onnx.reader import _MAX_NODES, _written_out, convert, read_network

WEIGHTS = np.ones((4, 3, 3, 3), np.float32)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "net.onnx"
    cases = [case("Conv", (1, 3, 5, 5), WEIGHTS, np.zeros(4, np.float32)), case("Relu", (1, 3))]
    return network_of(cases, path)


def test_constants_in_nodes_and_in_initializers_are_the_same(small):
    network = read_network(small)
    assert [source.shape for source in network.inputs] == [(None, 3, 5, 5), (None, 3)]
    assert [node.op for node in network.nodes] == ["Conv", "Relu"]
    np.testing.assert_array_equal(network.constants["in0_1"], WEIGHTS)
    assert network.version == 18


@pytest.mark.parametrize("cut", [0, 1, 60, 200, -1])
def test_truncated_files_are_refused(small, tmp_path, cut):
    path = tmp_path / "cut.onnx"
    path.write_bytes(pathlib.Path(small).read_bytes()[:cut])
    with pytest.raises(InputError, match="cut"):
        convert(str(path))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**31), st.integers(1, 8))
def test_changed_bytes_make_no_other_error(small, tmp_path, seed, count):
    random = np.random.default_rng(seed)
    data = bytearray(pathlib.Path(small).read_bytes())
    for place in random.integers(0, len(data), count):
        data[place] = random.integers(0, 256)
    path = tmp_path / "changed.onnx"
    path.write_bytes(data)
    found = outcomes([str(path)], convert)
    assert found.total() == 1


def lying(shape, data, **fields):
    tensor = TensorProto(dims=shape, data_type=TensorProto.FLOAT, name="w", raw_data=data)
    for key, value in fields.items():
        setattr(tensor, key, value)
    return tensor


def with_weights(tensor, path):
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])],
        [tensor],
    )
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return str(path)


@pytest.mark.parametrize(("tensor", "words"), [
    (lying([1 << 40, 1 << 20], b"1234"), "more than"),
    (lying([100], b"1234"), "declares 400 bytes of data, 4 are there"),
    (lying([-4], b"1234"), "impossible shape"),
    (lying([1], b"1234", data_type=99), "unknown type"),
    (lying([1], b"1234", data_type=TensorProto.STRING), "text"),
])  # fmt: skip
def test_arrays_are_looked_at_before_memory_is_taken(tmp_path, tensor, words):
    with pytest.raises(InputError, match=words):
        convert(with_weights(tensor, tmp_path / "net.onnx"))


def external(location, **facts):
    tensor = TensorProto(dims=[4], data_type=TensorProto.FLOAT, name="w")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **facts}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def test_weights_beside_the_file_are_read(tmp_path):
    values = np.arange(4, dtype=np.float32)
    (tmp_path / "net.data").write_bytes(b"12345678" + values.tobytes())
    path = with_weights(external("net.data", offset=8, length=16), tmp_path / "net.onnx")
    made = run_built(convert(path), {"x": np.zeros((1, 4), np.float32)})
    np.testing.assert_array_equal(made["y"][0], values)


@pytest.mark.parametrize(("tensor", "words"), [
    (external("../net.data"), "points to"),
    (external("/etc/passwd"), "points to"),
    (external(""), "points to"),
    (external("missing.data"), "not beside it"),
    (external("net.data", offset=12), "has 24"),
    (external("net.data", length=99), "needs 16"),
    (external("net.data", offset=-9), "needs 16|has 24"),
])  # fmt: skip
def test_weights_elsewhere_are_refused(tmp_path, tensor, words):
    (tmp_path / "net.data").write_bytes(bytes(24))
    with pytest.raises(InputError, match=words):
        convert(with_weights(tensor, tmp_path / "net.onnx"))


def with_functions(called, functions):
    graph = helper.make_graph(
        [helper.make_node(called, ["x"], ["y"], domain="own")],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])],
    )
    return helper.make_model(
        graph, functions=functions,
        opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("own", 1)],
    )  # fmt: skip


def test_functions_of_the_file_are_dissolved(tmp_path):
    function = helper.make_function(
        "own", "Double", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 18)],
    )  # fmt: skip
    model = with_functions("Double", [function])
    path = tmp_path / "net.onnx"
    onnx.save(model, path)
    assert kinds(convert(str(path))) == ["InputLayer", "Add"]


def test_functions_that_grow_are_refused_before_they_are_written_out(tmp_path):
    def calls(name, body):
        return helper.make_function(
            "own", name, ["a"], ["c"],
            [helper.make_node(body, ["a"], ["b"], domain="own"),
             helper.make_node(body, ["b"], ["c"], domain="own")],
            [helper.make_opsetid("own", 1)],
        )  # fmt: skip

    for functions in (
        [calls(f"F{depth}", f"F{depth + 1}") for depth in range(12)],  # 2^12: allowed
        [calls("F0", "F0")],
        [calls(f"F{depth}", f"F{depth + 1}") for depth in range(40)],
    ):
        model = with_functions("F0", functions)
        is_small = len(functions) == 12
        assert (_written_out(model) == 2**12) if is_small else (_written_out(model) > _MAX_NODES)
        if not is_small:
            onnx.save(model, tmp_path / "net.onnx")
            with pytest.raises(InputError, match="nodes, its functions written out"):
                convert(str(tmp_path / "net.onnx"))


def chain(count, **attrs):
    """A network of as many nodes, of which the output needs one."""
    nodes = [helper.make_node("Relu", ["x"], [f"t{i}"], **attrs) for i in range(count)]
    graph = helper.make_graph(
        [*nodes, helper.make_node("Relu", ["t3"], ["y"])],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])],
    )
    return helper.make_model(graph)


def test_many_nodes_are_read_in_linear_time(tmp_path):
    path = tmp_path / "net.onnx"
    model = chain(20_000, name="same")
    for node in model.graph.node[10:-1]:
        node.output[0] = "t9"
    onnx.save(model, path)
    start = time.process_time()
    network = read_network(str(path))
    assert time.process_time() - start < 10  # what grows with the square takes minutes
    names = [node.name for node in network.nodes]
    assert len(set(names)) == 20_001
    assert [names[place] for place in (0, 1, 10, 11)] == ["same", "t1", "t9_1", "t9_2"]


def test_more_nodes_than_any_network_has_are_refused(tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(chain(_MAX_NODES), path)
    with pytest.raises(InputError, match="has more than 100,000 nodes"):
        read_network(str(path))
    inner = chain(_MAX_NODES - 5).graph
    inner.ClearField("input")
    node = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=chain(5).graph)
    model = chain(5)
    model.graph.node.append(node)
    onnx.save(model, path)
    with pytest.raises(InputError, match="has more than 100,000 nodes"):
        read_network(str(path))


def test_operators_of_other_domains_are_named(tmp_path):
    nodes = [
        helper.make_node("FusedConv", ["x"], ["a"], name="first", domain="com.microsoft"),
        helper.make_node("NonMaxSuppression", ["a"], ["y"], name="second"),
    ]
    path = save(nodes, [("x", ("N", 4), "float32")], ["y"], {}, tmp_path / "net.onnx")
    with pytest.raises(InputError) as caught:
        convert(path)
    assert "'first' (com.microsoft.FusedConv)" in str(caught.value)
    assert "'second' (NonMaxSuppression)" in str(caught.value)


def test_sparse_weights_are_refused(small, tmp_path):
    model = onnx.load(small)
    model.graph.sparse_initializer.add().dims.append(3)
    path = tmp_path / "sparse.onnx"
    onnx.save(model, path)
    with pytest.raises(InputError, match="sparse"):
        convert(str(path))


def test_detectors_have_no_transposes_in_their_trunks(real_file):
    for name in ("onnx/FastestDet.onnx", "onnx/version-slim-320.onnx"):
        converted = compare(real_file(name), tolerance=1e-4, batch=1)
        assert not {"Permute", "Transpose"} & set(kinds(converted)), name
        assert converted.model.input_shape[-1] == 3


def test_networks_that_read_text(package_file, tmp_path):
    folder = "rapidocr_onnxruntime"
    compare(
        package_file(folder, "models/ch_ppocr_mobile_v2.0_cls_infer.onnx"),
        tolerance=1e-4, input_shape="-1,3,48,192",
    )  # fmt: skip
    compare(
        package_file(folder, "models/ch_PP-OCRv4_rec_infer.onnx"),
        tolerance=1e-4, input_shape="-1,3,48,160",
    )  # fmt: skip
    # The detector's map is nearly zero on noise: its logits are compared.
    path = package_file(folder, "models/ch_PP-OCRv4_det_infer.onnx")
    logits = without_last(path, "Sigmoid", tmp_path / "logits.onnx")
    compare(logits, tolerance=1e-4, input_shape="-1,3,64,96")
    converted = convert(str(path), input_shape="-1,3,64,96")
    assert converted.model.output_shape == (None, 64, 96, 1)


def without_last(path, op, target):
    """Write a network whose output is what its last node of a kind reads."""
    model = onnx.load(path)
    last = [node for node in model.graph.node if node.op_type == op][-1]
    assert len(model.graph.output) == 1
    model.graph.output[0].name = last.input[0]
    onnx.save(model, target)
    return target


def test_networks_that_hear(package_file):
    voices = compare(
        package_file("silero_vad", "data/silero_vad_16k_op15.onnx"),
        tolerance=1e-4, input_shape="input=-1,576",
    )  # fmt: skip
    notes = compare(
        package_file("basic_pitch", "saved_models/icassp_2022/nmp.onnx"), tolerance=1e-4, batch=1
    )
    assert (len(voices.model.outputs), len(notes.model.outputs)) == (2, 3)
