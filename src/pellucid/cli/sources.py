"""Samples that are not tables, from what a person names: a word, an array, an idx file, pictures. Imports data."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import Model, data
from ..data.files import array_of
from ..data.images import _pixels, _read
from ..errors import DataError

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
DIGITS_SEED = 0  # of the split of the digits, so that `evaluate` finds the same test set
WORDS = {
    "digits": "scikit-learn's 8x8 digits",
    "mnist": "MNIST, with --data FOLDER",
    "cifar": "CIFAR-10 or CIFAR-100, with --data FOLDER",
}
FOLDERS = {
    "mnist": "the folder of its four idx files",
    "cifar": "the folder of its binary version, or the archive, or an .npz file of x_train, y_train, x_test, y_test",
}


@dataclass(frozen=True)
class Samples:
    """Samples for a model, what each is called, and their class numbers where the source has them."""

    x: np.ndarray
    names: list[str]
    heading: str = "row"
    y: np.ndarray | None = None


def digits_parts() -> tuple[data.Dataset, data.Dataset]:
    """The digits' training and test samples, always the same."""
    return data.digits().split(0.2, seed=DIGITS_SEED)


def folder_of_classes(path: str, size: tuple[int, int] | None, skip_bad: bool, say: Callable) -> data.Dataset:
    """Pictures in a subfolder for each class; says which were left out."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            dataset = data.images(path, size, skip_bad=skip_bad)
        except DataError as error:  # the same advice, in the words of the command line
            text = str(error).replace("give skip_bad=True", "give --skip-bad")
            raise DataError(text.replace("give size=(height, width)", "give --size HEIGHTxWIDTH")) from None
    for warning in caught:
        say(f"note: {warning.message}")
    return dataset


def notes(kind: str, dataset: data.Dataset, image: tuple[int, ...], scale: int) -> dict[str, Any]:
    """What a model of pixels keeps: the image's shape (C, H, W), what bytes are divided by, the classes."""
    return {
        "kind": "pixels",
        "source": kind,
        "task": "classification",
        "image": list(image),
        "scale": scale,
        "class_names": list(dataset.class_names or ()),
    }


def read(model: Model, path: str, target: str | None = None, invert: bool = False) -> Samples:
    """What a person names as DATA, in the shape that a model takes.

    The word digits (its test part), a .npy array, an idx file, a folder of MNIST's files (its test part), a picture,
    or a folder of them. ``target``: a file of class numbers for arrays. Raises `DataError` for what does not fit.
    """
    place = Path(path)
    if path == "digits" and not place.exists():
        return _from_dataset(model, digits_parts()[1], path)
    if not place.exists():
        raise DataError(f"{path}: there is no such file or folder")
    if place.is_dir():
        if any(place.glob("t10k-images*")):
            return _from_dataset(model, data.mnist(place, "test"), path)
        return _pictures(model, place, sorted(p for p in place.rglob("*") if is_picture(p)), invert)
    if place.suffix.lower() in PICTURE_SUFFIXES:
        return _pictures(model, place.parent, [place], invert)
    if place.suffix.lower() in (".csv", ".tsv"):
        raise DataError(
            f"{path}: the model was trained on {model.notes.get('source', 'arrays')}, not on a table; "
            "give .npy, an idx file or pictures"
        )
    x = _fitted(model, _array(place), path)
    y = None if target is None else labels(model, target, len(x))
    return Samples(x, _numbered(x), y=y)


def predicted(model: Model, x: np.ndarray, names: Sequence[str] = ()) -> np.ndarray:
    """A model's predictions; a `DataError` that names the row, and what is farthest there, where one is not finite."""
    with np.errstate(over="ignore"):  # what the model's dtype does not have is infinite
        fitted = x.astype(model.dtype) if x.dtype.kind == "f" else x
    result = model.predict(fitted, finite=False)  # rows are counted from 1 here
    bad = np.flatnonzero(~np.isfinite(result.reshape(len(result), -1)).all(axis=1))
    if bad.size:
        row = x[bad[0]].ravel()
        place = int(np.argmax(abs(row)))
        what = names[place] if names else f"column {place + 1}"
        raise DataError(f"the prediction for row {bad[0] + 1} is not a finite number; {what} is {row[place]:g} there, "
                        "too far from the training data; correct it, or leave the row out")  # fmt: skip
    return result


def class_names(model: Model) -> list[str]:
    """What a model's classes are called: as it was trained here; else their numbers, where its loss is over classes."""
    if names := model.notes.get("class_names"):
        return list(names)
    shape = model._built().output.shape
    if model.loss.targets == "classes" and len(shape) == 1:
        return [str(i) for i in range(shape[0])]
    return ["0", "1"] if model.loss.targets == "binary" and shape in ((), (1,)) else []


def by_class(model: Model, result: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Predictions (n, classes); one probability, of class 1, becomes that of both."""
    result = result.reshape(len(result), -1)
    return np.hstack([1 - result, result]) if names and result.shape[1] == 1 else result


def labels(model: Model, path: str, n: int) -> np.ndarray:
    """Class numbers from a .npy or idx file, checked against the model's classes; or values, of a model of values."""
    if not Path(path).is_file():
        raise DataError(
            f"--target {path}: there is no such file; for these data it is a .npy or idx file of class numbers"
        )
    y = _array(Path(path))
    k = len(class_names(model))
    if not k:
        shape = (n, *model._built().output.shape)
        if y.size != np.prod(shape) or len(y) != n:
            raise DataError(f"{path} holds {y.dtype} of shape {y.shape}, expected values of shape {shape}")
        return y.reshape(n, -1).astype(np.float64)
    if y.shape != (n,) or y.dtype.kind not in "iu" or (y.size and (y.min() < 0 or y.max() >= k)):
        raise DataError(f"{path} holds {y.dtype} of shape {y.shape}, expected {n} class numbers 0..{k - 1}")
    return y.astype(np.int64)


def _numbered(x: np.ndarray) -> list[str]:
    return [str(i) for i in range(1, len(x) + 1)]


def _from_dataset(model: Model, dataset: data.Dataset, path: str) -> Samples:
    names = model.notes.get("class_names")
    if names and list(dataset.class_names or ()) != names:
        raise DataError(f"{path} has the classes {', '.join(dataset.class_names or ())}, the model {', '.join(names)}")
    return Samples(_fitted(model, dataset.x, path), _numbered(dataset.x), y=dataset.y)


def _array(place: Path) -> np.ndarray:
    if place.suffix.lower() != ".npy":
        try:
            return data.idx(place)
        except DataError as error:
            raise DataError(
                f"{error}. DATA may be a .npy or idx file, a picture, a folder of pictures, or the word digits"
            ) from None
    array = array_of(place)
    if array.dtype.kind not in "fiub" or array.ndim == 0 or not len(array):
        raise DataError(
            f"{place} holds {array.dtype} of shape {array.shape}, expected numbers with a row for each sample"
        )
    return array


def _fitted(model: Model, x: np.ndarray, path: str) -> np.ndarray:
    """An array in the model's shape; pixels that are whole numbers are scaled to 0..1, others must be so."""
    if len(model.specs) != 1:
        raise DataError("the model takes several inputs; use it from Python: pellucid.load(...).predict(...)")
    shape = next(iter(model.specs.values())).shape
    if x.shape[1:] != shape:
        if int(np.prod(x.shape[1:])) == int(np.prod(shape)):
            x = x.reshape(len(x), *shape)
        elif x.size == int(np.prod(shape)):
            x = x.reshape(1, *shape)  # one sample
        else:
            wanted = tuple(model.notes.get("image", shape))
            raise DataError(f"{path} has samples of shape {x.shape[1:]}, but the model takes {wanted}")
    if x.dtype.kind == "f":
        bad = np.flatnonzero(~np.isfinite(x).reshape(len(x), -1).all(axis=1))
        if bad.size:
            raise DataError(f"{path} has NaN or infinity in {len(bad)} of {len(x)} samples (sample {bad[0] + 1})")
    if (scale := model.notes.get("scale")) is None:
        return x
    if x.dtype.kind != "f":
        x = x.astype(model.dtype) / scale
    if x.min() < 0 or x.max() > 1:
        raise DataError(
            f"{path} has values from {x.min():g} to {x.max():g}; the model takes pixels from 0 to 1, "
            f"or whole numbers from 0 to {scale}"
        )
    return x


def is_picture(path: Path) -> bool:
    """Whether a file's name is one of a picture that is not hidden."""
    return path.is_file() and path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")


def _pictures(model: Model, folder: Path, paths: list[Path], invert: bool) -> Samples:
    """Pictures in the size and channels that the model takes; their classes where they lie in folders named so."""
    image = model.notes.get("image")
    if image is None:
        raise DataError("the model was not trained on pictures by this command; give .npy")
    if not paths:
        raise DataError(f"{folder}: no pictures in it; expected {', '.join(PICTURE_SUFFIXES)}")
    channels, height, width = image
    pixels = []
    for path in paths:
        try:
            pixels.append(_pixels(_read(path, (height, width)), gray=channels == 1))
        except ImportError:
            raise DataError("pictures need Pillow: pip install 'pellucid[images]'") from None
        except ValueError as error:
            raise DataError(f"{path}: {error}") from None
    x = np.stack(pixels) / np.float32(255)  # (n, C, H, W)
    number = {name: i for i, name in enumerate(model.notes["class_names"])}
    known = [number.get(path.parent.name) for path in paths]
    y = None if None in known else np.array(known, np.int64)
    names = [path.relative_to(folder).as_posix() for path in paths]
    return Samples(_fitted(model, 1 - x if invert else x, str(folder)), names, "file", y)
