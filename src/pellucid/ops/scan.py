"""`scan`: a state carried over the steps of a sequence, and back-propagation through time.

Only what the next state needs of the state runs step by step. What stands before it (the projection of the inputs) and
what follows from it (outputs, gradients of weights) is computed for all steps at once, as `lift` writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..checks import flag, whole
from ..errors import ArgumentError, GraphError
from ..graph import Kind, Value, defvjp, input, toposort
from .backward import pull_back
from .contract import contract_of
from .elementwise import (
    FLOATS,
    absolute,
    add,
    maximum,
    minimum,
    multiply,
    negative,
    select,
    subtract,
    threefry,
    where,
)
from .gather import scatter_of, take_rows
from .lift import Lifted, common_length, lift, summed
from .loop import Body, after, before, result, result_of, scan_of
from .movement import (
    broadcast,
    constant,
    fill_with,
    flip_axes,
    pad_with,
    reshape_to,
    slice_of,
    stop_gradient,
    transpose_of,
    zeros_like,
)
from .reduce import REDUCTIONS, argmax_axis, to_samples

HEAVY = (contract_of, scatter_of, take_rows, *REDUCTIONS, argmax_axis, threefry)
CHEAP = (add, subtract, multiply, negative, absolute, maximum, minimum, select)
VIEWS = (reshape_to, transpose_of, broadcast, slice_of, flip_axes, stop_gradient)


def scan(
    body: Callable,
    init: Any,
    xs: Any = None,
    *,
    length: int | None = None,
    reverse: bool = False,
    mask: Value | None = None,
    truncate: int | None = None,
    remat: bool = False,
) -> tuple[Any, Any]:
    """A state carried over steps: ``carry, y = body(carry, x)`` for each step of ``xs``; gives (last carry, all y).

    ``init``, the state before the first step, and ``xs``, sequences with a leading axis of time, are each a Value or a
    tuple of Values, and so is what ``body`` gets and gives; ``xs`` and ``y`` may be None. Shapes: carry as ``init``, y
    gets a leading axis of time. Differentiable in init, xs, and all that the body uses from outside.

    - ``length``: number of steps where there are no ``xs``. ``reverse``: from the last step to the first.
    - ``mask``: bool (T,); where it is False the state stays as it is.
    - ``truncate=k``: truncated back-propagation: no gradient flows from a step back over a multiple of k steps.
    - ``remat``: the backward pass computes each step again, instead of keeping its values: less memory, more time.

    Raises `GraphError` where lengths differ or are 0, where the body changes the type of the state, and where a step
    needs a sum over the samples of what depends on the state. Lecture: 004, recurrent networks.

    >>> from pellucid import input
    >>> total, sums = scan(lambda s, x: (s + x, s + x), input("start"), input("x", (5,)))
    >>> total.shape, sums.shape
    ((), (5,))
    """
    inits, sequences = _several(init, "init"), () if xs is None else _several(xs, "xs")
    asked = None if length is None else whole("scan", "length", length)
    n = common_length("scan", sequences) if sequences else asked
    if not n or asked not in (None, n):
        raise ArgumentError(f"scan: needs xs, or length= of 1 or more, got {length!r}"
                            + (f" for sequences of {n} steps" if sequences else ""))  # fmt: skip
    reverse, remat = flag("scan", "reverse", reverse), flag("scan", "remat", remat)
    more = [] if mask is None else [_flags(mask, n)]
    if truncate is not None:
        flows = np.arange(n) % whole("scan", "truncate", truncate) != 0
        more.append(constant(flows[::-1] if reverse else flows))

    def step(carries: Sequence[Value], given: Sequence[Value]) -> tuple[tuple, tuple, Any]:
        """New state, y, and y as the body gave it."""
        own, flags = given[: len(sequences)], list(given[len(sequences) :])
        held = [where(flags[-1], c, stop_gradient(c)) for c in carries] if truncate is not None else list(carries)
        gives = body(_like(init, held), None if xs is None else _like(xs, own))
        if not isinstance(gives, tuple) or len(gives) != 2:
            raise GraphError(f"scan: the body must return (carry, y), it returned {gives!r}")
        new, y = _several(gives[0], "the carry"), () if gives[1] is None else _several(gives[1], "y")
        if len(new) != len(inits):
            raise GraphError(f"scan: the body returned {len(new)} carries, init has {len(inits)}")
        if mask is not None:
            new = tuple(where(flags[0], a, b) for a, b in zip(new, carries, strict=True))
        return new, y, gives[1]

    every = [*sequences, *more]
    kind: Kind = "sample" if any(v.kind == "sample" for v in (*inits, *every)) else "shared"
    while True:
        carries = [input(f"carry{i}", v.shape, v.dtype, kind) for i, v in enumerate(inits)]
        steps = [input(f"step{i}", v.shape[1:], v.dtype, v.kind) for i, v in enumerate(every)]
        new, y, form = step(carries, steps)
        if kind == "sample" or not any(v.kind == "sample" for v in new):
            break
        kind = "sample"  # what the body uses from outside differs from sample to sample
    for a, c in zip(new, carries, strict=True):
        if (a.shape, a.dtype) != (c.shape, c.dtype):
            raise GraphError(f"scan: the body turns the state {c.dtype} {c.shape} into {a.dtype} {a.shape}; "
                             "the state must keep its shape and dtype")  # fmt: skip
    known = {leaf: Lifted(x, True) for leaf, x in zip(steps, every, strict=True)}
    last, known = _loop(carries, inits, new, known, n, reverse, remat)
    ys = [found.spread(n) for found in lift(y, known, n)]
    return _like(init, last), None if form is None else _like(form, ys)


def _several(given: Any, what: str) -> tuple[Value, ...]:
    several = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    if not several or not all(isinstance(v, Value) for v in several):
        raise GraphError(f"scan: {what} must be a Value or a tuple of Values, got {given!r}")
    return several


def _like(form: Any, values: Sequence[Value]) -> Any:
    return tuple(values) if isinstance(form, (tuple, list)) else values[0]


def _flags(mask: Value, n: int) -> Value:
    if not isinstance(mask, Value) or mask.shape != (n,) or mask.dtype != "bool":
        got = mask.type if isinstance(mask, Value) else repr(mask)
        raise GraphError(f"scan: the mask must be a bool Value of shape ({n},), got {got}")
    return mask


# ---- what runs step by step, and what does not ------------------------------------------------------------------


def _loop(
    carries: Sequence[Value],
    inits: Sequence[Value],
    new: Sequence[Value],
    known: Mapping[Value, Lifted],
    n: int,
    reverse: bool,
    remat: bool,
    ahead: bool = True,
) -> tuple[list[Value], dict[Value, Lifted]]:
    """The loop that turns ``carries`` into ``new`` at each step; gives the last state, and more known Values: the state
    before each step, and what the loop computed at each.

    ``known``: Values of a step that are not computed in it, and what they are at all steps. ``ahead``: what does not
    wait for the state and is more than arithmetic is computed for all steps before the loop.
    """
    stops = {*known, *carries}
    order = toposort(new, stops)
    moving, varying, heavy = set(carries), {v for v, x in known.items() if x.stacked}, set(known)
    for v in order:
        if v not in stops:
            if any(i in moving for i in v.inputs):
                moving.add(v)
            if any(i in varying for i in v.inputs):
                varying.add(v)
            if ahead and (v.primitive in HEAVY or any(i in heavy for i in v.inputs if i not in known)):
                heavy.add(v)
    own: dict[Value, Value] = {c: input(c.name or "", c.shape, c.dtype, c.kind) for c in carries}  # in the body
    given: dict[Value, Value] = {}  # leaves of the body, and what they are outside

    def leaf(v: Value) -> Value:
        (found,) = lift([v], known, n)
        name = f"{'step' if found.stacked else 'const'}{len(given)}"
        own[v] = input(name, v.shape, v.dtype, found.value.kind)
        given[own[v]] = found.value
        return own[v]

    for v in order:
        if v in own or (v not in moving and (v in heavy or v not in varying)):
            continue
        inputs = []
        for i in v.inputs:
            inputs.append(own[i] if i in own else i if i.primitive is fill_with else leaf(i))
        own[v] = v.primitive(*inputs, **v.attributes)
        if v.primitive in (scan_of, result_of):
            raise GraphError("scan: a loop within a loop is not possible; take the inner one's steps one by one, or "
                             "carry both states in one loop (nn.Lateral and nn.Feedback: unroll=True)")  # fmt: skip
        if v in moving and (own[v].kind != carries[0].kind or v.primitive.needs_batch):
            raise GraphError(f"scan: {v.primitive.name} within the recurrence needs all samples, but each sample is "
                             "stepped by itself; compute it outside (in nn.Feedback: unroll=True)")  # fmt: skip
    ends = []
    for c, v in zip(carries, new, strict=True):
        end = own[v] if v in own else leaf(v)
        ends.append(to_samples(end) if end.kind != c.kind else end)
    steps = tuple(x for x in given if (x.name or "").startswith("step"))
    consts = tuple(x for x in given if x not in steps)
    body = Body(tuple(own[c] for c in carries), steps, consts, tuple(ends))
    inits = [to_samples(x) if x.kind != c.kind else x for x, c in zip(inits, carries, strict=True)]
    loop = scan_of(*inits, *(given[x] for x in (*steps, *consts)), body=body, length=n, reverse=reverse, remat=remat)
    states = [result(loop, x) for x in body.carries]
    found = {**known, **{c: Lifted(before(s, reverse), True) for c, s in zip(carries, states, strict=True)}}
    found |= {v: Lifted(after(s, reverse), True) for v, s in zip(new, states, strict=True) if v not in found}
    inner = set(body.order)
    for v in order:
        if v in moving and v not in found and own[v] in inner:
            found[v] = Lifted(result(loop, own[v]), True)
    return [s[0 if reverse else n] for s in states], found


# ---- back through time ------------------------------------------------------------------------------------------


def backwards(g: Mapping[Value, Value], loop: Value, *inputs: Value, body: Body, length, reverse, remat):
    """The derivatives of a loop in its inputs: a loop in the other direction, that carries the state's derivatives."""
    inits, sequences, consts = body.split(inputs)
    states = {c: result(loop, c) for c in body.carries}
    known = {c: Lifted(before(s, reverse), True) for c, s in states.items()}
    known |= {x: Lifted(s, True) for x, s in zip(body.steps, sequences, strict=True)}
    known |= {x: Lifted(c, False) for x, c in zip(body.consts, consts, strict=True)}
    if not remat:
        known |= {v: Lifted(result(loop, v), True) for v in body.order if v not in known and _is_kept(v)}
        known |= {v: Lifted(after(states[c], reverse), True)
                  for c, v in zip(body.carries, body.new, strict=True) if v not in body.leaves}  # fmt: skip
    moving = [k for k, c in enumerate(body.carries) if c.dtype in FLOATS]
    carries = {k: input(f"carry{k}", body.carries[k].shape, body.carries[k].dtype, body.carries[k].kind)
               for k in moving}  # fmt: skip
    seeds: dict[Value, Value] = {}

    def seed(v: Value, x: Value) -> None:
        seeds[v] = seeds[v] + x if v in seeds else x

    for k in moving:
        seed(body.new[k], carries[k])
    first: dict[int, Value] = {}  # derivatives in the first state, and in the last, that come from outside
    start: dict[int, Value | None] = {}
    for v, cotangent in g.items():
        if v in body.carries:
            k, v = body.carries.index(v), body.new[body.carries.index(v)]
            start[k], rest = _of_last(cotangent, length, reverse)
            if rest is None:
                continue
            first[k], cotangent = rest[-1 if reverse else 0], after(rest, reverse)
        x = input("slope", v.shape, v.dtype, cotangent.kind)
        known[x] = Lifted(cotangent, True)
        seed(v, x)
    wrt = [*body.carries, *body.steps, *body.consts]
    slopes = dict(zip(wrt, pull_back(seeds, wrt), strict=True))
    passed = []
    for k in moving:
        s = slopes[body.carries[k]]
        s = zeros_like(carries[k]) if s is None else s
        passed.append(to_samples(s) if s.kind != carries[k].kind else s)
    begin = [zeros_like(carries[k]) if (s := start.get(k)) is None else s for k in moving]
    last, known = _loop(list(carries.values()), begin, passed, known, length, not reverse, False, ahead=not remat)
    results: list[Value | None] = [None] * len(inits)
    for k, s in zip(moving, last, strict=True):
        results[k] = s + first[k] if k in first else s
    for x in body.steps + body.consts:
        slope = slopes[x]
        if slope is None:
            results.append(None)
        elif x in body.consts:
            results.append(summed(slope, known, length))
        else:
            results.append(lift([slope], known, length)[0].spread(length))
    return tuple(results)


defvjp(scan_of, backwards)


def _of_last(g: Value, n: int, reverse: bool) -> tuple[Value | None, Value | None]:
    """The derivative in all states as that in the last one alone, if there is such a part, and the rest."""
    a = g.attributes
    if g.primitive is add:
        pairs = [_of_last(i, n, reverse) for i in g.inputs]
        lasts, rests = ([x for x in part if x is not None] for part in zip(*pairs, strict=True))
        return tuple(x[0] + x[1] if len(x) == 2 else x[0] if x else None for x in (lasts, rests))  # type: ignore
    alone = (0, n) if reverse else (n, 0)
    if g.primitive is pad_with and g.inputs[0].shape[0] == 1 and (a["low"][0], a["high"][0]) == alone:
        return g[0 if reverse else n], None
    return None, g


def _is_kept(v: Value) -> bool:
    """Whether a step's Value is kept for the way back; what is cheap is computed again from what is kept."""
    return bool(v.inputs) and v.primitive not in CHEAP and v.primitive not in VIEWS
