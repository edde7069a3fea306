"""Muon in PyTorch: the steps of the one that ours is tuned by."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from benchmarks.peers.muon import Muon, is_convolution, orthogonalized  # noqa: E402


def reference(kernel, gradients, rate, momentum, decay):
    """Steps of `utils/training/muon.py`, in NumPy, on a kernel [outputs, all the rest]."""
    w, m = kernel.astype(np.float64), np.zeros_like(kernel, np.float64)
    for gradient in gradients:
        g = gradient + decay * w
        m = momentum * m + g
        x = (g + momentum * m).T  # rows: positions x inputs
        x = x.T if x.shape[0] > x.shape[1] else x
        turned = x / (np.linalg.norm(x) + 1e-7)
        for _ in range(5):
            gram = turned @ turned.T
            turned = 3.4445 * turned + (-4.7750 * gram + 2.0315 * gram @ gram) @ turned
        turned = turned if turned.shape == w.shape else turned.T
        w = w - rate * np.linalg.norm(w) / min(w.shape) ** 0.5 * turned
    return w


def test_steps_are_those_of_the_formula():
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(6, 5, 3, 3)), rng.normal(size=(3, 6, 5, 3, 3))
    kernel = torch.nn.Parameter(torch.tensor(start, dtype=torch.float64))
    optimizer = Muon([kernel], lr=0.03, momentum=0.9, weight_decay=0.01)
    for gradient in gradients:
        kernel.grad = torch.tensor(gradient)
        optimizer.step()
    wanted = reference(start.reshape(6, -1), gradients.reshape(3, 6, -1), 0.03, 0.9, 0.01)
    np.testing.assert_allclose(kernel.detach().reshape(6, -1), wanted, rtol=1e-9)


def test_what_is_no_convolution_is_left_to_sgd():
    rng = np.random.default_rng(1)
    shapes = [(4, 3, 3, 3), (10, 8), (8,)]
    assert not any(map(is_convolution, shapes)) and is_convolution((6, 5, 3, 3))
    pairs = []
    for make in (Muon, torch.optim.SGD):
        rng = np.random.default_rng(1)
        arrays = [torch.nn.Parameter(torch.tensor(rng.normal(size=shape))) for shape in shapes]
        optimizer = make(arrays, lr=0.1, momentum=0.9, weight_decay=0.01)
        for _ in range(3):
            for array in arrays:
                array.grad = torch.tensor(rng.normal(size=tuple(array.shape)))
            optimizer.step()
        pairs.append(arrays)
    for one, other in zip(*pairs, strict=True):
        torch.testing.assert_close(one, other)


def test_singular_values_come_near_one():
    matrix = torch.tensor(np.random.default_rng(2).normal(size=(12, 7)))
    values = torch.linalg.svdvals(orthogonalized(matrix))
    assert values.min() > 0.6 and values.max() < 1.3
