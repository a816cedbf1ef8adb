"""The self-test: what it tries, what it makes of survivors and false alarms, and what it prints and writes."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console
from shared import STANDARDS

from verification.commands.cli import main
from verification.faults import CATALOGUE, NOT_SHOWN, Fault
from verification.faults.order import right
from verification.faults.subject import FaultySubject
from verification.orders import DTYPES
from verification.reports.heat import heat_map
from verification.reports.markdown import CHECKS, alone, catalogue, page
from verification.reports.matrix import is_clean, show_matrix, totals
from verification.selftest.correct import Variant, variants
from verification.selftest.holes import REASONS, Row, holes, shown
from verification.selftest.lineup import Lineup
from verification.selftest.trials import Trial, TrialResult, pair_trials, run, run_all, sample, trials

pytestmark = pytest.mark.once  # arithmetic

ORDERS = (1, 2, "reptile")


def _chance(question):
    found = right(question)
    return replace(found, gradients={chain: np.cos(1 + leaf) for chain, leaf in found.gradients.items()})


def planted(answer):
    """Return a row for a catalogue that knows a fault which the judge does not."""
    return Fault("Z99", "planted", "", "", "", "", {"": answer})


def lineup(answer, *correct, problems=("bilinear", "one-task")):
    """Return a lineup in which Z99 is the only fault, on two small problems; the judge does not know it."""
    return Lineup({"Z99": planted(answer)}, lambda: list(correct), problems)


def on(*problems):
    """Return the whole lineup on some problems."""
    return Lineup(problems=problems)


def command(*arguments, given):
    """Return the result of `refmaml self-test` with a lineup of one's own, in this process."""
    return CliRunner().invoke(main, ["self-test", *arguments, "--jobs", "1"], obj=given)


# What is tried


def test_every_fault_in_every_order_and_precision_is_tried():
    """The trials are the whole catalogue, with each variant in each order and precision that it can be in, once."""
    plan = [trial for trial in trials(ORDERS, DTYPES) if trial.faults]
    assert len(plan) == len(set(plan))
    assert {(trial.faults[0], trial.variant, trial.order, trial.dtype) for trial in plan} == {
        (id_, variant, order, dtype)
        for id_, fault in CATALOGUE.items()
        for variant in fault.variants
        for order in fault.orders
        for dtype in fault.dtypes
    }


def test_at_least_twelve_correct_variants_are_tried():
    """At least a dozen correct variants go through the judge, in the orders and precisions that they have."""
    plan = [trial for trial in trials(ORDERS, DTYPES) if not trial.faults]
    assert len({trial.variant for trial in plan}) >= 12
    assert {(trial.variant, trial.order, trial.dtype) for trial in plan} == {
        (variant.name, order, dtype) for variant in variants() for order in variant.orders for dtype in DTYPES
    }


@pytest.mark.parametrize("dtype", DTYPES)
def test_reptile_that_averages_the_adapted_weights_first_is_right(dtype):
    """(θ − mean φ_K)/α rounds θ itself, also where the right answer is 0; that accuses nobody."""
    trial = Trial((), "adapted weights averaged, then subtracted", "reptile", dtype)
    assert run(trial, STANDARDS).outcome == "correct"


def test_pairs_are_two_faults_of_different_choices():
    """Every two faults are tried that a step can have at once; no two that make one choice, and none that is slow."""
    plan = pair_trials((1,), ("float64",))
    assert len(plan) == len(set(plan))
    pairs = {trial.faults for trial in plan}
    assert {("B02", "C01"), ("B06", "D03"), ("D01", "G07"), ("D03", "E01"), ("M07", "E01")} <= pairs
    assert not pairs & {("B02", "B03"), ("C01", "C03"), ("D03", "D12"), ("B06", "E04")}
    assert not {id_ for pair in pairs for id_ in pair} & {"B05", "G11"}


def test_a_sample_of_pairs_has_every_pair_before_one_twice():
    """A draw is the same for a seed, another for another one, and goes through different faults first."""
    plan = pair_trials((1,), ("float64",))
    different = len({trial.faults for trial in plan})
    drawn = sample(plan, different, 7)
    assert len({trial.faults for trial in drawn}) == different
    assert drawn == sample(plan, different, 7) != sample(plan, different, 8)
    assert set(sample(plan, 10 * len(plan), 7)) == set(plan)


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("faults", "forms", "order", "became"),
    [
        (("B06", "D03"), ("", ""), 1, "named"),
        (("D03", "E01"), ("", ""), 2, "named"),
        (("D07", "G10"), ("", ""), 1, "named"),
        (("C06", "D07"), ("", "kept as an axis of length 1"), "reptile", "named"),
        (("B07", "D12"), ("", "mean of the means over two workers"), "reptile", "named"),
        (("M07", "G06"), ("the mean over θ, …, φ_K", ""), 1, "named"),
        (("D11", "G07"), ("", "by value"), "reptile", "named"),
        (("A03", "A04"), ("", ""), 1, "as one"),
        (("B11", "D09"), ("not averaged", "through the inner variables"), 1, "hidden"),
    ],
)
def test_what_becomes_of_two_faults(faults, forms, order, became):
    """Two faults are both named; what gives every answer of one fault, or is right on all problems, is told as that."""
    problems = on("bilinear", "one-step", "one-task", "mlp-tanh-mse")
    result = run(Trial(faults, forms[0], order, "float64", beside=forms[1]), STANDARDS, problems)
    assert result.outcome == became, result


@pytest.mark.nightly
@pytest.mark.parametrize("order", ORDERS)
def test_nearly_all_pairs_are_named(order):
    """Of two faults at once that are not what one fault gives, 98 in 100 are both named, and none passes."""
    drawn = sample(pair_trials((order,), DTYPES), 100, 20261130)
    count = Counter(run(trial, STANDARDS).outcome for trial in drawn)
    differing = len(drawn) - count["as one"] - count["hidden"]
    assert count["survived"] == 0
    assert count["named"] >= 0.98 * differing, count


# What becomes of a trial


def test_a_fault_that_is_named():
    """A fault is caught by what it changes, and named."""
    result = run(Trial(("B03",), "", 1, "float64"), STANDARDS, on("bilinear", "one-task"))
    assert (result.outcome, result.name) == ("named", "B03")
    assert set(result.caught_by) == {"cost", "gradients", "adapted"}


@pytest.mark.parametrize("scale", ["D01", "D11"])
def test_a_pair_that_is_named(scale):
    """A pair counts as named where both of its names are told."""
    standards = on("bilinear", "one-task", "logistic-regression")
    result = run(Trial(("B03", scale), "", 1, "float64"), STANDARDS, standards)
    assert (result.outcome, set(result.name.split(" + "))) == ("named", {scale, "B03"})


def test_one_of_two_equals_is_right():
    """A06 is told as A03 with the remark that they cannot be told apart, which is right."""
    result = run(Trial(("A06",), "", 1, "float64"), STANDARDS, on("bilinear", "no-steps"))
    assert (result.outcome, result.name) == ("named", "A03")


@pytest.mark.parametrize(
    ("answer", "outcome", "named"),
    [(right, "survived", ""), (_chance, "not named", "several"), (CATALOGUE["B03"].variants[""], "named wrong", "B03")],
)
def test_what_becomes_of_a_planted_fault(answer, outcome, named):
    """A fault that is right survives, one that nobody knows is not named, one with another's answers is named so."""
    result = run(Trial(("Z99",), "", 1, "float64"), STANDARDS, lineup(answer))
    assert (result.outcome, result.name) == (outcome, named)


def test_a_fault_that_nothing_was_asked_about_is_undecided():
    """Where the judge decides nothing, nothing has survived and nothing was caught."""
    result = run(Trial(("Z99",), "", 1, "float64"), STANDARDS, lineup(right, problems=()))
    assert result.outcome == "inconclusive"


def needing(variant):
    """Return a correct variant as a parameter that is skipped where its framework is not installed."""
    marks = [pytest.mark.framework(variant.framework)] if variant.framework == "torch" else []
    return pytest.param(variant, marks=marks, id=variant.name)


@pytest.mark.sampled(6)
@pytest.mark.parametrize("variant", [needing(variant) for variant in variants()])
def test_correct_code_is_not_accused(variant):
    """Each correct variant passes in single precision, where rounding is largest, in each of its orders."""
    for order in variant.orders:
        result = run(Trial((), variant.name, order, "float32"), STANDARDS, on("bilinear", "mlp-tanh-mse"))
        assert (result.outcome, result.caught_by, result.name) == ("correct", (), "")


# The command


WRONG = Variant("wrong on purpose", lambda _: FaultySubject(CATALOGUE["B01"].variants[""]))
RIGHT = Variant("right", lambda _: FaultySubject(right))


@pytest.mark.parametrize(
    ("answer", "correct", "code", "says"),
    [
        (CATALOGUE["B03"].variants[""], RIGHT, 0, "0 survived; 0 false alarms on 1 correct variants."),
        (right, RIGHT, 1, "1 survived; 0 false alarms on 1 correct variants."),
        (CATALOGUE["B03"].variants[""], WRONG, 1, "0 survived; 1 false alarms on 1 correct variants."),
    ],
)
def test_a_survivor_or_a_false_alarm_is_exit_code_1(answer, correct, code, says):
    """The command is judged by a fault that is right and by a right variant that is wrong, and says so with 1."""
    result = command("--order", "1", "--dtype", "float64", given=lineup(answer, correct))
    assert result.exit_code == code
    assert says in " ".join(result.output.split())


def _nobody():
    return []


HERE = []


def _noting(question):
    """Answer right, and note it in this process."""
    HERE.append(question.problem.name)
    return right(question)


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_results_come_in_order(jobs):
    """However many processes work, results come in the order of the trials, and progress is told for each."""
    plan = [Trial(("Z99",), "", "reptile", "float64"), Trial(("Z99",), "", 1, "float32")]
    heard = []
    quiet = Lineup({"Z99": planted(_noting)}, _nobody, ("bilinear",))
    HERE.clear()
    results = run_all(plan, jobs, lambda *progress: heard.append(progress), quiet)
    assert [(result.trial, result.outcome) for result in results] == [(trial, "survived") for trial in plan]
    assert heard == [(1, 2, "Z99"), (2, 2, "Z99")]
    assert bool(HERE) == (jobs == 1)  # two processes leave this one alone


@pytest.mark.parametrize("jobs", [["--jobs", "1"], []])
def test_the_jobs_of_the_command(jobs, monkeypatch):
    """`--jobs 1` works in the command's own process, and two others work by default."""
    monkeypatch.setattr("verification.selftest.holes.shown", lambda *_, **__: [])
    HERE.clear()
    quiet = Lineup({"Z99": planted(_noting)}, _nobody, ("bilinear",))
    arguments = ["self-test", "--order", "1", "--dtype", "float64", *jobs]
    assert CliRunner().invoke(main, arguments, obj=quiet).exit_code == 1
    assert bool(HERE) == bool(jobs)


def test_pairs_are_asked_for(monkeypatch):
    """`--pairs` tries two faults at once, and says how many are named of those that are no single fault."""
    monkeypatch.setenv("COLUMNS", "160")
    two = Lineup({id_: CATALOGUE[id_] for id_ in ("A03", "B03", "D01")}, _nobody, ("bilinear", "one-step", "one-task"))
    arguments = ("--pairs", "--order", "1", "--dtype", "float64", "--jobs", "1", "--verbose")
    result = command(*arguments, given=two)
    said = " ".join(result.output.split())
    assert (result.exit_code, "B03 + D01" in said) == (0, True)
    assert "of 9 times two faults at once, 6 give every answer of one fault and 0 the right ones;" in said
    assert "of the other 3, 3 are named right (100.0%)" in said
    few = command(*arguments, "--sample", "2", "--seed", "1", given=two)
    assert "of 2 times two faults at once" in " ".join(few.output.split())


def test_a_sample_is_of_pairs():
    """`--sample` without `--pairs` is wrong usage."""
    result = command("--sample", "3", given=None)
    assert (result.exit_code, "--sample is for --pairs." in result.output) == (2, True)


# What the problems show


def test_a_fault_that_no_problem_shows_is_a_hole():
    """F05 by position shows where a variable between others is unused, and no problem in loop mode shows D08."""
    between = "after None was left out"
    rows = {row.name: row for row in shown((2,), on("quadratic", "unused-between"), STANDARDS)}
    assert rows[f"F05 ({between})"].problems == ("unused-between",)
    assert rows["D08"].is_hole
    assert rows["D08"] in holes(rows.values())
    assert "quadratic" in rows["B02"].problems


def test_a_hole_fails_the_self_test():
    """A fault that is caught and is next to right everywhere is a hole: the command says so and exits with 1."""

    def near(question):
        found = right(question)
        leaves = {chain: leaf * leaf.dtype.type(1 + 1e-6) for chain, leaf in found.gradients.items()}
        return replace(found, gradients=leaves)

    result = command("--order", "1", "--dtype", "float64", given=lineup(near))
    said = " ".join(result.output.split())
    assert (result.exit_code, "0 survived" in said) == (1, True)
    assert "0 of 1 faults, in each form and order, are 1,000 bounds or more from right" in said
    assert "Z99, order 1: expected a problem that shows it, but there is none." in said


def test_the_matrix_as_json():
    """The form json has every trial, and for every fault the problems that show it."""
    result = command("--order", "1", "--format", "json", given=lineup(CATALOGUE["B03"].variants[""], RIGHT))
    found = json.loads(result.stdout)
    assert {trial["outcome"] for trial in found["trials"]} == {"named wrong", "correct"}
    (row,) = found["shown"]
    assert (row["fault"], row["problems"], row["reason"]) == ("Z99", ["bilinear", "one-task"], "")


@pytest.mark.nightly
def test_every_hole_has_a_reason_that_holds():
    """Level quick shows every fault of the catalogue and of what can be declared, but for those with a reason."""
    rows = shown(ORDERS, standards=STANDARDS)
    assert holes(rows) == []
    names = {name for row in rows if row.is_hole for name in (row.name, f"{row.name}, order {row.order}")}
    assert set(REASONS) <= names


# The matrix


RESULTS = [
    TrialResult(Trial(("B01",), "", 1, "float64"), "named", ("cost", "gradients"), "B01"),
    TrialResult(Trial(("B01",), "", 1, "float32"), "named wrong", ("gradients",), "B02"),
    TrialResult(Trial(("D05",), "", 1, "float64"), "named", ("second call",), "D05"),
    TrialResult(Trial(("A06",), "", "reptile", "float64"), "named", ("gradients",), "A03"),
    TrialResult(Trial((), "a|b", 1, "float64"), "correct", (), ""),
]


def test_the_totals():
    """The totals count what became of faults and correct variants in each precision."""
    assert totals(RESULTS) == [
        "float64: 3 of 3 faults caught, 3 named right, 0 named wrong, 0 not named, 0 inconclusive, 0 survived; "
        "0 false alarms on 1 correct variants.",
        "float32: 1 of 1 faults caught, 0 named right, 1 named wrong, 0 not named, 0 inconclusive, 0 survived; "
        "0 false alarms on 0 correct variants.",
    ]


@pytest.mark.parametrize(("outcome", "clean"), [("named wrong", True), ("survived", False), ("false alarm", False)])
def test_what_is_clean(outcome, clean):
    """A survivor or a false alarm spoils a self-test, and nothing else does."""
    assert is_clean([*RESULTS, TrialResult(Trial((), "", 1, "float64"), outcome, (), "")]) is clean


def test_the_matrix_on_a_terminal():
    """A row has the subject, what became of it in each precision, and what it was caught by."""
    console = Console(width=160, record=True, file=io.StringIO())
    show_matrix(RESULTS, console, verbose=True)
    lines = console.export_text().splitlines()
    (row,) = (line for line in lines if "B01" in line)
    assert [cell.strip() for cell in row.split("│")[1:-1]] == ["B01", "1", "named", "named B02", "cost, gradients"]
    (row,) = (line for line in lines if "D05" in line)
    assert [cell.strip() for cell in row.split("│")[1:-1]] == ["D05", "1", "named", "-", "second call"]


def test_survivors_and_a_count_by_default():
    """Without `verbose` only what survived or was accused has a row, under which the totals stand."""
    console = Console(width=160, record=True, file=io.StringIO())
    show_matrix(RESULTS, console)
    assert console.export_text() == "\n".join([*totals(RESULTS), ""])
    survivor = TrialResult(Trial(("E02",), "", 1, "float32"), "survived", (), "")
    show_matrix([*RESULTS, survivor], console)
    rows = [line.split("│")[1:-1] for line in console.export_text().splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row] for row in rows] == [["E02", "1", "survived", ""]]


def test_the_heat_map():
    """Each cell has its fate in words, and a colour by how good that is; the page is well-formed and stands alone."""
    evil = TrialResult(Trial((), "<script>", 1, "float64"), "false alarm", (), "")
    root = ElementTree.fromstring(heat_map([*RESULTS, evil]))
    cells = [(cell.get("class"), "".join(cell.itertext())) for cell in root.iter("{http://www.w3.org/1999/xhtml}td")]
    assert {("good", "named"), ("fair", "named B02"), ("good", "correct"), ("bad", "false alarm")} <= set(cells)
    assert (None, "correct (<script>)") in cells
    assert not list(root.iter("{http://www.w3.org/1999/xhtml}script"))
    assert "FAIL" in root.findtext(".//{http://www.w3.org/1999/xhtml}h1")


def test_the_page_of_the_documentation():
    """The page has its command, the catalogue, a matrix for each order, and what each check alone finds."""
    made = page(RESULTS, "refmaml self-test", [Row("B01", "", 1, "", ("quadratic",)), Row("Z99", "all", 2, "adam", ())])
    assert "The command `refmaml self-test" in made
    assert catalogue() in made
    assert all(f"| {id_} | " in made for id_ in (*CATALOGUE, *NOT_SHOWN))
    first, reptile = made.split("### First order\n")[1].split("### Reptile\n")
    assert "| B01 | named | named wrong, as B02 | cost, gradients |" in first
    assert "| correct (a\\|b) | correct | – |  |" in first
    assert "| A06 | named, as A03 | gradients |" in reptile
    assert "### Second order" not in made
    assert "| B01 | 1 |  | quadratic |" in made
    assert "| Z99 (all) | 2 | `adam` | none |" in made


def test_the_published_page_has_the_catalogue_that_there_is():
    """The page in the documentation was made since the catalogue was last changed."""
    published = Path(__file__).parents[3] / "docs" / "kill-matrix.md"
    assert catalogue() in published.read_text(encoding="utf-8"), "Make it again, with --format markdown=FILE"


def test_what_each_check_alone_catches():
    """A fault stands beside the one check that catches it in every precision, and one caught by two stands nowhere."""
    rows = dict(line.strip("| ").split(" | ") for line in alone(RESULTS).splitlines()[2:])
    assert tuple(rows) == CHECKS
    assert rows["gradients"] == "A06 in reptile"
    assert rows["second call"] == "D05 in first order"
    assert rows["cost"] == rows["adapted"] == rows["inputs"] == "none"


def test_the_page_is_written(tmp_path):
    """`--format markdown=FILE` writes the page, and a folder that is not there is wrong usage."""
    given, path = lineup(CATALOGUE["B03"].variants[""]), tmp_path / "matrix.md"
    arguments = ["--order", "1", "--dtype", "float64", "--format"]
    assert command(*arguments, f"markdown={path}", given=given).exit_code == 0
    assert "| Z99 | named wrong, as B03 | cost, gradients, adapted |" in path.read_text(encoding="utf-8")
    assert command(*arguments, f"markdown={tmp_path / 'missing' / 'matrix.md'}", given=given).exit_code == 2


# The catalogue


@pytest.mark.parametrize("id_", CATALOGUE)
def test_a_row_of_the_catalogue_is_whole(id_):
    """Every fault has its formula, source, least problem and advice, and at least one order and precision."""
    row = CATALOGUE[id_]
    assert row.id == id_
    assert all((row.title, row.formula, row.source, row.shows, row.advice, row.variants, row.orders, row.dtypes))
    assert row.advice.endswith((".", "it."))


def test_no_fault_is_shown_and_not_shown():
    """What no single step shows is listed with its reason, apart from the catalogue."""
    assert not set(NOT_SHOWN) & set(CATALOGUE)
    assert all(NOT_SHOWN.values())


def test_the_catalogue_on_the_command_line(monkeypatch):
    """`refmaml faults` lists every row, and with an id, in either case, explains one with its sources."""
    monkeypatch.setenv("COLUMNS", "200")
    listed = CliRunner().invoke(main, ["faults"])
    assert listed.exit_code == 0
    assert all(id_ in listed.output for id_ in (*CATALOGUE, *NOT_SHOWN))
    result = CliRunner().invoke(main, ["faults", "g03"])
    assert result.exit_code == 0
    row = CATALOGUE["G03"]
    for words in (row.title, row.formula, row.source, row.shows, "not divided", "--convention"):
        assert words in result.output
    assert "Variants" not in CliRunner().invoke(main, ["faults", "B01"]).output
    unknown = CliRunner().invoke(main, ["faults", "H01"])
    assert unknown.exit_code == 2
    assert "expected one of A01" in " ".join(unknown.output.replace("│", " ").split())
