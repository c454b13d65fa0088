"""What the formulas call ``xp`` where they run on NumPy: NumPy's names, erf of SciPy, and two that need no haste."""

from __future__ import annotations

import numpy as np


class NumPy:
    """A name is looked up once, and then an attribute."""

    fast_divide = staticmethod(np.divide)
    fast_sqrt = staticmethod(np.sqrt)

    def __getattr__(self, name):
        if name == "erf":
            from scipy.special import erf as value
        else:
            value = getattr(np, name)
        setattr(self, name, value)
        return value


xp = NumPy()
