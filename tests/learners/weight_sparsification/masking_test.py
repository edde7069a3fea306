import keras
import numpy as np
import pytest

from learners.kernels.layers import kernel_layers
from learners.sparsity.masks import ELEMENT, parse_granularity
from learners.sparsity.score import SCORES
from learners.weight_sparsification.masking import (
    DECAY,
    Masking,
    MaskUpdates,
    SparseOptimizer,
    masked_optimizer,
)
from learners.weight_sparsification.schedule import Polynomial
from tests.learners import networks
from utils.graph import from_keras


def make(criterion="magnitude", grain=ELEMENT, model=None, **options):
    model = model or networks.vgg()
    layers = [la for la in kernel_layers(from_keras(model)) if la.name in ("conv2", "fc1")]
    start = {la.name: la.size for la in layers}
    final = {la.name: la.size // 4 for la in layers}
    masking = Masking(model, layers, SCORES[criterion], grain, start=start, final=final, **options)
    return model, masking


def zeros(model, name):
    return np.asarray(model.get_layer(name).kernel) == 0


def test_an_update_zeroes_the_smallest_and_holds_them():
    model, masking = make()
    before = np.abs(np.asarray(model.get_layer("conv2").kernel))
    optimizer = masked_optimizer(keras.optimizers.SGD(0.1), model, masking, gradients=False)
    optimizer.build(model.trainable_variables)
    masking.update(0.5, None, optimizer)
    gone = zeros(model, "conv2")
    assert gone.sum() == 576 - (144 + 216)  # halfway
    assert before[gone].max() <= before[~gone].min()
    masking.update(0.0, None, optimizer)
    assert (zeros(model, "conv2") | ~gone).all()
    gone = zeros(model, "conv2")
    assert gone.sum() == 432 and not zeros(model, "conv3").any()
    optimizer.apply([np.ones(v.shape, np.float32) for v in model.trainable_variables])
    np.testing.assert_array_equal(zeros(model, "conv2"), gone)


def test_ranked_together_only_the_sum_counts():
    model, masking = make(ranked=True)
    kernel = model.get_layer("fc1").kernel
    kernel.assign(0.001 * np.asarray(kernel))
    masking.update(0.0)
    left = [np.count_nonzero(np.asarray(model.get_layer(n).kernel)) for n in ("conv2", "fc1")]
    sizes = [model.get_layer(n).kernel.shape for n in ("conv2", "fc1")]
    assert sum(left) == sum(int(np.prod(s)) // 4 for s in sizes)
    assert left[1] < np.prod(sizes[1]) // 20


def test_tiles_ranked_together_go_as_a_whole():
    model, masking = make(grain=parse_granularity("1x4"), ranked=True)
    masking.update(0.0)
    tiles = zeros(model, "conv2").reshape(-1, 4, 8)
    assert (tiles.all(axis=1) | ~tiles.any(axis=1)).all()


def test_gradients_decide_where_asked():
    model, masking = make("gradient")
    optimizer = masked_optimizer(keras.optimizers.SGD(0.0), model, masking, gradients=True)
    rng = np.random.default_rng(0)
    slopes = [rng.normal(size=v.shape).astype(np.float32) for v in model.trainable_variables]
    for _ in range(2):
        optimizer.apply(slopes, model.trainable_variables)
    found = masking.gradients(optimizer)
    place = [v.path for v in model.trainable_variables].index("conv2/kernel")
    wanted = (1 - DECAY**2) * slopes[place]
    np.testing.assert_allclose(found["conv2", "kernel"], wanted, rtol=1e-4)
    kernel = np.asarray(model.get_layer("conv2").kernel)
    masking.update(0.0, found, optimizer)
    gone = zeros(model, "conv2")
    products = np.abs(kernel * wanted)
    assert products[gone].max() <= products[~gone].min() * (1 + 1e-4)


def test_zeros_that_the_network_came_with_are_held_too():
    model = networks.vgg()
    kernel = np.array(model.get_layer("conv3").kernel)
    kernel[0] = 0.0
    model.get_layer("conv3").kernel.assign(kernel)
    model, masking = make(model=model)
    optimizer = masked_optimizer(keras.optimizers.SGD(0.1), model, masking, gradients=False)
    optimizer.apply([np.ones(v.shape, np.float32) for v in model.trainable_variables],
                    model.trainable_variables)  # fmt: skip
    assert not np.asarray(model.get_layer("conv3").kernel)[0].any()


@pytest.mark.parametrize("ranked", [False, True])
def test_a_mask_with_room_for_them_does_not_let_zeros_grow(ranked):
    model = networks.vgg()
    kernel = np.array(model.get_layer("conv2").kernel)
    kernel[0] = 0.0
    model.get_layer("conv2").kernel.assign(kernel)
    model, masking = make(model=model, ranked=ranked)
    optimizer = masked_optimizer(keras.optimizers.SGD(0.1), model, masking, gradients=False)
    optimizer.build(model.trainable_variables)
    slopes = [np.ones(v.shape, np.float32) for v in model.trainable_variables]
    for left in (1.0, 0.0):
        masking.update(left, None, optimizer)
        optimizer.apply(slopes)
        assert not np.asarray(model.get_layer("conv2").kernel)[0].any()
    if not ranked:
        assert zeros(model, "conv2").sum() == 576 - 144  # they are among those that go


def test_useless_weights_go_before_those_that_are_gone_come_back():
    model, masking = make("gradient")
    names = masking.kernels()
    gone = {}
    for left, slope in ((0.5, 1.0), (0.4, 0.0)):  # then the gradients vanish: all scores are equal
        shapes = {name: masking.variable(*name).shape for name in names}
        masking.update(left, {name: np.full(shape, slope) for name, shape in shapes.items()})
        gone[left] = zeros(model, "conv2")
    assert not (gone[0.5] & ~gone[0.4]).any()
    assert gone[0.4].sum() == 576 - (144 + round(0.4 * 432))


def test_weights_that_are_not_finite_are_not_hidden_behind_zeros():
    model, masking = make()
    model.get_layer("fc1").kernel.assign(model.get_layer("fc1").kernel * np.nan)
    masking.update(0.0)
    assert np.isnan(np.asarray(model.get_layer("fc1").kernel)).all()


def test_updates_come_when_the_schedule_says():
    class Recorded:
        def __init__(self):
            self.left = []

        def gradients(self, optimizer):
            return None

        def update(self, left, gradients, optimizer):
            self.left.append(left)

    masking, optimizer = Recorded(), SparseOptimizer(keras.optimizers.SGD(0.1), [])
    variable = keras.Variable([1.0])
    updates = MaskUpdates(masking, Polynomial(begin=1, end=5, every=2, exponent=1.0), optimizer)
    for step in range(7):
        optimizer.apply([np.ones(1, np.float32)], [variable])
        updates.on_train_batch_end(step)
    assert masking.left == pytest.approx([1.0, 0.5, 0.0])


def test_the_optimizer_comes_back_from_its_description():
    optimizer = SparseOptimizer(keras.optimizers.SGD(0.1), [1, 2], keeps_gradients=True)
    again = SparseOptimizer.from_config(optimizer.get_config())
    assert again.get_config() == optimizer.get_config()
