"""Arrays that people give, checked and brought into the form that programs take. Imports graph, nn and data."""

from __future__ import annotations

import sys
from collections.abc import ItemsView, Iterator, KeysView, Mapping, Set, ValuesView
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data import Buckets, DataError
from ..data.dataset import Dataset, taken_apart
from ..data.names import column_names
from ..graph import Shape
from ..nn import Loss, sigmoid
from ..nn.loss import places_of
from .finite import blocks, is_finite
from .labels import first_text, no_truth_values, outside, text_labels

CHUNK = 1 << 16  # rows looked at together when checking, so that a memory map is not read whole


@dataclass(frozen=True)
class Spec:
    """Shape and dtype of one sample of an array."""

    shape: Shape
    dtype: str


def as_array(a: Any, name: str) -> np.ndarray:
    """An array with a leading sample axis, from an array, a DataFrame or nested lists; all else is a `DataError`."""
    columns = list(a.columns) if hasattr(a, "columns") else None
    if isinstance(a, np.ndarray) and not is_masked(a):
        array = a
    else:
        _refuse_what_is_no_array(a, name)
        try:
            array = np.asarray(a.to_numpy() if hasattr(a, "to_numpy") else a)
        except (ValueError, TypeError, RuntimeError, OverflowError) as error:
            raise DataError(
                f"{name} cannot become an array: its rows differ in length ({error}); for sequences, "
                "pad them with pellucid.data.pad_sequences, or give pellucid.data.Buckets"
                if "inhomogeneous" in str(error) else
                f"{name} is a {type(a).__name__}, which cannot become a NumPy array ({error}); give an array"
            ) from None  # fmt: skip
    if array.dtype == object and array.ndim:
        array = _numbers(array, name, columns)
    if array.dtype.kind not in "fiub":
        kind, instead = OTHERS.get(array.dtype.kind, ("text or objects", "encode them first, for example with "
                                   "sklearn.preprocessing.OrdinalEncoder or OneHotEncoder"))  # fmt: skip
        first = array.flat[0] if array.size else array.dtype
        example = repr(str(first)) if isinstance(first, str) else repr(first)
        raise DataError(f"{name} holds {kind}, e.g. {example}, expected numbers; {instead}")
    if array.ndim == 0:
        raise DataError(f"{name} is a single number, expected one row per sample")
    if len(array) == 0:
        raise DataError(f"{name} is empty: it has shape {array.shape}, expected at least one sample")
    return array


OTHERS = {  # by numpy's letter
    "c": ("complex numbers", "give real and imaginary parts as columns: np.concatenate([x.real, x.imag], axis=-1)"),
    "M": ("dates", "make numbers of them, for example (x - x.min()) / np.timedelta64(1, 'D')"),
    "m": ("spans of time", "make numbers of them, for example x / np.timedelta64(1, 's')"),
    "V": ("records with fields", "make columns of them: numpy.lib.recfunctions.structured_to_unstructured(x)"),
}


def is_masked(a: Any) -> bool:
    """Whether it is a masked array; numpy imports those when they are first named, and before that there is none."""
    return "numpy.ma" in sys.modules and isinstance(a, np.ma.MaskedArray)


def _refuse_what_is_no_array(a: Any, name: str) -> None:
    """`DataError` for what numpy would take for one object, or take otherwise than it is meant."""
    kind = type(a).__name__
    if isinstance(a, Buckets):
        raise DataError(f"{name} is Buckets, which only fit, evaluate and predict take; give an array, for example "
                        "that of pellucid.data.pad_sequences")  # fmt: skip
    if isinstance(a, Dataset):
        raise DataError(f"{name} is a Dataset, which has samples and targets; give its array: its x, or its y")
    if is_masked(a) and np.ma.getmaskarray(a).any():
        raise DataError(f"{name} is a masked array with {int(np.ma.getmaskarray(a).sum())} numbers masked, and a net "
                        "takes no missing ones; fill them, for example x.filled(0)")  # fmt: skip
    if isinstance(a, Iterator):
        raise DataError(f"{name} is a {kind}, which can be read only once; give an array: np.stack(list({name}))")
    if isinstance(a, (Set, KeysView, ValuesView, ItemsView)):
        raise DataError(f"{name} is a {kind}, which is no sequence; give an array or a list")
    if hasattr(a, "__iter__") and not any(hasattr(a, part) for part in ("__getitem__", "__array__", "toarray")):
        raise DataError(f"{name} is a {kind}, which is gone through and has no rows; give whole arrays: fit makes the "
                        "mini-batches, model.fit(x, y, batch_size=32)")  # fmt: skip
    if isinstance(a, Mapping):
        raise DataError(f"{name} is a {kind} with the keys {list(a)[:5]}; give one array")
    if hasattr(a, "toarray") and not hasattr(a, "__array__"):
        raise DataError(f"{name} is a sparse matrix ({kind}); give what its toarray() gives")
    if isinstance(a, (str, bytes)) or a is None or callable(a):
        raise DataError(f"{name} is {a!r:.60}; expected an array with one row per sample")


def _numbers(array: np.ndarray, name: str, columns: list | None) -> np.ndarray:
    """An object array as float64, or an error that names the first column with text."""
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        pass
    table = array.reshape(len(array), -1)
    for j in range(table.shape[1]):
        for i, entry in enumerate(table[:, j]):
            try:
                float(entry)
            except (TypeError, ValueError, OverflowError):
                where = f"column {columns[j]!r}" if columns else f"column {j}"
                raise DataError(f"{name}: {where} holds {entry!r} (row {i}), expected numbers; encode text first, "
                                "for example with sklearn.preprocessing.OneHotEncoder, and fill what is missing"
                                ) from None  # fmt: skip
    raise DataError(f"{name} holds objects that are not numbers")


def check_finite(array: np.ndarray, name: str, dtype: str = "float64") -> None:
    """NaN, infinity and numbers beyond ``dtype`` are an error that says how many rows have them, and which."""
    if array.dtype.kind != "f":
        return
    largest = np.finfo(dtype).max if np.finfo(array.dtype).max > np.finfo(dtype).max else None
    bad: list[int] = []
    if is_finite(array, dtype):
        return
    for rows in blocks(array):
        part = array[rows]
        fits = np.isfinite(part) if largest is None else np.abs(part) <= largest
        bad += (np.flatnonzero(~fits.reshape(len(part), -1).all(axis=1)) + rows.start).tolist()
    if not bad:
        return
    shown = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
    where = f"in {len(bad)} of {len(array)} rows (row{'s' * (len(bad) > 1)} {shown})"
    if np.isfinite(array[bad]).all():
        most = np.abs(array[bad]).max()
        raise DataError(f"{name} has numbers up to {most:.3g} {where}, beyond {dtype}, which ends at {largest:.3g}; "
                        "scale them, or give the model dtype='float64'")  # fmt: skip
    raise DataError(f"{name} has NaN or infinity {where}; remove or fill them, for example with "
                    "sklearn.impute.SimpleImputer")  # fmt: skip


def graph_dtype(array: np.ndarray, dtype: str) -> str:
    """The dtype that targets have in the graph: floats become the model's, bytes stay bytes, whole numbers int32."""
    if array.dtype.kind == "f":
        return dtype
    return "uint8" if array.dtype.char in "B?" else "int32"


def as_inputs(x: Any, name: str = "x") -> tuple[dict[str, np.ndarray], str]:
    """The arrays of a net's inputs by name, and how the net is called: with "one", a "tuple" or "named" Values."""
    if isinstance(x, Mapping):
        arrays, how = {f"{name}.{k}": as_array(a, f"{name}[{k!r}]") for k, a in x.items()}, "named"
    elif isinstance(x, tuple):
        arrays, how = {f"{name}.{i}": as_array(a, f"{name}[{i}]") for i, a in enumerate(x)}, "tuple"
    else:
        return {name: as_array(x, name)}, "one"
    if not arrays:
        raise DataError(f"{name} holds no arrays")
    lengths = {k: len(a) for k, a in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"the arrays of {name} differ in their number of samples: {lengths}")
    return arrays, how


def held_out(given: Any, name: str = "validation_data") -> tuple[Any, Any, Any]:
    """Samples, targets and weights (None) of what is to be measured, but not learnt from; of Buckets these alone.

    >>> held_out(([[1.0]], [2.0]))
    ([[1.0]], [2.0], None)
    """
    if isinstance(given, Buckets):
        return given, None, None
    if isinstance(given, Dataset):
        given = taken_apart(given)
    if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
        raise DataError(f"{name} must be (x, y) or (x, y, sample_weight), a Dataset or Buckets, got "
                        f"{type(given).__name__}{f' of {len(given)}' if isinstance(given, (tuple, list)) else ''}"
                        )  # fmt: skip
    x, y, weight = (*given, None)[:3]
    return (*taken_apart(x, y, f"{name} "), weight)


def columns_of(x: Any) -> dict[str, tuple[str, ...]]:
    """The names of the columns of those inputs that are tables with names.

    >>> import pandas
    >>> columns_of((pandas.DataFrame({"age": [22]}), np.ones((1, 2))))
    {'x.0': ('age',)}
    """
    several = x if isinstance(x, Mapping) else dict(enumerate(x)) if isinstance(x, tuple) else None
    parts = {"x": x} if several is None else {f"x.{k}": a for k, a in several.items()}
    return {k: names for k, a in parts.items() if (names := column_names(a)) is not None}


def as_targets(y: Any, loss: Loss, output: Shape, n: int, dtype: str, fitting: bool, name: str = "y") -> np.ndarray:
    """Targets in the form the loss takes: int32 classes, or floats of the output's shape. Wrong ones are errors."""
    if loss.targets in ("classes", "binary") and (text := first_text(y)) is not None:
        raise DataError(text_labels(text, name))
    y = as_array(y, name)
    if len(y) != n:
        raise DataError(f"x has {n} samples, {name} has {len(y)}")
    check_finite(y, name, dtype)
    kind = type(loss).__name__
    if loss.targets == "classes":
        return _classes(y, loss, output, dtype, fitting, name)
    if loss.targets == "any":
        return y.astype(np.int32 if y.dtype.kind in "iub" else dtype, copy=False)
    if y.shape[1:] != output:
        if [d for d in y.shape[1:] if d != 1] != [d for d in output if d != 1]:  # a column for a vector is fine
            hint = ""
            if loss.targets == "values" and y.ndim == 1 and y.dtype.kind in "iu" and len(output) == 1:
                hint = "; for class labels use loss='cross_entropy'"
            raise DataError(f"{name} has shape {y.shape[1:]} for each sample, but the net's output has {output}{hint}")
        y = y.reshape(n, *output)
    if loss.targets == "binary":
        soft = loss.link is sigmoid  # what it predicts is a probability, and so may be what it is to predict
        wrong = (y < 0) | (y > 1) if soft else (y != 0) & (y != 1)
        if getattr(loss, "ignore_class", None) is not None:
            wrong &= y != loss.ignore_class  # type: ignore[attr-defined]
        if wrong.any():
            takes = "0 or 1, or a probability between them," if soft else "0 or 1"
            raise DataError(no_truth_values(y, wrong, kind, takes, name))
        if fitting and len(y) > 1 and y.size and (y == y[:1]).all() and ((y == 0) | (y == 1)).all():
            raise DataError(f"all targets in {name} are {y.flat[0]}: there is nothing to tell apart")
    return y.astype(dtype, copy=False)


def example_target(loss: Loss, output: Shape, dtype: str) -> np.ndarray:
    """The target of one sample as the loss takes it, all zeros: a class number, or numbers of the output's shape."""
    classes = loss.targets == "classes"
    shape = places_of(output, loss.class_axis(output)) if classes and output else output
    return np.zeros((1, *shape), np.int32 if classes else dtype)


def _classes(y: np.ndarray, loss: Loss, output: Shape, dtype: str, fitting: bool, name: str) -> np.ndarray:
    """Class numbers for each place of the output as int32; or rows of one-hot numbers or probabilities, as floats."""
    kind, ignored = type(loss).__name__, getattr(loss, "ignore_class", None)
    axis = loss.class_axis(output)
    k, places = (output[axis], places_of(output, axis)) if output else (1, ())
    if y.shape[1:] == output and k > 1:
        sums = y.sum(axis=axis + 1)
        if (y < 0).any() or not np.allclose(sums, 1, atol=1e-3):
            raise DataError(f"{name} has rows of {k} numbers that are not one-hot or probabilities: "
                            f"they must be >= 0 and sum to 1{_axis_hint(y, loss, output, axis)}")  # fmt: skip
        if fitting and len(y) > 1 and (y == y[:1]).all():
            raise DataError(f"all rows of {name} are the same class: there is nothing to tell apart")
        return y.astype(dtype, copy=False)
    if y.ndim == len(output) + 1 and y.shape[axis + 1] == 1:
        y = y.squeeze(axis + 1)  # a column of labels
    if y.ndim == len(output) == 2 and axis == 1 and y.shape[1] != output[0]:
        word = "longer" if y.shape[1] > output[0] else "shorter"
        raise DataError(f"{name} has {y.shape[1]} labels for each sample, but the net gives {output[0]} steps: the "
                        f"labels are {word} than the inputs; pad or cut both to one length (data.pad_sequences), with "
                        "nn.CrossEntropy(ignore_class=-1) and the label -1 at padding"
                        + _axis_hint(y, loss, output, axis))  # fmt: skip
    if y.shape[1:] != places:
        where = f" along axis {axis} of its output {output}" if len(output) > 1 else ""
        raise DataError(f"{name} has shape {y.shape[1:]} for each sample; {kind} with {k} outputs{where} takes one "
                        f"class number 0..{k - 1}{f' for each of {places}' if places else ''}, or a row of {k}"
                        f"{_axis_hint(y, loss, output, axis)}")  # fmt: skip
    if y.dtype.kind == "f":
        raise DataError(f"{name} holds floats (e.g. {y.flat[0]}), but {kind} takes whole class numbers 0..{k - 1} "
                        "or one-hot rows; use y.astype(int) if they are classes, loss='mse' if they are values"
                        )  # fmt: skip
    wrong = (y < 0) | (y >= k) if y.dtype.kind != "b" else np.zeros(y.shape, bool)
    if ignored is not None:
        wrong &= y != ignored
    if wrong.any():
        where = f" along axis {axis} of {output}" if len(output) > 1 else ""
        raise DataError(outside(y, wrong, k, name, where))
    if fitting and len(y) > 1 and y.ndim == 1 and (y == y[0]).all():
        raise DataError(f"all labels in {name} are {y[0]}: one class only, there is nothing to tell apart")
    return y.astype(np.int32, copy=False)


def _axis_hint(y: np.ndarray, loss: Loss, output: Shape, axis: int) -> str:
    """The axis of classes that these targets speak for, where it is not the one that the loss takes."""
    for other in range(len(output)):
        rows = y.shape[1:] == output and np.allclose(y.sum(axis=other + 1), 1, atol=1e-3)
        if other != axis and (y.shape[1:] == places_of(output, other) or rows):
            return f"; if the classes are along axis {other} of the output, give nn.{type(loss).__name__}(axis={other})"
    return ""


def as_weights(
    sample_weight: Any,
    class_weight: Any,
    y: np.ndarray,
    n: int,
    dtype: str,
    loss: Loss,
    output: Shape,
    steps: np.ndarray | None = None,
) -> np.ndarray | None:
    """Weights from ``sample_weight`` times ``class_weight`` ({class: weight} or "balanced"), or None.

    One a sample, (n,), or one for each step or place of the output: (n, T), (n, H, W). ``steps``: which of them count,
    (n, T), None for all. Raises `DataError` for class weights where targets are not classes.
    """
    if sample_weight is None and class_weight is None:
        return None
    places = places_of(output, loss.class_axis(output)) if len(output) > 1 else ()
    weights = np.ones(n, dtype)
    if sample_weight is not None:
        given = as_array(sample_weight, "sample_weight")
        if len(given) != n or (given.ndim > 1 and given.shape[1:] not in [places[: k + 1] for k in range(len(places))]):
            more = f", or {(n, *places[:1])}, one for each step" if len(output) > 1 else ""
            raise DataError(f"sample_weight has shape {given.shape}, expected ({n},){more}")
        check_finite(given, "sample_weight", dtype)
        if (given < 0).any() or not given.any():
            raise DataError("sample_weight must be >= 0, and not all 0")
        weights = given.astype(dtype)
    if class_weight is not None:
        of_places = _class_weights(class_weight, y, loss, output, steps).astype(dtype)
        weights = weights.reshape(*weights.shape, *(1,) * (of_places.ndim - weights.ndim)) * of_places
    return weights


def by_label(loss: Loss, output: Shape, steps: bool) -> bool:
    """Whether a sample (or a place of it) has several labels of 0 or 1; ``steps``: a vector is one number a step."""
    several = loss.targets == "binary" and bool(output) and output[loss.class_axis(output)] > 1
    return several and not (steps and len(output) == 1)


def _class_weights(class_weight: Any, y: np.ndarray, loss: Loss, output: Shape, steps: np.ndarray | None) -> np.ndarray:
    """The weight of the class of each sample, (n,), or of each of its places; of probabilities the mean weight."""
    kind, ignored, axis = type(loss).__name__, getattr(loss, "ignore_class", None), loss.class_axis(output)
    if loss.targets == "values" or (loss.targets == "any" and (y.dtype.kind == "f" or y.ndim > 1)):
        raise DataError(f"class_weight weighs classes, but the targets of {kind} are numbers of shape {y.shape[1:]}; "
                        "give sample_weight, one number a sample")  # fmt: skip
    if y.dtype.kind == "f":
        shares = np.moveaxis(y, axis + 1, 0) if y.ndim == len(output) + 1 and output and loss.targets != "binary" else (
            np.stack([1 - (p := y.squeeze(axis + 1) if output and output[axis] == 1 else y), p]))  # fmt: skip
        if ignored is not None:  # what is not known has no share in either
            shares = shares * (shares[-1] != ignored)
        present = np.flatnonzero(shares.reshape(len(shares), -1).any(axis=1))
        shares = shares[present]
        there = shares if steps is None else shares * _over_places(steps, shares.shape[1:])
        each = _each_weight(class_weight, present, there.reshape(len(shares), -1).sum(axis=1, dtype=np.float64))
        return np.tensordot(each, shares, 1)
    counted = np.ones(y.shape, bool) if ignored is None else y != ignored
    if steps is not None:
        counted &= _over_places(steps, y.shape)
    present, position, counts = np.unique(y[counted], return_inverse=True, return_counts=True)
    found = np.ones(y.shape)
    found[counted] = _each_weight(class_weight, present, counts)[position.reshape(-1)]
    return found


def _over_places(steps: np.ndarray, shape: Shape) -> np.ndarray:
    """Which steps count, (n, T), for each of the places (n, T, ...)."""
    return np.broadcast_to(steps.reshape(*steps.shape, *(1,) * (len(shape) - steps.ndim)), shape)


def _each_weight(class_weight: Any, present: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The weights of the classes that occur, so often each."""
    if isinstance(class_weight, str) and class_weight == "balanced":
        return counts.sum() / (len(present) * counts)
    if not isinstance(class_weight, Mapping):
        raise DataError(f"class_weight must be a dict or 'balanced', got {class_weight!r}")
    if missing := sorted(set(present.tolist()) - set(class_weight)):
        raise DataError(f"class_weight says nothing of class {missing[0]}")
    return _weights_of(class_weight, present.tolist(), ())


def _weights_of(class_weight: Any, classes: list, shape: Shape) -> np.ndarray:
    """The weights of some classes as numbers, each of this shape; `DataError` for others."""
    try:
        found = np.stack([np.broadcast_to(np.asarray(class_weight[c], float), shape) for c in classes])
    except (TypeError, ValueError):
        found = np.full((1,), np.nan)
    if not ((found >= 0).all() and (found < np.inf).all() and found.any()):
        raise DataError(f"class_weight must be numbers >= 0, and not all 0, got {class_weight!r}")
    return found


def label_weights(
    class_weight: Any, y: np.ndarray, loss: Loss, output: Shape, steps: np.ndarray | None = None
) -> tuple[tuple[float, float], ...]:
    """The weights of each label's loss where it is 0 and where it is 1; of the ``steps`` (n, T) that count.

    ``class_weight``: {label: weight}, or {label: (weight of 0, weight of 1)}; "balanced" gives both the same sum.
    """
    axis = loss.class_axis(output)
    k, ones = output[axis], np.moveaxis(y, axis + 1, -1)
    ones = (ones if steps is None else ones[_over_places(steps, ones.shape[:-1])]).reshape(-1, k)
    if isinstance(class_weight, str) and class_weight == "balanced":
        known = ones != getattr(loss, "ignore_class", None)
        share = (ones * known).sum(axis=0, dtype=np.float64) / np.maximum(known.sum(axis=0), 1)
        return tuple((0.5 / (1 - p), 0.5 / p) if 0 < p < 1 else (1.0, 1.0) for p in share.tolist())
    if not isinstance(class_weight, Mapping) or set(class_weight) != set(range(k)):
        raise DataError(f"class_weight for {k} labels is {{label: weight}} or {{label: (weight of 0, weight of 1)}} of "
                        f"the labels 0..{k - 1}, or 'balanced'; got {class_weight!r}")  # fmt: skip
    return tuple((no, yes) for no, yes in _weights_of(class_weight, list(range(k)), (2,)).tolist())
