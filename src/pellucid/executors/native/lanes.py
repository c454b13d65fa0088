"""TEMPORARY stand-in by the lead until the lane builder lands; overwrite it."""
from __future__ import annotations
import numpy as np
from llvmlite import ir
_T = {"float32": ir.FloatType(), "float64": ir.DoubleType(), "int32": ir.IntType(32), "int64": ir.IntType(64), "uint8": ir.IntType(8), "uint32": ir.IntType(32), "bool": ir.IntType(1)}
def llvm_type(dtype, width): return _T[dtype] if width == 1 else ir.VectorType(_T[dtype], width)
def constant(b, number, dtype, width=1):
    n = float(number) if dtype.startswith("float") else int(number)
    if dtype == "float32": n = float(np.float32(n))
    t = llvm_type(dtype, width)
    return Lanes(b, ir.Constant(t, n if width == 1 else [n]*width), dtype, width)
def splat(x, width):
    if x.width == width: return x
    b = x.builder; t = llvm_type(x.dtype, width)
    v = b.insert_element(ir.Constant(t, ir.Undefined), x.value, ir.IntType(32)(0))
    v = b.shuffle_vector(v, ir.Constant(t, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), width), [0]*width))
    return Lanes(b, v, x.dtype, width)
def meet(a, b):
    if not isinstance(b, Lanes): b = constant(a.builder, b, a.dtype)
    if not isinstance(a, Lanes): a = constant(b.builder, a, b.dtype)
    w = max(a.width, b.width); return splat(a, w), splat(b, w)
class Lanes:
    def __init__(self, builder, value, dtype, width): self.builder, self.value, self.dtype, self.width = builder, value, dtype, width
    def _op(self, o, f, i, r=False):
        a, b = meet(self, o)
        if r: a, b = b, a
        n = f if a.dtype.startswith("float") else i
        return Lanes(a.builder, getattr(a.builder, n)(a.value, b.value), a.dtype, a.width)
    def __add__(s, o): return s._op(o, "fadd", "add")
    __radd__ = __add__
    def __sub__(s, o): return s._op(o, "fsub", "sub")
    def __rsub__(s, o): return s._op(o, "fsub", "sub", True)
    def __mul__(s, o): return s._op(o, "fmul", "mul")
    __rmul__ = __mul__
    def __truediv__(s, o): return s._op(o, "fdiv", "sdiv")
    def __rtruediv__(s, o): return s._op(o, "fdiv", "sdiv", True)
    def __neg__(s): return 0 - s if not s.dtype.startswith("float") else Lanes(s.builder, s.builder.fneg(s.value), s.dtype, s.width)
    def __and__(s, o): return s._op(o, "and_", "and_")
    def __or__(s, o): return s._op(o, "or_", "or_")
    def __xor__(s, o): return s._op(o, "xor", "xor")
    def __invert__(s): return Lanes(s.builder, s.builder.not_(s.value), s.dtype, s.width)
    def __lshift__(s, o): return s._op(o, "shl", "shl")
    def __rshift__(s, o): return s._op(o, "lshr", "lshr" if s.dtype.startswith("u") else "ashr")
    def _cmp(s, o, op):
        a, b = meet(s, o)
        if a.dtype.startswith("float"): v = a.builder.fcmp_ordered(op, a.value, b.value) if op != "!=" else a.builder.fcmp_unordered(op, a.value, b.value)
        elif a.dtype.startswith("u") or a.dtype == "bool": v = a.builder.icmp_unsigned(op, a.value, b.value)
        else: v = a.builder.icmp_signed(op, a.value, b.value)
        return Lanes(a.builder, v, "bool", a.width)
    def __lt__(s, o): return s._cmp(o, "<")
    def __le__(s, o): return s._cmp(o, "<=")
    def __gt__(s, o): return s._cmp(o, ">")
    def __ge__(s, o): return s._cmp(o, ">=")
    def __eq__(s, o): return s._cmp(o, "==")
    def __ne__(s, o): return s._cmp(o, "!=")
    __hash__ = object.__hash__
def _intr(name, *xs):
    b = xs[0].builder; t = xs[0].value.type; m = b.module
    sfx = {"float32": "f32", "float64": "f64", "int32": "i32", "int64": "i64"}[xs[0].dtype]
    full = f"{name}.{'v%d' % xs[0].width if xs[0].width > 1 else ''}{sfx}"
    f = m.globals.get(full) or ir.Function(m, ir.FunctionType(t, [t]*len(xs)), full)
    return Lanes(b, b.call(f, [x.value for x in xs]), xs[0].dtype, xs[0].width)
def fma(a, b, c):
    w = max(a.width, b.width, c.width)
    return _intr("llvm.fma", splat(a, w), splat(b, w), splat(c, w))
class LaneNumPy:
    def astype(self, x, dtype):
        if x.dtype == dtype: return x
        b, t = x.builder, llvm_type(dtype, x.width)
        f, g = x.dtype.startswith("float"), dtype.startswith("float")
        size = {"float32": 4, "float64": 8, "int32": 4, "int64": 8, "uint8": 1, "uint32": 4, "bool": 0}
        if dtype == "bool": return x != 0
        if f and g: v = (b.fpext if size[dtype] > size[x.dtype] else b.fptrunc)(x.value, t)
        elif f: v = b.fptosi(x.value, t)
        elif g: v = (b.uitofp if x.dtype[0] in "ub" else b.sitofp)(x.value, t)
        elif size[dtype] > size[x.dtype]: v = (b.zext if x.dtype[0] in "ub" else b.sext)(x.value, t)
        elif size[dtype] < size[x.dtype]: v = b.trunc(x.value, t)
        else: v = x.value
        return Lanes(b, v, dtype, x.width)
    def exp(self, x):
        c = lambda n: constant(x.builder, n, x.dtype, x.width)
        x = self.minimum(self.maximum(x, c(-87.)), c(88.))
        n = _intr("llvm.floor", x * 1.4426950408889634 + 0.5); r = x - n * 0.693359375 + n * 2.12194440e-4
        p = c(1/5040.)
        for k in (1/720., 1/120., 1/24., 1/6., .5, 1., 1.): p = fma(p, r, c(k))
        i = self.astype(n, "int32"); i = (i + 127) << 23
        return p * Lanes(x.builder, x.builder.bitcast(i.value, x.value.type), x.dtype, x.width)
    def log(self, x): return _intr("llvm.log", x)
    def power(self, x, p):
        x, p = meet(x, p); return _intr("llvm.pow", x, p)
    def tanh(self, x):
        e = self.exp(x * 2); return 1 - 2 / (e + 1)
    def log1p(self, x): return self.log(1 + x)
    def expm1(self, x): return self.exp(x) - 1
    def sqrt(self, x): return _intr("llvm.sqrt", x)
    def floor(self, x): return _intr("llvm.floor", x)
    def abs(self, x): return _intr("llvm.fabs", x) if x.dtype[0] == "f" else self.where(x < 0, -x, x)
    def maximum(self, a, b):
        a, b = meet(a, b); return _intr("llvm.maximum", a, b) if a.dtype[0] == "f" else self.where(a > b, a, b)
    def minimum(self, a, b):
        a, b = meet(a, b); return _intr("llvm.minimum", a, b) if a.dtype[0] == "f" else self.where(a < b, a, b)
    def where(self, c, a, b):
        a, b = meet(a, b); w = max(a.width, c.width); a, b, c = splat(a, w), splat(b, w), splat(c, w)
        return Lanes(c.builder, c.builder.select(c.value, a.value, b.value), a.dtype, w)
    def sign(self, x): return self.where(x > 0, constant(x.builder, 1, x.dtype), self.where(x < 0, constant(x.builder, -1, x.dtype), x))
xp = LaneNumPy()
def horizontal_sum(x):
    b = x.builder
    while x.width > 1:
        h = x.width // 2
        parts = [b.shuffle_vector(x.value, x.value, ir.Constant(ir.VectorType(ir.IntType(32), h), list(range(o, o + h)))) for o in (0, h)]
        if h == 1: parts = [b.extract_element(x.value, ir.IntType(32)(k)) for k in (0, 1)]
        x = Lanes(b, parts[0], x.dtype, h) + Lanes(b, parts[1], x.dtype, h)
    return x
def transpose(rows):
    V = len(rows); b = rows[0].builder; dt = rows[0].dtype
    vals = [r.value for r in rows]; h = V // 2
    # butterfly: swap blocks of size h between rows i and i+h
    while h:
        new = list(vals)
        for i in range(V):
            if i & h: continue
            lo = [(k if not k & h else V + (k - h)) for k in range(V)]
            hi = [((k + h) if not k & h else V + k) for k in range(V)]
            m = lambda s: ir.Constant(ir.VectorType(ir.IntType(32), V), s)
            new[i] = b.shuffle_vector(vals[i], vals[i + h], m(lo)); new[i + h] = b.shuffle_vector(vals[i], vals[i + h], m(hi))
        vals = new; h //= 2
    return [Lanes(b, v, dt, V) for v in vals]
