"""What the formulas call ``xp`` where they run on NumPy: NumPy's names, erf of SciPy, and two that need no haste."""

from __future__ import annotations

import numpy as np


class NumPy:
    """A name is looked up once, and then an attribute."""

    fast_divide = staticmethod(np.divide)
    fast_sqrt = staticmethod(np.sqrt)

    def __getattr__(self, name):
        if name == "erf":
            from scipy.special import erf as value
        elif name == "orthonormal":
            value = orthonormal
        else:
            value = getattr(np, name)
        setattr(self, name, value)
        return value


def orthonormal(x: np.ndarray) -> np.ndarray:
    """The Q of x = Q R with R's diagonal positive, (m, n) with m >= n.

    Where x is long its columns, of random numbers, are far from dependent, and R by Cholesky's factorization of x^T x
    is as good and faster. One thread: what LAPACK gives would otherwise depend on their number.
    """
    from threadpoolctl import threadpool_limits

    m, n = x.shape
    with threadpool_limits(1, "blas"):
        if m >= 2 * n:
            wide = x.astype(np.float64)
            q = x @ np.linalg.inv(np.linalg.cholesky(wide.T @ wide)).T.astype(x.dtype)
        else:
            q, r = np.linalg.qr(x)
            q = q * np.where(np.diagonal(r) < 0, -1, 1)
    return q.astype(x.dtype, copy=False)


xp = NumPy()
