"""`Network`: a net, and the graphs that it becomes on inputs of given shapes. Imports nn, graph and its siblings."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..errors import ArgumentError, GraphError
from ..nn.layer import Traced
from .arrays import Spec, graph_dtype
from .codes import Codes, codes_of
from .programs import NetSpec, trace_net


class Network:
    """A net with the inputs that it was built for, as a graph; and as other graphs, for samples of other shapes."""

    def __init__(self, net: Callable, dtype: str) -> None:
        self.net, self.dtype = net, dtype
        self.forget()

    def forget(self) -> None:
        """Be as before the first data was seen."""
        self.traced: Traced | None = None
        self.specs: dict[str, Spec] = {}  # of the inputs that it was built for, by name
        self.how = ""  # it is called: with "one" input, a "tuple" of them, or "named" ones
        self._others: dict[tuple[Spec, ...], Traced] = {}  # traced on samples of other shapes than it was built for
        self._coded: tuple[Traced | None, dict[str, Codes]] = None, {}

    def built(self) -> Traced:
        """The net as a graph; `GraphError` where it has seen no data yet."""
        if self.traced is None:
            raise GraphError("the model has no weights yet: fit it, or give Model(..., input_shape=(n,))")
        return self.traced

    def spec(self, specs: Mapping[str, Spec] | None = None, how: str | None = None) -> NetSpec:
        """What is to be traced; by default on the inputs that the net was built for."""
        return NetSpec(self.net, self.specs if specs is None else specs, self.how if how is None else how, self.dtype)

    def spec_of(self, arrays: Mapping[str, np.ndarray]) -> NetSpec:
        """What is to be traced for such arrays."""
        return self.spec(self.specs_of(arrays))

    def replace(self, net: Callable) -> None:
        """Take another net of the same weights."""
        self.net = net
        if self.traced is not None:
            self.traced, _ = trace_net(self.spec(), training=False)
            self._others = {}

    # ---- inputs ---------------------------------------------------------------------------------------------------

    def codes(self) -> dict[str, Codes]:
        """The inputs that the net needs whole numbers of."""
        if self._coded[0] is not self.traced:
            self._coded = self.traced, codes_of(self.built())
        return self._coded[1]

    def dtype_of(self, name: str, a: np.ndarray) -> str:
        """The dtype that an array has in the graph, by its name there."""
        if name not in self.specs:
            return graph_dtype(a, self.dtype)
        built = self.specs[name].dtype
        if built == self.dtype or (built == "uint8" and a.dtype.char in "B?"):
            return built
        return "int32" if name in self.codes() else self.dtype

    def specs_of(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Spec]:
        """The net's inputs in the shapes and dtypes of these arrays; where there is no array, as it was built."""
        return {k: Spec(arrays[k].shape[1:], self.dtype_of(k, arrays[k])) if k in arrays else s
                for k, s in self.specs.items()}  # fmt: skip

    # ---- other shapes ---------------------------------------------------------------------------------------------

    def traced_for(self, arrays: Mapping[str, np.ndarray]) -> Traced:
        """The net as a graph on samples of these shapes."""
        return self._others.get(tuple(self.specs_of(arrays).values()), self.built())

    def refuses(self, arrays: Mapping[str, np.ndarray]) -> str:
        """Why the net cannot take samples of these shapes with the weights it has; empty if it can."""
        specs = self.specs_of(arrays)
        key = tuple(specs.values())
        if key not in self._others:
            try:
                traced, _ = trace_net(self.spec(specs), training=False)
            except (ArgumentError, GraphError) as error:
                return f"; {error}"
            for name, p in self.built().parameters.items():
                own, needed = p.value.shape, traced.parameters[name].value.shape
                if own != needed:
                    return f"; {name!r} has shape {own} and would need {needed}" + (
                        " (a net with nn.GlobalAvgPool() in the place of nn.Flatten() takes any size)"
                        * all(specs[k].shape[0] == s.shape[0] for k, s in self.specs.items() if s.shape)
                    )
            self._others[key] = traced
        return ""
