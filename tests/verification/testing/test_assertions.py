"""Assertions and checks: what they let pass, and the words in which they fail."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from unittest import SkipTest

import pytest

import verification
from verification.cases import Related
from verification.faults import CATALOGUE
from verification.faults.subject import FaultySubject
from verification.judging.standard import Standard
from verification.relations import Result
from verification.testing import assert_correct, make_problem
from verification.testing.assertions import first_screen
from verification.testing.checks import checks_of
from verification.testing.summary import summaries
from verification.testing.transport import pack, unpack_observation

FEW = ["quadratic", "bilinear"]


def one_step_fewer() -> FaultySubject:
    """Return a subject with the mistake B02."""
    return FaultySubject(CATALOGUE["B02"].variants[""])


def right(problem: Any) -> Any:
    """Answer a plain first-order problem with NumPy arrays of the reference's."""
    import refmaml

    positional, keywords = problem.native("autograd").arguments()
    return refmaml.fomaml_step(*positional, **keywords)[:2]


def test_a_right_subject_passes_the_assertion() -> None:
    """Nothing is raised for a right subject."""
    assert_correct(right, problems=FEW)


def test_the_assertion_reads_like_a_report() -> None:
    """The message has the verdict, the name of the mistake with its advice, a wrong number, and a snippet."""
    with pytest.raises(AssertionError) as raised:
        assert_correct(one_step_fewer(), problems=FEW)
    lines = str(raised.value).splitlines()
    assert lines[0].startswith("FAIL  ")
    assert lines[1] == "4 of 4 answers are wrong."
    assert lines[2] == "B02: one inner step too few"
    assert any(line.startswith("What to do: Count the inner updates") for line in lines)
    assert "quadratic, order 1, float64:" in lines
    assert any("expected" in line and "got" in line for line in lines)
    assert lines[-5:-1] == [
        "To reproduce it:",
        "    import verification",
        f"    subject = verification.load({verification.verify(one_step_fewer(), problems=['no-steps']).subject!r})",
        "    problem = verification.problem('quadratic', order=1, framework='autograd', dtype='float64')",
    ]


def test_the_assertion_fails_where_nothing_was_decided() -> None:
    """An inconclusive verdict is no pass."""
    with pytest.raises(AssertionError, match=r"INCONCLUSIVE .*\nThe judge tested nothing"):
        assert_correct(right, problems=[])


def test_a_broken_relation_is_part_of_the_message() -> None:
    """Where no answer is wrong and a relation is broken, the message says which, on what problem and how."""
    broken = Result("purity", "fail", float("inf"), 0.0, "the second call changes the cost")
    report = verification.verify(right, problems=["quadratic"], dtypes=("float64",))
    lines = first_screen(replace(report, relations=[Related("batched", 1, broken)])).splitlines()
    assert lines[-1] == "purity, batched: the second call changes the cost"


def test_a_report_is_a_few_lines_in_a_session_and_in_a_notebook() -> None:
    """`repr` has verdict, reason and mistake; a notebook shows the same, with nothing that HTML takes for a tag."""
    report = verification.verify(one_step_fewer(), problems=FEW)
    lines = repr(report).splitlines()
    assert lines[0].startswith("FAIL  ")
    assert "B02: one inner step too few" in lines
    assert len(lines) <= 6
    html = replace(report, subject="<lambda>", left_out=["batched"])._repr_html_()
    assert html.startswith("<pre>FAIL  &lt;lambda&gt; (autograd problem)\n")
    assert html.endswith("Not tested: batched.</pre>")


def test_a_check_that_decides_nothing_is_skipped() -> None:
    """Where rounding is as large as a mistake, a right answer is no pass: test runners see a skip, with the reason."""
    tiny = make_problem("quadratic", rate=1e-9)
    (check,) = checks_of(right, problems=[tiny], dtypes=["float32"])
    with pytest.raises(SkipTest, match="rounding is as large as the difference from a wrong answer"):
        check()
    ((verdict, lines),) = summaries([pack(check)])
    assert verdict == "INCONCLUSIVE"
    assert lines[0].endswith("0 of 1 answers are right, 1 undecided.")


def test_the_mistake_in_a_problem_of_ones_own_is_named_by_its_failures() -> None:
    """The summary cannot make somebody's own problem again, and counts the names that the failures gave."""
    checks = checks_of(one_step_fewer(), problems=[make_problem("mlp-tanh-mse", steps=3)])
    for check in checks:
        with pytest.raises(AssertionError, match=r"^B02: one inner step too few\n"):
            check()
    ((verdict, lines),) = summaries(map(pack, checks))
    assert verdict == "FAIL"
    assert lines[1:] == ["B02: named in 2 of 2 failures."]


def test_subjects_are_told_apart_in_the_summary() -> None:
    """Each subject has a verdict of its own, in the order of the tests."""
    checks = [
        check for subject in (right, one_step_fewer()) for check in checks_of(subject, problems=FEW, dtypes=["float64"])
    ]
    for check in checks[:2]:
        check()
    for check in checks[2:]:
        with pytest.raises(AssertionError):
            check()
    found = summaries(map(pack, checks))
    assert [verdict for verdict, _ in found] == ["PASS", "FAIL"]
    assert "B02: one inner step too few" in "\n".join(found[1][1])


def test_what_travels_is_plain_and_arrives_as_it_left() -> None:
    """An outcome survives JSON, to the bit."""
    (check,) = checks_of(one_step_fewer(), problems=["quadratic"], dtypes=["float32"])
    with pytest.raises(AssertionError):
        check()
    assert check.answered is not None
    packed = pack(check)
    arrived = json.loads(json.dumps(packed))
    standard = Standard(check.standard.problem)
    for observation, data in zip(check.answered.observations, arrived["observations"], strict=True):
        again = unpack_observation(data, standard)
        mine, other = observation.reply, again.reply
        assert (other.cost, again.wrong, again.call) == (mine.cost, observation.wrong, observation.call)
        for part, same in ((mine.gradients, other.gradients), (mine.adapted or {}, other.adapted or {})):
            assert {chain: (leaf.dtype, leaf.tobytes()) for chain, leaf in part.items()} == {
                chain: (leaf.dtype, leaf.tobytes()) for chain, leaf in same.items()
            }


def test_an_unsupported_problem_is_skipped_with_its_reason() -> None:
    """A problem subject that does not say that it takes batches is not asked to."""
    checks = checks_of(right, problems=["batched"], dtypes=["float64"])
    assert [check.reason_to_skip for check in checks] == [
        "the subject does not support batched: if it does, say so in its attribute `supports`"
    ]
