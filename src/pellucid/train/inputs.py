"""What a model is given, as the arrays that its programs take: checked, and in the dtypes of the graph.

Imports numpy, data, graph and the sibling modules.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ..data import Buckets, DataError, Split
from ..data.dataset import no_targets, taken_apart
from ..data.names import check_names
from ..errors import ArgumentError, GraphError
from ..executors.binding import as_leaf
from ..nn import Losses
from .arrays import as_inputs, as_targets, as_weights, by_label, check_finite, columns_of, label_weights
from .building import build
from .codes import check_codes, first_specs
from .core import ModelCore
from .evaluation import in_batches, steps_counted
from .outputs import check_outputs, one_output, several_targets
from .parts import Arrays, Part
from .training import split

LARGE = 16 << 20  # bytes
INSTEAD = {  # of what does not go with Buckets
    "y": "they hold the targets: Buckets(x, y)",
    "batch_size": "they have their own: Buckets(x, y, batch_size=...)",
    "validation_split": "make two: validation_data=Buckets(...)",
}


# ---- inputs alone -------------------------------------------------------------------------------------------------


def inputs_of(model: ModelCore, x: Any, name: str = "x", finite: bool = False) -> Arrays:
    """Samples as the net's inputs, by name; a net without weights gets them. ``name``: what errors call the samples."""
    x, _ = taken_apart(x)
    arrays, how = as_inputs(x, name)
    check_columns(model, x, name)
    if name != "x":
        arrays = {k.replace(name, "x", 1): a for k, a in arrays.items()}
    if finite:
        for k, a in arrays.items():
            check_finite(a, k.replace("x", name, 1), model.dtype)
    network = model.network
    if network.traced is None:
        specs, codes = first_specs(lambda specs: model.programs.traced_on(specs, how), arrays, model.dtype)
        arrays |= {k: check_codes(arrays[k], c, k.replace("x", name, 1)) for k, c in codes.items()}
        build(model, specs, how)
        return arrays
    if how != network.how or list(arrays) != list(network.specs):
        raise GraphError(f"the net was built for inputs {list(network.specs)}, got {list(arrays)}")
    other = next((k for k, a in arrays.items() if a.shape[1:] != network.specs[k].shape), None)
    if other is not None and (reason := network.refuses(arrays)):
        given, built = arrays[other].shape, network.specs[other].shape
        told = len(given) == len(built) + 1 and (len(built) > 1 or network.specs[other].dtype == "int32")
        hint = _shape_hint(given, built) or (reason if told else "")
        raise GraphError(f"{other.replace('x', name, 1)} has samples of shape {given[1:]}, but the net was built "
                         f"for {built}{hint}")  # fmt: skip
    for k, c in network.codes().items():
        arrays[k] = check_codes(arrays[k], c, k.replace("x", name, 1))
    for k, a in arrays.items():
        if a.dtype.kind in "iu" and a.nbytes <= LARGE:
            arrays[k] = a.astype(network.dtype_of(k, a), copy=False)
    return arrays


def learn_columns(model: ModelCore, x: Any) -> None:
    """Remember the names of columns, where the samples are tables with names and none are known."""
    model.columns = model.columns or columns_of(x)


def check_columns(model: ModelCore, x: Any, name: str = "x") -> None:
    """`DataError` for columns of other names than those that the model was fitted on, or in another order.

    A warning, once, where one of both has names and the other has none.
    """
    if type(x) is np.ndarray and not model.columns:
        return
    given = columns_of(x)
    for k in model.columns.keys() & given.keys():
        try:
            check_names(model.columns[k], given[k])
        except DataError as error:
            raise error if (k, name) == ("x", "x") else DataError(f"{k.replace('x', name, 1)}: {error}") from None
    if model.columns.keys() != given.keys() and (model.columns or model.epochs) and not model.warned_of_names:
        model.warned_of_names = True
        have, had = ("does not have valid", "with") if model.columns.keys() - given.keys() else ("has", "without")
        warnings.warn(f"{name} {have} feature names, but Model was fitted {had} feature names", stacklevel=4)


# ---- with targets and weights -------------------------------------------------------------------------------------


def parts_of(
    model: ModelCore,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    fitting: bool = False,
    name: str = "",
) -> list[Arrays]:
    """The arrays of samples: one dict of them, or one for each bucket."""
    model.programs.labels = None
    if isinstance(x, Buckets):
        one_output(model, "Buckets are")
        refuse_with_buckets(y=y, sample_weight=sample_weight, class_weight=class_weight)
        return arrays_of_buckets(model, x, name)
    x, y = taken_apart(x, y, name)
    if y is None:
        if isinstance(x, Split):
            raise DataError("x is a Split; give one of its parts, such as x.train, and validation_data=x.validation")
        raise no_targets(x)
    return [arrays_of(model, x, y, sample_weight, class_weight, fitting, name)]


def arrays_of(
    model: ModelCore,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    class_weight: Any = None,
    fitting: bool = False,
    name: str = "",
) -> Arrays:
    """Inputs, targets and weights by the names that programs use, checked."""
    arrays = inputs_of(model, x, f"{name}x", finite=True)
    n, loss, dtype = len(next(iter(arrays.values()))), model.loss, model.dtype
    traced = model.network.traced_for(arrays)
    check_outputs(loss, traced)
    output = traced.output.shape
    if isinstance(loss, Losses):
        if class_weight is not None:
            raise ArgumentError("class_weight is for nets of one output; give sample_weight, or loss_weights to Model")
        arrays["y"], output = several_targets(y, loss, traced, n, dtype, fitting, f"{name}y"), ()
    else:
        arrays["y"] = as_targets(y, loss, output, n, dtype, fitting, f"{name}y")
    steps = None
    if class_weight is not None:
        steps = steps_counted(model, {k: a for k, a in arrays.items() if k != "y"})
    if class_weight is not None and by_label(loss, output, model.network.built().mask is not None):
        model.programs.labels = label_weights(class_weight, arrays["y"], loss, output, steps)
        class_weight = None
    weight = as_weights(sample_weight, class_weight, arrays["y"], n, dtype, loss, output, steps)
    arrays |= {} if weight is None else {"weight": weight}
    return {k: _ready(model, a, k, f"{name}{k}") for k, a in arrays.items()}


def held_apart(model: ModelCore, arrays: Arrays, fraction: float, sample_weight: Any) -> tuple[Part, Part]:
    """Training and validation samples; these without the weights of classes."""
    n, output = len(arrays["y"]), model.network.built().output.shape
    own = as_weights(sample_weight, None, arrays["y"], n, model.dtype, model.loss, output)
    learnt, held = split(arrays, fraction, model.seed)
    plain = {name: a for name, a in arrays.items() if name != "weight"}
    return learnt, Part(plain | ({} if own is None else {"weight": own}), held.rows)


def _ready(model: ModelCore, a: np.ndarray, k: str, name: str) -> np.ndarray:
    """An array in the graph's dtype, unless it is so large that this is better done a piece at a time."""
    return a if a.nbytes > LARGE else as_leaf(a, model.network.dtype_of(k, a), name)


# ---- Buckets ------------------------------------------------------------------------------------------------------


def refuse_with_buckets(**options: Any) -> None:
    """`ArgumentError` for options of `Model.fit` and `Model.evaluate` that do not go with Buckets."""
    for name, value in options.items():
        if value is not None and not (name == "validation_split" and not value):
            raise ArgumentError(f"{name} does not go with Buckets" + (f"; {INSTEAD[name]}" if name in INSTEAD else ""))


def arrays_of_buckets(model: ModelCore, buckets: Buckets, name: str = "") -> list[Arrays]:
    """Inputs and targets of each bucket, checked. A net that has no weights yet is built for the longest sequences."""
    if any(b.y is None for b in buckets.parts):
        raise DataError(f"{name or 'x '}has no targets; give them to the buckets: Buckets(x, y)")
    inputs_of(model, buckets.parts[-1].x, f"{name}x")
    parts = [arrays_of(model, b.x, b.y, name=name) for b in buckets.parts]
    dtype_of = model.network.dtype_of
    return [{k: a.astype(dtype_of(k, a), copy=False) for k, a in arrays.items()} for arrays in parts]  # once


def predict_buckets(
    model: ModelCore, buckets: Buckets, batch_size: int | str | None, finite: bool
) -> np.ndarray | list[np.ndarray]:
    """One array, or for outputs at every step a list of arrays, without what stands at padding."""
    outputs = []
    for b in buckets.parts:
        arrays = inputs_of(model, b.x)
        run = model.programs.compiled("predict", arrays)
        outputs.append(in_batches(model, run, arrays, batch_size, finite, b.rows))
    each_step = all(o.ndim > 2 and o.shape[1] == b.length for o, b in zip(outputs, buckets.parts, strict=True))
    found: list[Any] = [None] * len(buckets)
    for b, o in zip(buckets.parts, outputs, strict=True):
        for row, output in zip(b.rows, o, strict=True):
            found[row] = output[: buckets.steps[row]] if each_step else output
    return found if each_step else np.stack(found)


def _shape_hint(given: tuple, built: tuple) -> str:
    """What to do with an array of shape ``given`` for samples of shape ``built``."""
    sample = given[1:]
    if given == built:
        return "; a single sample needs a leading axis: x[None]"
    if (1, *sample) == built:
        return "; the channel axis is missing: x[:, None]"
    if len(built) > 1 and (*sample[-1:], *sample[:-1]) == built:
        order = ", ".join(map(str, (0, len(built), *range(1, len(built)))))
        return f"; move the channels first: x.transpose({order})"
    if int(np.prod(sample)) == int(np.prod(built)):
        return f"; did you mean x.reshape(-1, {', '.join(map(str, built))})?"
    return ""
