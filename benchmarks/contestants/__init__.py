"""One file for each library; in it, one function for each kind of row: ``make(row, data, threads) -> Job``.

A library is imported when its function is called, so that a missing one is only a missing column.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping

OURS = "Pellucid"
PLACES = {  # contestant -> kind of row -> module and function
    OURS: {k: f"ours:{k}" for k in ("step", "fit", "predict")},
    "PyTorch eager": {k: f"pytorch:{k}" for k in ("step", "fit", "predict")},
    "torch.compile": {"step": "pytorch:compiled_step", "predict": "pytorch:compiled_predict"},
    "JAX jit": {k: f"jaxlib_:{k}" for k in ("step", "fit", "predict")},
    "JAX scan": {"step": "jaxlib_:scan_step", "fit": "jaxlib_:scan_fit"},
    "scikit-learn": {k: f"sklearn_:{k}" for k in ("step", "fit", "predict")},
}
NAMES = tuple(PLACES)
IMAGE_PLACES = {  # the same for rows of images
    OURS: {k: f"ours_images:{k}" for k in ("step", "predict", "conv")},
    "PyTorch eager": {k: f"pytorch_images:{k}" for k in ("step", "predict", "conv")},
    "PyTorch channels last": {k: f"pytorch_images:last_{k}" for k in ("step", "predict", "conv")},
    "torch.compile": {k: f"pytorch_images:compiled_{k}" for k in ("step", "predict", "conv")},
    "JAX jit": {k: f"jax_images:{k}" for k in ("step", "predict", "conv")},
}
IMAGE_NAMES = tuple(IMAGE_PLACES)
SEQUENCE_PLACES = {  # and for rows of sequences
    OURS: {k: f"ours_sequences:{k}" for k in ("step", "generate")},
    "PyTorch eager": {k: f"pytorch_sequences:{k}" for k in ("step", "generate")},
    "torch.compile": {k: f"pytorch_sequences:compiled_{k}" for k in ("step", "generate")},
    "JAX jit": {k: f"jax_sequences:{k}" for k in ("step", "generate")},
    "JAX by hand": {"step": "jax_sequences:step_by_hand"},
}
SEQUENCE_NAMES = tuple(SEQUENCE_PLACES)
WHOLE_EPOCH = "JAX scan"  # a loop over steps inside the compiled code, as Pellucid has; has a ratio of its own
BY_HAND = "JAX by hand"  # a scan whose gradient is written by hand, and no longer derived; has a ratio of its own


def makers(kind: str, names, threads: int, places: Mapping[str, Mapping[str, str]] = PLACES) -> dict[str, Callable]:
    """The functions of the contestants that take part in rows of this kind."""
    return {n: _maker(places[n][kind], threads) for n in names if kind in places.get(n, {})}


def _maker(place: str, threads: int) -> Callable:
    module, function = place.split(":")

    def make(row, data):
        return getattr(importlib.import_module(f".{module}", __name__), function)(row, data, threads)

    return make
