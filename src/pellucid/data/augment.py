"""Random changes of pictures that leave their class as it is, new in every epoch. Imports numpy and ops.

What happens to a picture is a function of (seed, epoch, its row) alone: counters, not a stream of random numbers. So it
is the same for any number of threads, any batch size, and in a training that was interrupted and goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import DataError
from ..ops.elementwise import threefry
from ..ops.xp import xp

DRAWS = ("angle", "top", "left", "flip", "flip_vertical", "cutout_row", "cutout_column")  # one number each a picture
WORDS = (*DRAWS, "mix")  # what numbers are drawn for, by their place
ROTATE_BYTES = 1 << 18  # of pixels rotated together, so that they stay in the cache


@dataclass(frozen=True)
class Augment:
    """Changed copies of pictures (n, C, H, W) or (n, H, W): ``model.fit(x, y, augment=Augment(flip=True, shift=4))``.

    In this order, each drawn anew for every picture and epoch:

    - ``rotation``: about the middle, by an angle uniform in -rotation..rotation degrees (bilinear interpolation);
    - ``shift``: by up to this many pixels in each direction;
    - ``crop``: a window of (height, width), or of one number for a square, from any place; the net is then built for
      pictures of that size, and those that are only looked at (validation) are cut in the middle: `middle`;
    - ``flip``, ``flip_vertical``: left and right, or top and bottom, exchanged in every second picture;
    - ``cutout``: a square of n pixels, centered anywhere, is blanked. DeVries and Taylor, arXiv 1708.04552, 2017.

    What comes in from outside a picture, and a cut-out square, has the value ``fill``. The dtype stays; bytes are
    rounded. A function ``augment(x, rows, seed, epoch)`` of your own will do for `fit`, too. Raises `DataError` for
    changes that cannot be, and for arrays that are not pictures.

    >>> x = np.arange(8, dtype="uint8").reshape(2, 1, 1, 4)  # two pictures of one row
    >>> [Augment(flip=True)(x, rows=[0, 1], seed=0, epoch=e).tolist() for e in (0, 1)]
    [[[[[0, 1, 2, 3]]], [[[4, 5, 6, 7]]]], [[[[0, 1, 2, 3]]], [[[7, 6, 5, 4]]]]]
    >>> Augment(crop=(1, 2)).middle(x).tolist()
    [[[[1, 2]]], [[[5, 6]]]]
    """

    flip: bool = False
    shift: int = 0
    rotation: float = 0.0
    crop: int | tuple[int, int] | None = None
    cutout: int = 0
    flip_vertical: bool = False
    fill: float = 0

    def __post_init__(self) -> None:
        for name in ("shift", "cutout"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
                raise DataError(f"Augment: {name} must be a whole number of pixels, 0 or more, got {value!r}")
        if not 0 <= self.rotation <= 180:
            raise DataError(f"Augment: rotation must be 0 to 180 degrees, got {self.rotation!r}")
        for name in ("flip", "flip_vertical"):
            if not isinstance(getattr(self, name), bool):
                raise DataError(f"Augment: {name} must be True or False, got {getattr(self, name)!r}")
        crop = (self.crop, self.crop) if isinstance(self.crop, int) else self.crop
        object.__setattr__(self, "crop", crop)
        if crop is not None and ([type(n) for n in crop] != [int, int] or min(crop) < 1):
            raise DataError(f"Augment: crop must be a number of pixels or (height, width), got {self.crop!r}")

    def __call__(self, x: np.ndarray, rows: np.ndarray, seed: int, epoch: int) -> np.ndarray:
        """Changed copies of pictures, as the samples number ``rows`` are changed in this epoch."""
        height, width = self._window(x)
        pictures = x.reshape(len(x), -1, *x.shape[-2:])  # (n, C, H, W)
        u = draws(rows, seed, epoch)
        if self.rotation:
            pictures = rotated(pictures, np.deg2rad(self.rotation) * (2 * u["angle"] - 1), self.fill)
        # the window's first row lies anywhere in -shift .. H - height + shift
        top, left = (np.floor(u[name] * (room + 2 * self.shift + 1)).astype(int) - self.shift
                     for name, room in (("top", x.shape[-2] - height), ("left", x.shape[-1] - width)))  # fmt: skip
        across, down = self.flip * (u["flip"] < 0.5), self.flip_vertical * (u["flip_vertical"] < 0.5)
        out = windows(pictures, top, left, (height, width), across, down, self.fill)
        if self.cutout:
            blank(out, np.floor(u["cutout_row"] * height).astype(int), np.floor(u["cutout_column"] * width).astype(int),
                  self.cutout, self.fill)  # fmt: skip
        return out.reshape(*x.shape[:-2], height, width)

    def middle(self, x: np.ndarray) -> np.ndarray:
        """The pictures unchanged, cut in the middle to the size of ``crop``: what the net evaluates and predicts on."""
        height, width = self._window(x)
        top, left = (x.shape[-2] - height) // 2, (x.shape[-1] - width) // 2
        return x[..., top : top + height, left : left + width]

    def _window(self, x: np.ndarray) -> tuple[int, int]:
        """The size of the pictures that come out; an error where ``x`` are no pictures, or too small."""
        if x.ndim not in (3, 4) or x.dtype.kind not in "fiu":
            hint = f"; did you mean x.reshape(-1, 1, {side}, {side})?" if x.ndim == 2 and (
                side := round(x.shape[1] ** 0.5)) ** 2 == x.shape[1] else ""  # fmt: skip
            raise DataError(f"Augment takes pictures (n, C, H, W) or (n, H, W), got {x.dtype} of shape {x.shape}{hint}")
        if x.dtype.kind != "f" and self.fill not in range(np.iinfo(x.dtype).min, np.iinfo(x.dtype).max + 1):
            raise DataError(f"Augment: fill={self.fill!r} is no {x.dtype}, which the pictures are made of")
        height, width = self.crop or x.shape[-2:]  # type: ignore[misc]
        if height > x.shape[-2] or width > x.shape[-1]:
            raise DataError(f"Augment: crop={self.crop} is larger than the pictures of {x.shape[-2:]} (height, width)")
        return height, width


def draws(rows: np.ndarray, seed: int, epoch: int, names: Sequence[str] = DRAWS) -> dict[str, np.ndarray]:
    """Numbers uniform in [0, 1), one for each row, under the names of what they are for; each (n,) float64.

    u = threefry((seed, epoch), (row, number of the draw)), as `ops.random` does it.
    """

    def bits(*four):
        return threefry.forward(xp, *(np.atleast_1d(np.asarray(word)).astype(np.uint32) for word in four))

    key = [bits(seed & 0xFFFFFFFF, seed >> 32, epoch, word) for word in (0xFFFFFFFE, 0xFFFFFFFF)]
    return {name: bits(*key, rows, WORDS.index(name)) / 2.0**32 for name in names}


def windows(
    x: np.ndarray, top: np.ndarray, left: np.ndarray, size: tuple[int, int], across: np.ndarray, down: np.ndarray, fill
) -> np.ndarray:
    """The window of each picture that begins at (top, left), mirrored where asked; ``fill`` outside of the picture.

    (n, C, H, W) -> (n, C, height, width). A loop: a copy of a picture costs 2 us, a gather of its pixels more.
    """
    (height, width), (H, W) = size, x.shape[2:]
    out = np.full((*x.shape[:2], height, width), fill, x.dtype)
    for i, (t, l, flip, flip_vertical) in enumerate(zip(*(a.tolist() for a in (top, left, across, down)), strict=True)):
        to = out[i, :, :: -1 if flip_vertical else 1, :: -1 if flip else 1]
        r0, r1, c0, c1 = max(0, -t), min(height, H - t), max(0, -l), min(width, W - l)
        if r0 < r1 and c0 < c1:  # some of the picture is in the window
            to[:, r0:r1, c0:c1] = x[i, :, r0 + t : r1 + t, c0 + l : c1 + l]
    return out


def rotated(x: np.ndarray, angle: np.ndarray, fill: float) -> np.ndarray:
    """Pictures (n, C, H, W) rotated counter-clockwise by angles (n,) about their middles, bilinear.

    With rows counted downwards, the pixel at (r, c) from the middle shows what was at (r cos a + c sin a,
    c cos a - r sin a).
    """
    n, channels, H, W = x.shape
    out, value_type = np.empty(x.shape, x.dtype), np.result_type(x.dtype, np.float32)
    each = max(1, ROTATE_BYTES // max(1, 4 * channels * H * W))
    r, c = np.arange(H)[:, None] - (H - 1) / 2, np.arange(W) - (W - 1) / 2
    for start in range(0, n, each):
        part = slice(start, min(start + each, n))
        k = part.stop - start
        cos, sin = (f(angle[part])[:, None, None] for f in (np.cos, np.sin))
        row = np.clip(cos * r + sin * c + (H + 1) / 2, 0, H + 1 - 1e-6)  # (k, H, W), in a frame of one pixel
        column = np.clip(cos * c - sin * r + (W + 1) / 2, 0, W + 1 - 1e-6)
        framed = np.pad(x[part], ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=fill).astype(value_type)
        r0, c0 = row.astype(np.intp), column.astype(np.intp)
        dr, dc = ((a - a0).reshape(k, 1, H * W).astype(value_type) for a, a0 in ((row, r0), (column, c0)))
        planes = (W + 2) * (H + 2) * np.arange(k * channels).reshape(k, channels, 1)
        corner = planes + (r0 * (W + 2) + c0).reshape(k, 1, H * W)  # (k, C, H W), places in `framed`
        a00, a01, a10, a11 = (framed.take(corner + step) for step in (0, 1, W + 2, W + 3))
        value = (a00 * (1 - dc) + a01 * dc) * (1 - dr) + (a10 * (1 - dc) + a11 * dc) * dr
        out[part] = (np.rint(value) if x.dtype.kind != "f" else value).reshape(k, channels, H, W)
    return out


def blank(x: np.ndarray, row: np.ndarray, column: np.ndarray, side: int, fill: float) -> None:
    """Set a square around (row, column) of each picture to ``fill``, in place; what lies outside is cut off."""
    for i, (r, c) in enumerate(zip((row - side // 2).tolist(), (column - side // 2).tolist(), strict=True)):
        x[i, :, max(0, r) : max(0, r + side), max(0, c) : max(0, c + side)] = fill
