"""What models of one structure share in a process: a graph traced once, its plan and machine code made once.

A search over learning rates or seeds makes hundreds of such models. Nets with user code in them share nothing, since a
function may change its meaning and keep its name. Imports the codec.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..graph import GraphError
from .serialization import encode

if TYPE_CHECKING:
    from .compiled import Programs

RECIPE = ("net", "loss", "metric_names", "optimizer", "regularizer", "constraint")  # what programs are made of
STATE = ("learning_rate", "weight_decay")  # numbers of the optimizer that are state of the program
USER = re.compile(r'"(name|class)": "[^"]*:')  # how the codec writes code that is not Pellucid's own
MOST = 128  # programs that are kept: of a small net some 300 kB each

_kept: dict[Any, Any] = {}


def structure(programs: Programs) -> tuple | None:
    """What two models have in common if their programs are the same; None where there is user code.

    >>> import pellucid as pel
    >>> a, b = (pel.Model(pel.nn.Dense(2), "mse", pel.optim.SGD(rate)).programs for rate in (0.1, 0.2))
    >>> structure(a) == structure(b), structure(pel.Model(lambda x: x, "mse").programs)
    (True, None)
    """
    arrays: dict[str, np.ndarray] = {}
    try:
        code = {name: encode(getattr(programs, name, None), arrays) for name in RECIPE}
    except GraphError:  # a function without a name
        return None
    numbers = code["optimizer"]["fields"]
    numbers |= {name: 0.0 for name in STATE if isinstance(numbers.get(name), (int, float))}
    if programs.regularizer is not None:
        code["regularizer"]["fields"] |= dict.fromkeys(programs.regularizer.strengths, 0.0)
    text = json.dumps(code)
    if USER.search(text):
        return None
    found = [(a.shape, str(a.dtype), hashlib.sha256(a.tobytes()).digest()) for a in arrays.values()]
    return text, tuple(found), programs.dtype, programs.executor.__name__


def kept(key: Any, make: Callable[[], Any]) -> Any:
    """What was made for this key before, or is now; the oldest are forgotten."""
    if key not in _kept:
        made = make()
        while len(_kept) >= MOST:
            _kept.pop(next(iter(_kept)), None)
        _kept[key] = made
    return _kept.get(key) or make()  # another thread may just have forgotten it


def forget() -> None:
    """Keep nothing of what was made so far."""
    _kept.clear()


def shared(programs: Programs, key: tuple, make: Callable[[], Any]) -> Any:
    """What ``make`` gives, made once for all models of this one's structure."""
    own = structure(programs)
    return make() if own is None else kept((own, key), make)
