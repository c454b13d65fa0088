"""Training samples mixed in pairs, their targets too, new in every epoch. Imports numpy, scipy and its siblings.

As with the changes of pictures, what happens to a sample is a function of (seed, epoch, its row).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import DataError
from .augment import draws

PARTNERS = 1 << 42  # added to an epoch's number for the order of the partners


@dataclass(frozen=True)
class Mixup:
    """Samples between two others: ``model.fit(x, y, augment=Mixup(0.2))``, for tables, pictures, any numbers.

    x' = l x_i + (1 - l) x_j and t' = l t_i + (1 - l) t_j, and so the weights of samples. For each sample i and epoch
    j is another place in a random order of all samples, and l is drawn from the distribution Beta(alpha, alpha): near
    0 and 1 for a small alpha, uniform for 1. Class numbers become rows with a share for each class, so the loss must
    take such rows (`nn.CrossEntropy` does). ``augment``: changes of the samples before they are mixed (`data.Augment`).

    Loss and metrics of training are those of mixed samples; validation has them as they are. Raises `DataError` for an
    alpha that is not above 0, and for whole numbers other than bytes, such as tokens. Zhang et al., "mixup: beyond
    empirical risk minimization", ICLR 2018.

    >>> x, y = np.array([[0.0], [1.0], [2.0]]), np.array([[0.0], [10.0], [20.0]])
    >>> new = Mixup(1.0).samples({"x": x, "y": y}, rows=np.arange(3), seed=0, epoch=0)
    >>> np.allclose(new["y"], 10 * new["x"])
    True
    """

    alpha: float = 0.2
    augment: Callable | None = None
    mixes = True  # targets are mixed too

    def __post_init__(self) -> None:
        if not isinstance(self.alpha, (int, float)) or isinstance(self.alpha, bool) or not 0 < self.alpha < np.inf:
            raise DataError(f"Mixup: alpha must be a number > 0, got {self.alpha!r}")
        if self.augment is not None and (not callable(self.augment) or getattr(self.augment, "mixes", False)):
            raise DataError("Mixup: augment must be data.Augment(...) or a function of (x, rows, seed, epoch), got "
                            f"{self.augment!r}")  # fmt: skip

    def samples(self, arrays: dict[str, np.ndarray], rows: np.ndarray, seed: int, epoch: int) -> dict[str, np.ndarray]:
        """Mixed samples: ``arrays`` are all of them, "x", "y" and perhaps "weight"; ``rows`` those that are asked."""
        n = len(arrays["y"])
        partners = np.random.Generator(np.random.Philox(key=[seed, PARTNERS + epoch])).permutation(n)[rows]
        share = self.shares(rows, seed, epoch)
        pairs = {name: (a[rows], a[partners]) for name, a in arrays.items()}
        if self.augment is not None:
            first, second = pairs["x"]
            pairs["x"] = self.augment(first, rows, seed, epoch), self.augment(second, partners, seed, epoch)
        return {name: mixed(*pair, share, name) for name, pair in pairs.items()}

    def shares(self, rows: np.ndarray, seed: int, epoch: int) -> np.ndarray:
        """l of each row: its uniform number through the inverse of the distribution, (n,) float64."""
        from scipy.special import betaincinv

        return betaincinv(self.alpha, self.alpha, draws(rows, seed, epoch, ("mix",))["mix"])

    def __call__(self, x: np.ndarray, rows: np.ndarray, seed: int, epoch: int) -> np.ndarray:
        """Mixed inputs alone, of samples that are all there are."""
        return self.samples({"x": x, "y": x}, np.arange(len(x)), seed, epoch)["x"]

    def middle(self, x: np.ndarray) -> np.ndarray:
        """The samples as the net evaluates them: as they are, or cut in the middle where ``augment`` crops."""
        return getattr(self.augment, "middle", lambda x: x)(x)


def mixed(a: np.ndarray, b: np.ndarray, share: np.ndarray, name: str) -> np.ndarray:
    """share a + (1 - share) b for each sample; the dtype stays, bytes are rounded.

    >>> mixed(np.uint8([0, 10]), np.uint8([10, 10]), np.array([0.25, 0.5]), "x")
    array([ 8, 10], dtype=uint8)
    """
    if a.dtype.kind != "f" and a.dtype != np.uint8:
        hint = " Give numbers as floats: x.astype('float32')." if name == "x" else ""
        raise DataError(f"Mixup mixes floats and bytes, but {name} holds {a.dtype}: tokens and the like have nothing "
                        f"between them.{hint}")  # fmt: skip
    share = share.reshape(-1, *(1,) * (a.ndim - 1)).astype(a.dtype if a.dtype.kind == "f" else np.float32)
    between = b + share * (np.subtract(a, b, dtype=share.dtype))
    return between if a.dtype.kind == "f" else np.rint(between).astype(a.dtype)
