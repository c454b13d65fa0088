"""Formulas made of primitives: as functions of Values, the same of arrays, and arrays to put in."""

import math

import numpy as np
import scipy.special
from tools import distinct

from pellucid import ops

X = distinct((3, 4))
UNIT = distinct((3, 4)) / 2.01  # inside (-1, 1)
POSITIVE = np.abs(X)
WIDTHS = [(1, 0), (2, 3)]
ROWS = np.array([2, 0, 2], "int32")


def norms(p, **options):
    return lambda x: ops.norm(x, p, **options), lambda x: np.linalg.norm(x, p, **options)


# name: function of Values, the same of arrays, inputs
TABLE = {
    "sigmoid": (ops.sigmoid, scipy.special.expit, [X]),
    "softplus": (ops.softplus, lambda x: np.logaddexp(0, x), [X]),
    "softmax": (ops.softmax, lambda x: scipy.special.softmax(x, -1), [X]),
    "softmax axis 0": (lambda x: ops.softmax(x, 0), lambda x: scipy.special.softmax(x, 0), [X]),
    "log_softmax": (ops.log_softmax, lambda x: scipy.special.log_softmax(x, -1), [X]),
    "logsumexp": (ops.logsumexp, scipy.special.logsumexp, [X]),
    "logsumexp axis 0": (lambda x: ops.logsumexp(x, 0), lambda x: scipy.special.logsumexp(x, 0), [X]),
    "logsumexp keepdims": (
        lambda x: ops.logsumexp(x, (0, -1), keepdims=True),
        lambda x: scipy.special.logsumexp(x, (0, 1), keepdims=True),
        [X],
    ),
    "norm 2": (*norms(2, axis=-1), [X]),
    "norm 1": (*norms(1, axis=0), [X]),
    "norm 3": (*norms(3, axis=-1), [X]),
    "norm 2.5": (*norms(2.5, axis=1, keepdims=True), [X]),
    "norm inf": (*norms(math.inf, axis=-1), [X]),
    "norm of all": (ops.norm, lambda x: np.sqrt((x * x).sum()), [X]),
    "mean": (ops.mean, np.mean, [X]),
    "mean axis": (lambda x: ops.mean(x, 0, keepdims=True), lambda x: x.mean(0, keepdims=True), [X]),
    "sum of nothing": (lambda x: ops.sum(x, ()), lambda x: x, [X]),
    "max": (lambda x: ops.max(x, (0, 1)), np.max, [X]),
    "min": (lambda x: ops.min(x, 0, keepdims=True), lambda x: x.min(0, keepdims=True), [X]),
    "where": (lambda x, y: ops.where(x > 0, x, y), lambda x, y: np.where(x > 0, x, y), [X, X[0]]),
    "dot vv": (ops.dot, np.dot, [X[0], X[1]]),
    "dot mv": (ops.dot, np.dot, [X, X[1]]),
    "dot vm": (ops.dot, np.dot, [X[:, 1], X]),
    "dot mm": (ops.dot, np.dot, [X, X.T]),
    "stack": (lambda x, y: ops.stack([x, y], -1), lambda x, y: np.stack([x, y], -1), [X, X[::-1]]),
    "pad": (lambda x: ops.pad(x, WIDTHS, 1.5), lambda x: np.pad(x, WIDTHS, constant_values=1.5), [X]),
    "flip": (ops.flip, np.flip, [X]),
    "transpose": (ops.transpose, np.transpose, [X]),
    "take": (ops.take, lambda t, r: t[r], [X, ROWS]),
    "cube": (lambda x: x**3, lambda x: x**3, [X]),
    "power -2": (lambda x: x**-2, lambda x: x**-2.0, [X]),
    "power 0": (lambda x: x**0, np.ones_like, [X]),
    "power 2.5": (lambda x: x**2.5, lambda x: x**2.5, [POSITIVE]),
    "root": (lambda x: x**0.5, np.sqrt, [POSITIVE]),
    "2 to the": (lambda x: 2**x, lambda x: 2**x, [X]),
    "contract named Z": (lambda x, y: ops.contract(x, y, "Zz,Zz->Z"), lambda x, y: (x * y).sum(-1), [X, X[::-1]]),
}
