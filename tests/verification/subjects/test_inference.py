"""The framework of a subject is inferred from its annotations, from its code, and from what is imported around it."""

from __future__ import annotations

import sys
from functools import partial
from types import ModuleType

import pytest

from verification.subjects import framework_of


@pytest.fixture
def packages(monkeypatch):
    """Stand-ins for PyTorch and JAX, of which nothing but names is looked at."""
    for name in ("torch", "jax", "jax.numpy"):
        module = ModuleType(name)
        module.Tensor = type("Tensor", (), {"__module__": name})
        monkeypatch.setitem(sys.modules, name, module)


def made(source, monkeypatch, name="somebodys_module"):
    """Return the function `subject` of a module with this source."""
    module = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    exec(compile(source, name, "exec"), vars(module))
    return module.subject


@pytest.mark.parametrize(
    ("source", "framework", "why"),
    [
        ("from torch import Tensor\nimport jax\ndef subject(p) -> Tensor: pass", "torch", "its annotations name torch"),
        (
            "from __future__ import annotations\nimport torch, jax\ndef subject(p) -> list[jax.Array]: return torch",
            "jax",
            "its annotations name jax",
        ),
        ("import torch, jax\ndef subject(p): return [jax.grad for _ in p]", "jax", "its code uses jax"),
        ("def subject(p):\n    import jax.numpy as jnp\n    return jnp", "jax", "its code uses jax"),
        ("import numpy, torch\ndef subject(p): return p", "torch", "its module imports torch"),
        (
            "import numpy\ndef subject(p): return numpy.sum(p)",
            "autograd",
            "it uses no other, and autograd's arrays are NumPy's",
        ),
        ("import refmaml\ndef subject(p): return refmaml.fomaml_step(p)", "autograd", "its code uses autograd"),
    ],
)
def test_what_says_most_is_taken(packages, monkeypatch, source, framework, why):
    """Annotations say more than the code, the code more than the module's imports."""
    assert framework_of(made(source, monkeypatch)) == (framework, why)


def test_the_module_of_what_it_calls_says_it_too(packages, monkeypatch):
    """An adapter that imports nothing but somebody's library is of that library's framework."""
    made("import torch\ndef subject(p): pass\nsubject.__module__ = 'library'", monkeypatch, "library")
    subject = made("from library import subject as step\ndef subject(p): return step(p)", monkeypatch)
    assert framework_of(subject) == ("torch", "what it calls is in a module that imports torch")


def test_what_wraps_a_function_is_taken_off(packages, monkeypatch):
    """Partial functions, methods and objects that can be called are of the framework of what they call."""
    methods = "    def __call__(self, p): return torch\n    def run(self, p): return torch\n"
    source = f"import torch\nclass Step:\n{methods}subject = Step()"
    subject = made(source, monkeypatch)
    for form in (subject, subject.run, partial(subject), partial(subject.run)):
        assert framework_of(form) == ("torch", "its code uses torch")
