"""What the formulas call ``xp`` where they run on NumPy: NumPy's names, and erf (from SciPy)."""

from __future__ import annotations

import numpy as np


class NumPy:
    """A name is looked up once, and then an attribute."""

    def __getattr__(self, name):
        if name == "erf":
            from scipy.special import erf as value
        else:
            value = getattr(np, name)
        setattr(self, name, value)
        return value


xp = NumPy()
