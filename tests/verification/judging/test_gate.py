"""A framework that is off is found out before anything is judged, and no subject is blamed for it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from implementations import numpy_subject
from shared import verify

import verification.frameworks
from verification.frameworks import framework

ASKED = {"framework": "numpy", "problems": ("mlp-tanh-mse",)}


@pytest.fixture
def numpy_with(monkeypatch):
    """Put a changed framework in the place of NumPy's; autograd's stays."""

    def put(**changes):
        changed = replace(framework("numpy"), **changes)
        plain = framework("numpy")

        def make():
            return changed

        monkeypatch.setitem(verification.frameworks._MAKERS, "numpy", make)
        return plain

    return put


def namespace(**functions):
    """Return NumPy's namespace with some functions replaced."""
    return SimpleNamespace(**{**vars(np), **functions})


def off(factor):
    return lambda x: np.exp(x) * np.asarray(factor, np.asarray(x).dtype)


@pytest.mark.parametrize(
    ("changes", "dtype", "says"),
    [
        ({"array": lambda a: np.array(a, np.float32)}, "float64", "its variables are float32"),
        ({"compiled": lambda cost: lambda d, v: np.float32(cost(np, d, v))}, "float64", "the inner cost is float32"),
        ({"compiled": lambda cost: lambda d, v: 1 / 0}, "float32", "the inner cost raises ZeroDivisionError"),
    ],
)
def test_another_dtype_is_the_frameworks(numpy_with, changes, dtype, says):
    """A float64 that is none is reported of the framework; nothing is asked of the subject."""
    numpy_with(**changes)
    report = verify(pytest.fail, kind="problem", dtypes=(dtype,), **ASKED)
    assert (report.verdict, report.cases, report.diagnosis) == ("inconclusive", [], [])
    assert report.reason.startswith(
        f"The framework numpy cannot be judged in with {dtype}: on the problem mlp-tanh-mse"
    )
    assert says in report.reason


def test_an_inaccurate_function_is_the_frameworks(numpy_with):
    """An exp that is off by 1e-7 is seen in float64, where that is 1e9 roundings, and allowed in float32."""
    plain = framework("numpy")
    wrong = off(1 + 1e-7)
    numpy_with(
        compiled=lambda cost: lambda d, v: cost(plain.xp if v["w1"].dtype == "f4" else namespace(exp=wrong), d, v)
    )
    report = verify(numpy_subject, dtypes=("float64",), **ASKED)
    assert report.verdict == "inconclusive"
    assert "the inner cost is" in report.reason
    assert "where NumPy has" in report.reason
    assert verify(numpy_subject, dtypes=("float32",), **ASKED).verdict == "pass"
