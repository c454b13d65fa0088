"""Values that are computed again wherever they are used, because that is cheaper than to write and read them.

Such is x - mean in batch normalization: x is in memory anyway, and so is the mean. Imports graph and ops.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from ....graph import Value
from ....ops.contract import contract_of, parse
from ....ops.elementwise import add, multiply, subtract
from ....ops.reduce import REDUCTIONS
from ....program import Program

MIN_ELEMENTS = 1024  # elements of a sample; smaller ones stay in the cache
ARITHMETIC = (add, subtract, multiply)


def rematerialized(program: Program, roots: Collection[Value], in_memory: Callable[[Value], bool]) -> frozenset[Value]:
    """Sums, differences and products of a large sample and something shared, where the sample is in memory anyway."""
    users: dict[Value, list[Value]] = {v: [] for v in program.order}
    for v in program.order:
        for i in v.inputs:
            users[i].append(v)

    def reduces(user: Value) -> bool:
        """Whether it reads each element once."""
        if user.primitive is contract_of:
            a, b, _ = parse(user.attributes["spec"])
            return a == b
        return user.primitive in REDUCTIONS

    def is_cheap_again(v: Value) -> bool:
        if v.primitive not in ARITHMETIC or v.kind != "sample" or v.size < MIN_ELEMENTS or v in roots:
            return False
        samples = [i for i in v.inputs if i.kind == "sample"]
        own = users[v]
        if (
            len(samples) != 1
            or not any(map(reduces, own))
            or not all(u.primitive.elementwise or reduces(u) for u in own)
        ):
            return False
        (x,) = samples
        return x.shape == v.shape and in_memory(x) and any(not u.primitive.elementwise for u in users[x])

    return frozenset(v for v in program.order if is_cheap_again(v))
