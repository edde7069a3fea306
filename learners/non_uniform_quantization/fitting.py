"""A kernel by a codebook, without training: levels and codes in turn, each best given the other.

Of a layer with inputs X (as quantized so far) and targets Y (of the network before) the error of a
kernel W depends on G = X^T X and C = X^T Y alone, see `learners/reconstruction/elimination.py`:

    J(W) = tr(W^T G W) - 2 tr(W^T C) + ...,     W_po = c[g(p, o), z(p, o)]

with c the levels, g the group of a weight, z its code.

1. Levels are fitted to the least-squares kernel; an error of a weight counts G_pp.
2. Weights go to levels in the order and with the updates of `round_kernel`.
3. Given the codes J is quadratic in c, with the gradient of the document: sums over clusters of
   the kernel's, `S(G W - C)`. Its minimum is found by conjugate gradients; groups that share no
   output have nothing to do with each other, so each has steps of its own.
4. Given the levels each weight in turn goes to the best one (`settle_in_turn`); again from 3.

Neither 3 nor 4 ever raises J.

Reference:
    van den Oord et al. have no part in it: 1 is k-means weighted by the diagonal of the Hessian
    (Choi, El-Khamy & Lee, "Towards the Limit of Network Quantization", ICLR 2017, arXiv:1612.01543,
    section 3.3), 3 and 4 its alternation with the whole Hessian of the layer.
"""

import dataclasses

import numpy as np
import scipy.linalg

from learners.reconstruction.elimination import Target
from learners.reconstruction.ridge import RIDGE, factorised
from learners.reconstruction.rounding import round_kernel, settle_in_turn
from utils.quantization.codebook import cluster_sums, fit_codebook, nearest

MAX_ROUNDS = 10
MAX_STEPS = 64  # of conjugate gradients


@dataclasses.dataclass(frozen=True, eq=False)
class Coded:
    """A kernel whose weights are at levels: `levels[ids, codes]`.

    Attributes:
        levels: float64 [G, L], ascending.
        codes: int [P, O].
        kernel: float64 [P, O].
    """

    levels: np.ndarray
    codes: np.ndarray
    kernel: np.ndarray


def fit_kernel(
    gram, cross, kernel, ids, num_bits, *, style="kmeans", present=None, pull=RIDGE,
    separate=True, rounds=MAX_ROUNDS, init="ls", wts="diag", own=None
):
    factor, ridge = factorised(gram, pull)
    gram = gram + ridge * np.eye(len(gram))
    cross = cross + ridge * kernel
    solved = scipy.linalg.cho_solve(factor, cross) if init == "ls" else kernel
    weights = np.broadcast_to(np.diag(gram)[:, None], kernel.shape) if wts == "diag" else np.ones(kernel.shape)
    if wts == "inv":
        weights = np.broadcast_to(1/np.diag(np.linalg.inv(gram))[:, None], kernel.shape)
    keep_zero = present is not None
    if keep_zero:
        weights = weights * present
    levels = fit_codebook(solved, ids, num_bits, style=style, weights=weights, keep_zero=keep_zero)
    gaps = np.diff(levels, axis=1).max(axis=1) / 2
    reach = gaps[ids]
    def tgt(levels):
        def target(values, rows, outputs):
            own = ids[rows, outputs]
            return levels[own, nearest(values, np.broadcast_to(own, values.shape), levels)]
        return target
    target = tgt(levels)
    values, _ = round_kernel(gram, cross, target, reach=reach, kernel=None, pull=1e-12, present=present, own_orders=own)
    J = lambda w: np.sum(w * (gram @ w)) - 2 * np.sum(w * cross)
    base = J(scipy.linalg.cho_solve(factor, cross))
    hist = [J(values) - base]
    for _ in range(rounds):
        codes = nearest(values, ids, levels)
        levels = refit(gram, cross, ids, codes, levels, separate, present)
        order = np.argsort(levels, axis=1, kind="stable")
        levels = np.take_along_axis(levels, order, axis=1)
        inverse = np.argsort(order, axis=1)
        codes = inverse[ids, codes]
        values = levels[ids, codes]
        if present is not None: values = values * present
        hist.append(J(values) - base)
        t = tgt(levels)
        if present is not None:
            t2 = lambda v, r, o: np.where(present[r, o], t(v, r, o), 0.0)
        else: t2 = t
        values = settle_in_turn(gram, cross, values, t2)
        hist.append(J(values) - base)
        if hist[-3] - hist[-1] < 1e-4 * hist[-3]:
            break
    return values, levels, hist


def refit(gram, cross, ids, codes, levels, separate, present):
    shape = levels.shape
    there = np.ones(ids.shape) if present is None else present.astype(float)
    free = (levels != 0) if present is not None else np.ones(shape, bool)
    S = lambda m: cluster_sums(m * there, ids, codes, shape) * free
    D = lambda c: c[ids, codes] * there
    def dot(a, b):
        s = np.sum(a * b, axis=1, keepdims=True)
        return s if separate else np.sum(s)
    diag = cluster_sums(np.broadcast_to(np.diag(gram)[:, None], ids.shape) * there, ids, codes, shape)
    inv = np.where(diag > 0, 1 / np.where(diag > 0, diag, 1), 0)
    c = levels.copy()
    r = S(cross - gram @ D(c))
    z = inv * r
    p = z
    rz = dot(r, z)
    start = np.max(rz)
    for _ in range(MAX_STEPS):
        Ap = S(gram @ D(p))
        pAp = dot(p, Ap)
        a = np.where(pAp > 0, rz / np.where(pAp > 0, pAp, 1), 0)
        c = c + a * p
        r = r - a * Ap
        z = inv * r
        new = dot(r, z)
        if np.max(new) < 1e-12 * start:
            break
        p = z + np.where(rz > 0, new / np.where(rz > 0, rz, 1), 0) * p
        rz = new
    return c
