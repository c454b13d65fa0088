"""The letters of a contraction over windows: which are of space, of the kernel, of channels."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ....graph import Value
from ....ops.contract import parse
from ....ops.conv import windows_of

SPACE_LETTERS, KERNEL_LETTERS = "xyz", "ijk"  # of ops/conv.py


class Letters:
    """The letters of a contraction with windows, by what they count."""

    def __init__(self, contraction: Value) -> None:
        a, b, self.out = parse(contraction.attributes["spec"])
        first, second = contraction.inputs
        if second.primitive is not windows_of:
            a, b, first, second = b, a, second, first
        self.other, self.other_letters = first, a  # the kernel, or the derivative of the result
        self.view, self.view_letters = second, b
        self.lengths = dict(zip(a + b, first.shape + second.shape, strict=True))
        self.group = [c for c in a if c in b and c in self.out]
        self.filter = next((c for c in a if c in self.out and c not in b), None)
        self.space = [c for c in SPACE_LETTERS if c in b]
        self.kernel = [c for c in KERNEL_LETTERS if c in b]
        self.channel = [c for c in b if c not in (*self.group, *self.space, *self.kernel)]
        self.strides, self.dilations = second.attributes["strides"], second.attributes["dilations"]

    def length(self, letters: Iterable[str]) -> int:
        return math.prod(self.lengths[c] for c in letters)
