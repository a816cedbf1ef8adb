"""Emitted source means the same to Python and to the walk that writes LLVM's instructions, with checks and without."""

import numpy as np
import pytest

from refmaml.compiled.code.places import Header
from refmaml.compiled.code.source import Emitted
from refmaml.compiled.machine import runtime
from refmaml.compiled.machine.instructions import instructions
from refmaml.compiled.program.kernels import MatMul, RowSum
from refmaml.compiled.program.program import BOOL, FLOAT32, FLOAT64, INT64

pytestmark = pytest.mark.once  # arithmetic

PARAMETERS = {"counter": INT64, "w4": FLOAT32, "w8": FLOAT64, "wi": INT64, "wb": BOOL}
PRODUCT = MatMul(2, 3, 4, (4, 1), (3, 1), 8, "rows", accumulate=True)
HEADER = Header(kernels={"add_product": PRODUCT, "total": RowSum(5, 4)}, functions={"maximum", "where", "isnan"})

SOURCES = {
    "numbers meet": "w8[0] = w4[1] * w8[2] + wi[3]\nw8[1] = wi[2] / wi[3]\nw8[2] = wi[1] * w4[3]",
    "float32 stays": "c = f4(0.1)\nw4[0] = w4[1] * c - w4[2] / c\nw8[0] = w4[0]",
    "integers": "wi[0] = wi[1] * -3 + 7 - wi[2]\nwi[1] = max(wi[2], wi[3])\nwi[4] = min(abs(wi[2]), wi[3])",
    "casts": "wi[0] = i8(w8[1] * 10.0)\nw4[1] = f4(w8[2])\nw8[3] = f8(w4[3])\nw4[2] = f4(wi[3])\nw8[4] = f8(wb[0])",
    "truth": "t = w8[0] < w8[1]\nwb[1] = t\nwb[2] = (wb[0] != 0) & t | (w4[0] >= w4[1]) ^ True\nwb[3] = t != True",
    "order of truths": "wb[1] = False < (wb[0] != 0)\nwb[2] = (wb[0] != 0) <= False",
    "not a number": "w8[0] = not_a_number\nwb[0] = w8[0] == w8[0]\nwb[1] = w8[0] != w8[0]\nwb[2] = w8[0] >= -infinity",
    "a variable changes its type": "x = w4[0]\nw4[1] = x + x\nx = w8[2]\nw8[3] = x * 3.0\nx = wi[0]\nwi[1] = x - 1",
    "loops": "s = 0.0\nfor i in range(2):\n    for j in range(3):\n        s = s + w8[2 * i + j]\nw8[0] = s",
    "no rounds": "for i in range(0):\n    w8[0] = 5.0",
    "branches": "if wi[3] == 3 or w8[0] > 99.0:\n    w8[0] = 1.0\nelse:\n    w8[0] = 2.0\nif wi[0]:\n    pass",
    "a choice": "w8[1] = where(isnan(w8[2]), 0.0, w8[2])\nw8[3] = maximum(w8[4], 0.0)",
    "kernels": "add_product(w8, 24, 0, 8, 0.5)\nw4[0] = total(w4, 3)",
    "functions": "w8[0] = other(memory, 3, 2 < 1)\nw8[1] = other(memory, -1, True)",
    "claims": "k = next_below(counter, 1)\nw8[0] = k\nw8[1] = next_below(counter, 1)\nfinished(counter, 1)",
    "loops again": "c = w8[31] + 2.0\n" + "\n".join(
        f"for i in range(2):\n    for j in range(2):\n        x = w8[{k} + 2 * i + j] * c\n"
        f"        w8[{k + 16} + 2 * i + j] = x + w4[j]"
        for k in (0, 4, 8, 12)
    ),
    "loops again add up": "\n".join(
        f"for i in range(3):\n    w8[{k} + i] = 0.0\nfor i in range(2):\n    for j in range(3):\n        "
        f"w8[{k} + j] = w8[{k} + j] + w8[16 + 3 * i + j]" for k in (0, 3, 6, 9)
    ),
    "loops again share a sum": "s = 0.0\n" + "\n".join(
        f"for i in range(3):\n    s = s + w8[{k} + i]\nw8[{k}] = s" for k in (0, 5, 10, 15)
    ),
    "loops again leave a number": "\n".join(
        f"for i in range(3):\n    x = w8[{k} + i]\n    w8[{k + 4} + i] = x * x\nw8[{k}] = x" for k in (0, 8, 16, 24)
    ),
    "loops again meet their own results": "\n".join(
        f"for i in range(6):\n    w8[{k + 1} + i] = w8[{k} + i] * 2.0" for k in (0, 8, 16, 24)
    ),
    "loops again read one place": "\n".join(
        f"for i in range(4):\n    w8[{k} + i] = w8[28] * infinity - w8[28 + i]" for k in (0, 4, 8, 12, 28)
    ),
    "loops again of another type": "".join(
        f"x = {value}\n" + "".join(f"for i in range(3):\n    w8[{k} + i] = x * w8[{k + 4} + i]\n" for k in places)
        for value, places in (("w4[0]", (0, 3)), ("w8[31]", (12, 15)), ("wi[1]", (22, 25)))
    ).rstrip(),
}  # fmt: skip


def arrays():
    rng = np.random.default_rng(8)
    made = [rng.normal(size=32).astype(dtype) for dtype in (FLOAT32, FLOAT64)]
    return [np.zeros(4, np.int64), *made, np.array([2, -5, -4, 3, 1]), np.array([1, 0, 1, 0], np.bool_)]


def driver(body):
    def step(memory):
        body(memory)

    return step


def step_of(lines):
    arrays = [f"{name} = memory.{name}" for name in PARAMETERS]
    padding = ["wi[0] = wi[0]"] * (500 if lines.count("for i") > 3 else 0)  # loops come again in long sources alone
    body = "\n    ".join([*arrays, *lines.splitlines(), *padding])
    other = "def other(memory, x, y):\n    wi = memory.wi\n    return wi[0] + x * wi[1] + y"
    return Emitted(f"{other}\n\ndef body(memory):\n    {body}\n", HEADER, PARAMETERS, driver)


def run(setting, body, monkeypatch):
    for name in ("DISABLE_JIT", "BOUNDSCHECK"):
        monkeypatch.setattr(f"numba.core.config.{name}", int(name == setting))
    given = arrays()
    function = runtime.executable(step_of(body))
    if isinstance(function, runtime.Native):
        function.call(np.array([array.ctypes.data for array in given]).ctypes.data)
    else:
        function(given)
    return given


@pytest.mark.parametrize("body", SOURCES.values(), ids=SOURCES)
def test_the_three_ways_agree(body, monkeypatch):
    """Plain Python, machine code, and machine code with checked bounds write the same arrays from the same source."""
    plain, machine, checked = (run(setting, body, monkeypatch) for setting in ("DISABLE_JIT", None, "BOUNDSCHECK"))
    assert any(not np.array_equal(a, b) for a, b in zip(plain, arrays(), strict=True)) or "range(0)" in body
    for expected, *others in zip(plain, machine, checked, strict=True):
        for other in others:
            np.testing.assert_allclose(
                other, expected, rtol=4 * np.finfo(other.dtype).eps if other.dtype.kind == "f" else 0
            )


@pytest.mark.parametrize(
    ("name", "functions", "calls"),
    [
        ("loops again", 1, 4),
        ("loops again add up", 2, 8),
        ("loops again share a sum", 0, 0),
        ("loops again leave a number", 0, 0),
        ("loops again meet their own results", 0, 0),
        ("loops again read one place", 1, 4),
        ("loops again of another type", 3, 6),
        ("loops", 0, 0),
    ],
)
def test_loops_that_come_again_are_written_once(name, functions, calls):
    """Loops of one form are calls, where they share no variable with others and write over nothing that they read."""
    step = step_of(SOURCES[name])
    written, _ = instructions(step.source, step.header.kernels, PARAMETERS, contract=True, checked=False)
    assert written.count('define internal i64 @"loop') == functions
    assert written.count('call i64 @"loop') == calls


@pytest.mark.parametrize(
    "body",
    [
        "w8[32] = 1.0",
        "w8[-1] = 1.0",
        "w8[0] = w4[wi[1]]",
        "w8[0] = total(w4, 28)",
        "add_product(w8, 27, 0, 8, 0.5)",
        "for i in range(33):\n    w8[i] = 1.0",
        "w8[0] = other(memory, wi[5], 0)",
    ],
)
def test_where_bounds_are_checked_an_access_beyond_an_array_is_an_error(body, monkeypatch):
    """With `BOUNDSCHECK` an index, or the reach of a kernel, beyond an array raises IndexError."""
    with pytest.raises(IndexError):
        run("BOUNDSCHECK", body, monkeypatch)


@pytest.mark.parametrize(
    "body",
    [
        "w8[0] = w8[1] ** 2",
        "del w8",
        "w8[0] = unknown(1.0)",
        "w8[0] = nothing",
        "w8[0] = 2 if wb[0] else 1",
        "for i in range(wi[3]):\n    w8[i] = 0.0",
        "for i, j in range(3):\n    w8[i] = 0.0",
    ],
)
def test_what_the_walk_does_not_know_is_an_error(body, monkeypatch):
    """Source with an operator, a statement, a function or a name that has no instruction is turned down."""
    with pytest.raises((KeyError, TypeError)):
        run(None, body, monkeypatch)
