"""The contraction: products of two operands summed over letters; dense layers, attention and their gradients are it."""

from __future__ import annotations

from string import ascii_letters

from ..errors import ArgumentError, GraphError
from ..graph import Sample, Type, Value, primitive
from .elementwise import FLOATS
from .options import TEXT


def parse(spec: str) -> tuple[str, str, str]:
    """The letters of both operands and of the result.

    >>> parse("ij,j->i")
    ('ij', 'j', 'i')
    """
    try:
        operands, out = spec.replace(" ", "").split("->")
        a, b = operands.split(",")
    except ValueError:
        raise ArgumentError(f"contract: {spec!r} is not of the form 'ij,jk->ik'") from None
    for part in (a, b, out):
        if not (part == "" or (part.isalpha() and part.isascii())) or len(set(part)) != len(part):
            raise ArgumentError(f"contract: {part!r} in {spec!r} must be letters, each once")
    for letter in {*a, *b, *out}:
        if (letter in a) + (letter in b) + (letter in out) < 2:
            raise ArgumentError(f"contract: letter {letter!r} stands in only one place of {spec!r}")
    return a, b, out


def _rule(x: Type, y: Type, *, spec):
    a, b, out = parse(spec)
    if x.dtype != y.dtype or x.dtype not in FLOATS:
        raise GraphError(f"contract {spec}: takes two of one dtype, {' or '.join(FLOATS)}, got {x.dtype} and {y.dtype}")
    lengths: dict[str, int] = {}
    for letters, t in ((a, x), (b, y)):
        if len(letters) != len(t.shape):
            have = len(t.shape)
            raise GraphError(f"contract {spec}: {letters!r} names {len(letters)} axes, shape {t.shape} has {have}")
        for letter, n in zip(letters, t.shape, strict=True):
            if lengths.setdefault(letter, n) != n:
                m = lengths[letter]
                raise GraphError(f"contract {spec}: axis {letter!r} is {m} in {x.shape} and {n} in {y.shape}")
    return tuple(lengths[letter] for letter in out), x.dtype


def _einsum(xp, x, y, *, spec, summed=False):
    a, b, out = parse(spec)
    samples = [x.ndim > len(a), y.ndim > len(b)]  # which operands have a leading axis of samples
    free = next(letter for letter in ascii_letters[::-1] if letter not in a + b)  # its name
    a, b = free * samples[0] + a, free * samples[1] + b
    out = free * (any(samples) and not summed) + out
    return xp.einsum(f"{a},{b}->{out}", x, y, optimize=["einsum_path", (0, 1)])


def _vjp(g, y, x, w, *, spec):
    a, b, out = parse(spec)
    return (contract(g, w, f"{out},{b}->{a}"), contract(x, g, f"{a},{out}->{b}"))


contract_of = primitive(
    "contract",
    rule=_rule,
    forward=_einsum,
    forward_summed=lambda xp, x, y, *, spec: _einsum(xp, x, y, spec=spec, summed=True),
    vjp=_vjp,
    samples=(
        Sample(((3, 4), (4,)), {"spec": "ij,j->i"}),
        Sample(((3,), (4,)), {"spec": "i,j->ij"}),
        Sample(((2, 3), (3, 4)), {"spec": "ij,jk->ki"}),
        Sample(((2, 3, 4), (2, 4, 5)), {"spec": "hij,hjk->hik"}),
        Sample(((3,), (3,)), {"spec": "i,i->"}),
        Sample(((3,), ()), {"spec": "i,->i"}),
    ),
    options={"spec": TEXT},
)


def contract(x: Value, y: Value, spec: str) -> Value:
    """Products of ``x`` and ``y`` summed over the letters that the result does not name.

    ``contract(w, x, "ij,j->i")`` is the lectures' y_i = sum_j w_ij x_j. Every combination of sample and shared operands
    is allowed. Each letter stands once in an operand and in at least two of the three parts.

    >>> from pellucid import input, state
    >>> contract(state("w", (3, 2)), input("x", (2,)), "ij,j->i")
    <contract: sample float32 (3,)>
    """
    return contract_of(x, y, spec=spec.replace(" ", "") if isinstance(spec, str) else spec)


def dot(x: Value, y: Value) -> Value:
    """The inner product of two vectors, or a matrix times a vector or matrix."""
    specs = {(1, 1): "i,i->", (2, 1): "ij,j->i", (1, 2): "i,ij->j", (2, 2): "ij,jk->ik"}
    if (x.ndim, y.ndim) not in specs:
        raise GraphError(f"dot takes vectors and matrices, got {x.shape} and {y.shape}; use contract(x, y, spec)")
    return contract(x, y, specs[x.ndim, y.ndim])
