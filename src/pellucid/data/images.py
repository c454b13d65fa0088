"""Folders of pictures, one subfolder per class. Imports numpy; Pillow lazily (``pip install 'pellucid[images]'``)."""

from __future__ import annotations

import warnings
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..deprecation import deprecated
from ..errors import DataError
from .dataset import Dataset, as_pixels, check_pixel_type, listed


@deprecated("grey", "gray", since="0.1")
def images(
    folder: str | PathLike[str],
    size: int | tuple[int, int] | None = None,
    gray: bool | None = None,
    skip_bad: bool = False,
    dtype: str = "float32",
) -> Dataset:
    """Pictures in one subfolder per class: x (n, C, H, W) float32 in 0..1, y the subfolders' positions in sorted order.

    ``size`` is (height, width), or one number for a square; without it all pictures must have the same size. ``gray``:
    True gives one channel, False three (red, green, blue), None one if every picture is gray. ``dtype="uint8"`` keeps
    the pixels as bytes 0..255, a quarter of the memory. A photograph is rotated as its camera says (EXIF). Transparency
    is ignored, and so are hidden files and files beside the subfolders. Raises `DataError` for files that Pillow cannot
    read (``skip_bad=True``: a warning instead, and they are left out), a class without pictures, and pictures of
    different sizes.

    >>> from PIL import Image
    >>> for name, color in [("day", "white"), ("night", "black")]:
    ...     (Path("sky") / name).mkdir(parents=True)
    ...     Image.new("RGB", (6, 4), color).save(f"sky/{name}/1.png")
    >>> images("sky")
    Dataset 'sky': x (2, 3, 4, 6) float32, y (2,) int64, 2 classes
    >>> images("sky", size=2, gray=True).x[:, 0, 0, 0]
    array([1., 0.], dtype=float32)
    """
    try:
        import PIL  # noqa: F401
    except ImportError:
        raise DataError("images() needs Pillow: pip install 'pellucid[images]'") from None
    height_width = _checked_size(size)
    check_pixel_type("images", dtype)
    classes = _classes(Path(folder))
    pictures: list[tuple[Path, int, Any]] = []
    bad = []
    for label, subfolder in enumerate(classes):
        for file in _visible(subfolder):
            try:
                pictures.append((file, label, _read(file, height_width)))
            except ValueError as error:
                bad.append(f"{file.relative_to(folder)} ({error})")
    if bad and not skip_bad:
        raise DataError(f"{folder}: not pictures: {listed(bad)}; take them out, or give skip_bad=True")
    if bad:
        warnings.warn(f"{folder}: left out, not pictures: {listed(bad)}", stacklevel=2)
    labels = np.array([label for _, label, _ in pictures], np.int64)
    if empty := [sub.name for label, sub in enumerate(classes) if label not in labels]:
        raise DataError(f"{folder}: no pictures in {listed(empty)}; expected some in the subfolder of each class")

    if height_width is None:
        _check_same_size(folder, pictures)
    if gray is None:
        gray = all(picture.mode == "L" for _, _, picture in pictures)
    pixels = np.stack([_pixels(picture, gray) for _, _, picture in pictures])  # (n, C, H, W) uint8
    names = tuple(subfolder.name for subfolder in classes)
    return Dataset(as_pixels(pixels, dtype), labels, names, name=Path(folder).resolve().name)


def _checked_size(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    pair = (size, size) if isinstance(size, int) else size
    if pair is not None and (len(pair) != 2 or min(pair) < 1):
        raise DataError(f"images: size is {size!r}, expected a number of pixels or (height, width)")
    return pair


def _classes(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder")
    classes = [path for path in _visible(folder) if path.is_dir()]
    if not classes:
        raise DataError(f"{folder} has no subfolders; expected one subfolder of pictures for each class")
    return classes


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _read(file: Path, height_width: tuple[int, int] | None):
    """The picture upright, of mode L (gray) or RGB, in the given size; ValueError if it is none."""
    from PIL import Image, ImageOps

    if file.is_dir():
        raise ValueError("a folder inside a class")
    try:
        with Image.open(file) as opened:
            picture = ImageOps.exif_transpose(opened)
            if picture.mode.startswith("I"):  # 16-bit gray: 65535 is white
                picture = Image.fromarray((np.asarray(picture).clip(0, 65535) // 257).astype(np.uint8))
            picture = picture.convert("L" if picture.mode in ("1", "L", "LA", "La") else "RGB")
            return picture.resize(height_width[::-1], Image.Resampling.BILINEAR) if height_width else picture
    except Image.UnidentifiedImageError:
        raise ValueError("not a picture") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # Pillow's ways to say damaged
        raise ValueError(str(error)) from None


def _check_same_size(folder, pictures: list[tuple[Path, int, Any]]) -> None:
    first, _, reference = pictures[0]
    others = [(file, picture) for file, _, picture in pictures if picture.size != reference.size]
    if others:
        file, picture = others[0]
        raise DataError(
            f"{folder}: the pictures have different sizes: {first.relative_to(folder)} is {_shown(reference)}, and"
            f" {len(others)} of {len(pictures)} differ from it, such as {file.relative_to(folder)} with"
            f" {_shown(picture)}; give size=(height, width)"
        )


def _shown(picture) -> str:
    return f"{picture.height} x {picture.width}"


def _pixels(picture, gray: bool) -> np.ndarray:
    array = np.asarray(picture.convert("L" if gray else "RGB"))  # (H, W) or (H, W, 3)
    return array[None] if gray else array.transpose(2, 0, 1)
