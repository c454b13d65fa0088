"""Values as the formulas one would write: ``sigmoid(W1 x + b1)``, as text and as LaTeX. Imports graph.

`Writer` goes along a graph and writes what it means, a line for each step. What is used once stands where it is used;
constants stand as numbers; a formula that brings its own derivative (`ops.with_vjp`) stands by its name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .graph import Value, toposort
from .reprs import shown

ATOM, POWER, MATRIX, PRODUCT, DOT, SUM, LOOSE = range(7)  # how tightly the outermost operation binds
LONG = 72  # characters of text, beyond which a part has a line of its own

GREEK = ("alpha", "beta", "gamma", "delta", "epsilon", "mu", "sigma", "theta")
KNOWN = {"sigmoid": r"\sigma", "softplus": r"\operatorname{softplus}"} | {
    name: rf"\{name}" for name in ("tanh", "exp", "log", "max", "min")
}


class Formula(NamedTuple):
    """A formula as text and as LaTeX, and how tightly its outermost operation binds; ``tex``: in LaTeX, if other."""

    text: str
    latex: str
    level: int = ATOM
    tex: int | None = None

    def within(self, level: int) -> Formula:
        """In parentheses, if it binds less tightly than that."""
        tex = self.level if self.tex is None else self.tex
        text = self.text if self.level <= level else f"({self.text})"
        latex = self.latex if tex <= level else rf"\left({self.latex}\right)"
        return Formula(text, latex, self.level if self.level <= level else ATOM, tex if tex <= level else ATOM)


def symbol(name: str) -> Formula:
    r"""A letter or word, perhaps with an index.

    >>> [symbol(name).latex for name in ("x", "W1", "h_(t-1)", "mu2", "layers.0.weight", "%3")]
    ['x', 'W_{1}', 'h_{t-1}', '\\mu_{2}', '\\mathrm{layers.0.weight}', 'v_{3}']
    """
    word = name.replace("%", "v")
    found = re.fullmatch(r"(" + "|".join(GREEK) + r"|[A-Za-z])([a-z]?\d*)(?:_\(?([^()]*)\)?)?", word)
    if name == "...":
        return Formula(name, r"\ldots")
    if (long := re.fullmatch(r"([A-Za-z]{3,})_(\w)", name)) and long[1] not in GREEK:
        return Formula(name, rf"\mathrm{{{long[1]}}}_{{{long[2]}}}")
    if found is None or (len(found[1] + found[2]) > 1 and found[2].isalpha() and len(found[2]) + len(found[1]) > 3):
        return Formula(name, r"\mathrm{" + word.replace("_", r"\_").replace("#", r"\#") + "}")
    letter = "\\" + found[1] if found[1] in GREEK else found[1]
    index = ",".join(part for part in (found[2], found[3]) if part)
    return Formula(name, f"{letter}_{{{index}}}" if index else letter)


def number(value: Any) -> Formula:
    """A number, as short as it can be read."""
    text = f"{value:.6g}" if isinstance(value, (float, np.floating)) else str(value)
    mantissa, _, power = text.partition("e")
    latex = rf"{mantissa} \cdot 10^{{{int(power)}}}" if power else text.replace("inf", r"\infty")
    return (
        Formula(text, latex, SUM, SUM) if text.startswith("-") else Formula(text, latex, ATOM, DOT if power else ATOM)
    )


def call(name: str, *inputs: Formula, **options: Any) -> Formula:
    """A function of formulas, its options after them."""
    return applied(name, inputs, [f"{k}={shown(v)}" for k, v in options.items()])


def applied(name: str, inputs: Sequence[Formula], more: Sequence[str] = ()) -> Formula:
    r"""A function of formulas and of what follows them as it stands.

    >>> applied("max_pool", [symbol("x")], ["2"])[:2]
    ('max_pool(x, 2)', '\\operatorname{max\\_pool}\\left(x, \\text{2}\\right)')
    """
    latex = KNOWN.get(name) or r"\operatorname{" + name.replace("_", r"\_") + "}"
    behind = r"\text{" + ", ".join(more).replace("_", r"\_") + "}" if more else ""
    inside = ", ".join([*(i.latex for i in inputs), *([behind] if behind else [])])
    return Formula(f"{name}({', '.join([*(i.text for i in inputs), *more])})", rf"{latex}\left({inside}\right)")


def plus(a: Formula, b: Formula) -> Formula:
    a, b = a.within(SUM), b.within(SUM)
    if b.text.startswith("-"):
        return Formula(f"{a.text} - {b.text[1:]}", f"{a.latex} - {b.latex[1:]}", SUM)
    return Formula(f"{a.text} + {b.text}", f"{a.latex} + {b.latex}", SUM)


def minus(a: Formula, b: Formula) -> Formula:
    a, b = a.within(SUM), b.within(DOT)
    return Formula(f"{a.text} - {b.text}", f"{a.latex} - {b.latex}", SUM)


def negative(a: Formula) -> Formula:
    a = a.within(DOT)
    return Formula(f"-{a.text}", f"-{a.latex}", SUM)


def product(a: Formula, b: Formula) -> Formula:
    """Of matrices and vectors: W x. It binds more tightly than what is done element by element."""
    a, b = a.within(MATRIX), b.within(POWER)
    return Formula(f"{a.text} {b.text}", f"{a.latex} {b.latex}", MATRIX)


def times(a: Formula, b: Formula, scalar: bool = False) -> Formula:
    """Element by element, or by a number."""
    if "1" in (a.text, b.text):
        return b if a.text == "1" else a
    a, b, sign = a.within(PRODUCT), b.within(POWER), r"\cdot" if scalar else r"\odot"
    return Formula(f"{a.text} * {b.text}", f"{a.latex} {sign} {b.latex}", PRODUCT)


def over(a: Formula, b: Formula) -> Formula:
    left, right = a.within(PRODUCT), b.within(POWER)
    return Formula(f"{left.text} / {right.text}", rf"\frac{{{a.latex}}}{{{b.latex}}}", PRODUCT)


def power(a: Formula, b: Formula) -> Formula:
    a, right = a.within(ATOM), b.within(ATOM)
    return Formula(f"{a.text}^{right.text}", f"{a.latex}^{{{b.latex}}}", POWER)


def transposed(a: Formula) -> Formula:
    a = a.within(ATOM)
    return Formula(f"{a.text}^T", f"{a.latex}^\\top", POWER)


def indexed(a: Formula, index: str) -> Formula:
    a = a.within(ATOM)
    return Formula(f"{a.text}[{index}]", f"{a.latex}[{index}]")


def compared(a: Formula, sign: str, b: Formula) -> Formula:
    latex = {"<=": r"\le", "&": r"\wedge", "|": r"\vee"}.get(sign, sign)
    a, b = a.within(SUM), b.within(SUM)
    return Formula(f"{a.text} {sign} {b.text}", f"{a.latex} {latex} {b.latex}", LOOSE)


def root(a: Formula) -> Formula:
    return Formula(f"sqrt({a.text})", rf"\sqrt{{{a.latex}}}")


def stacked(parts: Sequence[Formula], sign: str = "; ") -> Formula:
    """One above the other, or with ", " side by side."""
    return Formula(f"[{sign.join(p.text for p in parts)}]", rf"\left[{sign.join(p.latex for p in parts)}\right]")


# ---- operations ---------------------------------------------------------------------------------------------------

SAME = {"broadcast", "to_samples", "stop_gradient"}  # what they change is no part of a formula
KINDS = ("bool", "uint", "int", "float")  # each has the numbers of those before it
BINARY = {"add": plus, "subtract": minus, "divide": over, "fast_divide": over, "power": power}
SIGNS = {"less": "<", "less_equal": "<=", "equal": "==", "logical_and": "&", "logical_or": "|"}
USUAL = [("axis", -1), ("keepdims", False)]  # options that go without saying
WORDS = {"absolute": "abs", "select": "where", "maximum": "max", "minimum": "min", "logical_not": "not"}


def operation(v: Value, inputs: Sequence[Formula]) -> Formula:
    """One operation as a formula of its inputs."""
    name, a = v.primitive.name, v.attributes
    if name in ("fill", "constant"):
        value = np.asarray(a["value"])
        plain = value.size == 1 or (value.size and (value == value.flat[0]).all())
        return number(value.flat[0].item()) if plain else symbol(f"array{value.shape}")
    if is_same(v):
        return inputs[0]
    if name == "cast":
        return call(v.dtype, *inputs)
    if name in BINARY:
        return BINARY[name](*inputs)
    if name == "multiply":
        return times(inputs[0], inputs[1], any(not i.shape or is_number(i) for i in v.inputs))
    if name in SIGNS:
        return compared(inputs[0], SIGNS[name], inputs[1])
    single = {"negative": negative, "sqrt": root, "fast_sqrt": root}
    if name in single:
        return single[name](*inputs)
    if name == "contract":
        return contraction(a["spec"], *inputs)
    if name == "transpose" and v.ndim == 2:
        return transposed(*inputs)
    if name == "slice":
        parts = zip(a["starts"], a["stops"], a["steps"], v.inputs[0].shape, strict=True)
        return indexed(inputs[0], ", ".join(_range(*part) for part in parts))
    if name == "reshape":
        return call("flatten", *inputs) if v.ndim == 1 else call("reshape", *inputs, shape=v.shape)
    if name == "concatenate" and a["axis"] in (-v.ndim, -1):
        return stacked(inputs, "; " if a["axis"] == -v.ndim else ", ")
    if name == "take":
        return indexed(inputs[0], inputs[1].text)
    if name == "batch_count":
        return symbol("n")
    if name == "ruled":
        options = {k: x for k, x in getattr(a["rule"], "keywords", {}).items() if (k, x) not in USUAL}
        return call(a["rule"].__name__.lstrip("_"), *inputs, **options)
    return call(WORDS.get(name, name), *inputs, **_options(v))


def is_same(v: Value) -> bool:
    """Whether it has the numbers of its input, in another shape or dtype at most."""
    name = v.primitive.name
    if name == "cast":  # to whole numbers and truth values others are rounded
        return KINDS.index(v.dtype.rstrip("0123456789")) >= KINDS.index(v.inputs[0].dtype.rstrip("0123456789"))
    if name == "transpose":
        return v.attributes["axes"] == tuple(range(-v.ndim, 0))
    return name in SAME or (name == "reshape" and squeezed(v.shape) == squeezed(v.inputs[0].shape))


def squeezed(shape: Sequence[int]) -> list[int]:
    return [n for n in shape if n != 1]


def _range(start: int, stop: int, step: int, n: int) -> str:
    if (start, stop, step) == (0, n, 1):
        return ":"
    return f"{start}" if stop == start + 1 else f"{start}:{stop}" + f":{step}" * (step != 1)


def _options(v: Value) -> dict[str, Any]:
    """The attributes that a reader needs: not the axes of a sum over all of them, nor what is 1 along every axis."""
    plain = {k: x for k, x in v.attributes.items() if isinstance(x, (int, float, str, tuple, bool))}
    axes: Any = plain.pop("axes", ()) if v.inputs else ()
    if axes and axes != tuple(range(-v.inputs[0].ndim, 0)):
        plain |= {"axis": axes[0]} if len(axes) == 1 else {"axes": axes}
    return {
        k: x for k, x in plain.items() if k not in ("dtype", "name", "shape") and not (type(x) is tuple and {*x} == {1})
    }


def contraction(spec: str, a: Formula, b: Formula) -> Formula:
    """A product of matrices or vectors as it is written, W x; of more axes, the letters with it.

    >>> W, x = symbol("W"), symbol("x")
    >>> [contraction(spec, W, x).text for spec in ("ij,j->i", "ij,tj->ti", "ij,i->j", "i,i->", "i,j->ij", "hij,hj->hi")]
    ['W x', 'x W^T', 'W^T x', 'W . x', 'W x^T', 'contract(W, x, hij,hj->hi)']
    """
    operands, out = spec.split("->")
    left, right = operands.split(",")
    summed = [k for k in left if k in right and k not in out]
    if len(left) == len(right) == 1 and not out:
        return Formula(f"{a.within(ATOM).text} . {b.within(ATOM).text}",
                       rf"{a.within(ATOM).latex} \cdot {b.within(ATOM).latex}", DOT)  # fmt: skip
    if "" in (left, right):
        return times(a, b, scalar=True)
    if len(left) == len(right) == 1 and len(out) == 2:
        return product(a, transposed(b)) if out == left + right else product(b, transposed(a))
    if len(summed) == 1 and max(len(left), len(right)) == 2 and len(out) == len(left) + len(right) - 2:
        (k,) = summed
        if (len(left) == 1 and len(out) == 1) or (len(out) == 2 and out[0] in right):
            left, right, a, b = right, left, b, a
        return product(a if left[-1] == k else transposed(a), b if right[0] == k else transposed(b))
    letters = spec.replace("->", r" \to ")
    return Formula(f"contract({a.text}, {b.text}, {spec})",
                   rf"\operatorname{{contract}}_{{{letters}}}\left({a.latex}, {b.latex}\right)")  # fmt: skip


def is_number(v: Value) -> bool:
    """Whether it is a constant with one number in all its places."""
    while v.primitive.name == "reshape" or is_same(v):
        v = v.inputs[0]
    if v.primitive.name not in ("fill", "constant"):
        return False
    value = np.asarray(v.attributes["value"])
    return value.size > 0 and bool((value == value.flat[0]).all())


# ---- whole graphs -------------------------------------------------------------------------------------------------


class Line(NamedTuple):
    """``name = formula`` of a Value; ``more`` are equations that say more of it, such as those of gates."""

    name: Formula
    formula: Formula
    value: Value
    more: tuple[tuple[Formula, Formula], ...] = ()


class Said(NamedTuple):
    """What is written for a Value in the place of its operations: a formula of some inputs, and more equations."""

    inputs: tuple[Value, ...]
    write: Callable[..., tuple[Formula, Sequence[tuple[Formula, Formula]]]]
    step: bool = True  # whether its inputs have lines of their own


class Writer:
    """Writes a graph, from what is known by name to its outputs.

    ``known``: the formulas of inputs and parameters; ``fresh(v)``: a name for a Value that needs a line of its own;
    ``said``: what stands for certain Values; ``around``: what is written around others.
    """

    def __init__(
        self,
        known: Mapping[Value, Formula],
        fresh: Callable[[Value], Formula],
        said: Mapping[Value, Said] | None = None,
        around: Mapping[Value, Sequence[Callable[[Formula], Formula]]] | None = None,
    ) -> None:
        self.names, self.fresh, self.said, self.around = dict(known), fresh, said or {}, around or {}
        self.lines: list[Line] = []

    def inputs(self, v: Value) -> tuple[Value, ...]:
        """What its formula is written in terms of."""
        if v in self.said:
            return self.said[v].inputs
        return v.inputs[1:] if v.primitive.name == "ruled" else v.inputs

    def write(self, outputs: Iterable[Value], whole: bool = False) -> list[Formula]:
        """The outputs' formulas; the lines that they need are added to ``lines``. ``whole``: a line for each output."""
        outputs = list(outputs)
        order = toposort(outputs, self.names, self.inputs)
        uses = Counter(i for v in order for i in self.inputs(v))
        begins = {i for v in order if self._is_step(v) for i in self.inputs(v) if i.kind == "sample"}
        found: dict[Value, Formula] = {}
        for v in order:
            if v in self.names:
                found[v] = self.names[v]
                continue
            given = [found[i] for i in self.inputs(v)]
            formula, more = self.said[v].write(*given) if v in self.said else (operation(v, given), ())
            for wrap in self.around.get(v, ()):
                formula = wrap(formula)
            own = uses[v] + outputs.count(v) > 1 or v in begins or len(formula.text) > LONG
            bare = is_number(v) or re.fullmatch(r"[\w.%]+", formula.text)
            if more or (whole and v in outputs) or (own and not bare):
                name = self.names[v] = self.fresh(v)
                self.lines.append(Line(name, formula, v, tuple(more)))
                formula = name
            found[v] = formula
        return [found[v] for v in outputs]

    def _is_step(self, v: Value) -> bool:
        if v in self.said:
            return self.said[v].step
        return v.primitive.name == "contract"


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Rows of texts in columns, the last of numbers."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in lines]
