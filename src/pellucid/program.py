"""`Program`: what an executor compiles, a graph with names for what goes in and out. Imports graph and listing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from . import listing
from .errors import GraphError
from .graph import Value, cached_property, sample_input, shared_input, state_leaf, toposort


class Program:
    """What an executor compiles: named inputs, named outputs, and updates of state.

    ``updates`` maps a `state` Value to the Value it takes after the call; all are computed from the state before it.
    State that is read but not updated needs no mention. Raises `GraphError` where the parts do not fit.

    >>> from pellucid import input, state
    >>> w, x = state("w"), input("x")
    >>> print(Program({"x": x}, outputs={}, updates={w: w}).listing())
    program
      inputs  x: sample float32 ()
      state   w: shared float32 ()
      w' = w
    """

    def __init__(
        self,
        inputs: Mapping[str, Value] | Iterable[Value] = (),
        outputs: Mapping[str, Value] | None = None,
        updates: Mapping[Value, Value] | None = None,
    ) -> None:
        if not isinstance(inputs, Mapping):
            inputs = {v.name or "": v for v in inputs}
        self.inputs = dict(inputs)
        self.outputs = dict(outputs or {})
        self.updates = dict(updates or {})
        for v in (*self.inputs.values(), *self.outputs.values(), *self.updates, *self.updates.values()):
            if not isinstance(v, Value):
                raise GraphError(f"a program is made of Values, got {type(v).__name__} {v!r}")
        self.order = toposort([*self.inputs.values(), *self.outputs.values(), *self.updates, *self.updates.values()])
        self.state = {v.name or "": v for v in self.order if v.primitive is state_leaf}
        self._check()

    def _check(self) -> None:
        for name, v in self.inputs.items():
            if v.primitive not in (sample_input, shared_input):
                raise GraphError(f"program input {name!r} is {v!r}; inputs are made by pellucid.input(...)")
        known = set(self.inputs.values())
        names: dict[str | None, Value] = {}
        for v in self.order:
            if v.primitive in (sample_input, shared_input) and v not in known:
                given = ", ".join(map(repr, self.inputs)) or "none"
                raise GraphError(f"the program needs input {v.name!r}, which is not among its inputs ({given})")
            if v.primitive is state_leaf and names.setdefault(v.name, v) is not v:
                raise GraphError(f"two different state Values are named {v.name!r}; nets and optimizers of one program "
                                 "need names of their own, and a net that is called twice is one nn.Net")  # fmt: skip
        for target, new in self.updates.items():
            if target.primitive is not state_leaf:
                raise GraphError(f"only state can be updated, not {target!r}")
            if new.type != target.type:
                hint = " Use batch_mean or batch_sum." if new.kind == "sample" else ""
                raise GraphError(f"update of state {target.name!r} ({target.type}) has type {new.type}.{hint}")

    @cached_property
    def needs_batch(self) -> bool:
        """Whether the program has sample values and so needs to know how many samples there are."""
        return any(v.kind == "sample" or v.primitive.needs_batch for v in self.order)

    def names(self) -> dict[Value, str]:
        """What the listing calls each Value: its own name, or its number."""
        names = {v: str(name) for leaves in (self.inputs, self.state) for name, v in leaves.items()}
        for v in self.order:
            if v not in names:
                names[v] = v.name or f"%{len(names)}"
        return names

    def listing(self, full: bool = False) -> str:
        """The program as formulas, with names for what is used twice; with ``full``, every operation on a line."""
        return listing.listing(self, full)

    __str__ = listing

    def __repr__(self) -> str:
        return listing.summary(self)

    def _repr_html_(self) -> str:
        return listing.html(self)


def verify(program: Program) -> None:
    """Structural check: every shape rule, run again, gives the type that its Value carries."""
    for v in program.order:
        again = v.primitive(*v.inputs, **v.attributes, **({"name": v.name} if not v.inputs and v.name else {}))
        if again.type != v.type:
            raise GraphError(f"{v!r}: its shape rule says {again.type}")
