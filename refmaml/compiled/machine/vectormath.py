"""The scalar functions of `refmaml.compiled.program.scalars` as LLVM instructions, put into the place of their call.

They have no branches, so that a loop over them becomes vector code. The exponential and the hyperbolic tangent are
those of S. L. Moshier's Cephes Mathematical Library (netlib.org/cephes), the logarithm that of Sun's fdlibm
(netlib.org/fdlibm), each to about two units in the last place; NaN and infinity come out as the C library has them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]  # it has no types

from refmaml.compiled.machine.real import Real, constant
from refmaml.compiled.program import scalars
from refmaml.compiled.program.scalars import C_LIBRARY, SPECIAL

Function = Callable[..., Any]


_FORMAT = {True: (52, 1023), False: (23, 127)}  # float64: width of the fraction, bias of the exponent


def _rounder(x: Real) -> float:
    """1.5 · 2^fraction: adding it leaves an integer in the low bits."""
    return float(1.5 * 2.0 ** _FORMAT[x.wide][0])


def _two_to_the(x: Real, exponent: Any) -> Real:
    fraction, bias = _FORMAT[x.wide]
    kind = exponent.type
    biased = x.builder.add(exponent, constant(kind, bias))
    return x.from_bits(x.builder.shl(biased, constant(kind, fraction)))


def exp(x: Real, *, positive: bool = True) -> Real:
    """Compute the exponential as 2ⁿ eʳ, where r = x − n log 2 lies in ±½ log 2; `positive`: x may be."""
    low, high = (-746.0, 710.0) if x.wide else (-104.0, 89.0)
    inside = x.like(high).choose(x.compare(">", high), x) if positive else x
    inside = x.like(low).choose(x.compare("<", low), inside)
    shifted = inside * 1.4426950408889634 + _rounder(x)
    n = shifted - _rounder(x)
    exponent = x.builder.sub(shifted.bits(), x.like(_rounder(x)).bits())
    if x.wide:
        r = inside - n * 6.93145751953125e-1 - n * 1.42860682030941723212e-6
        z = r * r
        p = r * z.polynomial((1.26177193074810590878e-4, 3.02994407707441961300e-2, 9.99999999999999999910e-1))
        q = z.polynomial((
            3.00198505138664455042e-6, 2.52448340349684104192e-3, 2.27265548208155028766e-1, 2.0,
        ))  # fmt: skip
        fraction = 1.0 + 2.0 * (p / (q - p))
    else:
        r = inside - n * 0.693359375 - n * -2.12194440e-4
        fraction = r * r * r.polynomial((
            1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1,
        )) + r + 1.0  # fmt: skip
    half = x.builder.ashr(exponent, constant(exponent.type, 1))  # in two factors, for numbers near the limits
    return fraction * _two_to_the(x, half) * _two_to_the(x, x.builder.sub(exponent, half))


def log(x: Real) -> Real:
    """Compute the logarithm as k log 2 plus that of 1 + f, which lies between √½ and √2."""
    fraction, bias = _FORMAT[x.wide]
    tiny = x.compare("<", 2.0 ** (1 - bias))
    scaled = (x * 2.0**fraction).choose(tiny, x)
    bits = scaled.bits()
    root = constant(bits.type, 0x3FE6A09E667F3BCD if x.wide else 0x3F3504F3)
    above = x.builder.sub(bits, root)
    exponent = x.builder.ashr(above, constant(bits.type, fraction))
    mantissa = x.builder.add(x.builder.and_(above, constant(bits.type, 2**fraction - 1)), root)
    rounder = x.like(_rounder(x))
    k = x.from_bits(x.builder.add(exponent, rounder.bits())) - rounder  # the integer as a number
    k = k - x.like(float(fraction)).choose(tiny, 0.0)
    result = _log_near_one(x.from_bits(mantissa) - 1.0, k)
    result = x.like(float("-inf")).choose(x.compare("==", 0.0), result)
    result = x.like(float("nan")).choose(x.compare("<", 0.0), result)
    unchanged = x.builder.or_(x.compare("==", float("inf")), x.compare("!=", x))
    return x.choose(unchanged, result)


def _log_near_one(f: Real, k: Real) -> Real:
    s = f / (2.0 + f)
    z, half = s * s, 0.5 * f * f
    if f.wide:
        high, low = 6.93147180369123816490e-01, 1.90821492927058770002e-10
        rest = z * z.polynomial((
            1.479819860511658591e-01, 1.531383769920937332e-01, 1.818357216161805012e-01, 2.222219843214978396e-01,
            2.857142874366239149e-01, 3.999999999940941908e-01, 6.666666666666735130e-01,
        ))  # fmt: skip
    else:
        high, low = 6.9313812256e-01, 9.0580006145e-06
        rest = z * z.polynomial((0.24279078841, 0.28498786688, 0.40000972152, 0.66666662693))
    return k * high - ((half - (s * (half + rest) + k * low)) - f)


def log1p(x: Real) -> Real:
    """log(u) · x/(u − 1) with u = 1 + x, which takes back the rounding of u (W. Kahan)."""
    u = 1.0 + x
    exact = u.compare("==", 1.0)
    corrected = log(u) * (x / x.like(1.0).choose(exact, u - 1.0))
    result = x.choose(exact, corrected)
    infinite = u.builder.or_(u.compare("==", float("inf")), u.compare("==", 0.0))
    return log(u).choose(infinite, result)


def tanh(x: Real) -> Real:
    """An odd polynomial or quotient near 0, 1 − 2/(exp(2|x|) + 1) elsewhere."""
    z, size = x * x, x.magnitude()
    if x.wide:
        p = z.polynomial((-9.64399179425052238628e-1, -9.92877231001918586564e1, -1.61468768441708447952e3))
        q = z.polynomial((1.0, 1.12811678491632931402e2, 2.23548839060100448583e3, 4.84406305325125486048e3))
        near = x + x * z * (p / q)
    else:
        near = x + x * z * z.polynomial((
            -5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1,
        ))  # fmt: skip
    e = exp(-2.0 * size, positive=False)
    far = ((1.0 - e) * (1.0 / (1.0 + e))).intrinsic("copysign", x)
    return near.choose(size.compare("<", 0.625), far)


def sech2(x: Real) -> Real:
    """4e/(1 + e)² with e = exp(−2|x|), which `tanh` has computed as well."""
    e = exp(-2.0 * x.magnitude(), positive=False)
    share = 1.0 / (1.0 + e)
    return 4.0 * e * (share * share)


def expit(x: Real) -> Real:
    """1/(1 + exp(−x))."""
    return 1.0 / (1.0 + exp(-x))


def logaddexp(x: Real, y: Real) -> Real:
    """Max + log1p(exp(−|x − y|)); equal arguments, infinite ones too, give x + log 2."""
    larger = x.choose(x.compare(">", y), y)
    result = larger + log1p(exp(-(x - y).magnitude()))
    return (x + 0.6931471805599453).choose(x.compare("==", y), result)


def logaddexp2(x: Real, y: Real) -> Real:
    """The same to base 2."""
    larger = x.choose(x.compare(">", y), y)
    result = larger + log1p(exp(-(x - y).magnitude() * 0.6931471805599453)) * 1.4426950408889634
    return (x + 1.0).choose(x.compare("==", y), result)


def mod(x: Real, y: Real) -> Real:
    """The remainder with the divisor's sign."""
    rest = library("fmod")(x, y)
    differ = x.builder.xor(rest.compare("<", 0.0), y.compare("<", 0.0))
    adjusted = (rest + y).choose(differ, rest)
    result: Real = rest.like(0.0).intrinsic("copysign", y).choose(rest.compare("==", 0.0), adjusted)
    return result


def sign(x: Real) -> Real:
    """−1, 0, 1 or NaN."""
    signed = x.like(1.0).intrinsic("copysign", x)
    return signed.choose(x.builder.or_(x.compare("<", 0.0), x.compare(">", 0.0)), x * 0.0)


def _extreme(how: str, nan_wins: bool) -> Function:
    def chosen(x: Real, y: Real) -> Real:
        judge = x if nan_wins else y
        return x.choose(x.builder.or_(x.compare(how, y), judge.compare("!=", judge)), y)

    return chosen


def library(name: str) -> Function:
    """Return a function of the C library; those of float32 have an f at the end."""

    def call(*args: Real) -> Real:
        kind = args[0].value.type
        symbol = name if args[0].wide else f"{name}f"
        result: Real = _call(args[0].builder, symbol, kind, [arg.value for arg in args])
        return result

    return call


def _call(builder: Any, symbol: str, kind: Any, values: Sequence[Any]) -> Real:
    signature = ir.FunctionType(kind, [value.type for value in values])
    known = builder.module.globals.get(symbol)
    function = known if known is not None else ir.Function(builder.module, signature, symbol)
    return Real(builder, builder.call(function, values))


def special(name: str) -> Function:
    """Return a function of scipy.special: in float64, with Cython's extra argument."""

    def call(*args: Real) -> Real:
        builder, kind = args[0].builder, args[0].value.type
        wide = [arg.value if arg.wide else builder.fpext(arg.value, ir.DoubleType()) for arg in args]
        if name == "yn":
            wide[0] = builder.fptosi(wide[0], ir.IntType(64))
        result = _call(builder, symbol_of(name), ir.DoubleType(), [*wide, ir.Constant(ir.IntType(32), 0)])
        return result if args[0].wide else Real(builder, builder.fptrunc(result.value, kind))

    return call


def zeta(s: Real, q: Real) -> Real:
    """Hurwitz's ζ(s, q): terms up to a base above 9, ten at least, then Euler and Maclaurin (see `scalars.zeta`)."""
    builder, power = s.builder, library("pow")
    before, loop = builder.block, builder.append_basic_block("terms")
    after = builder.append_basic_block("rest")
    builder.branch(loop)
    builder.position_at_end(loop)
    count = builder.phi(ir.IntType(64))
    base, total = (Real(builder, builder.phi(s.value.type)) for _ in range(2))
    sum_so_far, following = total + power(base, -s), base + 1.0
    next_count = builder.add(count, ir.IntType(64)(1))
    for phi, first, later in (
        (count, ir.IntType(64)(0), next_count), (base.value, q.value, following.value),
        (total.value, s.like(0.0).value, sum_so_far.value),
    ):  # fmt: skip
        phi.add_incoming(first, before)
        phi.add_incoming(later, builder.block)
    few = builder.icmp_signed("<", next_count, ir.IntType(64)(10))
    builder.cbranch(builder.or_(few, following.compare("<=", 9.0)), loop, after)
    builder.position_at_end(after)
    return _outside_zeta(s, q, sum_so_far + _zeta_rest(s, following))


def _zeta_rest(s: Real, base: Real) -> Real:
    power = library("pow")(base, -s)
    rest = power * base / (s - 1.0) + 0.5 * power
    factor, power = s, power / base
    for k, bernoulli in enumerate(scalars.BERNOULLI):
        rest = rest + factor * power * bernoulli
        factor = factor * (s + float(2 * k + 1)) * (s + float(2 * k + 2))
        power = power / (base * base)
    result: Real = rest
    return result


def _outside_zeta(s: Real, q: Real, value: Real) -> Real:
    """Put NaN and infinity where the series has no meaning."""
    builder = s.builder
    below = q.compare("<=", 0.0)
    pole = builder.and_(below, q.compare("==", q.intrinsic("floor")))
    branch = builder.and_(below, s.compare("!=", s.intrinsic("floor")))
    value = s.like(float("nan")).choose(branch, value)
    value = s.like(float("inf")).choose(builder.or_(pole, s.compare("==", 1.0)), value)
    return s.like(float("nan")).choose(builder.or_(s.compare("<", 1.0), q.compare("!=", q)), value)


def symbol_of(name: str) -> str:
    """Return the name under which the linker finds a function of scipy.special."""
    return f"refmaml_special_{name}"


_FUNCTIONS: dict[str, Function] = {
    "exp": exp, "log": log, "log1p": log1p, "tanh": tanh, "sech2": sech2, "expit": expit, "logaddexp": logaddexp,
    "logaddexp2": logaddexp2, "mod": mod, "sign": sign, "absolute": Real.magnitude, "fabs": Real.magnitude,
    **{name: lambda x, name=name: x.intrinsic(name) for name in ("sqrt", "floor", "ceil", "rint", "trunc")},
    "reciprocal": lambda x: 1.0 / x, "square": lambda x: x * x,
    "maximum": _extreme(">=", nan_wins=True), "minimum": _extreme("<=", nan_wins=True),
    "fmax": _extreme(">=", nan_wins=False), "fmin": _extreme("<=", nan_wins=False),
    **{name: library(c) for name, c in C_LIBRARY.items()}, **{name: special(c) for name, c in SPECIAL.items()},
    "zeta": zeta,
}  # fmt: skip


def _floored(builder: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """Return quotient and remainder of integers, rounded down; 0 and 0 for a division by 0, as NumPy has it.

    The processor has no quotient for 0, and none for the smallest integer and −1: there it divides by 1.
    """
    zero, one = x.type(0), x.type(1)
    none, minus = builder.icmp_signed("==", y, zero), builder.icmp_signed("==", y, x.type(-1))
    divisor = builder.select(builder.or_(none, minus), one, y)
    quotient, rest = builder.sdiv(x, divisor), builder.srem(x, divisor)
    low = builder.icmp_signed("<", builder.xor(rest, divisor), zero)
    below = builder.and_(low, builder.icmp_signed("!=", rest, zero))
    quotient = builder.select(below, builder.sub(quotient, one), quotient)
    rest = builder.select(below, builder.add(rest, divisor), rest)
    quotient = builder.select(minus, builder.neg(x), quotient)
    return builder.select(none, zero, quotient), rest


def _sign(builder: Any, x: Any) -> Any:
    zero, kind = x.type(0), x.type
    positive, negative = (builder.zext(builder.icmp_signed(how, x, zero), kind) for how in "><")
    return builder.sub(positive, negative)


_OF_INTEGERS: dict[str, Callable[..., Any]] = {
    "floor_mod": lambda builder, x, y: _floored(builder, x, y)[1],
    "floor_divide": lambda builder, x, y: _floored(builder, x, y)[0],
}
_TESTS: dict[str, Callable[[Real], Any]] = {
    "isnan": lambda x: x.compare("!=", x),
    "isinf": lambda x: x.magnitude().compare("==", float("inf")),
    "isfinite": lambda x: x.magnitude().compare("<", float("inf")),
}


def write(name: str, builder: Any, args: Sequence[Any]) -> Any:
    """Write a function at the place of its call."""
    if name == "where":
        return builder.select(*args)
    if name in _OF_INTEGERS:
        return _OF_INTEGERS[name](builder, *args)
    if name == "sign" and isinstance(args[0].type, ir.IntType):
        return _sign(builder, args[0])
    numbers = [Real(builder, arg) for arg in args]
    return _TESTS[name](*numbers) if name in _TESTS else _FUNCTIONS[name](*numbers).value
