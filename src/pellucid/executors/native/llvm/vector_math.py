"""exp, log, tanh, erf, power and their like on Lanes: range reduction, a polynomial, and bits. Imports lanes.

No branches, no tables, no calls. float32 within 2 units in the last place, float64 within 3 (test_lanes.py).
Infinities, NaN and zeros come out as in numpy. Where denormals are flushed, only denormal numbers change.

The polynomials are fitted for this file: Remez' exchange in 60 digits, weighted for the relative error of the function
that they serve; the coefficients are rounded to the dtype, and for float32 from the lowest on, the others fitted again
after each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from . import ir, lanes
from .lanes import Lanes, bits, constant, copysign, declared, fma, from_bits, meet, where, xp


@dataclass(frozen=True)
class Format:
    """What the formulas must know of a dtype. Coefficients from the lowest power on."""

    digits: int  # bits after the binary point
    bias: int  # of the exponent
    ln2: tuple[float, float]  # its first bits, so few that a multiple of them is exact; the rest
    exp_range: tuple[float, float]  # beyond these exp is 0 and infinite
    exp: tuple[float, ...]  # (exp(r) - 1 - r) / r**2 for |r| <= ln(2) / 2
    log: tuple[float, ...]  # (log((1 + s)/(1 - s)) / s - 2) / s**2 in s**2, for |s| <= (sqrt(2) - 1)/(sqrt(2) + 1)
    erf: tuple[float, ...]  # erf(x) / x - 1 in x**2 for |x| < 1
    erfc: tuple[float, ...]  # -log(1 - erf(x)) for 1 <= x <= erf_end
    erf_end: float  # from here on erf is 1
    tanh_end: float  # from twice this on tanh is 1

    @property
    def one(self) -> int:
        """The bits of 1.0."""
        return self.bias << self.digits

    @property
    def magic(self) -> float:
        """A number added to this is rounded to a whole one, which then stands in the lowest bits of the sum."""
        return 1.5 * 2.0**self.digits

    @property
    def smallest(self) -> float:
        """The smallest number that is not denormal."""
        return 2.0 ** (1 - self.bias)


FORMATS = {
    "float32": Format(
        digits=23,
        bias=127,
        ln2=(0.693359375, -0.00021219444170128554),
        exp_range=(-104.0, 89.0),
        exp=(0.4999999701976776, 0.16666539013385773, 0.04166774824261665, 0.008367087692022324, 0.0013837862061336637),
        log=(0.6666677594184875, 0.39977580308914185, 0.29870930314064026),
        erf=(0.12837912142276764, -0.37612318992614746, 0.11280113458633423, -0.026709217578172684,
             0.004914914723485708, -0.0005619947914965451),
        erfc=(0.00034152920125052333, 1.1270891427993774, 0.6381449699401855, 0.10310656577348709,
              -0.021837932989001274, 0.0029476142954081297, -0.00018637353787198663),
        erf_end=3.93,
        tanh_end=20.0,
    ),
    "float64": Format(
        digits=52,
        bias=1023,
        ln2=(0.6931471803691238, 1.9082149292705877e-10),
        exp_range=(-746.0, 710.0),
        exp=(0.5, 0.16666666666666677, 0.041666666666666505, 0.008333333333321655, 0.0013888888888962598,
             0.00019841269886073488, 2.4801587172250724e-05, 2.7557244254018745e-06, 2.7557402757842077e-07,
             2.5109024553239362e-08, 2.0875333998883757e-09),
        log=(0.6666666666666734, 0.39999999999416413, 0.28571428742112653, 0.22222198593705986, 0.18183563557172316,
             0.15314064190591553, 0.1479586326481965),
        erf=(0.12837916709551256, -0.3761263890318352, 0.11283791670944185, -0.02686617064311146,
             0.0052239776061183876, -0.0008548325929309726, 0.00012055293576757188, -1.4924712299369434e-05,
             1.644713154061507e-06, -1.6206313538452694e-07, 1.371097950413073e-08, -7.779466912124201e-10),
        erfc=(5.02826492124045e-07, 1.12837408969745, 0.6366436271138821, 0.10270344215210275, -0.01899018374024193,
              -0.0004106213371179081, 0.0019159367651149426, -0.0007706382257921544, 0.0001350474782571269,
              2.0267952411979382e-05, -2.282294790030024e-05, 8.667281305538773e-06, -2.1357002294521737e-06,
              3.733059528720431e-07, -4.642314063555361e-08, 3.934268658728927e-09, -2.0449600835654314e-10,
              4.928596945715797e-12),
        erf_end=5.93,
        tanh_end=44.0,
    ),
}  # fmt: skip
LOG2_E = 1 / math.log(2)


def polynomial(coefficients: Sequence[float], x: Lanes) -> Lanes:
    """c0 + c1 x + c2 x**2 + ..."""
    total: Any = coefficients[-1]
    for c in coefficients[-2::-1]:
        total = fma(x, total, c)
    return total


# ---- exp and what is made of it ---------------------------------------------------------------------------------


def exp(x: Lanes) -> Lanes:
    """2**n exp(r), x = n ln(2) + r."""
    f = FORMATS[x.dtype]
    shifted, n, r = _halve(xp.minimum(xp.maximum(x, f.exp_range[0]), f.exp_range[1]), f)
    return _scale(fma(fma(polynomial(f.exp, r), r, 1), r, 1), shifted, n, f)


def expm1(x: Lanes) -> Lanes:
    """2 (2**(n-1) (exp(r) - 1) + (2**(n-1) - 1/2)), since 2**n may be too large."""
    f = FORMATS[x.dtype]
    low = -f.tanh_end
    shifted, _, r = _halve(xp.minimum(xp.maximum(x, low - low % 1 - f.digits), f.exp_range[1]), f)
    half = from_bits((bits(shifted) << f.digits) + (f.one - (1 << f.digits)))
    y = fma(half, _exp_less_1(r, f), half - 0.5)
    return where(xp.abs(x) < 2.0 ** (-f.digits - 2), x, y + y)


def tanh(x: Lanes) -> Lanes:
    """(1 - e) / (1 + e), e = exp(-2 |x|); as one fma each, and with e < 1, the two round least."""
    f = FORMATS[x.dtype]
    shifted, _, r = _halve(xp.maximum(xp.abs(x) * -2, -f.tanh_end), f)
    power_of_2 = from_bits((bits(shifted) << f.digits) + f.one)
    e = _exp_less_1(r, f)
    return copysign(fma(power_of_2, e, power_of_2 - 1) / fma(power_of_2, e, power_of_2 + 1), x)


def erf(x: Lanes) -> Lanes:
    """x + x P(x**2) for |x| < 1, else 1 - exp(-Q(|x|)); both are computed."""
    f = FORMATS[x.dtype]
    size = xp.minimum(xp.abs(x), f.erf_end)
    shifted, _, r = _halve(-polynomial(f.erfc, size), f)
    power_of_2 = from_bits((bits(shifted) << f.digits) + f.one)
    tail = fma(fma(polynomial(f.exp, r), r, 1), r, 1)
    near, far = fma(size, polynomial(f.erf, size * size), size), fma(-power_of_2, tail, 1)
    return copysign(where(size < 1, near, far), x)


def _halve(x: Lanes, f: Format) -> tuple[Lanes, Lanes, Lanes]:
    """x = n ln(2) + r with |r| <= ln(2) / 2: n added to `magic`, n, and r."""
    shifted = fma(x, LOG2_E, f.magic)
    n = shifted - f.magic
    return shifted, n, fma(n, -f.ln2[1], fma(n, -f.ln2[0], x))


def _exp_less_1(r: Lanes, f: Format) -> Lanes:
    return fma(r * r, polynomial(f.exp, r), r)


def _scale(p: Lanes, shifted: Lanes, n: Lanes, f: Format) -> Lanes:
    """p * 2**n, also where 2**n is no number of the dtype: in two steps, of which only the second rounds."""
    if lanes.use_scalef and p.width * lanes.BITS[p.dtype] in (128, 256, 512):
        return _scalef(p, n)
    half = fma(n, 0.5, f.magic)
    first = from_bits((bits(half) << f.digits) + f.one)
    second = from_bits(((bits(shifted) - bits(half)) << f.digits) + f.one)
    return p * first * second


def _scalef(p: Lanes, n: Lanes) -> Lanes:
    """p * 2**n in one instruction of AVX-512."""
    b, size, kind = p.builder, p.width * lanes.BITS[p.dtype], p.value.type
    mask = lanes.LLVM_TYPES["uint8"] if p.width <= 8 else lanes.ir.IntType(16)
    rounding = [lanes.ir.IntType(32)] * (size == 512)
    name = f"llvm.x86.avx512.mask.scalef.p{'s' if p.dtype == 'float32' else 'd'}.{size}"
    function = declared(b, name, [kind, kind, kind, mask, *rounding], kind)
    return p.like(b.call(function, [p.value, n.value, p.value, mask(-1), *(r(4) for r in rounding)]))


# ---- log and what is made of it ---------------------------------------------------------------------------------

ROOT_HALF = {"float32": 0x3F3504F3, "float64": 0x3FE6A09E667F3BCD}  # the bits of sqrt(1/2)


def log(x: Lanes) -> Lanes:
    """e ln(2) + log(1 + t), x = 2**e (1 + t)."""
    f = FORMATS[x.dtype]
    e, t = _split(x, f)
    return _log_domain(x, 0, _log_sum(e, t, f))


def log1p(x: Lanes) -> Lanes:
    """log(1 + x), with what 1 + x rounds away added to t."""
    f = FORMATS[x.dtype]
    y = 1 + x
    back = y - 1
    lost = (x - back) + (1 - (y - back))
    mantissa, e = _mantissa(y, f)
    scale = from_bits(f.one + bits(mantissa) - bits(y))  # 2**-e
    t = fma(lost, where(x < 2.0**f.digits, scale, 0), mantissa - 1)
    return copysign(_log_domain(x, -1, _log_sum(e - (2.0**f.digits + f.bias), t, f)), x)


def _mantissa(x: Lanes, f: Format) -> tuple[Lanes, Lanes]:
    """m and e, sqrt(1/2) <= m < sqrt(2), x = 2**e m; to e is added what `_split` takes off again."""
    root = ROOT_HALF[x.dtype]
    shifted = bits(x) + (f.one - root)
    e = from_bits((shifted >> f.digits) | ((f.bias + f.digits) << f.digits))
    return from_bits((shifted & ((1 << f.digits) - 1)) + root), e


def _split(x: Lanes, f: Format) -> tuple[Lanes, Lanes]:
    """e and t, x = 2**e (1 + t) > 0; denormal numbers are made larger first."""
    denormal = x < f.smallest
    up = f.digits + 1
    mantissa, e = _mantissa(where(denormal, x * 2.0**up, x), f)
    offset = 2.0**f.digits + f.bias
    return e - where(denormal, constant(x.builder, offset + up, x.dtype), offset), mantissa - 1


def _log_sum(e: Lanes, t: Lanes, f: Format) -> Lanes:
    """e ln(2) + log(1 + t), by s = t / (2 + t): log(1 + t) = 2 s + s R = t - (t**2/2 - s (t**2/2 + R))."""
    s = t / (t + 2)
    w = s * s
    half = t * 0.5 * t
    rest = fma(s, fma(w, polynomial(f.log, w), half), e * f.ln2[1])
    return fma(e, f.ln2[0], t - (half - rest))


def _log_domain(x: Lanes, zero: float, y: Lanes) -> Lanes:
    """y where ``zero`` < x < inf; -inf at zero, NaN below."""
    outside = where(x == zero, constant(x.builder, -math.inf, x.dtype), math.nan)
    return where(x == math.inf, x, where(x > zero, y, outside))


# ---- power ------------------------------------------------------------------------------------------------------

# log2((1 + s)/(1 - s)) / s in s**2; exp2 on (-1/2, 1/2); (log((1 + s)/(1 - s)) / s - 2 - 2/3 s**2) / s**4 in s**2
LOG2 = (2.885390081790092, 0.9617966733333816, 0.577083586675401, 0.41167261085940476, 0.3407322021153437)
EXP2 = (1.0000000005549907, 0.6931472057673045, 0.2402264688618481, 0.05550328710888933, 0.009618489229647871,
        0.0013399958001704619, 0.00015345793797473688)  # fmt: skip
LOG_TAIL = (0.4000000000000226, 0.28571428570099383, 0.2222222251998437, 0.18181784359948927, 0.15386757727679892,
            0.1325680723592274, 0.13196436453475843)  # fmt: skip


def power(x: Any, p: Any) -> Lanes:
    """x ** p = 2**(p log2(|x|)), negative for negative x and odd p."""
    x, p = meet(x, p)
    y = (_power_float32 if x.dtype == "float32" else _power_float64)(xp.abs(x), p)
    whole, half = xp.floor(p) == p, p * 0.5
    odd = whole & (xp.floor(half) != half)
    y = where(odd, copysign(y, x), y)
    y = where((x < 0) & (x > -math.inf) & ~whole, constant(x.builder, math.nan, x.dtype), y)
    return where((p == 0) | (x == 1), constant(x.builder, 1, x.dtype), y)


def _power_float32(x: Lanes, p: Lanes) -> Lanes:
    """In float64, where nothing needs care: 24 bits of a result of up to 8 bits before the point are wanted."""
    f = FORMATS["float64"]
    base, p = xp.astype(x, "float64"), xp.astype(p, "float64")
    mantissa, e = _mantissa(base, f)
    t = mantissa - 1
    s = t / (t + 2)
    logarithm = fma(s, polynomial(LOG2, s * s), e - (2.0**f.digits + f.bias))
    z = xp.minimum(xp.maximum(_clamped(p, 1e30) * _log_ends(base, logarithm, 1e300), -200.0), 200.0)
    shifted = z + f.magic
    y = polynomial(EXP2, z - (shifted - f.magic))
    return xp.astype(y * from_bits((bits(shifted) << f.digits) + f.one), "float32")


def _log_ends(x: Lanes, logarithm: Lanes, large: float) -> Lanes:
    """log2(x), and a large number in place of what is infinite; NaN stays."""
    inside = where(x < math.inf, logarithm, xp.minimum(x, large))
    return where(x == 0, constant(x.builder, -large, x.dtype), inside)


def _clamped(x: Lanes, end: float) -> Lanes:
    """So that infinity times log2(1) is 0; a power as large is 0, 1 or infinite already."""
    return xp.minimum(xp.maximum(x, -end), end)


def _power_float64(x: Lanes, p: Lanes) -> Lanes:
    """With log2 as a sum of two floats: of the 64 bits it needs, 11 stand before the point of p log2(x)."""
    f = FORMATS["float64"]
    e, t = _split(x, f)
    # log(1 + t) = 2 s + 2/3 s**3 + s**5 Q(s**2), s = t / (2 + t)
    u = t + 2
    s = t / u
    s_low = (_product_error(-s, u, t) - s * (t - (u - 2))) / u
    square, square_low = _product(s, s)
    square_low = square_low + 2 * s * s_low
    cube, cube_low = _product(square, s)
    cube_low = cube_low + square * s_low + square_low * s
    third, third_low = _times(cube, cube_low, 2 / 3, 2 / 3 * 2.0**-54)
    high, low = _sum(2 * s, third)
    low = low + (2 * s_low + third_low + cube * square * polynomial(LOG_TAIL, square))
    high, low = _sum(high, low)
    high, low = _times(high, low, LOG2_E, 2.0355273740931033e-17)
    high, more = _sum(e, high)
    high, low = _sum(high, low + more)

    ends = (x == 0) | ~(x < math.inf)
    p = _clamped(where(ends, p * 2.0**200, p), 2.0**70)
    high, low = _log_ends(x, high, 2.0**950), where(ends, constant(x.builder, 0, x.dtype), low)
    z, z_low = _product(p, high)
    z_low = where(xp.abs(z) < 1200, fma(p, low, z_low), 0)
    z = _clamped(z, 1200.0)
    shifted = z + f.magic
    n = shifted - f.magic
    r = ((z - n) + z_low) * math.log(2)
    return _scale(fma(fma(polynomial(f.exp, r), r, 1), r, 1), shifted, n, f)


def _sum(a: Lanes, b: Lanes) -> tuple[Lanes, Lanes]:
    """a + b and what is lost, for |a| >= |b| or a = 0."""
    total = a + b
    return total, b - (total - a)


def _product(a: Lanes, b: Any) -> tuple[Lanes, Lanes]:
    """a * b and what is lost."""
    total = a * b
    return total, _product_error(a, b, -total)


def _product_error(a: Lanes, b: Any, c: Lanes) -> Lanes:
    """a * b + c exactly, where c is about -a * b; without fma by halves of 26 bits (Dekker, 1971)."""
    a, b, c = meet(a, b, c)
    if lanes.use_fma:
        return fma(a, b, c)
    top = (1 << 64) - (1 << 27)
    a1, b1 = from_bits(bits(a) & top), from_bits(bits(b) & top)
    a2, b2 = a - a1, b - b1
    return ((a1 * b1 + c) + a1 * b2 + a2 * b1) + a2 * b2


def _times(high: Lanes, low: Lanes, c: float, c_low: float) -> tuple[Lanes, Lanes]:
    """A sum of two floats times a number that is one."""
    product, lost = _product(high, c)
    return product, fma(low, c, fma(high, c_low, lost))


def _estimate(name: str, x: Lanes) -> Lanes | None:
    """1/x or 1/sqrt(x) to 14 bits, where the processor has it."""
    if not (lanes.use_estimates and x.dtype == "float32" and x.width == 16):
        return None
    kind, all_lanes = x.value.type, ir.IntType(16)
    function = declared(x.builder, f"llvm.x86.avx512.{name}.ps.512", [kind, kind, all_lanes], kind)
    return x.like(x.builder.call(function, [x.value, ir.Constant(kind, ir.Undefined), all_lanes(-1)]))


def fast_divide(a: Lanes, b: Lanes) -> Lanes:
    """a / b for b that is neither 0 nor infinite: Newton's step for 1/b, and one for the quotient."""
    a, b = meet(a, b)
    r = _estimate("rcp14", b)
    if r is None:
        return a / b
    r = fma(r, fma(-b, r, constant(b.builder, 1, b.dtype)), r)
    q = a * r
    return fma(fma(-b, q, a), r, q)


def fast_sqrt(x: Lanes) -> Lanes:
    """sqrt(x) for 0 <= x < 1e37: x times 1/sqrt(x), and Newton's step."""
    y = _estimate("rsqrt14", xp.maximum(x, FORMATS[x.dtype].smallest))
    if y is None:
        return xp.sqrt(x)
    s = x * y
    return fma(s, fma(s * -0.5, y, constant(x.builder, 0.5, x.dtype)), s)


FUNCTIONS = {f.__name__: f for f in (exp, expm1, log, log1p, tanh, erf, power, fast_divide, fast_sqrt)}
for _name, _function in FUNCTIONS.items():
    setattr(lanes.LaneNumPy, _name, staticmethod(_function))
