"""A fit that fails leaves an estimator as it was. Imports nothing."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def unchanged_on_error(estimator: Any) -> Iterator[None]:
    """Within, attributes may be set one after the other; after an error they are those there were before.

    Lists and the like are copied, one level deep; arrays and models must be replaced, not changed in place.
    """
    before = {name: copy.copy(value) if isinstance(value, (list, dict, set)) else value
              for name, value in vars(estimator).items()}  # fmt: skip
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
