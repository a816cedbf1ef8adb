"""The corpus: what compiles agrees with the reference, and what does not says what to write.

`python tests/compiled/sweep_corpus.py` runs all of it as machine code, and prints the figures of `docs/engine.md`.
"""

import warnings

import pytest
from corpus.entries import ENTRIES
from sweep_corpus import MODULES, STEPS, arguments, worst_error

import refmaml.compiled as engine
from refmaml.compiled import CompilationFallback
from refmaml.compiled.errors import CompilationRefused

assert all(MODULES)  # their import fills the corpus
RUNS = [(name, order, batched) for name, entry in ENTRIES.items() if not entry.refused for order, batched in entry.runs]
REFUSED = [name for name, entry in ENTRIES.items() if entry.refused]


def test_the_corpus_is_large_and_nearly_all_of_it_compiles():
    """It has at least 80 costs, and at most a tenth of its runs are expected to be refused."""
    refused = sum(len(ENTRIES[name].runs) for name in REFUSED)
    assert len(ENTRIES) >= 80
    assert refused <= 0.1 * (len(RUNS) + refused)


@pytest.mark.once
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
@pytest.mark.parametrize("name", [name for name in ENTRIES if name not in REFUSED])
def test_no_other_cost_is_refused(name, monkeypatch):
    """Every cost that is not expected to be refused compiles, and has the value that it has in the reference."""
    monkeypatch.setenv("REFMAML_CACHE_DIR", "")
    order, batched = ENTRIES[name].runs[0]
    got, expected = (step(*arguments(ENTRIES[name], batched), batched=batched)[0] for step in STEPS[order])
    assert got == pytest.approx(expected, rel=1e-8, abs=1e-12)


@pytest.mark.sampled(12)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
@pytest.mark.parametrize(("name", "order", "batched"), RUNS)
def test_a_cost_agrees_with_the_reference(name, order, batched, monkeypatch):
    """A cost in the style in which people write gives the reference's answer, within 64 u κ."""
    monkeypatch.setattr("numba.core.config.DISABLE_JIT", 1)
    assert worst_error(ENTRIES[name], order, batched) <= 1


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_names_the_line_and_what_to_write(name):
    """What cannot be compiled is refused with the line of the cost and a way to write it; the reference computes it."""
    entry = ENTRIES[name]
    with pytest.raises(CompilationRefused, match=rf"corpus.*\.py:\d+.*{entry.refused}") as refusal:
        engine.fomaml_step(*arguments(entry, False), batched=False)
    assert "on_unsupported='reference'" in str(refusal.value)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        got = engine.fomaml_step(*arguments(entry, False), batched=False, on_unsupported="reference")
    assert any(issubclass(warning.category, CompilationFallback) for warning in caught)
    assert got[0] == STEPS[1][1](*arguments(entry, False), batched=False)[0]
