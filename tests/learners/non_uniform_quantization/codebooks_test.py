"""Codebooks as codes: levels against dense least squares, by turns never worse, storage exact."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learners.kernels.layers import KernelLayer
from learners.low_bits.rounding import round_to_code
from learners.non_uniform_quantization import codebooks
from learners.non_uniform_quantization.codebooks import CodebookCoding, least_squares_step
from utils.quantization.groups import Grouping

GROUPINGS = {
    "tensor": lambda axes: Grouping("tensor"),
    "channel": lambda axes: Grouping("channel", axes=axes),
    "split": lambda axes: Grouping("split", size=10),
}


def layer(num_rows=12, num_outputs=4, *, name="fc"):
    return KernelLayer(
        name=name,
        node=name,
        layer=name,
        weights=("kernel",),
        shapes=((num_rows, num_outputs),),
        out_axes=(-1,),
    )


def moments(seed=0, *, num_rows=12, num_outputs=4):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(90, num_rows)) @ rng.normal(size=(num_rows, num_rows))
    kernel = rng.normal(size=(num_rows, num_outputs))
    return x.T @ x, x.T @ (x @ kernel + 0.1 * rng.normal(size=(90, num_outputs))), kernel


def loss(gram, cross, kernel):
    return float(np.sum(kernel * (gram @ kernel - 2 * cross)))


def fitted(kernel, kind="channel", bits=2, importance=None, **options):
    return CodebookCoding(GROUPINGS[kind], **options).fit(layer(), kernel, bits, importance)


def rounded(code, kernel):
    rows, outputs = np.indices(kernel.shape, sparse=True)
    return code.nearest(kernel, rows, outputs)


def one_hot(code, kernel):
    """Write the kernel as a linear map of all levels: [P * O, levels]."""
    ids, size = code.places.ids, code.levels.size
    matrix = np.zeros((kernel.size, size))
    for place, (group, value) in enumerate(zip(ids.ravel(), kernel.ravel(), strict=True)):
        matrix[place, group * code.levels.shape[1] + np.argmin(abs(code.levels[group] - value))] = 1
    return matrix


@pytest.mark.parametrize("kind", GROUPINGS)
def test_levels_are_those_of_least_error_for_the_codes(kind):
    gram, cross, kernel = moments()
    code = fitted(kernel, kind)
    start = rounded(code, kernel)
    better = code.improved(gram, cross, start)
    found = code.moved(start, better)
    design = one_hot(code, start)
    whole = np.kron(gram, np.eye(4))  # of the kernel, row by row
    best = np.linalg.lstsq(design.T @ whole @ design, design.T @ cross.ravel(), rcond=None)[0]
    np.testing.assert_allclose(
        loss(gram, cross, found), loss(gram, cross, (design @ best).reshape(12, 4)), rtol=1e-6
    )
    assert (np.diff(better.levels, axis=1) >= 0).all()
    np.testing.assert_array_equal(rounded(better, found), found)


@pytest.mark.parametrize("max_compared", [0, 10**6])
@pytest.mark.parametrize("kind", GROUPINGS)
def test_the_nearest_value_is_found_wherever_weights_are_asked_for(kind, max_compared, monkeypatch):
    monkeypatch.setattr(codebooks, "MAX_COMPARED", max_compared)
    code = fitted(moments()[2], kind)
    rng = np.random.default_rng(0)
    rows, outputs = rng.integers(0, 12, (3, 7)), np.array([[2], [0], [3]])  # as in `single.py`
    values = rng.normal(size=(3, 7))
    for where in ((rows, outputs), (rows[:1], rng.integers(0, 4, (3, 7)))):
        levels = code.levels[code.places.ids[where]]
        places = np.argmin(abs(levels - values[..., None]), axis=-1)[..., None]
        expected = np.take_along_axis(levels, places, axis=-1)[..., 0]
        np.testing.assert_array_equal(code.nearest(values, *where), expected)


@pytest.mark.parametrize("kind", GROUPINGS)
def test_by_turns_is_better_than_rounding_alone(kind):
    gram, cross, kernel = moments(1)

    def error(num_moves):
        found, code = round_to_code(
            gram,
            cross,
            lambda values, importance: fitted(values, kind, importance=importance),
            kernel=kernel,
            num_moves=num_moves,
        )
        np.testing.assert_array_equal(rounded(code, found), found)
        return loss(gram, cross, found) - loss(gram, cross, np.linalg.solve(gram, cross))

    assert error(8) < 0.95 * error(0)
    assert error(8) < 0.7 * (
        loss(gram, cross, rounded(fitted(kernel, kind), kernel))
        - loss(gram, cross, np.linalg.solve(gram, cross))
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(list(GROUPINGS)), st.integers(1, 3))
def test_pruned_weights_stay_exactly_zero(seed, kind, bits):
    gram, cross, kernel = moments(seed)
    present = np.random.default_rng(seed).random(kernel.shape) < 0.6
    found, code = round_to_code(
        gram,
        cross,
        lambda values, importance: fitted(values, kind, bits, importance),
        kernel=kernel * present,
        present=present,
    )
    assert not found[~present].any()
    assert code.keep_zero == (not present.all())
    if code.keep_zero:
        assert (code.levels == 0.0).any(axis=1).all()
    stored = code.tensors(found)["fc", "kernel"]
    np.testing.assert_array_equal(stored.dequantized(), found.astype(np.float32))


def test_errors_count_by_the_energy_of_the_inputs():
    kernel = np.concatenate([np.full((6, 4), 1.0), np.linspace(-1.0, 1.0, 24).reshape(6, 4)])
    energy = np.where(np.arange(12) < 6, 1e6, 1.0)
    found = rounded(fitted(kernel, bits=1, importance=energy), kernel)
    np.testing.assert_allclose(found[:6], kernel[:6], atol=1e-4)
    equal = rounded(fitted(kernel, bits=1), kernel)
    assert np.abs(equal[:6] - kernel[:6]).max() > 0.01


def test_a_kernel_without_any_input_still_has_levels():
    kernel = moments()[2]
    code = fitted(kernel, importance=np.zeros(12))
    np.testing.assert_array_equal(code.levels, fitted(kernel).levels)


@pytest.mark.parametrize("kind", GROUPINGS)
@pytest.mark.parametrize("bits", [1, 4, 8])
def test_what_is_stored_is_what_the_network_holds(kind, bits):
    kernel = moments(3)[2]
    code = fitted(kernel, kind, bits)
    values = rounded(code, kernel).astype(np.float32)
    stored = code.tensors(values)["fc", "kernel"]
    np.testing.assert_array_equal(stored.dequantized(), values)
    assert (stored.bits, stored.levels.shape) == (bits, (code.places.num_groups, 2**bits))
    assert code.places.num_groups == 1 or 2**bits * code.places.num_groups < kernel.size
    trained = values * np.float32(1.25)  # training moved the levels
    np.testing.assert_array_equal(code.tensors(trained)["fc", "kernel"].dequantized(), trained)


@pytest.mark.parametrize("kind", GROUPINGS)
def test_stored_tables_take_the_bits_that_are_counted(kind):
    kernel, coding = moments()[2], CodebookCoding(GROUPINGS[kind])
    stored = coding.fit(layer(), kernel, 3, None).tensors(kernel)["fc", "kernel"]
    assert stored.payload_bits == kernel.size * 3 + coding.table_bits(layer(), 3)


def test_training_begins_at_the_levels():
    code = fitted(moments()[2], mode="both")
    quantizer = code.quantizers()["fc", "kernel"]
    np.testing.assert_array_equal(quantizer.parameters["levels"], code.levels.astype(np.float32))
    kernel = rounded(code, moments()[2]).astype(np.float32)
    np.testing.assert_array_equal(quantizer.quantize(kernel, quantizer.parameters), kernel)


def test_the_report_says_bits_and_what_shares_a_codebook():
    kernel = moments()[2]
    assert fitted(kernel, "tensor", 3).facts() == {"bits": 3, "granularity": "layer"}
    assert fitted(kernel, "channel", 1).facts()["granularity"] == "output channel"
    assert fitted(kernel, "split", 3).facts() == {"bits": 3, "granularity": "bucket of 10"}
    # As many values as weights: one codebook for all
    assert fitted(kernel, "split", 4).facts() == {"bits": 4, "granularity": "layer"}


def test_a_code_that_did_not_come_of_another_one_is_refused():
    code = fitted(moments()[2])
    with pytest.raises(TypeError, match="came of another one"):
        code.moved(moments()[2], code)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_conjugate_gradients_solve_what_a_dense_solver_does(seed, separate):
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(3, 8, 5))
    blocks = np.einsum("gnl,gnm->glm", roots, roots)
    wanted = rng.normal(size=(3, 5))
    if separate:
        apply = lambda x: np.einsum("glm,gm->gl", blocks, x)  # noqa: E731
        expected = np.stack([np.linalg.solve(b, w) for b, w in zip(blocks, wanted, strict=True)])
        diagonal = np.einsum("gll->gl", blocks)
    else:
        root = rng.normal(size=(30, 15))
        matrix = root.T @ root
        apply = lambda x: (matrix @ x.ravel()).reshape(3, 5)  # noqa: E731
        expected = np.linalg.solve(matrix, wanted.ravel()).reshape(3, 5)
        diagonal = np.diag(matrix).reshape(3, 5)
    found = least_squares_step(apply, wanted, diagonal, separate=separate, max_steps=200)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_levels_that_no_weight_has_stay():
    gram, cross, kernel = moments()
    code = fitted(kernel, "tensor", 2)
    used = code.levels[0, [0, 3]]
    start = used[(kernel > 0).astype(int)]
    better = code.improved(gram, cross, start)
    assert np.isin(code.levels[0, 1:3], better.levels[0]).all()
