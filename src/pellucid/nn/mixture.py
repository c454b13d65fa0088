"""A loss for numbers that are drawn, not predicted: the likelihood of a mixture of Gaussians. Imports graph and ops."""

from __future__ import annotations

import math

from .. import ops
from ..checks import checked, number, whole, wrong
from ..errors import GraphError
from ..graph import Shape, Value
from .loss import Loss
from .losses import surprise


class MixtureDensity(Loss):
    """-log of the density of points (t_1, t_2) in the plane, that the net gives as a mixture of M Gaussians.

        p(t) = sum_m w_m N(t; mu_m, S_m),   w = softmax(y_w)
        S_m has the deviations s = floor + softplus(y_s) and the correlation rho = r / sqrt(1 + r^2)
        log N = -(z_1^2 + u^2) / 2 - log(2 pi s_1 s_2) + log(1 + r^2) / 2,   with
        z = (t - mu) / s,   u = sqrt(1 + r^2) z_2 - r z_1

    Nothing of it overflows, or loses its digits where rho is near 1. ``floor`` keeps the density of numbers that often
    occur exactly from growing without bound; it is in the units of t, which had best have a deviation near 1.
    With ``classes`` k there is a class too, such as the pen lifted or not: -log softmax(y_c)[t_3] is added.

    Shapes: y (..., 6 M + k), the M weights, mu_1, mu_2, s_1, s_2, r, then the classes; t (..., 2), or (..., 3) with the
    number of the class. Of further axes it is the mean, without the steps whose class is ``ignore_class``. `predict`
    gives w, mu_1, mu_2, s_1, s_2, rho and the chances of the classes, in the same places. Raises `GraphError` for other
    shapes. Bishop, "Mixture density networks", 1994; Graves, "Generating sequences with recurrent neural networks",
    2013; Ha and Eck, "A neural representation of sketch drawings", 2018.

    >>> from pellucid import input
    >>> MixtureDensity(20, classes=3, ignore_class=-1)(input("y", (7, 123)), input("t", (7, 3)))
    <divide: sample float32 ()>
    """

    components: int
    classes: int = 0
    ignore_class: int | None = None
    floor: float = 1e-3

    targets = "any"

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, whole, "components")
        checked(self, whole, "classes", least=0)
        if self.classes == 1:
            raise wrong(self, "classes", "0, or 2 or more", 1)
        checked(self, whole, "ignore_class", least=None, optional=True)
        if self.ignore_class is not None and not self.classes:
            raise GraphError(f"MixtureDensity: ignore_class={self.ignore_class} needs classes, got classes=0")
        checked(self, number, "floor", above=0)

    def each(self, y: Value, t: Value) -> Value:
        logits, mu_1, mu_2, s_1, s_2, r = self.parts(y)
        numbers = 3 if self.classes else 2
        if t.shape != (*y.shape[:-1], numbers):
            raise GraphError(f"MixtureDensity: for the output {y.shape} the target of a sample must have shape "
                             f"{(*y.shape[:-1], numbers)}, got {t.shape}")  # fmt: skip
        point = ops.cast(t, y.dtype)
        z_1, z_2 = (point[..., 0:1] - mu_1) / s_1, (point[..., 1:2] - mu_2) / s_2
        stretch = 1 + r * r
        u = ops.sqrt(stretch) * z_2 - r * z_1
        gaussians = 0.5 * ops.log(stretch) - 0.5 * (z_1 * z_1 + u * u) - ops.log(s_1 * s_2) - math.log(2 * math.pi)
        each = ops.logsumexp(logits, -1) - ops.logsumexp(logits + gaussians, -1)
        if self.classes:
            chances = y[..., 6 * self.components :]
            each = each + surprise(chances, self.label(t))
        return each

    def link(self, y: Value) -> Value:
        logits, mu_1, mu_2, s_1, s_2, r = self.parts(y)
        found = [ops.softmax(logits), mu_1, mu_2, s_1, s_2, r / ops.sqrt(1 + r * r)]
        if self.classes:
            found.append(ops.softmax(y[..., 6 * self.components :]))
        return ops.concatenate(found, -1)

    def class_axis(self, shape: Shape, masked: bool = False) -> int:
        return super().class_axis(shape, masked=True)  # the last, if not said

    def counted(self, t: Value) -> Value | None:
        return None if self.ignore_class is None else ~ops.equal(self.label(t), self.ignore_class)

    def label(self, t: Value) -> Value:
        """The class number that stands after the point."""
        return ops.cast(t[..., 2], "int32")

    def parts(self, y: Value) -> list[Value]:
        """Of each Gaussian, (..., M) each: the logit of its weight, mu_1, mu_2, s_1, s_2, r."""
        m, n = self.components, 6 * self.components + self.classes
        if not y.ndim or y.shape[-1] != n:
            raise GraphError(f"MixtureDensity: {m} components and {self.classes} classes need 6 * {m} + {self.classes} "
                             f"= {n} outputs, got output shape {y.shape}; end the net with nn.Dense({n})")  # fmt: skip
        parts = [y[..., k * m : (k + 1) * m] for k in range(6)]
        return [*parts[:3], *(self.floor + ops.softplus(s) for s in parts[3:5]), parts[5]]
