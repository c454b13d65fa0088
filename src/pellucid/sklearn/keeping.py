"""A fitted forecaster in its model's file: arguments, line and scales as JSON, never pickle. Imports the siblings."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING

import numpy as np
from sklearn.preprocessing import StandardScaler

from ..errors import DataError
from ..tabular.persistence import MOST
from ..tabular.persistence import read as from_json
from ..tabular.persistence import written as to_json
from .features import Features
from .forecaster import NeuralForecaster

if TYPE_CHECKING:
    from ..train import Model

BLOB = "series"
PASSING = {"model_", "features_", "restarts_", "loss_curve_", "recipe_"}  # kept otherwise, or not needed to predict
RENAMED = {"restarts": "n_restarts"}  # arguments, by the names that earlier files have
EARLIER = {"line_": {}, "share_": 1.0}  # of forecasters written before there was a line: the net is all


def keep_in(model: Model, net: NeuralForecaster) -> None:
    """Put a fitted forecaster into its model, to be saved with it."""
    passing = ("executor", "threads", "verbose")
    arguments = {name: value for name, value in net.get_params(deep=False).items()
                 if isinstance(value, (bool, int, float, str)) and name not in passing}  # fmt: skip
    learnt = {name: to_json(value) for name, value in vars(net).items()
              if (name.endswith("_") or name == "_columns") and name not in PASSING}  # fmt: skip
    features = {name: to_json(sorted(value) if isinstance(value, set) else value)
                for name, value in vars(net.features_).items()}  # fmt: skip
    text = json.dumps({"arguments": arguments, "learnt": learnt, "features": features}, separators=(",", ":"))
    model.blobs[BLOB] = np.frombuffer(zlib.compress(text.encode()), np.uint8)


def restore(model: Model) -> NeuralForecaster:
    """The forecaster of a model that ``pellucid train --forecast`` saved: its predictions are in the series' units.

    Raises `DataError` where the model is of something else, or the forecaster is damaged.

    >>> from pellucid import Model, nn
    >>> restore(Model(nn.Dense(1), "mse"))
    Traceback (most recent call last):
    pellucid.errors.DataError: the model is no forecaster: it holds no series
    """
    if BLOB not in model.blobs:
        raise DataError("the model is no forecaster: it holds no series")
    try:
        unpacking = zlib.decompressobj()
        kept = json.loads(unpacking.decompress(model.blobs[BLOB].tobytes(), MOST))
        net = NeuralForecaster(**{RENAMED.get(name, name): value for name, value in kept["arguments"].items()})
        features, among = Features(net.scale), {"StandardScaler": StandardScaler}
        features.__dict__.update({name: from_json(value, among) for name, value in kept["features"].items()})
        features.truths = set(features.truths)
        net.__dict__.update(EARLIER | {name: from_json(value, among) for name, value in kept["learnt"].items()})
        net.features_, net.model_ = features, model
        net.predict(np.zeros((1, net.window * net.channels), model.dtype))
    except Exception as error:  # a damaged or foreign file may fail anywhere in there
        raise DataError(f"the model's forecaster is damaged or not Pellucid's ({error})") from None
    return net
