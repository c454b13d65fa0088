"""Sets that need no file: scikit-learn's digits, and toy problems in the plane. Imports numpy; scikit-learn lazily."""

from __future__ import annotations

import numpy as np

from ..errors import DataError
from .dataset import Dataset, digit_names


def digits(images: bool = False) -> Dataset:
    """1797 handwritten digits of 8 x 8 pixels, which scikit-learn carries: x (1797, 64) float32 in 0..1, y 0..9.

    ``images=True`` gives x as (1797, 1, 8, 8). Source: E. Alpaydin, C. Kaynak, UCI machine learning repository, 1998.

    >>> digits()
    Dataset 'digits': x (1797, 64) float32, y (1797,) int64, 10 classes
    >>> digits(images=True).x[0, 0, 3]
    array([0.  , 0.25, 0.75, 0.  , 0.  , 0.5 , 0.5 , 0.  ], dtype=float32)
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = (bunch.data / 16).astype(np.float32)  # gray levels 0..16, exact in float32
    y = bunch.target.astype(np.int64)
    if images:
        return Dataset(x.reshape(-1, 1, 8, 8), y, digit_names(), name="digits")
    return Dataset(x, y, digit_names(), tuple(bunch.feature_names), "digits")


def xor() -> Dataset:
    """The four points of exclusive or, which no straight line separates.

    >>> x, y = xor()
    >>> [(a, b, int(c)) for (a, b), c in zip(x.tolist(), y)]
    [(0.0, 0.0, 0), (0.0, 1.0, 1), (1.0, 0.0, 1), (1.0, 1.0, 0)]
    """
    return _plane("xor", [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0])


def moons(n: int = 200, noise: float = 0.1, seed: int = 0) -> Dataset:
    """Two interleaved half circles of radius 1; ``noise`` is the standard deviation added to the points.

    >>> moons(100)
    Dataset 'moons': x (100, 2) float32, y (100,) int64, 2 classes
    """
    from sklearn.datasets import make_moons

    _check("moons", n, 2, noise)
    return _plane("moons", *make_moons(n, noise=noise, random_state=seed))


def circles(n: int = 200, noise: float = 0.05, seed: int = 0) -> Dataset:
    """A circle of radius 1 (class 0) around one of radius 0.5 (class 1), with ``noise`` as the standard deviation.

    >>> x, y = circles(4, noise=0.0)
    >>> sorted(zip(y.tolist(), np.hypot(*x.T).tolist()))
    [(0, 1.0), (0, 1.0), (1, 0.5), (1, 0.5)]
    """
    from sklearn.datasets import make_circles

    _check("circles", n, 2, noise)
    return _plane("circles", *make_circles(n, noise=noise, factor=0.5, random_state=seed))


def spirals(n: int = 200, noise: float = 0.02, seed: int = 0, arms: int = 2, turns: float = 1.0) -> Dataset:
    """Points on ``arms`` spirals around the origin, one class an arm, with ``noise`` as the standard deviation.

    Arm j at radius r in 0..1 is r (cos a, sin a) with a = 2 pi (turns r + j / arms).

    >>> x, y = spirals(6, noise=0.0, arms=2)
    >>> y.tolist(), np.hypot(*x.T).round(2).tolist()
    ([0, 0, 0, 1, 1, 1], [0.0, 0.5, 1.0, 0.0, 0.5, 1.0])
    """
    _check("spirals", n, arms, noise)
    sizes = [n // arms + (j < n % arms) for j in range(arms)]
    arm = np.repeat(np.arange(arms), sizes)
    radius = np.concatenate([np.linspace(0, 1, size) for size in sizes])
    angle = 2 * np.pi * (turns * radius + arm / arms)
    x = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)  # (n, 2)
    return _plane("spirals", x + np.random.default_rng(seed).normal(0, noise, x.shape), arm)


def blobs(n: int = 200, noise: float = 1.0, seed: int = 0, classes: int = 3) -> Dataset:
    """Gaussian clouds of standard deviation ``noise`` around centers drawn from the square -10..10, one class a cloud.

    >>> blobs(90, classes=3)
    Dataset 'blobs': x (90, 2) float32, y (90,) int64, 3 classes
    """
    from sklearn.datasets import make_blobs

    _check("blobs", n, classes, noise)
    return _plane("blobs", *make_blobs(n, centers=classes, cluster_std=noise, random_state=seed)[:2])


def _plane(name: str, x, y) -> Dataset:
    y = np.asarray(y, np.int64)
    return Dataset(np.asarray(x, np.float32), y, digit_names(int(y.max()) + 1), ("x1", "x2"), name)


def _check(name: str, n: int, classes: int, noise: float) -> None:
    if classes < 1:
        raise DataError(f"{name}: got {classes} classes, expected at least 1")
    if n < classes:
        raise DataError(f"{name}: got n={n}, expected at least one point for each of the {classes} classes")
    if not 0 <= noise < np.inf:
        raise DataError(f"{name}: got noise={noise}, expected a standard deviation of 0 or more")
