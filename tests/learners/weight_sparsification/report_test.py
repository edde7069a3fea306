import numpy as np

from learners.live_weights import LiveWeights
from learners.weight_sparsification.config import WeightSparseConfig
from learners.weight_sparsification.report import facts, remarks
from learners.weight_sparsification.targets import find_targets
from tests.learners import networks
from utils.graph import from_keras


def test_what_is_counted_is_said():
    model = networks.vgg()
    targets = find_targets(from_keras(model), WeightSparseConfig(skip_last_layer=True))
    kernel = np.array(model.get_layer("conv2").kernel)
    kernel[:, :, :4] = 0.0
    model.get_layer("conv2").kernel.assign(kernel)
    weights = LiveWeights(model)
    found = facts(weights, targets, {"conv2": {"error": 0.1}})
    assert found["conv2"] == {"error": 0.1, "weights_left": 288}
    assert found["fc2"] == {"left_whole": "ws_skip_last_layer"}
    size, total = sum(targets.sizes.values()), model.count_params()
    assert remarks(model, weights, targets) == [
        f"weight-sparse: {100 * 288 / size:.2f} % of the {size} weights of 3 kernels are zero. Of "
        f"all {total} parameters, with biases and batch norms, that is {100 * 288 / total:.2f} %. "
        "Left whole: conv1 (ws_skip_frst_layer), fc2 (ws_skip_last_layer)."
    ]


def test_of_many_kernels_that_are_left_whole_only_the_number_is_said():
    model = networks.vgg()
    targets = find_targets(from_keras(model), WeightSparseConfig(skip_op_names="conv,fc2"))
    assert remarks(model, LiveWeights(model), targets)[0].endswith("fc2 (ws_skip_op_names).")
    many = {f"layer{n}": "depthwise" for n in range(5)}
    other = type(targets)(layers=targets.layers, whole=many, nonzeros=0)
    assert remarks(model, LiveWeights(model), other)[0].endswith("5 kernels were left whole.")
