"""Which of PyTorch's operations, modules and optimizers are ours, for its own test samples: three tables.

A function takes what PyTorch's takes, Values in the place of tensors, and gives the Value that must be equal. `Other`
says that a sample asks for what we do not have, and what that is. Nothing of PyTorch is needed here, nor copied.
Used by tests/ops/test_torch_samples.py.
"""

from __future__ import annotations

import math

from pellucid import nn, ops, optim
from pellucid.graph import Value


class Other(Exception):
    """A sample of what is ours only in part: its reason."""


def no(*given, reason="an option that we do not have"):
    """Only samples without these options."""
    if any(given):
        raise Other(reason)


def numbers(v):
    return v if isinstance(v, Value) else float(v)


def binary(function):
    def call(a, b, **options):
        no(*options.values())
        a, b = numbers(a), numbers(b)
        if not isinstance(a, Value) and not isinstance(b, Value):
            raise Other("two numbers")
        return function(a, b)

    return call


def unary(function):
    def call(x, **options):
        no(*options.values())
        return function(x)

    return call


def scaled_sum(sign):
    def call(a, b, alpha=1):
        a, b = numbers(a), numbers(b)
        if isinstance(alpha, complex) or not (isinstance(a, Value) or isinstance(b, Value)):
            raise Other("complex, or two numbers")
        return a + b * (sign * alpha)

    return call


def reduction(function, empty=False):
    def call(x, dim=None, keepdim=False, **options):
        no(*options.values())
        if not x.ndim and dim is not None:
            raise Other("an axis of a number without axes")
        if not x.size and not empty:
            raise Other("nothing to take it of: an error with us")
        axes = tuple(dim) if isinstance(dim, (tuple, list)) else dim
        if axes == ():
            axes = None
        return function(x, axes, keepdim)

    return call


def softmax(function):
    def call(x, dim, dtype=None, **options):
        no(dtype is not None)
        if not x.ndim:
            raise Other("an axis of a number without axes")
        return function(x, dim)

    return call


def vector_norm(x, ord=2, dim=None, keepdim=False, dtype=None):
    no(dtype is not None)
    if ord < 1:
        raise Other("p below 1 is no norm")
    if not x.ndim and dim is not None:
        raise Other("an axis of a number without axes")
    if not x.size:
        raise Other("nothing to take it of: an error with us")
    return ops.norm(x, ord, tuple(dim) if isinstance(dim, (tuple, list)) else dim, keepdim)


def variance(root):
    def call(x, dim=None, unbiased=None, keepdim=False, correction=None, **options):
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        less = correction if correction is not None else 1 if unbiased is None else int(unbiased)
        if not x.ndim or not x.size:
            raise Other("of a number, or of nothing")
        axes = tuple(range(x.ndim)) if dim is None or dim in ((), []) else dim
        axes = tuple(axes) if isinstance(axes, (tuple, list)) else (axes,)
        n = math.prod(x.shape[a] for a in axes)
        if n - less <= 0:
            raise Other("of too few numbers")
        off = x - ops.mean(x, axes, True)
        y = ops.sum(off * off, axes, keepdim) * (1 / (n - less))
        return ops.sqrt(y) if root else y

    return call


def clamp(x, min=None, max=None):
    no(min is None and max is None)
    if min is not None:
        x = ops.maximum(x, numbers(min))
    return x if max is None else ops.minimum(x, numbers(max))


def where(a, condition, b):
    a, b = numbers(a), numbers(b)
    if not (isinstance(a, Value) or isinstance(b, Value)):
        raise Other("two numbers")
    return ops.where(condition, a, b)


def reshape(x, *shape):
    shape = tuple(shape[0]) if shape and not isinstance(shape[0], int) else shape
    if -1 in shape and not x.size:
        raise Other("nothing, in a shape to be found")
    return ops.reshape(x, shape)


def flatten(x, start_dim=0, end_dim=-1):
    if not x.ndim:
        return ops.reshape(x, (1,))
    a, b = start_dim % x.ndim, end_dim % x.ndim
    return ops.reshape(x, (*x.shape[:a], math.prod(x.shape[a : b + 1]), *x.shape[b + 1 :]))


def transpose(x, a, b):
    if not x.ndim:
        return x
    order = list(range(x.ndim))
    order[a], order[b] = order[b], order[a]
    return ops.transpose(x, tuple(order))


def permute(x, *order):
    order = tuple(order[0]) if order and not isinstance(order[0], int) else order
    return ops.transpose(x, tuple(a % x.ndim for a in order)) if order else x


def unsqueeze(x, dim):
    shape = list(x.shape)
    shape.insert(dim if dim >= 0 else dim + x.ndim + 1, 1)
    return ops.reshape(x, tuple(shape))


def squeeze(x, dim=None):
    axes = range(x.ndim) if dim is None else [d % max(x.ndim, 1) for d in (dim if isinstance(dim, tuple) else (dim,))]
    return ops.reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in axes or n != 1))


def expand(x, *shape):
    shape = tuple(shape[0]) if shape and not isinstance(shape[0], int) else shape
    lead = len(shape) - x.ndim
    return ops.broadcast_to(x, tuple(x.shape[i - lead] if n == -1 else n for i, n in enumerate(shape)))


def pad(x, widths, mode="constant", value=None):
    if mode != "constant" or value not in (None, 0, 0.0) or any(n < 0 for n in widths):
        raise Other("padding that is cut, or no zeros")
    pairs = [(widths[i], widths[i + 1]) for i in range(0, len(widths), 2)][::-1]
    return ops.pad(x, [(0, 0)] * (x.ndim - len(pairs)) + pairs)


def cat(tensors, dim=0, **_):
    shapes = {t.ndim for t in tensors}
    if len(shapes) > 1 or not all(t.size for t in tensors):
        raise Other("an empty vector among others")
    return ops.concatenate(list(tensors), dim)


def narrow(x, dim, start, length):
    if isinstance(start, Value):
        raise Other("a start that is computed")
    at = [slice(None)] * x.ndim
    at[dim] = slice(start % x.shape[dim] if x.shape[dim] else 0, None)
    x = x[tuple(at)]
    at[dim] = slice(0, length)
    return x[tuple(at)]


def select(x, dim, index):
    at = [slice(None)] * x.ndim
    at[dim] = index
    return x[tuple(at)]


def flip(x, dims):
    dims = dims if isinstance(dims, (tuple, list)) else (dims,)
    for d in dims:
        at = [slice(None)] * x.ndim
        at[d] = slice(None, None, -1)
        x = x[tuple(at)]
    return x


def index_select(x, dim, index):
    if not x.ndim or index.ndim != 1:
        raise Other("rows of a number")
    order = [dim % x.ndim, *(i for i in range(x.ndim) if i != dim % x.ndim)]
    back = tuple(order.index(i) for i in range(x.ndim))
    return ops.transpose(ops.take(ops.transpose(x, tuple(order)), index), back)


def matmul(a, b, **_):
    if a.ndim > 3 or b.ndim > 3 or not a.ndim or not b.ndim:
        raise Other("products with more axes")
    specs = {
        (1, 1): "i,i->", (2, 1): "ij,j->i", (1, 2): "i,ij->j", (2, 2): "ij,jk->ik", (3, 1): "bij,j->bi",
        (3, 2): "bij,jk->bik", (2, 3): "ij,bjk->bik", (1, 3): "i,bij->bj", (3, 3): "bij,bjk->bik",
    }  # fmt: skip
    if a.ndim == b.ndim == 3 and a.shape[0] != b.shape[0]:
        n = max(a.shape[0], b.shape[0])
        a, b = (ops.broadcast_to(v, (n, *v.shape[1:])) for v in (a, b))
    return ops.contract(a, b, specs[a.ndim, b.ndim])


def added(spec):
    def call(c, a, b, beta=1, alpha=1, **options):
        no(*options.values())
        return numbers(c) * beta + ops.contract(a, b, spec) * alpha

    return call


def linear(x, weight, bias=None):
    if not x.ndim or weight.ndim != 2:
        raise Other("a weight that is no matrix")
    letters = "abcdef"[: x.ndim - 1]
    y = ops.contract(x, weight, f"{letters}i,oi->{letters}o")
    return y if bias is None else y + bias


def einsum(equation, operands):
    if len(operands) != 2 or "." in equation or "->" not in equation:
        raise Other("not two operands with letters")
    left, right = equation.replace(" ", "").split("->")
    a, b = left.split(",")
    if len(set(a)) < len(a) or len(set(b)) < len(b) or any(
        (c in a) + (c in b) + (c in right) < 2 for c in {*a, *b, *right}
    ):  # fmt: skip
        raise Other("a letter twice in one operand, or alone")
    return ops.contract(*operands, equation.replace(" ", ""))


def conv(rank):
    def call(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        if padding == "same" or not x.size or 0 in weight.shape:
            raise Other("same with an uneven rest is put elsewhere, or nothing")
        each = dict(strides=tupled(stride, rank), padding=padded(padding, rank), dilations=tupled(dilation, rank))

        def one(v):
            y = ops.correlate(v, weight, groups=groups, floor=True, **each)
            return y if bias is None else y + ops.reshape(bias, (-1, *(1,) * rank))

        return ops.vmap(one, x) if x.ndim == rank + 2 else one(x)

    return call


def conv_transpose(rank):
    def call(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
        if not x.size:
            raise Other("nothing")
        each = dict(strides=tupled(stride, rank), padding=padded(padding, rank), dilations=tupled(dilation, rank))

        def one(v):
            y = ops.correlate_transposed(v, weight, groups=groups, output_padding=tupled(output_padding, rank), **each)
            return y if bias is None else y + ops.reshape(bias, (-1, *(1,) * rank))

        return ops.vmap(one, x) if x.ndim == rank + 2 else one(x)

    return call


def tupled(v, rank):
    v = tuple(v) if isinstance(v, (tuple, list)) else (v,)
    return v * rank if len(v) == 1 else v


def padded(v, rank):
    return v if isinstance(v, str) else list(tupled(v, rank))


def max_pool(rank):
    def call(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
        no(ceil_mode, return_indices)

        def one(v):
            steps = tupled(stride or kernel_size, rank)
            return ops.max_pool(v, tupled(kernel_size, rank), steps, padded(padding, rank),
                                tupled(dilation, rank), floor=True)  # fmt: skip

        return ops.vmap(one, x) if x.ndim == rank + 2 else one(x)

    return call


def avg_pool(rank):
    def call(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
        no(ceil_mode, divisor_override)

        def one(v):
            steps = tupled(stride or kernel_size, rank)
            return ops.avg_pool(v, tupled(kernel_size, rank), steps, padded(padding, rank),
                                floor=True, count_include_pad=count_include_pad)  # fmt: skip

        return ops.vmap(one, x) if x.ndim == rank + 2 else one(x)

    return call


def adaptive(rank, function):
    def call(x, output_size, return_indices=False):
        no(return_indices)
        if any(n != 1 for n in tupled(output_size, rank)):
            raise Other("windows of several lengths")

        def one(v):
            y = function(v)
            return ops.reshape(y, (*y.shape, *(1,) * rank))

        return ops.vmap(one, x) if x.ndim == rank + 2 else one(x)

    return call


def upsample(x, size=None, scale_factor=None, mode="nearest", align_corners=None, **options):
    no(align_corners, *options.values())
    rank = x.ndim - 2
    factors = (
        [n / m for n, m in zip(tupled(size, rank), x.shape[2:], strict=True)] if size else tupled(scale_factor, rank)
    )
    if mode not in ("nearest", "linear", "bilinear", "trilinear") or any(f != int(f) or f < 1 for f in factors):
        raise Other("a factor that is not whole, or another method")
    return ops.vmap(lambda v: ops.upsample(v, tuple(int(f) for f in factors), mode), x)


def loss(each, reduce_dim=None):
    """A loss of numbers, each for itself, and PyTorch's ways of adding them up."""

    def call(y, t, *rest, reduction="mean", size_average=None, reduce=None, **options):
        no(rest, size_average is not None, reduce is not None)
        if y.shape != t.shape:
            raise Other("shapes that are stretched")
        found = each(y, t, **options)
        return found if reduction == "none" else ops.sum(found) if reduction == "sum" else ops.mean(found)

    return call


def alone(loss, **names):
    """One of our losses for each number by itself."""

    def each(y, t, **options):
        made = loss(**{names[k]: v for k, v in options.items()})
        flat = ops.vmap(lambda yt: made(yt[:1], yt[1:]), ops.stack([ops.reshape(y, (-1,)), ops.reshape(t, (-1,))], 1))
        return ops.reshape(flat, y.shape)

    return each


def cross_entropy(y, t, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0, **options):
    no(weight is not None, *options.values(), reason="weights of classes")
    made = nn.CrossEntropy(label_smoothing=label_smoothing, ignore_class=ignore_index if t.ndim < y.ndim else None)
    if t.ndim < y.ndim:
        t = ops.cast(t, "int32")
    if reduction == "mean" and t.ndim < y.ndim and ignore_index >= 0:
        raise Other("a mean over the labels of a batch that count")
    if y.ndim == 1:
        return made(y, t)
    if y.ndim > 2:
        if reduction != "mean":
            raise Other("a loss for each place")
        made = nn.CrossEntropy(label_smoothing=label_smoothing, axis=0)
    found = ops.stack([made(y[i], t[i]) for i in range(y.shape[0])])
    return found if reduction == "none" else ops.sum(found) if reduction == "sum" else ops.mean(found)


def with_logits(y, t, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None):
    no(weight is not None, pos_weight is not None, size_average is not None, reduce is not None)
    return loss(alone(nn.BinaryCrossEntropy))(y, t, reduction=reduction)


def layer_norm(x, shape, weight=None, bias=None, eps=1e-5):
    axes = tuple(range(x.ndim - len(shape), x.ndim))
    if not x.size:
        raise Other("nothing")
    from pellucid.nn.norm import normalized

    y = normalized(x, axes=tuple(a - x.ndim for a in axes), epsilon=eps, batch=False)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def local_response_norm(x, size, alpha=1e-4, beta=0.75, k=1.0):
    if size % 2 == 0 or x.ndim < 3:
        raise Other("an even number of neighbors")
    made = nn.LocalResponseNorm(size, alpha=alpha / size, beta=beta, k=k)
    return ops.vmap(made, x)


def embedding(weight, indices, padding_idx=None, max_norm=None, scale_grad_by_freq=False, **options):
    no(padding_idx is not None, max_norm is not None, scale_grad_by_freq, *options.values())
    return ops.take(weight, indices)


def gelu(x, approximate="none"):
    no(approximate != "none")
    return nn.gelu(x)


def softplus(x, beta=1, threshold=20):
    if beta != 1:
        raise Other("another beta")
    return nn.softplus(x)


def hardtanh(x, min_val=-1.0, max_val=1.0, **_):
    if min_val >= max_val:
        raise Other("a ramp without a rise")
    return nn.ramp(x, min_val, max_val, min_val, max_val)


def div(a, b, rounding_mode=None):
    no(rounding_mode is not None)
    return binary(lambda p, q: p / q)(a, b)


def power(a, b):
    return numbers(a) ** numbers(b)


PAIRS = {1: "linear", 2: "bilinear", 3: "trilinear"}
OURS = {
    "abs": unary(abs), "neg": unary(lambda x: -x), "exp": unary(ops.exp), "expm1": unary(ops.expm1),
    "log": unary(ops.log), "log1p": unary(ops.log1p), "sqrt": unary(ops.sqrt), "sign": unary(ops.sign),
    "floor": unary(ops.floor), "tanh": unary(ops.tanh), "sigmoid": unary(ops.sigmoid), "erf": unary(ops.erf),
    "erfinv": unary(ops.erfinv), "square": unary(lambda x: x * x), "reciprocal": unary(lambda x: 1 / x),
    "rsqrt": unary(lambda x: 1 / ops.sqrt(x)), "exp2": unary(lambda x: ops.exp(x * math.log(2))),
    "log2": unary(lambda x: ops.log(x) * (1 / math.log(2))), "log10": unary(lambda x: ops.log(x) * (1 / math.log(10))),
    "add": scaled_sum(1), "sub": scaled_sum(-1), "rsub": lambda a, b, alpha=1: scaled_sum(-1)(b, a, alpha),
    "__radd__": binary(lambda a, b: b + a), "__rsub__": binary(lambda a, b: b - a),
    "__rmul__": binary(lambda a, b: b * a), "__rdiv__": binary(lambda a, b: b / a),
    "__rpow__": lambda a, b: power(b, a), "mul": binary(lambda a, b: a * b), "div": div, "true_divide": div,
    "pow": power, "float_power": power, "maximum": binary(ops.maximum), "minimum": binary(ops.minimum),
    "eq": binary(ops.equal), "ne": binary(lambda a, b: ~ops.equal(a, b)), "lt": binary(lambda a, b: a < b),
    "le": binary(lambda a, b: a <= b), "gt": binary(lambda a, b: a > b), "ge": binary(lambda a, b: a >= b),
    "clamp": clamp, "clamp_min": lambda x, m: clamp(x, m), "clamp_max": lambda x, m: clamp(x, None, m), "where": where,
    "lerp": lambda a, b, w: a + numbers(w) * (b - a),
    "addcmul": lambda x, a, b, value=1: x + value * a * b, "addcdiv": lambda x, a, b, value=1: x + value * a / b,
    "sum": reduction(ops.sum, empty=True), "mean": reduction(ops.mean), "amax": reduction(ops.max),
    "amin": reduction(ops.min), "logsumexp": reduction(ops.logsumexp), "linalg.vector_norm": vector_norm,
    "var": variance(False), "std": variance(True), "softmax": softmax(ops.softmax),
    "log_softmax": softmax(ops.log_softmax), "nn.functional.softmin": softmax(lambda x, dim: ops.softmax(-x, dim)),
    "reshape": reshape, "view": reshape, "flatten": flatten, "ravel": flatten, "transpose": transpose,
    "t": lambda x: ops.transpose(x) if x.ndim > 1 else x,
    "permute": permute, "unsqueeze": unsqueeze, "squeeze": squeeze, "expand": expand, "broadcast_to": expand,
    "flip": flip, "fliplr": lambda x: flip(x, 1), "flipud": lambda x: flip(x, 0), "nn.functional.pad": pad, "cat": cat,
    "stack": lambda tensors, dim=0: ops.stack(list(tensors), dim), "narrow": narrow, "select": select,
    "index_select": index_select, "matmul": matmul, "__rmatmul__": lambda a, b: matmul(b, a), "mm": matmul,
    "mv": matmul, "bmm": matmul, "dot": matmul,
    "inner": lambda a, b: matmul(a, b) if a.ndim == b.ndim == 1 else no(True),
    "outer": lambda a, b: ops.contract(a, b, "i,j->ij"),
    "addmm": added("ij,jk->ik"), "addmv": added("ij,j->i"), "addr": added("i,j->ij"), "baddbmm": added("bij,bjk->bik"),
    "addbmm": added("bij,bjk->ik"), "einsum": einsum, "nn.functional.linear": linear,
    **{f"nn.functional.conv{r}d": conv(r) for r in (1, 2, 3)},
    **{f"nn.functional.conv_transpose{r}d": conv_transpose(r) for r in (1, 2, 3)},
    **{f"nn.functional.max_pool{r}d": max_pool(r) for r in (1, 2, 3)},
    **{f"nn.functional.avg_pool{r}d": avg_pool(r) for r in (1, 2, 3)},
    **{f"nn.functional.adaptive_max_pool{r}d": adaptive(r, ops.global_max_pool) for r in (1, 2, 3)},
    **{f"nn.functional.adaptive_avg_pool{r}d": adaptive(r, ops.global_avg_pool) for r in (1, 2, 3)},
    "nn.functional.interpolate": upsample, "nn.functional.upsample_nearest": upsample,
    "nn.functional.relu": unary(nn.relu), "nn.functional.relu6": lambda x, **_: hardtanh(x, 0.0, 6.0),
    "nn.functional.leaky_relu": lambda x, negative_slope=0.01, **_: nn.leaky_relu(x, slope=negative_slope),
    "nn.functional.elu": lambda x, alpha=1.0, **_: nn.elu(x, alpha=alpha), "nn.functional.gelu": gelu,
    "nn.functional.silu": unary(nn.silu), "nn.functional.softplus": softplus, "nn.functional.hardtanh": hardtanh,
    "nn.functional.hardsigmoid": lambda x, **_: nn.ramp(x, 0.0, 1.0, -3.0, 3.0),
    "nn.functional.logsigmoid": unary(lambda x: -nn.softplus(-x)),
    "nn.functional.softsign": unary(lambda x: x / (1 + abs(x))),
    "nn.functional.tanhshrink": unary(lambda x: x - ops.tanh(x)),
    "nn.functional.mish": unary(lambda x: x * ops.tanh(nn.softplus(x))),
    "nn.functional.mse_loss": loss(alone(nn.MeanSquaredError)),
    "nn.functional.l1_loss": loss(alone(nn.MeanAbsoluteError)),
    "nn.functional.huber_loss": loss(alone(nn.Huber, delta="delta")),
    "nn.functional.binary_cross_entropy_with_logits": with_logits, "nn.functional.cross_entropy": cross_entropy,
    "nn.functional.layer_norm": layer_norm, "nn.functional.local_response_norm": local_response_norm,
    "nn.functional.embedding": embedding,
}  # fmt: skip


def group_norm(m, v):
    weight, bias = (None if p is None else v(p) for p in (m.weight, m.bias))

    def call(x):
        if x.ndim < 3 or not x.size:
            raise Other("nothing, or channels of one number")
        wide = (-1, *(1,) * (x.ndim - 2))
        made = nn.GroupNorm(m.num_groups, epsilon=m.eps, center=False, scale=False)
        y = ops.vmap(made, x)
        y = y if weight is None else y * ops.reshape(weight, wide)
        return y if bias is None else y + ops.reshape(bias, wide)

    return call


def weighed(name, *options):
    """A module with weight and bias, and options of the same names as the function's."""

    def made(m, v):
        if getattr(m, "padding_mode", "zeros") != "zeros":
            raise Other("padding that is no zeros")
        own = [v(m.weight), None if m.bias is None else v(m.bias)]
        return lambda x: OURS[name](x, *own, **{o: getattr(m, o) for o in options})

    return made


def plain(name, **options):
    """A module without weights: a function, its options by the module's names."""
    return lambda m, v: lambda *given: OURS[name](*given, **{k: getattr(m, o) for k, o in options.items()})


def same(name, *options):
    return plain(name, **{o: o for o in options})


def layer_norm_module(m, v):
    own = [None if p is None else v(p) for p in (m.weight, m.bias)]
    return lambda x: layer_norm(x, m.normalized_shape, *own, eps=m.eps)


CONVS = ("stride", "padding", "dilation", "groups")
POOLS = ("kernel_size", "stride", "padding", "ceil_mode")
MODULES = {
    **{f"nn.Conv{r}d": weighed(f"nn.functional.conv{r}d", *CONVS) for r in (1, 2, 3)},
    **{f"nn.ConvTranspose{r}d": weighed(f"nn.functional.conv_transpose{r}d", *CONVS, "output_padding")
       for r in (1, 2, 3)},
    **{f"nn.MaxPool{r}d": same(f"nn.functional.max_pool{r}d", *POOLS, "dilation", "return_indices") for r in (1, 2, 3)},
    "nn.AvgPool1d": same("nn.functional.avg_pool1d", *POOLS, "count_include_pad"),
    **{f"nn.AvgPool{r}d": same(f"nn.functional.avg_pool{r}d", *POOLS, "count_include_pad", "divisor_override")
       for r in (2, 3)},
    **{f"nn.Adaptive{k}Pool{r}d": same(f"nn.functional.adaptive_{k.lower()}_pool{r}d", "output_size")
       for r in (1, 2, 3) for k in ("Avg", "Max")},
    **{f"nn.ZeroPad{r}d": lambda m, v: lambda x: pad(x, m.padding) for r in (1, 2, 3)},
    "nn.Linear": weighed("nn.functional.linear"), "nn.LayerNorm": layer_norm_module, "nn.GroupNorm": group_norm,
    "nn.LocalResponseNorm": same("nn.functional.local_response_norm", "size", "alpha", "beta", "k"),
    "nn.Embedding": lambda m, v: lambda x, w=None: embedding(v(m.weight), x, m.padding_idx, m.max_norm),
    "nn.ReLU": plain("nn.functional.relu"), "nn.ReLU6": plain("nn.functional.relu6"),
    "nn.SiLU": plain("nn.functional.silu"),
    "nn.LeakyReLU": same("nn.functional.leaky_relu", "negative_slope"), "nn.ELU": same("nn.functional.elu", "alpha"),
    "nn.GELU": same("nn.functional.gelu", "approximate"),
    "nn.Hardtanh": same("nn.functional.hardtanh", "min_val", "max_val"),
    "nn.Softplus": same("nn.functional.softplus", "beta", "threshold"), "nn.Sigmoid": plain("sigmoid"),
    "nn.Tanh": plain("tanh"), "nn.LogSigmoid": plain("nn.functional.logsigmoid"),
    "nn.Mish": plain("nn.functional.mish"),
    "nn.Softsign": plain("nn.functional.softsign"), "nn.Tanhshrink": plain("nn.functional.tanhshrink"),
    "nn.PReLU": lambda m, v: lambda x: prelu(x, v(m.weight)),
    "nn.Softmax": same("softmax", "dim"), "nn.LogSoftmax": same("log_softmax", "dim"),
    "nn.Softmin": same("nn.functional.softmin", "dim"),
    "nn.Softmax2d": lambda m, v: lambda x: ops.softmax(x, x.ndim - 3),
    "nn.L1Loss": same("nn.functional.l1_loss", "reduction"), "nn.MSELoss": same("nn.functional.mse_loss", "reduction"),
    "nn.HuberLoss": same("nn.functional.huber_loss", "reduction", "delta"),
    "nn.BCEWithLogitsLoss": same("nn.functional.binary_cross_entropy_with_logits", "weight", "reduction", "pos_weight"),
    "nn.CrossEntropyLoss": same("nn.functional.cross_entropy", "weight", "ignore_index", "reduction",
                                "label_smoothing"),
}  # fmt: skip


def prelu(x, weight):
    """The slope below 0 is a parameter, for all or for each channel."""
    if weight.size > 1 and x.ndim < 2:
        raise Other("channels of a vector")
    return nn.leaky_relu(x, slope=ops.reshape(weight, (-1, *(1,) * max(x.ndim - 2, 0)) if weight.size > 1 else ()))


# ---- optimizers: PyTorch's options to ours, and the decay that PyTorch adds to the gradient -----------------------


def coupled(ours, rate, names, **usual):
    """An optimizer of ours by PyTorch's options; other options are what we do not have."""

    def made(lr=rate, weight_decay=0.0, maximize=False, **options):
        if unknown := options.keys() - names.keys():
            raise Other(f"an option that we do not have: {', '.join(sorted(unknown))}")
        given = {names[k]: v for k, v in (usual | options).items()}
        return ours(float(lr), maximize=maximize, **given), weight_decay

    return made


def betas(ours, rate, names, **usual):
    def made(betas=(0.9, 0.999), **options):
        optimizer = coupled(lambda *a, **k: ours(*a, beta_1=betas[0], beta_2=betas[1], **k), rate, names, **usual)
        return optimizer(**options)

    return made


def adamw(weight_decay=0.01, **options):
    return betas(lambda *a, **k: optim.AdamW(*a, weight_decay=weight_decay, **k), 1e-3, {"eps": "epsilon"})(**options)


def nadam(decoupled_weight_decay=False, weight_decay=0.0, **options):
    decay = {"weight_decay": weight_decay} if decoupled_weight_decay else {}
    names = {"eps": "epsilon", "momentum_decay": "decay"}
    made = betas(lambda *a, **k: optim.Nadam(*a, **decay, **k), 2e-3, names)
    return made(weight_decay=0.0 if decoupled_weight_decay else weight_decay, **options)


OPTIMIZERS = {
    "SGD": coupled(optim.SGD, 1e-3, {"momentum": "momentum", "nesterov": "nesterov"}),
    "Adagrad": coupled(optim.Adagrad, 1e-2, {"eps": "epsilon"}),
    "Adadelta": coupled(optim.Adadelta, 1.0, {"rho": "rho", "eps": "epsilon"}, rho=0.9),
    "RMSprop": coupled(optim.RMSprop, 1e-2, {"alpha": "rho", "eps": "epsilon", "momentum": "momentum",
                                             "centered": "centered"}, alpha=0.99),
    "Adam": betas(optim.Adam, 1e-3, {"eps": "epsilon"}), "AdamW": adamw, "NAdam": nadam,
}  # fmt: skip
