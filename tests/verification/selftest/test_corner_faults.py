"""Wrong only where: code that is right but in a corner fails at level full, and the self-test says what survives."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner
from implementations import map_leaves
from rich.console import Console
from shared import verify

import refmaml
from verification.commands.cli import main
from verification.problems import corners
from verification.problems.trees import leaves
from verification.reports.corners import show_surveys
from verification.selftest.corners import MOST, Survey, pairs_of, survey

pytestmark = pytest.mark.once  # arithmetic

#: What wrong code passed with before there were corners.
SEEN = [
    (("K", "6 or more"),),
    (("axes of a leaf", "3"),),
    (("entries of a leaf", "10 or more"),),
    (("θ", "beyond 2"),),
    (("θ", "0"),),
    (("data", "large"),),
    (("gradient", "large"),),
    (("support beside query", "as many"),),
    *(((("query examples", number)),) for number in ("1", "2 to 4", "6 or more")),
    (("α", "beyond ½"),),
    (("α", "no power of two"),),
    (("form of α", "an array"),),
    (("K", "0"), ("outer cost at", "every step")),
    (("K", "1"), ("outer cost at", "every step")),
    (("inner selection", "for each task"), ("outer cost at", "every step")),
    (("outer selection", "for each task"), ("outer cost at", "every step")),
    *(
        (("form of α", "a number for each leaf"), (f"{loop} selection", level))
        for loop in ("inner", "outer")
        for level in ("some", "all but some", "for each task")
    ),
    (("adapted variables", "not asked for"),),
    (("dtype", "mixed"),),
    (("memory", "transposed"),),
    (("memory", "strided"),),
]


@pytest.mark.parametrize("order", [1, *(pytest.param(order, marks=pytest.mark.nightly) for order in (2, "reptile"))])
def test_a_fault_under_one_condition_does_not_survive(order):
    """At level full no fault under one condition passes, and of those under two at most one in a hundred does."""
    found = survey(order)
    assert found.is_clean
    assert found.surviving == []
    assert len(found.surviving_pairs) <= MOST * found.pairs
    if order == 1:
        missed = {frozenset(pair) for pair in found.surviving_pairs}
        assert not [condition for condition in SEEN if frozenset(condition) in missed]
        assert all(set(condition) <= {level for pair in pairs_of(1) for level in pair} for condition in SEEN)


def test_a_shorter_run_leaves_more():
    """At level quick faults survive under many conditions: the survey is no tautology."""
    found = survey("reptile", level="quick")
    assert not found.is_clean
    assert {("θ", "0"), ("dtype", "mixed"), ("α", "negative")} <= set(found.surviving)
    assert ("K", "3 to 5") not in found.surviving


# Wrong subjects: steps that are right wherever their condition does not hold


def doubled_where(condition):
    """Return first-order MAML with its gradient doubled where a condition on the arguments holds."""

    def step(*arguments, **options):
        cost, gradients, *rest = refmaml.fomaml_step(*arguments, **options)
        factor = 2 if condition(arguments, options) else 1
        return (cost, map_leaves(lambda leaf: leaf if leaf is None else factor * leaf, gradients), *rest)

    return step


def with_rate(change):
    """Return first-order MAML with a changed rate, whatever its form."""

    def step(*arguments, **options):
        given = list(arguments)
        given[5] = map_leaves(lambda rate: change(np.asarray(rate, np.float64)), given[5])
        return refmaml.fomaml_step(*given, **options)

    return step


def rounded_to(dtype):
    """Return the rounding to a dtype, as float64; what is too large for it becomes the largest number that it has."""
    most = float(np.finfo(dtype).max)
    return lambda rate: np.clip(rate, -most, most).astype(dtype).astype(np.float64)


def to_bfloat16(rate):
    """Round to the upper half of float32, to nearest."""
    bits = rate.astype(np.float32).reshape(-1).view(np.uint32).astype(np.uint64) + 0x8000
    short = (bits & 0xFFFF0000).astype(np.uint32).view(np.float32)
    return short.astype(np.float64).reshape(rate.shape)


def at_most_five_steps(*arguments, **options):
    """First-order MAML with K cut to 5."""
    return refmaml.fomaml_step(*arguments[:4], min(arguments[4], 5), arguments[5], **options)


def clipped(*arguments, **options):
    """First-order MAML with gradients clipped at 1000."""
    cost, gradients, *rest = refmaml.fomaml_step(*arguments, **options)
    return (cost, map_leaves(lambda leaf: leaf if leaf is None else np.clip(leaf, -1e3, 1e3), gradients), *rest)


def largest(arguments):
    """Return the largest |θ|."""
    return max(float(np.max(np.abs(leaf))) for leaf in leaves(arguments[3]).values())


WRONG = {
    "rate in bfloat16": with_rate(to_bfloat16),
    "rate in float16": with_rate(rounded_to(np.float16)),
    "rate in multiples of 1/256": with_rate(lambda rate: np.round(256 * rate) / 256),
    "rate in float32": with_rate(rounded_to(np.float32)),
    "size of the rate": with_rate(np.abs),
    "at most five steps": at_most_five_steps,
    "gradients clipped at 1000": clipped,
    "doubled where θ is 0": doubled_where(lambda arguments, _: largest(arguments) == 0),
    "doubled where dtypes are mixed": doubled_where(
        lambda arguments, _: len({leaf.dtype for leaf in leaves(arguments[3]).values()}) > 1
    ),
    "doubled where a leaf is not contiguous": doubled_where(
        lambda arguments, _: not all(leaf.flags.c_contiguous for leaf in leaves(arguments[3]).values())
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_in_a_corner_fails(name):
    """A step that passed every problem of level full before fails on its corners."""
    report = verify(WRONG[name], kind="step", framework="autograd", problems=corners.names())
    assert report.verdict == "fail"
    assert {finding.what for case in report.failing for finding in case.findings} <= {"gradients", "cost", "adapted"}


def test_a_rate_in_float32_is_right_where_float32_is_asked():
    """What a rate is in float32 is the double or that double rounded, and no further."""
    options = {"kind": "step", "framework": "autograd", "dtypes": ("float32",), "problems": corners.names()}
    assert verify(WRONG["rate in float32"], **options).verdict == "pass"
    assert verify(WRONG["rate in bfloat16"], **options).verdict == "fail"
    assert verify(WRONG["rate in multiples of 1/256"], **options).verdict == "fail"


def test_the_report_says_under_which_conditions():
    """Where only corners are wrong no fault is named, and a remark has what all of them and no others have."""
    both = doubled_where(lambda arguments, options: options["batched"] and largest(arguments) > 2)
    report = verify(both, kind="step", framework="autograd", problems=("quadratic", "batched", *corners.names()))
    assert [diagnosis.name for diagnosis in report.diagnosis] == ["several"]
    assert "only answers to corners are wrong" in report.diagnosis[0].evidence
    assert "Wrong wherever this is so, and nowhere else: θ: beyond 2; mode: batched." in report.remarks
    one = verify(clipped, kind="step", framework="autograd", problems=("quadratic", *corners.names()))
    assert "Wrong wherever this is so, and nowhere else: gradient: large." in one.remarks


def test_a_fault_of_the_catalogue_has_its_name_all_the_same():
    """Corners take no part in naming where ordinary problems are wrong."""

    def one_too_few(*arguments, **options):
        cost, _, *rest = refmaml.fomaml_step(*arguments, **options)
        few = max(arguments[4] - 1, 0)
        return (cost, refmaml.fomaml_step(*arguments[:4], few, arguments[5], **options)[1], *rest)

    problems = ("quadratic", "mlp-tanh-mse", "bilinear", *corners.names())
    report = verify(one_too_few, kind="step", framework="autograd", problems=problems)
    assert [diagnosis.name for diagnosis in report.diagnosis] == ["B02"]


# What is printed


def printed(surveys, **options):
    """Return what is printed of surveys."""
    console = Console(width=200, record=True, file=None, force_terminal=False)
    with console.capture() as capture:
        show_surveys(surveys, console, **options)
    return capture.get().splitlines()


def test_what_is_printed():
    """A line for each order, under it the faults under one condition, and where asked or needed those under two."""
    pair = (("K", "0"), ("α", "0"))
    fine, bad = Survey(1, 89, [], 3776, [pair]), Survey("reptile", 62, [("K", "2")], 1804, [pair])
    assert (fine.is_clean, bad.is_clean) == (True, False)
    assert not Survey(1, 89, [], 100, [pair, pair]).is_clean
    line = "order 1: 0 of 89 faults under one condition survive, and 1 of 3776 under two (0.03%, where 1% may)."
    assert printed([fine]) == [line]
    assert printed([fine], verbose=True) == [line, "    K: 0; α: 0"]
    assert printed([bad])[1:] == ["    K: 2", "    K: 0; α: 0"]


def test_the_command():
    """It plants faults in the orders asked for, and takes no options of the other self-tests."""
    done = CliRunner().invoke(main, ["self-test", "--corners", "--order", "reptile"])
    assert (done.exit_code, done.stdout.startswith("order reptile: 0 of 62 faults")) == (0, True)
    refused = CliRunner().invoke(main, ["self-test", "--corners", "--dtype", "float64"])
    assert refused.exit_code == 2
    assert "--corners allows no other option than --order and --verbose." in refused.output
    request = CliRunner().invoke(main, ["requests", "corner-3"])
    assert request.exit_code == 2
    assert "NAME: corner-3 is for Python code alone" in request.output
