"""The calibration: what it measures, what it objects to, and what the command prints and writes."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from shared import STANDARDS

import verification
from verification.commands.cli import main
from verification.faults.order import right
from verification.faults.place import scaled
from verification.faults.subject import FaultySubject
from verification.judging import tolerances
from verification.judging.standard import Standard
from verification.orders import DTYPES
from verification.reports.calibration import draw
from verification.selftest import calibration
from verification.selftest.calibration import Ladder, Measured, Setting, Summary
from verification.selftest.correct import Variant
from verification.selftest.lineup import Lineup

pytestmark = pytest.mark.once  # arithmetic

SMALL = Ladder("logistic-regression", 1, 1, (2.0**-10, 2.0**-3))
COMMAND = ("calibrate", "--problem", SMALL.problem, "--steps", "1", "--rate", str(2.0**-10), "--jobs", "1")


@pytest.fixture(scope="module")
def measured() -> list[Setting]:
    """The smallest ladder, climbed once."""
    return calibration.climb(SMALL)


#: A lineup that fails the test where something is measured.
UNTOUCHED = Lineup(correct=lambda: pytest.fail("something was measured"))


def run(*arguments, given=None):
    """Return the result of `refmaml`, perhaps with a lineup of one's own; no traceback of ours is ever printed."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], obj=given)
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def test_the_bound_stands_between_right_and_wrong(measured):
    """In both precisions and at both rates correct code is within the bound and the faintest fault outside it."""
    assert [(setting.rate, setting.dtype) for setting in measured] == [
        (rate, dtype) for rate in SMALL.rates for dtype in DTYPES
    ]
    for setting in measured:
        assert 0 < setting.correct.units < tolerances.FACTOR < setting.faintest.units < float("inf")
        assert [setting.accused, setting.hidden, setting.overlooked, setting.decided] == [False, False, False, True]
    assert calibration.objections(measured) == []


def test_the_faintest_fault_at_each_precision(measured):
    """In double precision it is the end alone in single; in single, where that is none, a rate over a task's place."""
    by_dtype = {dtype: {setting.faintest.by for setting in measured if setting.dtype == dtype} for dtype in DTYPES}
    assert by_dtype == {
        "float64": {"G11 (φ_K alone, in single precision)"},
        "float32": {"G10 (over t in task t)"},
    }


def test_a_fault_in_the_inner_rate_is_as_faint_as_the_rate_is_small(measured):
    """A rate 128 times as small makes the fault G10 fainter in proportion, to the order α² that K = 1 leaves over."""
    small, large = (setting.faintest.units for setting in measured if setting.dtype == "float32")
    # The sensitivity s changes with α as well, by at most α itself times the curvature: a half covers 1/8.
    assert large / small == pytest.approx(128, rel=0.5)


def test_units_by_hand():
    """A unit is u max(‖x‖, s): ‖(3, 4)‖ = 5 moved by 2⁻²⁰ is 2³³/5 units of 2⁻⁵³, and 2⁴/5 of 2⁻²⁴."""
    right_answer, moved = np.array([3.0, 4.0]), np.array([3.0, 4.0 + 2.0**-20])
    # One rounding each in the norm, the product and two quotients; 8 u allows twice that.
    exactly = 8 * tolerances.unit_roundoff("float64")

    def units(answer, got, moves, dtype):
        return tolerances.FACTOR * tolerances.over(
            tolerances.apart(got, answer), tolerances.bound(answer, moves, dtype)
        )

    assert units(right_answer, moved, 2.0, "float64") == pytest.approx(2.0**33 / 5, rel=exactly)
    assert units(right_answer, moved, 2.0, "float32") == pytest.approx(2.0**4 / 5, rel=exactly)
    assert units(right_answer, moved, 10.0, "float32") == pytest.approx(2.0**4 / 10, rel=exactly)
    assert units(np.zeros(2), np.zeros(2), 0.0, "float32") == 0
    assert units(np.zeros(2), moved, 0.0, "float32") == float("inf")


@pytest.mark.parametrize("dtype", DTYPES)
def test_units_of_a_fault_and_of_correct_code(dtype):
    """Gradients 2⁻¹⁰ too large are 2⁻¹⁰ ‖x‖/(u max(‖x‖, s)) units off, whether they are a fault's or a variant's."""
    standard = STANDARDS.of("bilinear", 1)
    u, moves = tolerances.unit_roundoff(dtype), standard.sensitivity.gradients
    sizes = {chain: tolerances.norm(leaf) for chain, leaf in standard.truths(own=False)[0].answer.gradients.items()}
    expected = max(2.0**-10 * size / (u * max(size, moves[chain])) for chain, size in sizes.items())
    variant = Variant("planted", lambda order: FaultySubject(_off))
    # Rounding of the answer itself is a few units beside 2⁻¹⁰/u.
    near = 2**10 * tolerances.FACTOR * u
    assert tolerances.FACTOR * standard.distance(_off, dtype) == pytest.approx(expected, rel=near)
    assert calibration.largest_error(standard, [variant], dtype).units == pytest.approx(expected, rel=near)


@pytest.mark.parametrize("order", [1, pytest.param(2, marks=pytest.mark.nightly), "reptile"])
def test_the_separation_is_the_judges_own(order):
    """At a built-in problem's own rate and steps the separation is the number that the judge decides by."""
    name = "one-step"
    own = STANDARDS.of(name, order)
    ladder = Ladder(name, order, own.problem.inner_grad_steps, (own.problem.inner_learning_rate,))
    for setting in calibration.climb(ladder):
        # Equal up to the order of a multiplication and a division by C and u.
        exactly = 8 * tolerances.unit_roundoff("float64")
        assert setting.separation == pytest.approx(own.separation(setting.dtype), rel=exactly)


def test_a_clip_that_nothing_exceeds_is_no_fault():
    """Where every entry is within the clip G07 gives the right answer, and is not counted as the faintest fault."""
    problem = replace(verification.problem("bilinear"), name="long", inner_grad_steps=20)
    short = replace(problem, name="short", inner_learning_rate=2.0**-10)
    gone = set(calibration.fault_distances(Standard(problem))) - set(calibration.fault_distances(Standard(short)))
    assert gone == {"G07 (by norm)"}


def test_the_slow_fault_is_left_out_of_long_loops_alone():
    """B05 takes a time that grows as 3ᴷ: it is measured up to K = 3, and not at K = 4."""
    problem = verification.problem("quadratic")
    loops = [Standard(replace(problem, inner_grad_steps=steps)) for steps in (3, 4)]
    names = [set(calibration.fault_distances(standard)) for standard in loops]
    assert names[0] - names[1] == {"B05"}
    assert names[1] <= names[0]


def test_a_bound_far_too_wide_is_noticed(measured):
    """With C = 10⁹ single precision inside a double one is hidden, and the judge would overlook it."""
    double, single = (setting.under(1e9) for setting in measured[:2])
    assert double.overlooked
    assert single.hidden
    assert not single.decided
    (sentence,) = calibration.objections([double, single])
    assert sentence.startswith("logistic-regression, order 1, K = 1, α = 0.000976562, float64: expected every fault")
    assert "outside the bound of 1e+09 units" in sentence
    assert "but G11 (φ_K alone, in single precision) is " in sentence
    assert sentence.endswith("Narrow the bound, or add this fault to those that the judge uses for the separation.")


def test_a_separation_is_in_bounds():
    """Under a bound twice as wide a fault is as many units away, and half as many bounds."""
    wide = _setting(1.0, 100.0, 3.0).under(2 * tolerances.FACTOR)
    assert (wide.faintest.units, wide.separation, wide.bound) == (100.0, 1.5, 2 * tolerances.FACTOR)


def lineup(subject):
    """Return a lineup whose one correct variant is a subject."""
    return Lineup(correct=lambda: [Variant("planted", lambda order: subject)])


def test_a_wrong_variant_that_is_called_correct_is_noticed():
    """A variant that is off by 2⁻¹⁰ is named, with the size of its error, in both precisions."""
    settings = calibration.climb(replace(SMALL, rates=(2.0**-3,)), lineup(FaultySubject(_off)))
    assert [setting.correct.by for setting in settings] == ["planted", "planted"]
    assert all(setting.accused for setting in settings)
    assert ["'planted' errs by" in setting for setting in calibration.objections(settings)] == [True, True]


def _off(question):
    return scaled(right(question), 1 + 2.0**-10)


def test_a_variant_that_cannot_be_asked_is_noticed():
    """A variant that raises has an infinite error, and not none."""

    def broken(problem):
        raise ArithmeticError("planted")

    settings = calibration.climb(replace(SMALL, rates=(2.0**-3,)), lineup(broken))
    assert [setting.correct for setting in settings] == [Measured(float("inf"), "planted")] * 2
    assert settings[0].to_dict()["correct"] == {"units": None, "variant": "planted"}


def _setting(correct_units, faint, separation):
    return Setting("p", 1, 3, 0.5, "float32", Measured(correct_units, "c"), Measured(faint, "F"), separation)


def test_the_four_ways_a_setting_can_lie():
    """A fault at the bound is hidden; the judge says so where its separation is below 2, and overlooks it elsewhere."""
    at, beyond = tolerances.FACTOR, np.nextafter(tolerances.FACTOR, np.inf)
    table = [
        (_setting(at, beyond, 2.0), (False, False, True, False)),
        (_setting(beyond, beyond, 2.0), (True, False, True, False)),
        (_setting(1.0, at, np.nextafter(2.0, 0)), (False, True, False, False)),
        (_setting(1.0, at, 2.0), (False, True, True, True)),
        (_setting(float("nan"), float("nan"), float("nan")), (True, True, False, False)),
    ]
    for setting, expected in table:
        assert (setting.accused, setting.hidden, setting.decided, setting.overlooked) == expected


def test_a_summary_takes_the_faintest_fault_where_the_judge_decides():
    """Where the judge is undecided a fault may be as faint as it likes; the separation is of what it decides."""
    decided, undecided = _setting(2.0, 100.0, 3.0), _setting(4.0, 0.5, 0.1)
    both = Summary("float32", [decided, undecided])
    assert (both.correct, both.faintest, both.separation) == (undecided, decided, 25.0)
    assert (both.count("hidden"), both.count("overlooked")) == (1, 0)
    assert Summary("float32", [undecided]).faintest is undecided


def test_ladders_leave_out_what_makes_no_sense():
    """Reptile has no outer loop to average in: that problem has a ladder in first order alone."""
    found = calibration.ladders(("quadratic", "average"), (1, "reptile"), (1, 2), (0.5,))
    assert [(setting.problem, setting.order, setting.steps) for setting in found] == [
        ("quadratic", 1, 1), ("quadratic", 1, 2), ("average", 1, 1), ("average", 1, 2),
        ("quadratic", "reptile", 1), ("quadratic", "reptile", 2),
    ]  # fmt: skip


def test_processes_find_what_one_finds(measured):
    """Two processes measure the same numbers, and tell of each ladder when it is done."""
    notes = []
    found = calibration.measure([SMALL], 2, lambda *note: notes.append(note))
    assert found == measured
    assert notes == [(1, 1, "logistic-regression, K = 1")]


@pytest.mark.sampled(1)
@pytest.mark.usefixtures("wide_terminal")
@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_the_command_writes_the_figure_and_the_numbers(tmp_path, suffix):
    """Exit code 0, a table, a figure that is the same each time, and every measurement as JSON."""
    figure, numbers = tmp_path / f"figure{suffix}", tmp_path / "numbers.json"
    result = run(*COMMAND, "--out", figure, "--json", numbers)
    assert result.exit_code == 0
    assert "the bound is 64" in result.output
    assert "the judge would overlook it in 0." in result.output
    written = json.loads(numbers.read_text("utf-8"))
    assert (written["bound"], written["objections"]) == (64, [])
    assert [(setting["dtype"], setting["rate"]) for setting in written["settings"]] == [(d, 2.0**-10) for d in DTYPES]
    first = figure.read_bytes()
    assert run(*COMMAND, "--out", figure).exit_code == 0
    assert figure.read_bytes() == first


@pytest.mark.usefixtures("wide_terminal")
def test_the_command_exits_1_on_an_objection():
    """Correct code outside the bound is told last, and the exit code is 1."""
    result = run(*COMMAND, given=lineup(FaultySubject(_off)))
    assert result.exit_code == 1
    assert "Widen the bound, or mend the variant." in " ".join(result.output.split())


@pytest.mark.usefixtures("wide_terminal")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--out", "figure.bmp"), "expected a name in .svg, .png, .pdf, but got figure.bmp"),
        (("--out", "nowhere/figure.svg"), "expected a file in a folder that exists"),
        (("--json", "nowhere/numbers.json"), "expected a file in a folder that exists"),
        (("--rate", "0"), "expected a positive number, but got 0"),
        (("--rate", "nan"), "expected a positive number, but got nan"),
        (("--problem", "average", "--order", "reptile"), "expected a problem that exists for the order"),
    ],
)
def test_wrong_usage_is_2_before_anything_is_measured(tmp_path, monkeypatch, arguments, sentence):
    """What cannot be used is refused with a sentence, and nothing is measured."""
    monkeypatch.chdir(tmp_path)
    result = run("calibrate", *arguments, "--jobs", "1", given=UNTOUCHED)
    assert result.exit_code == 2
    assert sentence in " ".join(result.output.split())


@pytest.mark.usefixtures("wide_terminal")
def test_a_missing_matplotlib_says_what_to_install(tmp_path, monkeypatch):
    """Without matplotlib the figure is refused with the extra that has it, before anything is measured."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = run("calibrate", "--out", tmp_path / "figure.svg", "--jobs", "1", given=UNTOUCHED)
    assert result.exit_code == 2
    assert "python -m pip install matplotlib" in " ".join(result.output.split())


@pytest.mark.usefixtures("wide_terminal")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_file_that_cannot_be_written_is_told():
    """Where writing fails after all, one sentence says which file and why, and the exit code is 2."""
    result = run(*COMMAND, "--json", "/dev/full")
    assert result.exit_code == 2
    assert "/dev/full cannot be written: No space left on device." in " ".join(result.output.split())


def test_what_a_logarithm_cannot_show_is_left_out_of_the_figure(tmp_path):
    """No error at all and a fault that is hidden or infinitely far are drawn or left out without a warning."""
    settings = [
        replace(_setting(0.0, 3.0, 0.1), rate=0.25),
        _setting(2.0, float("inf"), 5.0),
        replace(_setting(float("inf"), 0.0, 0.0), steps=1),
    ]
    draw(settings, tmp_path / "figure.pdf")
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")
