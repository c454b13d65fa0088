"""What each operation means: shape rule, formula and derivative. Imports `graph`, never an executor.

An elementwise primitive is one block in `elementwise.py`, a formula of primitives a plain function in `composite.py`.
"""

from . import operators
from .composite import erfinv, log_softmax, logsumexp, norm, safe_sqrt, sigmoid, softmax, softplus, with_vjp
from .contract import contract, dot
from .conv import (
    convolve,
    correlate,
    correlate_transposed,
    overlap_add,
    padded,
    windows,
)
from .elementwise import (
    absolute,
    cast,
    erf,
    exp,
    expm1,
    fast_sqrt,
    floor,
    log,
    log1p,
    sign,
    spread,
    sqrt,
    tanh,
    where,
)
from .elementwise import equals as equal
from .elementwise import fast_divide as _fast_divide
from .elementwise import maximum as _maximum
from .elementwise import minimum as _minimum
from .gather import one_hot, scatter_rows, take
from .lift import vmap
from .movement import (
    broadcast_to,
    concatenate,
    constant,
    expand_dims,
    fill,
    flip,
    iota,
    pad,
    reshape,
    stack,
    stop_gradient,
    transpose,
    zeros_like,
)
from .pool import avg_pool, global_avg_pool, global_max_pool, largest, max_pool, upsample
from .random import bernoulli, fold_in, normal, orthonormal, random_bits, uniform
from .reduce import (
    all_samples,
    argmax,
    batch_mean,
    batch_size,
    batch_sum,
    each_sample,
    max,
    mean,
    min,
    sample_index,
    sum,
    to_samples,
)
from .scan import scan
from .sizes import each_axis, padding_widths

fast_divide = spread(_fast_divide)
maximum = spread(_maximum)
minimum = spread(_minimum)
abs = absolute

__all__ = [
    "abs", "absolute", "all_samples", "argmax", "avg_pool", "batch_mean", "batch_size", "batch_sum", "bernoulli",
    "broadcast_to", "cast", "concatenate", "constant", "contract", "convolve", "correlate", "correlate_transposed",
    "dot", "each_axis", "each_sample", "equal", "erf", "erfinv", "exp", "expand_dims", "expm1", "fast_divide",
    "fast_sqrt", "fill", "flip", "floor", "fold_in", "global_avg_pool", "global_max_pool", "iota", "largest", "log",
    "log1p", "log_softmax", "logsumexp", "max", "max_pool", "maximum", "mean", "min", "minimum", "norm", "normal",
    "one_hot", "orthonormal", "overlap_add", "pad", "padded", "padding_widths", "random_bits", "reshape",
    "safe_sqrt", "sample_index", "scan", "scatter_rows", "sigmoid", "sign", "softmax", "softplus", "spread", "sqrt",
    "stack", "stop_gradient", "sum", "take", "tanh", "to_samples", "transpose", "uniform", "upsample", "vmap",
    "where", "windows", "with_vjp", "zeros_like",
]  # fmt: skip
