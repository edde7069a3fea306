"""The elimination kernel: against solving anew after every removal, by NumPy's `lstsq`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learners.reconstruction import downdate, elimination, single
from learners.reconstruction.blocks import Blocks
from learners.reconstruction.elimination import Reader, eliminate, eliminate_together

EXACT = 1e-13  # a pull too small to be seen in errors to 1e-8


def sampled(seed=0, *, num_samples=60, num_rows=8, num_outputs=4):
    """Correlated inputs, targets that no kernel gives exactly."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num_samples, num_rows)) @ rng.normal(size=(num_rows, num_rows))
    kernel = rng.normal(size=(num_rows, num_outputs)) * rng.uniform(0.1, 2.0, (num_rows, 1))
    return x, x @ kernel + rng.normal(size=(num_samples, num_outputs)), kernel


def fitted(x, y, left):
    """Refit on some rows: kernel and squared error."""
    kernel = np.zeros((x.shape[1], y.shape[1]))
    kernel[left] = np.linalg.lstsq(x[:, left], y, rcond=None)[0]
    return kernel, np.sum((y - x @ kernel) ** 2)


def greedy(x, y, members, *, groups=None, num_left=0, scale=None):
    """Give order and errors of the reference: all candidates refitted at every step."""
    left, order = list(range(len(members))), []
    never = set(range(x[0].shape[1])) - set(members.ravel())

    def total(blocks):
        rows = sorted(never.union(*(members[block] for block in blocks)) - {-1})
        return [fitted(xs, ys, rows)[1] for xs, ys in zip(x, y, strict=True)]

    groups = np.zeros(len(members), int) if groups is None else groups
    scale = np.ones(len(x)) if scale is None else scale
    errors = [total(left)]
    while True:
        sizes = np.bincount(groups[left], minlength=groups.max() + 1) if left else [0]
        candidates = [block for block in left if sizes[groups[block]] > num_left]
        if not candidates:
            return order, np.array(errors).T
        found = {block: total([b for b in left if b != block]) for block in candidates}
        order.append(min(found, key=lambda block: np.dot(scale, found[block])))
        left.remove(order[-1])
        errors.append(found[order[-1]])


BLOCKS = {
    "single weights": Blocks.single(8),
    "1 of 4": Blocks.n_of_m(8, 4, stay=1, of=4),
    "2 of 4": Blocks.n_of_m(8, 4, stay=2, of=4),
    "channels": Blocks.channels(np.tile(np.arange(4), 2), 4, 4),
    "channels of several sizes": Blocks.channels(np.array([0, 1, -1, 0, 2, 3, 3, 3]), 4, 4),
    "tiles of 4 rows": Blocks.tiles(8, 8, height=4, width=1),
    "tiles of 2 outputs": Blocks.tiles(8, 8, height=1, width=2),
    "tiles of 2 x 2": Blocks.tiles(8, 4, height=2, width=2),
}


@pytest.mark.parametrize("blocks", BLOCKS.values(), ids=BLOCKS)
@pytest.mark.parametrize("panel", [2, downdate.PANEL])
def test_same_order_and_errors_as_refitting_after_every_step(blocks, panel, monkeypatch):
    monkeypatch.setattr(downdate, "PANEL", panel)
    monkeypatch.setattr(single, "PANEL", panel)
    x, y, _ = sampled()
    found = eliminate(x.T @ x, x.T @ y, blocks, pull=EXACT)
    for team in range(4 // blocks.width):
        own = y[:, team * blocks.width : (team + 1) * blocks.width]
        order, errors = greedy(
            [x], [own], blocks.members, groups=blocks.group_of, num_left=blocks.num_left
        )
        np.testing.assert_array_equal(found.order[team], order)
        np.testing.assert_allclose(found.errors[team], errors[0] - errors[0, 0], atol=1e-8)


@pytest.mark.parametrize("blocks", BLOCKS.values(), ids=BLOCKS)
def test_kernels_at_every_size_are_refitted_on_what_is_left(blocks):
    x, y, _ = sampled(1)
    found = eliminate(x.T @ x, x.T @ y, blocks, pull=EXACT)
    start = fitted(x, y, list(range(8)))[1]
    for size in range(found.order.shape[1] + 1):
        mask, kernel = found.mask_at(size), found.kernel_at(size)
        expected = [fitted(x, y[:, [o]], np.flatnonzero(mask[:, o])) for o in range(4)]
        np.testing.assert_allclose(kernel, np.hstack([k for k, _ in expected]), atol=1e-8)
        error = sum(error for _, error in expected) - start
        assert found.errors[:, size].sum() == pytest.approx(error, abs=1e-8)


def test_teams_may_stand_at_different_sizes():
    x, y, _ = sampled()
    found = eliminate(x.T @ x, x.T @ y, BLOCKS["tiles of 2 outputs"], pull=EXACT)
    mixed = found.kernel_at(np.array([3, 6]))
    np.testing.assert_array_equal(mixed[:, :2], found.kernel_at(3)[:, :2])
    np.testing.assert_array_equal(mixed[:, 2:], found.kernel_at(6)[:, 2:])
    np.testing.assert_array_equal(found.mask_at(np.array([3, 6])).sum(axis=0), [5, 5, 2, 2])


@pytest.mark.parametrize(("stay", "of"), [(2, 4), (1, 4), (1, 2)])
@pytest.mark.parametrize("seed", range(3))
def test_n_of_m_holds_and_beats_magnitude(stay, of, seed):
    x, y, kernel = sampled(seed, num_samples=200, num_rows=24, num_outputs=6)
    y = x @ kernel
    found = eliminate(x.T @ x, x.T @ y, Blocks.n_of_m(24, 8, stay=stay, of=of))
    size = found.order.shape[1]
    counts = found.mask_at(size).reshape(24 // of, of, 6).sum(axis=1)
    np.testing.assert_array_equal(counts, stay)
    ours = np.sum((y - x @ found.kernel_at(size)) ** 2)
    groups = np.abs(kernel).reshape(24 // of, of, 6)
    ranks = np.argsort(np.argsort(-groups, axis=1), axis=1).reshape(24, 6)
    assert ours < np.sum((y - x @ np.where(ranks < stay, kernel, 0.0)) ** 2)


def rounded(step):
    return lambda values, rows, outputs: step * np.round(values / step)


def test_a_single_weight_is_rounded_as_by_hand():
    """G = 4, C = 2.4: 0.6 is best, 0.5 nearest, 4 * 0.1^2 its price; then -1.3 -> -1.5."""
    found = eliminate(
        np.array([[4.0]]),
        np.array([[2.4, -5.2]]),
        Blocks.single(1),
        target=rounded(0.5),
        pull=EXACT,
    )
    np.testing.assert_allclose(found.values, [[0.5, -1.5]])
    np.testing.assert_allclose(found.errors, [[0.0, 0.04], [0.0, 0.16]])


def test_two_weights_make_up_for_one_another_as_by_hand():
    """G = [[2, 1], [1, 1]], best at (0.4, 0.45): A = [[1, -1], [-1, 2]].

    Losses 0.4^2 / 1 = 0.16 and 0.45^2 / 2 = 0.10125: the second goes first, to 0; then the first
    is best at (2 * 0.4 + 0.45) / 2 = 0.625 and goes to 1, at 2 * 0.375^2 = 0.28125. To the nearest
    point each alone, (0, 0), would cost 2 * 0.16 + 2 * 0.18 + 0.2025 = 0.8825.
    """
    gram, best = np.array([[2.0, 1.0], [1.0, 1.0]]), np.array([[0.4], [0.45]])
    found = eliminate(gram, gram @ best, Blocks.single(2), target=rounded(1.0), pull=EXACT)
    np.testing.assert_array_equal(found.order, [[1, 0]])
    np.testing.assert_allclose(found.values, [[1.0], [0.0]])
    np.testing.assert_allclose(found.errors, [[0.0, 0.10125, 0.3825]])
    np.testing.assert_allclose(found.kernel_at(1), [[0.625], [0.0]])


@pytest.mark.parametrize("seed", range(3))
def test_a_grid_of_each_output(seed):
    """Every weight on its own output's grid, at less error than at the nearest points."""
    x, y, kernel = sampled(seed, num_samples=200, num_rows=20, num_outputs=6)
    y = x @ kernel
    steps = np.abs(kernel).max(axis=0) / 3

    def grid(values, rows, outputs):
        return steps[outputs] * np.clip(np.round(values / steps[outputs]), -3, 3)

    found = eliminate(x.T @ x, x.T @ y, Blocks.single(20), target=grid, pull=EXACT)
    codes = found.values / steps
    np.testing.assert_allclose(codes, np.round(codes), atol=1e-12)
    assert np.abs(codes).max() <= 3
    error = np.sum((y - x @ found.values) ** 2, axis=0)
    np.testing.assert_allclose(found.errors[:, -1], error, rtol=1e-6)
    np.testing.assert_array_equal(found.kernel_at(20), found.values)
    nearest = np.sum((y - x @ grid(kernel, None, np.arange(6))) ** 2)
    assert error.sum() < 0.6 * nearest


def test_weights_that_stray_out_of_the_grid_are_settled_at_once():
    """The second weight is far outside: as the first to go it is made up for, as the last not."""
    gram, best = np.array([[1.0, 0.9], [0.9, 1.0]]), np.array([[0.3], [2.4]])

    def grid(values, rows, outputs):
        return np.clip(np.round(values), -1.0, 1.0)

    late = eliminate(gram, gram @ best, Blocks.single(2), target=grid, pull=EXACT)
    early = eliminate(
        gram, gram @ best, Blocks.single(2), target=grid, reach=np.array(0.5), pull=EXACT
    )
    np.testing.assert_array_equal(late.order, [[0, 1]])
    np.testing.assert_array_equal(early.order, [[1, 0]])
    np.testing.assert_array_equal(early.values, [[1.0], [1.0]])  # 0.3 + 0.9 * 1.4 = 1.56
    assert early.errors[0, -1] < late.errors[0, -1]


def test_how_far_is_straying_may_differ_from_weight_to_weight():
    x, y, _ = sampled()
    reach = np.full((8, 4), np.inf)
    reach[5, 2] = 0.0
    found, plain = (
        eliminate(x.T @ x, x.T @ y, Blocks.single(8), target=rounded(0.5), reach=each).order
        for each in (reach, None)
    )
    assert found[2, 0] == 5
    np.testing.assert_array_equal(found[[0, 1, 3]], plain[[0, 1, 3]])
    assert plain[2, 0] != 5


def test_targets_know_their_place():
    steps = np.random.default_rng(0).uniform(0.1, 0.5, size=(8, 4))

    def grid(values, rows, outputs):
        return steps[rows, outputs] * np.round(values / steps[rows, outputs])

    x, y, _ = sampled()
    for blocks in (BLOCKS["single weights"], BLOCKS["tiles of 2 x 2"], BLOCKS["channels"]):
        values = eliminate(x.T @ x, x.T @ y, blocks, target=grid).values
        np.testing.assert_allclose(values / steps, np.round(values / steps), atol=1e-9)


def test_partly_rounded_kernels_are_refitted_around_what_is_settled():
    x, y, _ = sampled()
    found = eliminate(x.T @ x, x.T @ y, Blocks.single(8), target=rounded(0.5), pull=EXACT)
    kernel, left = found.kernel_at(5), found.mask_at(5)
    for output in range(4):
        settled = np.where(left[:, output], 0.0, found.values[:, output])
        rest = y[:, [output]] - x @ settled[:, None]
        expected, error = fitted(x, rest, np.flatnonzero(left[:, output]))
        np.testing.assert_allclose(kernel[:, output], settled + expected[:, 0], atol=1e-8)
        start = fitted(x, y[:, [output]], list(range(8)))[1]
        assert found.errors[output, 5] == pytest.approx(error - start, abs=1e-8)


@pytest.mark.parametrize("target", [None, rounded(0.25)])
def test_what_is_absent_might_never_have_been_there(target):
    x, y, _ = sampled()
    present = np.random.default_rng(0).random((8, 4)) < 0.6
    found = eliminate(
        x.T @ x, x.T @ y, Blocks.single(8), target=target, pull=EXACT, present=present
    )
    assert not found.values[~present].any()
    for output in range(4):
        left = np.flatnonzero(present[:, output])
        part = x[:, left]
        alone = eliminate(
            part.T @ part,
            part.T @ y[:, [output]],
            Blocks.single(len(left)),
            target=target,
            pull=EXACT,
        )
        np.testing.assert_array_equal(found.order[output, : len(left)], left[alone.order[0]])
        np.testing.assert_array_equal(found.order[output, len(left) :], -1)
        np.testing.assert_allclose(found.errors[output, : len(left) + 1], alone.errors[0])
        np.testing.assert_allclose(found.errors[output, len(left) :], alone.errors[0, -1])
        np.testing.assert_allclose(found.kernel_at(2)[left, output], alone.kernel_at(2)[:, 0])


def test_blocks_that_were_pruned_before():
    x, y, _ = sampled()
    present = np.ones((8, 4), bool)
    present[2:4, :2] = False
    found = eliminate(x.T @ x, x.T @ y, BLOCKS["tiles of 2 x 2"], present=present)
    assert sorted(found.order[0]) == [-1, 0, 2, 3]
    np.testing.assert_array_equal(found.mask_at(0), present)


@pytest.mark.parametrize("pulled", [False, True])
def test_dead_inputs_cost_nothing_and_go_first(pulled):
    x, y, kernel = sampled()
    x[:, [2, 6]] = 0.0
    found = eliminate(
        x.T @ x, x.T @ y, Blocks.single(8), kernel=kernel if pulled else None, pull=1e-3
    )
    np.testing.assert_array_equal(found.order[:, :2], [[2, 6]] * 4)
    np.testing.assert_array_equal(found.errors[:, :3], 0.0)
    assert np.all(found.errors[:, 3] > 0)


def test_fewer_samples_than_rows():
    """What 10 samples say, 10 of 40 rows can: nothing is lost until then."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(10, 40)).astype(np.float32)
    y = rng.normal(size=(10, 3)).astype(np.float32)
    gram, cross = (x.T @ x).astype(np.float64), (x.T @ y).astype(np.float64)
    found = eliminate(gram, cross, Blocks.single(40))
    assert np.all(np.sort(found.order, axis=1) == np.arange(40))
    assert np.all(found.errors[:, 25] < 1e-3 * np.sum(y**2, axis=0))
    np.testing.assert_allclose(found.errors[:, -1], np.sum(y**2, axis=0), rtol=1e-3)
    assert np.isfinite(found.kernel_at(20)).all()


def test_nothing_was_seen_at_all():
    found = eliminate(np.zeros((3, 3)), np.zeros((3, 2)), Blocks.single(3))
    np.testing.assert_array_equal(found.order, [[0, 1, 2]] * 2)
    np.testing.assert_array_equal(found.errors, 0.0)


def test_the_pull_is_part_of_the_objective():
    """As if rows of sqrt(eps) I had been sampled, with outputs sqrt(eps) W_old."""
    x, y, kernel = sampled()
    ridge = 0.3 * np.trace(x.T @ x) / 8
    more_x = np.vstack([x, np.sqrt(ridge) * np.eye(8)])
    more_y = np.vstack([y, np.sqrt(ridge) * kernel])
    found = eliminate(x.T @ x, x.T @ y, Blocks.single(8), kernel=kernel, pull=0.3)
    plain = eliminate(more_x.T @ more_x, more_x.T @ more_y, Blocks.single(8), pull=EXACT)
    np.testing.assert_array_equal(found.order, plain.order)
    np.testing.assert_allclose(found.errors, plain.errors, atol=1e-8)
    np.testing.assert_allclose(found.kernel_at(4), plain.kernel_at(4), atol=1e-8)


def test_outputs_are_worked_on_in_parts(monkeypatch):
    x, y, _ = sampled()
    present = np.random.default_rng(0).random((8, 4)) < 0.6
    whole = eliminate(x.T @ x, x.T @ y, Blocks.single(8), present=present)
    monkeypatch.setattr(elimination, "MAX_BYTES", 3 * 8**3)  # three outputs at a time
    parts = eliminate(x.T @ x, x.T @ y, Blocks.single(8), present=present)
    for name in ("order", "errors", "values"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), atol=1e-12)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    num_samples=st.integers(1, 40),
    num_rows=st.integers(1, 12),
    num_outputs=st.integers(1, 3),
    pull=st.sampled_from([1e-6, 1e-2, 1.0]),
    step=st.sampled_from([None, 0.1, 1.0]),
)
def test_what_holds_for_any_moments(seed, num_samples, num_rows, num_outputs, pull, step):
    x, y, kernel = sampled(
        seed, num_samples=num_samples, num_rows=num_rows, num_outputs=num_outputs
    )
    gram, cross = x.T @ x, x.T @ y
    found = eliminate(
        gram,
        cross,
        Blocks.single(num_rows),
        target=None if step is None else rounded(step),
        kernel=kernel,
        pull=pull,
    )
    np.testing.assert_array_equal(np.sort(found.order, axis=1)[0], np.arange(num_rows))
    assert np.all(np.diff(found.errors, axis=1) >= 0.0)
    ridge = pull * np.trace(gram) / num_rows

    def objective(weights):
        missed = np.sum((y - x @ weights) ** 2, axis=0)
        return missed + ridge * np.sum((weights - kernel) ** 2, axis=0)

    scale = objective(np.zeros_like(kernel)).max()
    for size in (0, num_rows // 2, num_rows):
        rise = objective(found.kernel_at(size)) - objective(found.kernel_at(0))
        np.testing.assert_allclose(found.errors[:, size], rise, atol=1e-7 * scale)
    expected = 0.0 if step is None else step * np.round(found.values / step)
    np.testing.assert_allclose(found.values, expected, atol=1e-12)


@settings(max_examples=20, derandomize=True, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_the_order_of_rows_and_outputs_does_not_matter(seed):
    x, y, _ = sampled(seed)
    rng = np.random.default_rng(seed)
    rows, outputs = rng.permutation(8), rng.permutation(4)
    one = eliminate(x.T @ x, x.T @ y, Blocks.single(8))
    other_x, other_y = x[:, rows], 3.0 * y[:, outputs]
    other = eliminate(other_x.T @ other_x, other_x.T @ other_y, Blocks.single(8))
    np.testing.assert_array_equal(rows[other.order], one.order[outputs])
    np.testing.assert_allclose(other.errors, 9.0 * one.errors[outputs], atol=1e-8)


def readers_of(problems, rows):
    return [
        Reader(x.T @ x, x.T @ y, own, float(np.sum(y**2)))
        for (x, y, _), own in zip(problems, rows, strict=True)
    ]


def test_several_readers_against_refitting_all_of_them():
    problems = [sampled(1), sampled(2, num_outputs=2), sampled(3, num_rows=6)]
    rows = [np.tile(np.arange(4), 2), np.repeat(np.arange(4), 2), np.array([3, 1, 0, -1, 3, 0])]
    x, y, _ = zip(*problems, strict=True)
    found = eliminate_together(readers_of(problems, rows), 4, pull=EXACT)
    left, order = set(range(4)), []
    energies = [np.sum(own**2) for own in y]

    def error(reader, channels):
        kept = np.flatnonzero(np.isin(rows[reader], [-1, *channels]))
        return fitted(x[reader], y[reader], kept)[1]

    curves = [[error(reader, left)] for reader in range(3)]
    while left:
        order.append(
            min(
                left,
                key=lambda channel: sum(
                    error(reader, left - {channel}) / energies[reader] for reader in range(3)
                ),
            )
        )
        left -= {order[-1]}
        for reader in range(3):
            curves[reader].append(error(reader, left))
    for each, curve in zip(found, curves, strict=True):
        np.testing.assert_array_equal(each.order, [order])
        np.testing.assert_allclose(each.errors[0], np.array(curve) - curve[0], atol=1e-8)
    np.testing.assert_allclose(
        found[0].kernel_at(2), fitted(x[0], y[0], found[0].mask_at(2)[:, 0])[0], atol=1e-8
    )


def test_one_reader_is_elimination_of_its_channels():
    problem = sampled()
    rows = np.tile(np.arange(4), 2)
    (found,) = eliminate_together(readers_of([problem], [rows]), 4)
    x, y, _ = problem
    alone = eliminate(x.T @ x, x.T @ y, Blocks.channels(rows, 4, 4))
    np.testing.assert_array_equal(found.order, alone.order)
    np.testing.assert_allclose(found.errors, alone.errors)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: eliminate(np.eye(2), np.ones((3, 1)), Blocks.single(3)),
            r"For 3 rows `gram` must be \(3, 3\).* Received: \(2, 2\) and \(3, 1\)",
        ),
        (
            lambda: eliminate(np.eye(3), np.ones(3), Blocks.single(3)),
            r"Received: \(3, 3\) and \(3,\)",
        ),
        (
            lambda: eliminate(np.eye(2), np.ones((2, 3)), Blocks.tiles(2, 2, height=1, width=2)),
            "2 outputs that go together must divide 3 outputs",
        ),
        (
            lambda: eliminate(np.eye(2), np.ones((2, 1)), Blocks.single(2), pull=0.0),
            "`share` must be positive",
        ),
        (
            lambda: eliminate(
                np.eye(2), np.ones((2, 1)), Blocks.single(2), present=np.ones((2, 2))
            ),
            r"`present` must be \(2, 1\). Received: \(2, 2\)",
        ),
        (
            lambda: eliminate(
                np.eye(2),
                np.ones((2, 1)),
                Blocks.tiles(2, 2, height=2, width=1),
                present=np.array([[True], [False]]),
            ),
            "`present` must be the same within each block",
        ),
        (
            lambda: eliminate(np.eye(2), np.ones((2, 1)), Blocks.single(2)).kernel_at(3),
            r"`num_gone` must be in \[0, 2\]. Received: 3",
        ),
        (
            lambda: eliminate(np.eye(2), np.ones((2, 1)), Blocks.single(2)).mask_at(-1),
            r"`num_gone` must be in \[0, 2\]. Received: -1",
        ),
        (
            lambda: eliminate_together([Reader(np.eye(2), np.eye(2), np.arange(2), 1.0)], 1),
            r"`rows` must be in \[-1, 1\)",
        ),
        (
            lambda: eliminate_together(
                [Reader(np.eye(2), np.eye(2), np.arange(2), 1.0)], 2, per_step=0
            ),
            "`per_step` must be at least 1",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
