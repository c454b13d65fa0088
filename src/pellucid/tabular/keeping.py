"""The fitted transformers in the model's file, by skops, which reads only types on a list: never pickle."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING
from zipfile import ZIP_DEFLATED

import numpy as np
from sklearn.pipeline import Pipeline

from ..data import DataError
from .columns import Columns
from .preprocessing import PARTS, Preprocessing
from .target import Target
from .transformers import BagOfWords, BinaryEncoder, DateFeatures, OutlierClipper

if TYPE_CHECKING:
    from ..train import Model

BLOB = "preprocessing"
OURS = [f"{cls.__module__}.{cls.__qualname__}" for cls in (BagOfWords, BinaryEncoder, DateFeatures, OutlierClipper)]
TRUSTED = ["numpy.dtype", *OURS]  # types in our files beyond those of NumPy and scikit-learn that skops knows


def keep_in(model: Model, preprocessing: Preprocessing, target: Target) -> None:
    """Put the fitted transformers and the description of columns and target into a model, to be saved with it."""
    import skops.io

    model.blobs[BLOB] = np.frombuffer(skops.io.dumps(preprocessing.steps, compression=ZIP_DEFLATED), np.uint8)
    model.notes |= {
        "kind": "table",
        "task": target.task,
        "class_names": list(target.class_names),
        "target": asdict(target),
        "columns": {kind: list(getattr(preprocessing.columns, kind)) for kind in PARTS},
        "left_out": preprocessing.columns.left_out,
    }


def _target(noted: dict) -> Target:
    lists = {name: tuple(noted.get(name, ())) for name in ("class_names", "class_values")}
    return Target(**noted | lists)


def restore(model: Model) -> tuple[Preprocessing, Target]:
    """The transformers and the target that `keep_in` put into a model.

    Raises `DataError` where there are none, where they are damaged, or where they hold types that are not ours.
    """
    import skops.io

    if BLOB not in model.blobs:
        raise DataError("the model was not trained on a table: it holds no preprocessing")
    try:
        steps = skops.io.loads(model.blobs[BLOB].tobytes(), trusted=TRUSTED)
        target = model.notes["target"]
        used = {kind: tuple(model.notes["columns"].get(kind, ())) for kind in PARTS}
        columns = Columns(**used, left_out=model.notes["left_out"])
        found = Preprocessing(columns, steps), _target(target)
        genuine = steps.keys() == {k for k in PARTS if used[k]} and all(
            type(step) is Pipeline
            and all(type(part) in PARTS[kind].get(name, ()) for name, part in step.steps)
            and step.n_features_in_ == len(used[kind])
            for kind, step in steps.items()
        )
    except Exception as error:  # a damaged or foreign file may fail anywhere in there
        raise DataError(f"the model's preprocessing is damaged or not Pellucid's ({error})") from None
    if not genuine:
        raise DataError("the model's preprocessing is not Pellucid's: it holds other transformers or columns")
    return found
