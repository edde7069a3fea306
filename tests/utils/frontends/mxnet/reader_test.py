import numpy as np
import pytest

from tests.utils.frontends.mxnet.checkpoint import save
from utils.errors import InputError
from utils.frontends.layout import to_built, to_source
from utils.frontends.mxnet.reader import convert, find_files, read_network

DENSE = [("FullyConnected", "fc", ["data", "w", "b"], {"num_hidden": 4})]
ARRAYS = {"w": np.eye(4, 3, dtype=np.float32), "b": np.arange(4, dtype=np.float32)}


def test_a_checkpoint_is_found_from_any_of_its_names(tmp_path):
    stem = save(tmp_path, DENSE, ARRAYS)
    (tmp_path / "net-0012.params").write_bytes((tmp_path / "net-0003.params").read_bytes())
    symbol = tmp_path / "net-symbol.json"
    assert find_files(stem) == (symbol, tmp_path / "net-0012.params")
    assert find_files(stem, epoch=3) == (symbol, tmp_path / "net-0003.params")
    assert find_files(str(symbol))[1].name == "net-0012.params"
    assert find_files(str(tmp_path / "net-0003.params")) == (symbol, tmp_path / "net-0003.params")
    for path, epoch in ((stem, 7), (str(tmp_path / "other"), None)):
        with pytest.raises(InputError, match="no such file"):
            find_files(path, epoch=epoch)


def test_the_last_epoch_is_the_largest_number(tmp_path):
    stem = save(tmp_path, DENSE, ARRAYS)
    content = (tmp_path / "net-0003.params").read_bytes()
    others = ("net-10000.params", "net-best.params", "net-small-0099.params", "net-9999.params.old")
    for name in ("net-9999.params", *others):
        (tmp_path / name).write_bytes(content)
    assert find_files(stem)[1].name == "net-10000.params"
    assert find_files(stem, epoch=9999)[1].name == "net-9999.params"
    (tmp_path / "odd[1]-symbol.json").write_text("{}")
    with pytest.raises(InputError, match=r"odd\[1\]-\*\.params: no such file"):
        find_files(str(tmp_path / "odd[1]"))


def test_the_first_layer_tells_the_inputs_shape(tmp_path):
    converted = convert(save(tmp_path, DENSE, ARRAYS))
    assert converted.model.input_shape == (None, 3)
    x = np.ones((2, 3), np.float32)
    np.testing.assert_allclose(np.asarray(converted.model(x)), [[1, 2, 3, 3]] * 2)


def test_labels_are_left_out(tmp_path):
    nodes = [*DENSE, ("SoftmaxOutput", "softmax", ["fc", "softmax_label"], {})]
    converted = convert(save(tmp_path, nodes, ARRAYS))
    assert list(converted.input_orders) == ["data"]
    made = np.asarray(converted.model(np.zeros((1, 3), np.float32)))
    np.testing.assert_allclose(made.sum(), 1, rtol=1e-6)


def test_what_is_missing_or_damaged_is_said(tmp_path):
    with pytest.raises(InputError, match="--input_shape"):
        convert(save(tmp_path, [("relu", "y", ["data"], {})], {}))
    arrays = {"fc_weight": ARRAYS["w"], "fc_bias": ARRAYS["b"]}
    stem = save(tmp_path, [("FullyConnected", "fc", ["data", *arrays], {})], arrays)
    save(tmp_path, DENSE, ARRAYS, name="other")
    with pytest.raises(InputError, match="lacks the array 'fc_weight'"):
        convert(stem, weights=str(tmp_path / "other-0003.params"))
    symbol = tmp_path / "net-symbol.json"
    text = symbol.read_text()
    for changed, said in {
        text[:40]: "is not JSON",
        "[]": "must be an object with nodes, heads",
        '{"nodes": [], "heads": []}': "has no nodes",
        text.replace("[[0, 0", "[[9, 0"): "reads a node that comes later",
        text.replace("[[0, 0, 0]", "[[0]"): "fewer than two numbers",
        text.replace("[[0, 0", '[["0", 0'): r"`nodes\[3\].inputs\[0\]\[0\]` must be a whole number",
        text.replace('"heads": [[3', '"heads": [[8'): "an output is no node",
        text.replace('"heads"', '"nodes"'): "has the name 'nodes' twice",
        "[" * 99_999: "nested too deeply",
    }.items():
        assert changed != text
        symbol.write_text(changed)
        with pytest.raises(InputError, match=rf"net-symbol\.json: .*{said}"):
            read_network(*find_files(stem))


@pytest.mark.parametrize("name", ["digits_resnet", "mobilenet_v2_0_25", "squeezenet1_1"])
def test_networks_give_mxnets_own_outputs(real_file, name):
    golden = np.load(real_file(f"mxnet/{name}_io.npz"))
    folder = real_file(f"mxnet/{name}-symbol.json").parent
    x = golden["input"][:4]
    converted = convert(str(folder / name), input_shape=(None, *x.shape[1:]))
    (order,), (end,) = converted.input_orders.values(), converted.output_orders.values()
    made = to_source(np.asarray(converted.model(to_built(x, order), training=False)), end)
    wanted = golden["output"][:4]
    assert np.abs(made - wanted).max() <= 1e-5 * np.abs(wanted).max()
    kinds = {operation.__class__.__name__ for operation in converted.model.operations}
    assert not {"Permute", "Transpose"} & kinds
