"""Ready kernels for pictures, as arrays (height, width) of numbers: edges, Sobel, Scharr, Gaussian. Lectures 000, 003.

They are slid as they are, by `correlate`: a positive response to an edge is brightness on the side of the positive
numbers. In a net: ``nn.Conv(1, 3, bias=False, trainable=False, weight_init=partial(nn.init.constant, value=...))``.
"""

from __future__ import annotations

import math

import numpy as np

from ..checks import number, whole, wrong

VERTICAL = np.array([[1.0, 0, -1]] * 3)  # vertical edges: the difference of left and right
HORIZONTAL = VERTICAL.T
DIAGONAL = np.array([[1.0, 1, 0], [1, 0, -1], [0, -1, -1]])
SOBEL_X = np.array([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]])
SOBEL_Y = SOBEL_X.T
SCHARR_X = np.array([[3.0, 0, -3], [10, 0, -10], [3, 0, -3]])
SCHARR_Y = SCHARR_X.T


def gaussian(size: int = 3, sigma: float | None = None) -> np.ndarray:
    """A blur: weights exp(-(x^2 + y^2) / (2 sigma^2)), scaled to sum to 1; of odd ``size``.

    Without ``sigma`` they are binomial coefficients, as near to it as whole numbers come: for size 3 the lecture's
    1/16, 1/8 and 1/4.

    >>> (gaussian() * 16).tolist()
    [[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]
    """
    if whole("gaussian", "size", size) % 2 == 0:
        raise wrong("gaussian", "size", "an odd whole number >= 1", size)
    sigma = number("gaussian", "sigma", sigma, above=0, optional=True)
    half = size // 2
    if sigma is None:
        line = np.array([math.comb(size - 1, i) for i in range(size)], float)
    else:
        line = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
    line /= line.sum()
    return np.outer(line, line)


KERNELS: dict[str, tuple[np.ndarray, ...]] = {  # of several, the length of the vector of responses is meant
    "vertical": (VERTICAL,),
    "horizontal": (HORIZONTAL,),
    "diagonal": (DIAGONAL,),
    "sobel": (SOBEL_X, SOBEL_Y),
    "sobel-x": (SOBEL_X,),
    "sobel-y": (SOBEL_Y,),
    "scharr": (SCHARR_X, SCHARR_Y),
    "scharr-x": (SCHARR_X,),
    "scharr-y": (SCHARR_Y,),
    "gaussian": (gaussian(),),
}
