"""Costs that are the first to import what autograd has of SciPy, whose rules are not imported before."""

import subprocess
import sys
import textwrap

import pytest

_CHILD = """
import sys
import autograd.numpy as np
import refmaml
import refmaml.compiled as engine

print("autograd.scipy" in sys.modules, "scipy.stats" in sys.modules)

def cost(batch, v):
    {line}
    return np.mean({expression})

data, theta = {{"x": np.array([[0.5, 1.5], [0.25, 2.0]])}}, {{"w": np.array([0.3, 0.4])}}
steps = (engine.fomaml_step, refmaml.fomaml_step)
found, expected = (step(data, cost, None, theta, 2, 0.1, batched=False) for step in steps)
print(abs(found[0] - expected[0]) <= 1e-12, np.max(np.abs(found[1]["w"] - expected[1]["w"])) <= 1e-12)
"""


@pytest.mark.parametrize(
    ("line", "expression"),
    [
        ("from autograd.scipy.special import expit", "expit(batch['x'][0] * v['w'])"),
        ("from autograd.scipy.stats import norm", "norm.logpdf(batch['x'][0] - v['w'], 0.5, 2.0)"),
        (
            "from autograd.scipy.linalg import solve_triangular",
            "solve_triangular(np.array([[2.0, 0.0], [1.0, 3.0]]), batch['x'][0] * v['w'], lower=True) ** 2",
        ),
    ],
)
def test_a_cost_may_import_them_itself(line, expression):
    """The engine does without SciPy's modules until a cost imports them while it is traced, and then knows them."""
    script = textwrap.dedent(_CHILD).format(line=line, expression=expression)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["False False", "True True"], done.stderr


def test_a_cost_that_imports_what_has_no_rule_is_refused():
    """The refusal is that of the function, although it was not known when the trace began."""
    script = _CHILD.format(
        line="from autograd.scipy.integrate import odeint",
        expression="odeint(lambda y, t: -y, batch['x'][0] * v['w'], np.linspace(0.0, 1.0, 3))",
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "odeint: expected a number of steps that does not depend on data" in done.stderr
