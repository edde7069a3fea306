"""The walk: what solvers are given and where their kernels go, against plain Keras and NumPy."""

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from learners.reconstruction import classes
from learners.reconstruction.sampling import Sampler
from learners.reconstruction.walk import Walk
from tests.learners import networks
from utils.graph import from_keras, to_keras

IMAGES = networks.images(24)
NAMES = ["a2", "b1", "b2", "short", "head"]


def walk_of(model, names=NAMES, *, compensate=False, visits=None, has_classes=False, images=IMAGES):
    sampler = Sampler(
        tf.data.Dataset.from_tensor_slices(images).batch(8),
        num_images=len(images),
        num_positions=30,
        seed=3,
        has_classes=has_classes,
    )
    on_layer = (lambda *visit: None) if visits is None else (lambda *visit: visits.append(visit))
    return Walk(
        from_keras(model),
        dict.fromkeys(names, True),
        sampler,
        compensate=compensate,
        on_layer=on_layer,
    )


def as_it_was(statistics, kernel, *, centred):
    return kernel, np.zeros(kernel.shape[1])


def least_squares(statistics, kernel, *, centred):
    found = np.linalg.lstsq(statistics.gram(centred), statistics.cross_gram(centred), rcond=1e-9)[0]
    means = statistics.means()
    return found, means[1] - means[0] @ found if centred else np.zeros(kernel.shape[1])


def outputs_of(walk, model):
    graph = from_keras(model)
    return np.asarray(to_keras(graph.replace(params=walk.params()))(IMAGES, training=False))


def test_visits_in_order():
    visits = []
    walk = walk_of(networks.residual(), visits=visits)
    assert list(walk) == NAMES
    assert visits == [(number, 5, name) for number, name in enumerate(NAMES, start=1)]


def test_old_kernels_leave_the_network_and_no_error():
    model = networks.residual()
    walk = walk_of(model)
    errors = [walk.solve(name, as_it_was) for name in walk]
    assert max(errors) < 1e-5
    np.testing.assert_array_equal(outputs_of(walk, model), np.asarray(model(IMAGES)))


def test_moments_are_compressed_inputs_times_full_outputs():
    """Of a Dense layer all rows are taken: the moments are those of the two networks' own maps."""
    model = networks.residual()
    walk, found = walk_of(model), None
    for name in walk:
        if name == "b1":  # halved: everything behind it sees other inputs than before
            walk.solve(name, lambda statistics, kernel, *, centred: (kernel / 2, np.zeros(12)))
        elif name == "head":
            found = walk.statistics("head")
    changed = to_keras(from_keras(model).replace(params=walk.params()))
    seen, before = (
        np.asarray(keras.Model(net.input, net.get_layer("head").input)(IMAGES, training=False))
        for net in (changed, model)
    )
    targets = before @ np.asarray(model.get_layer("head").kernel)
    assert np.abs(seen - before).max() > 0.01
    np.testing.assert_allclose(found.gram(False), seen.T @ seen, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found.cross_gram(False), seen.T @ targets, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("layer", ["b1", "head"])
def test_offsets_go_where_they_are_taken_up(layer):
    """Into the mean of the norm behind a convolution, or the layer's own bias."""
    model = networks.residual()
    walk = walk_of(model)
    for name in walk:
        if name == layer:
            walk.solve(
                name, lambda statistics, kernel, *, centred: (kernel, np.full(len(kernel[0]), 0.5))
            )
    reference = networks.residual()
    kept = (
        reference.get_layer("b1_bn").moving_mean
        if layer == "b1"
        else reference.get_layer("head").bias
    )
    kept.assign(np.asarray(kept) + (-0.5 if layer == "b1" else 0.5))
    np.testing.assert_allclose(outputs_of(walk, model), np.asarray(reference(IMAGES)), atol=1e-5)


def test_later_layers_make_up_for_what_an_earlier_one_lost():
    model = networks.residual()

    def loss_with(solver):
        walk = walk_of(model, compensate=True)
        for name in walk:
            if name == "a2":
                walk.zero("a2", "kernel", -2, np.arange(8) < 4)
            elif name in walk.readings:
                walk.solve(name, solver)
        wanted = np.asarray(model(IMAGES))
        return np.sum((outputs_of(walk, model) - wanted) ** 2) / np.sum(
            (wanted - wanted.mean(0)) ** 2
        )

    assert loss_with(least_squares) < 0.5 * loss_with(as_it_was)


def test_zeroed_slices_are_seen_by_what_comes_after():
    model = networks.residual()
    walk = walk_of(model)
    dropped = np.arange(8) < 3
    for name in walk:
        if name == "a2":
            own, behind = walk.statistics("a2"), walk.statistics("b1")
            walk.zero("a2", "kernel", -2, dropped)
            assert walk.statistics("a2") is own  # its inputs are as they were
            assert not np.allclose(walk.statistics("b1").moment, behind.moment)
    kernel = np.asarray(model.get_layer("a2").kernel).copy()
    kernel[:, :, dropped] = 0
    np.testing.assert_array_equal(walk.params()["a2"]["kernel"], kernel)


def test_rows_that_are_held_are_those_of_the_moments():
    model = networks.residual()
    walk = Walk(
        from_keras(model),
        dict.fromkeys(NAMES, True),
        Sampler([IMAGES[:16], IMAGES[16:]], num_images=24, num_positions=6, seed=3),
        compensate=True,
        weighted=True,
    )
    for name in walk:
        if name != "b2":
            continue
        moments, held = walk.statistics(name), walk.samples(name, 2**20)
        few = walk.samples(name, 1)
    assert len(held.rows) == 24 * 6 and len(few.rows) == 16 * 6
    assert held.weights.std() > 0 and walk.output_weights("b2").shape == (12,)
    columns = np.column_stack([held.rows, np.ones(len(held.rows))])
    weighted = columns * held.weights[:, None]
    np.testing.assert_allclose(moments.moment, columns.T @ weighted, rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(moments.cross, weighted.T @ held.targets, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("has_classes", [False, True])
@pytest.mark.parametrize("is_free", [False, True])
@pytest.mark.parametrize("narrowed", [False, True])
def test_the_last_layer_of_a_classifier(has_classes, is_free, narrowed):
    """It is fitted to the classes of another network before it, where its weights are free."""
    model, images = networks.residual(), networks.images(200)
    head = model.get_layer("head")
    head.kernel.assign(3.0 * head.kernel)

    def third(_, kernel, *, centred):
        return kernel * (np.arange(12) < 4), np.zeros(12)

    def solved(is_free, **options):
        walk = walk_of(model, images=images, **options)
        for name in walk:
            if name in ("b2", "short") and narrowed:
                walk.solve(name, third)
            elif name == "head":
                walk.solve("head", least_squares, is_free=is_free)
        return to_keras(from_keras(model).replace(params=walk.params()))

    nets = model, solved(is_free=False), solved(is_free, has_classes=has_classes)
    wanted, *found = (
        scipy.special.softmax(np.asarray(net(images)) / classes.TEMPERATURE, axis=1) for net in nets
    )
    plain, fitted = (scipy.special.rel_entr(wanted, each).sum() for each in found)
    if has_classes and is_free and narrowed:
        assert fitted < 0.97 * plain
    else:
        assert fitted == plain
