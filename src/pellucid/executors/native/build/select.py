"""Which kernel writes the nest of a group: the candidates, the best first."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ....graph import Value
from ....ops.conv import gives_places, over_windows
from ....ops.winograd import winograd_kernel, winograd_product, winograd_slopes, winograd_weight
from ..codegen.nest import Nest
from ..jit.target import Host
from ..kernels.contraction import sample_contraction
from ..kernels.conv import correlation
from ..kernels.conv_gradient import kernel_gradient
from ..kernels.conv_image import image_correlation
from ..kernels.dot import dot, dot_letter, is_matrix_times_vector, matrix_times_vector
from ..kernels.matmul import is_matmul, matmul
from ..kernels.pointwise import sample_nest, shared_nest
from ..kernels.reduce import reduce_rows, reduces_rows
from ..kernels.scatter import scatter_nest
from ..kernels.take import take_nest, takes
from ..kernels.transpose import is_pack, is_transpose, pack, transpose
from ..kernels.weight_gradient import weight_gradient, weight_gradient_tiling
from ..kernels.weight_gradient_chunked import has_many_steps, weight_gradient_chunked
from ..kernels.winograd import winograd_conv, winograd_transform
from ..kernels.winograd_gradient import winograd_gradient
from ..plan.buffer import BYTES, Buffer
from ..plan.image_layout import image_windows
from ..plan.layout_ops import PACK
from ..plan.planner import Group
from .task import Task


def finished(nest: Nest, units: int | None = None, split: bool = False, parts: int = 1) -> Task:
    """The end of a nest's function."""
    nest.builder.ret_void()
    return Task(nest, units, split and units is not None, parts)


class Kernels(NamedTuple):
    """The kernels that can write a nest for a machine, given these rows and buffers."""

    h: Host
    rows: dict[Value, Buffer]
    buffers: dict[Value, Buffer]

    def candidates(self, g: Group, inside: bool = False) -> Iterator[Callable[[Nest, Group], Task]]:
        """What can write the nest of a group, the best first; ``inside`` a loop, or not."""
        registers = self._registers(g)
        if g.kind == "sample":
            if (taken := takes(g, self.buffers, self.h.width)) is not None:
                yield lambda nest, g: finished(nest, parts=take_nest(nest, g, taken))
            if g.core is None:
                yield lambda nest, g: finished(nest, parts=sample_nest(nest, g))
            elif g.core.primitive is winograd_product:
                yield lambda nest, g: finished(nest, parts=winograd_conv(nest, g))
            elif gives_places(g.core) and not inside:
                yield lambda nest, g: finished(nest, parts=correlation(nest, g, registers))
            else:
                yield lambda nest, g: finished(nest, sample_contraction(nest, g, registers), split=True)
        elif g.outer:
            yield from self._of_weight_gradient(g)
        elif g.core is not None and g.core.primitive in (winograd_kernel, winograd_weight):
            yield lambda nest, g: finished(nest, winograd_transform(nest, g))
        else:
            for write in self._of_shared(g):
                yield functools.partial(self._in_units, write)

    def _registers(self, g: Group) -> int:
        """How many vectors a tile may hold: half as many of twice the width (a 30-100-1 net: 2.5 times as fast)."""
        wide = g.core is not None and BYTES[g.core.dtype] > 4
        return self.h.accumulators // 2 if wide else self.h.accumulators

    def _in_units(self, write: Callable[[Nest, Group], int], nest: Nest, g: Group) -> Task:
        return finished(nest, write(nest, g))

    def _of_weight_gradient(self, g: Group) -> Iterator[Callable[[Nest, Group], Task]]:
        """The same for a group whose core is a sum of products over the samples."""
        registers = self._registers(g)
        assert g.core is not None
        if g.core.inputs[0].primitive is winograd_slopes:
            yield lambda nest, g: finished(nest, winograd_gradient(nest, g, registers))
        elif over_windows(g.core.inputs[0]):
            yield lambda nest, g: finished(nest, kernel_gradient(nest, g, registers, self.h.quick))
        else:
            registers = (
                registers // 2 if self.h.quick else registers
            )  # what follows the sum is written for each vector of a tile
            tiling, rows = weight_gradient_tiling(g.core, self.h.width, registers), self.rows
            write = weight_gradient_chunked if has_many_steps(tiling) else weight_gradient
            yield lambda nest, g: finished(nest, write(nest, g, tiling, rows))
            yield lambda nest, g: finished(nest, write(nest, g, tiling, rows, by_element=True))

    def _of_shared(self, g: Group) -> Iterator[Callable[[Nest, Group], int]]:
        """The same for a group of shared values; each gives the number of units."""
        if g.core is not None and image_windows(g.core) is not None:
            yield lambda nest, g: image_correlation(nest, g, self.h.accumulators)
        if g.core is not None and not g.scatter and dot_letter(g.core):
            if is_matrix_times_vector(g.core):
                yield matrix_times_vector
            yield dot
        if g.core is not None and not g.scatter and is_matmul(g.core):
            yield lambda nest, g: matmul(nest, g, self._registers(g))
        if reduces_rows(g, self.h.width):
            yield reduce_rows
        if is_transpose(g):
            yield transpose
        if is_pack(g) and self.h.width >= PACK:
            yield pack
        yield lambda nest, g: scatter_nest(nest, g, self.rows) if g.scatter else shared_nest(nest, g)
        yield self._by_element

    def _by_element(self, nest: Nest, g: Group) -> int:
        nest.without_lanes()
        return scatter_nest(nest, g, self.rows) if g.scatter else shared_nest(nest, g)
