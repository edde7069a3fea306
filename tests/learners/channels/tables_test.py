import itertools

import keras
import numpy as np
import pytest

from learners.channel_pruning_rmt.config import ChannelPrunedRmtConfig
from learners.channels import tables
from learners.channels.groups import prunable_groups
from learners.channels.lasso import lasso_path_order
from learners.channels.tables import ChannelTables
from learners.reconstruction.least_squares import refit_kernel, relative_error
from learners.reconstruction.ridge import RIDGE
from learners.reconstruction.sampling import Sampler
from tests.learners import networks
from utils.graph import from_keras


def make_tables(model, residual="inner", **options):
    graph = from_keras(model)
    groups = prunable_groups(graph, ChannelPrunedRmtConfig(residual=residual))
    images = networks.images()
    sampler = Sampler([images[:32], images[32:]], num_images=48, num_positions=16, seed=0)
    return graph, groups, ChannelTables(graph, groups, sampler, **options)


@pytest.mark.parametrize("criterion", ["lasso", "backward"])
def test_masks_are_nested_and_of_the_right_size(criterion):
    _, groups, found = make_tables(networks.residual(), criterion=criterion)
    for group in groups:
        masks = [found.mask(group.name, count) for count in range(1, group.size + 1)]
        assert [mask.sum() for mask in masks] == list(range(1, group.size + 1))
        assert all((larger | ~smaller).all() for smaller, larger in itertools.pairwise(masks))


def test_whole_layers_keep_their_kernels():
    _, groups, found = make_tables(networks.residual())
    counts = {group.name: group.size for group in groups}
    for name, reading in found.readings.items():
        kernel, offset = found.refit(name, counts)
        assert kernel is reading.item.kernel
        assert not offset.any()


def test_refitted_kernels_are_least_squares_on_the_samples():
    model = networks.vgg()
    graph, groups, found = make_tables(model)
    group = next(group for group in groups if group.name == "conv1")
    kernel, offset = found.refit("conv2", {g.name: g.size for g in groups} | {"conv1": 5})
    kept = found.mask(group.name, 5)
    assert not kernel.reshape(3, 3, 8, 8)[:, :, ~kept].any()
    # An independent solution on all positions; the table sampled 16 of 64 at random.
    images = networks.images()
    source = keras.Model(model.inputs, model.get_layer("conv1").output)(images)
    patches = keras.ops.image.extract_patches(source, 3, strides=1, padding="same")
    rows = np.array(patches).reshape(-1, 72)
    target = rows @ model.get_layer("conv2").kernel.numpy().reshape(72, -1)
    own = rows @ kernel + offset
    columns = rows[:, np.tile(kept, 9)]
    best = np.column_stack([columns, np.ones(len(rows))])
    solution = np.linalg.lstsq(best, target, rcond=None)[0]
    least = np.square(target - best @ solution).sum()
    assert np.square(target - own).sum() <= 1.3 * least
    dropped = rows @ np.where(np.tile(kept, 9)[:, None], found.readings["conv2"].item.kernel, 0.0)
    assert np.square(target - own).sum() < 0.7 * np.square(target - dropped).sum()


def test_a_layer_that_reads_two_groups_drops_the_rows_of_both():
    graph, groups, found = make_tables(networks.concat())
    counts = {group.name: group.size for group in groups}
    left, right = (group for group in groups if group.name in ("left", "right"))
    kernel, _ = found.refit("join", counts | {"left": 2, "right": 1})
    alive = np.abs(kernel).reshape(9, -1, kernel.shape[1]).sum(axis=(0, 2)) > 0
    assert alive.sum() == alive.size - (left.size - 2) - (right.size - 1)


@pytest.mark.parametrize("name", ["vgg", "concat", "residual"])
def test_errors_are_those_of_the_refitted_kernels(name):
    _, groups, found = make_tables(getattr(networks, name)())
    for group in groups:
        errors = found.errors(group.name)
        assert errors.shape == (group.size,)
        assert errors[-1] == 0.0
        assert np.all(np.diff(errors) <= 1e-12)
        count = max(1, group.size // 2)
        kept, expected = found.mask(group.name, count), 0.0
        for reader in group.readers:
            reading = found.readings[reader.node]
            moments = found._statistics[reader.node].weighted(reading.weights)
            rows = np.tile(reader.channels, reading.item.window.num_positions)
            kernel, _ = refit_kernel(
                moments,
                reading.item.kernel * reading.weights,
                (rows < 0) | kept[np.maximum(rows, 0)],
                centred=reading.centred,
                pull=RIDGE,
            )
            expected += relative_error(moments, kernel, centred=reading.centred)
        assert errors[count - 1] == pytest.approx(expected, rel=1e-2, abs=1e-5)


@pytest.mark.parametrize("residual", ["joint", "gather"])
def test_streams_have_tables_too(residual):
    _, groups, found = make_tables(networks.residual(), residual)
    counts = {group.name: max(1, group.size // 2) for group in groups}
    for name in found.readings:
        kernel, offset = found.refit(name, counts)
        assert np.isfinite(kernel).all()
        assert np.isfinite(offset).all()


def test_kernels_are_looked_up_again_but_not_kept_for_ever(monkeypatch):
    _, groups, found = make_tables(networks.residual())
    name = next(iter(found.readings))
    counts = [{group.name: count for group in groups} for count in (1, 2, 3)]
    assert found.refit(name, counts[0])[0] is found.refit(name, counts[0])[0]
    monkeypatch.setattr(tables, "MAX_CACHED_BYTES", 1)
    first = found.refit(name, counts[1])[0]
    found.refit(name, counts[2])
    assert found.refit(name, counts[1])[0] is not first


def test_the_lasso_path_leaves_the_least_correlated_out_first():
    assert lasso_path_order(np.eye(4), np.array([0.3, 2.0, -1.0, 0.1])).tolist() == [3, 0, 2, 1]


def test_channels_that_leave_together_go_by_their_contribution():
    assert lasso_path_order(np.eye(2), np.array([1.0, 1.0 + 1e-9])).tolist() == [0, 1]
