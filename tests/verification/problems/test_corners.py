"""Corners: each has what it was made for, is awkward, and is right in right code."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from implementations import map_leaves, right_step
from shared import STANDARDS, verify

import refmaml
import verification
from verification.algorithms import algorithm
from verification.campaigns.choices import Choices
from verification.faults import CATALOGUE
from verification.judge import run_of
from verification.judging.conditions import met, unmet
from verification.judging.standard import DECIDES
from verification.oracles.finite_differences import extrapolated_gradient
from verification.orders import ORDERS
from verification.problems import corners, levels, suite
from verification.problems.drawing import drawn_corner
from verification.problems.making import make_corner
from verification.problems.problem import EXTRAS
from verification.problems.traits import FACTORS, conditions, levels_of
from verification.problems.trees import leaves
from verification.protocol.judging import layout_of, verify_program
from verification.selftest.correct import variants
from verification.subjects import SubjectError

pytestmark = pytest.mark.once  # arithmetic

NAMES = corners.names()
STEPS = {1: refmaml.fomaml_step, 2: refmaml.maml_step, "reptile": refmaml.reptile_step}


def made(name, order=1, framework="numpy"):
    """Return a corner in its own precision."""
    return verification.problem(name, order=order, framework=framework, dtype=corners.precision(name))


# What they are


def test_there_are_not_too_many():
    """Level full has at most forty of them, and they have every level of every factor."""
    assert 30 <= len(NAMES) <= 40
    assert {pair for name in NAMES for pair in corners.row_of(name).items()} == set(conditions(1))


@pytest.mark.parametrize("name", NAMES)
def test_a_corner_has_what_it_was_made_for(name):
    """The levels that are measured on the arrays and options are those of the row."""
    found = list(met(STANDARDS.of(name, 1), corners.precision(name)))
    assert found[-1] == corners.row_of(name)
    assert len(found) == 1 + (corners.row_of(name)["calls before"] == "some")


@pytest.mark.parametrize("order", ORDERS)
def test_corners_are_awkward(order):
    """On each corner the mistakes that every problem has to show are off, and no right answer is inconclusive."""
    for name in NAMES:
        standard, dtype = STANDARDS.of(name, order), corners.precision(name)
        problem = standard.generic
        assert standard.separation(dtype) >= DECIDES, name
        faults = ["D01", "D04"] if problem.num_tasks > 1 else []
        for fault in faults:  # a sum over tasks, and the first task alone
            assert standard.distance(CATALOGUE[fault].variants[""], dtype) >= DECIDES, (name, fault)
        right = standard.truths(own=False)[0].answer.gradients
        unused = set(problem.ignored_by_outer) if order != "reptile" else set(problem.ignored_by_inner)
        assert all(np.any(leaf) or chain in unused for chain, leaf in right.items()), name
        variables = leaves(problem.variables).values()
        assert all(np.all(leaf) for leaf in variables) or not any(map(np.any, variables)), name


def test_levels_by_hand():
    """The levels of two problems are those that their recipes say."""
    found = levels_of(verification.problem("batched-average-first", framework="numpy", dtype="float32"), 1.5)
    assert found == {
        "cost": "network", "K": "3 to 5", "T": "3", "tasks used": "all", "support examples": "2 to 4",
        "query examples": "5", "support beside query": "fewer", "θ": "ordinary", "data": "ordinary",
        "gradient": "ordinary", "α": "a power of two", "form of α": "a number", "inner selection": "all",
        "outer selection": "all", "mode": "batched", "outer cost at": "every step", "cost functions": "two",
        "parameters of costs": "two", "adapted variables": "of the first task", "containers": "nested",
        "dtype": "float32", "memory": "contiguous", "axes of a leaf": "2", "entries of a leaf": "2 to 9",
        "leaves": "4 or more", "unused variables": "in both costs", "calls before": "none",
    }  # fmt: skip
    plain = verification.problem("inner-left-out", framework="numpy")
    odd = replace(
        plain,
        variables=map_leaves(lambda leaf: 0 * leaf, plain.variables),
        inner_learning_rate=map_leaves(lambda leaf: np.full(leaf.shape, -0.3), plain.variables),
        batch=map_leaves(lambda leaf: 1e4 * leaf, plain.batch),
        inner_grad_steps=6,
    )
    found = levels_of(odd, 1e-5, call=2)
    assert [found[factor] for factor in ("K", "θ", "data", "gradient", "α", "form of α", "inner selection")] == [
        "6 or more", "0", "large", "small", "negative", "an array for each leaf", "all but some",
    ]  # fmt: skip
    assert (found["calls before"], found["dtype"]) == ("some", "float64")


@pytest.mark.parametrize("rate", [(0.0, "0"), (0.25, "a power of two"), (0.3, "no power of two"), (0.75, "beyond ½")])
def test_sizes_of_a_rate(rate):
    """A rate is 0, a power of two, another number up to ½, or beyond."""
    value, level = rate
    problem = replace(verification.problem("one-step", framework="numpy"), inner_learning_rate=np.asarray(value))
    found = levels_of(problem, 1.0)
    assert (found["α"], found["form of α"]) == (level, "an array")


def test_there_are_corners_of_every_memory():
    """In NumPy a leaf is really transposed, strided, or a view of what another is a view of too."""
    shown = {corners.row_of(name)["memory"]: leaves(made(name).variables).values() for name in NAMES}
    assert all(leaf.flags.c_contiguous for leaf in shown["contiguous"])
    assert any(leaf.flags.f_contiguous and not leaf.flags.c_contiguous for leaf in shown["transposed"])
    assert any(not leaf.flags.forc for leaf in shown["strided"])
    assert len({id(leaf.base) for leaf in shown["one buffer"]}) < len(shown["one buffer"])


def test_mixed_dtypes_come_back_leaf_by_leaf():
    """A step that gives all leaves the dtype of the first is told so, where others are more precise."""
    mixed = [name for name in NAMES if corners.row_of(name)["dtype"] == "mixed"]
    problem = made(mixed[0])
    assert {str(leaf.dtype) for leaf in leaves(problem.variables).values()} == {"float32", "float64"}
    assert (str(problem.dtype), str(problem.widest_dtype)) == ("float32", "float64")

    def in_one(*arguments, **options):
        cost, gradients, *rest = refmaml.fomaml_step(*arguments, **options)
        return (cost, map_leaves(lambda leaf: leaf if leaf is None else leaf.astype(np.float32), gradients), *rest)

    report = verify(in_one, kind="step", framework="autograd", problems=mixed[:1])
    assert {(finding.what, finding.message) for case in report.cases for finding in case.findings} == {
        ("dtype", "expected gradients of dtype float64, but it is float32")
    }


# Right code


@pytest.mark.parametrize("order", ORDERS)
def test_the_reference_is_right_on_every_corner(order):
    """It passes every corner by the oracles alone, and as somebody's step in the precision that is not its own."""
    report = verify(STEPS[order], framework="autograd", order=order, problems=NAMES)
    assert (report.verdict, len(report.cases), report.left_out) == ("pass", len(NAMES), [])
    for dtype in ("float64", "float32") if order == 1 else ():
        report = verify(right_step, kind="step", problems=NAMES, dtypes=(dtype,))
        assert (report.verdict, {case.dtype for case in report.cases}) == ("pass", {dtype})


@pytest.mark.sampled(6)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    "variant", [variant for variant in variants() if variant.kind == "problem"], ids=lambda variant: variant.name
)
def test_correct_variants_are_right_on_every_corner(variant, order):
    """Right code in other forms passes; what does not support a corner is asked it plainly."""
    if order not in variant.orders:
        pytest.skip("the variant is no step of this order")
    names = NAMES if variant.framework != "torch" else [suite.plainly(name) for name in NAMES]
    report = verify(
        variant.make(order), kind="problem", framework=variant.framework, order=order, problems=names,
        conventions=variant.conventions,
    )  # fmt: skip
    assert (report.verdict, report.left_out) == ("pass", [])


def test_the_oracles_are_right_on_corners():
    """The oracles judge our own steps on corners, by differences too where those are cheap."""
    sources = [{truth.source for truth in STANDARDS.of(name, 2).truths(own=True)} for name in NAMES]
    assert all("explicit Jacobians" in some for some in sources)
    assert 10 <= sum("finite differences" in some for some in sources) < len(NAMES)
    for order in (1, "reptile"):
        assert all("finite differences" in {t.source for t in STANDARDS.of(n, order).truths(own=True)} for n in NAMES)


@pytest.mark.parametrize("size", [2.0**-40, 1.0, 2.0**30])
def test_differences_have_steps_of_the_size_of_their_point(size):
    """The gradient of exp(x/s) at s is e/s, to some twelve digits at any s."""
    found, error = extrapolated_gradient(lambda points: np.exp(points[:, 0] / size), np.array([size]))
    assert abs(found[0] * size - np.e) <= error[0] * size < 1e-11


# Plainly, and by their names


@pytest.mark.parametrize("name", NAMES)
def test_a_corner_can_be_asked_plainly(name):
    """A subject that supports nothing more is asked the same corner without options."""
    problem = verification.problem(suite.plainly(name))
    assert problem.needs == frozenset()
    assert problem.name == f"plain:{name}"
    assert suite.plainly(suite.with_all_used(name)).endswith(f"plain:{name}")
    used = verification.problem(suite.with_all_used(name))
    assert not used.ignores_variables


def test_what_a_subject_does_not_support_is_said():
    """A right subject that does plain problems alone passes, and the report lists what no problem had."""

    def plain(problem):
        results = [right_step(*problem.arguments()[0], **problem.arguments()[1])]
        return results[0][:2]

    pairs = [(STANDARDS.of(suite.plainly(name), 1), corners.precision(name)) for name in NAMES]
    said = unmet(pairs)
    assert "mode: batched" in said
    assert "outer cost at: every step" in said
    assert "K: 6 or more" not in said
    assert unmet([(STANDARDS.of(name, 1), corners.precision(name)) for name in NAMES]) == ""
    report = verify(plain, kind="problem", framework="autograd", dtypes=("float64",), level="full")
    assert report.verdict == "pass"
    assert any("mode: batched" in note for note in report.notes)
    assert {case.problem for case in report.cases} >= {suite.plainly(name) for name in NAMES if made(name).needs}


def test_what_a_declared_algorithm_is_not_asked_is_said():
    """An algorithm gets no corners, and a note of level full lists what its problems had not; level quick has none."""
    run = replace(run_of(("float64",), (), "full", 0, standards=STANDARDS), algorithm=algorithm("clip-by-norm(1)"))
    tested = run.standards_of(1)
    (note,) = run.not_shown(tested)
    assert "θ: 0" in note
    assert "T: 3" not in note
    assert replace(run, level="quick").not_shown(tested) == []


def test_a_step_that_says_what_it_supports_need_not_have_the_option_for_adapted_variables():
    """It is called without it, and may return the adapted variables of all tasks where those of one were asked for."""

    def step(batch, inner, outer, v, steps, rate, *, inner_batch_fn, outer_batch_fn, num_tasks=None):
        fixed = {"batched": False, "return_inner_v": True, "num_tasks": num_tasks}
        return right_step(
            batch, inner, outer, v, steps, rate, inner_batch_fn=inner_batch_fn, outer_batch_fn=outer_batch_fn, **fixed
        )

    step.supports = ("leaf-rates", "mixed-dtypes", "negative-rates")
    report = verify(step, kind="step", framework="autograd", problems=NAMES)
    meant = {STANDARDS.of(case.problem, 1).problem.options.return_inner_v for case in report.cases}
    assert (report.verdict, meant >= {False, "first"}) == ("pass", True)
    ignores = verify(lambda *a, **k: right_step(*a, **{**k, "return_inner_v": True}), kind="step", problems=NAMES)
    assert {finding.what for case in ignores.failing for finding in case.findings} == {"adapted"}


def test_names_of_corners():
    """There are those that the array has, without other numbers."""
    assert [suite.exists(name) for name in ("corner-1", NAMES[-1], "used:plain:corner-2")] == [True] * 3
    wrong = ["corner-0", f"corner-{len(NAMES) + 1}", "corner-x", "corner-1@3", "plain:quadratic", "corner-01"]
    assert [suite.exists(name) for name in wrong] == [False] * len(wrong)
    with pytest.raises(KeyError, match=rf"or one of {len(NAMES)} corners from corner-1 on, but got 'corner-0'"):
        verification.problem("corner-0")


def test_corners_are_for_plain_steps():
    """A declared algorithm is asked none, and neither is a step that returns parameters."""
    assert not suite.is_asked("corner-1", 1, verification.algorithms.algorithm("adam"))
    names = levels.names("full", 1, 0, verification.algorithms.algorithm("adam"))
    assert not any(map(suite.is_corner, names))


def test_programs_are_not_asked_corners():
    """The protocol cannot say what a corner has: a program, and `refmaml requests`, are told so."""
    with pytest.raises(SubjectError, match="corner-3 is for Python code alone: the protocol has no words for"):
        layout_of("corner-3", 1)
    with pytest.raises(SubjectError, match="corner-3 is for Python code alone"):
        verify_program("python", problems=("corner-3",))


def test_every_factor_has_levels_of_its_own():
    """The words of a level are not used twice in a factor."""
    assert all(len(set(levels)) == len(levels) for levels in FACTORS.values())


# Drawn ones


def drawn(number, order=1, supports=EXTRAS):
    """Return a corner that a campaign may draw."""
    return drawn_corner(Choices(rng=np.random.default_rng(number)), order=order, supports=supports)


def rows_drawn(count, **options):
    """Return the levels of the corners that are drawn first."""
    return [{**corners.ORDINARY, **drawn(number, **options).made_with["levels"]} for number in range(count)]


@pytest.mark.parametrize("order", ORDERS)
def test_a_drawn_corner_has_the_levels_that_it_says(order):
    """The levels that are measured on the arrays and options are those that were drawn, of the factors of the order."""
    for number in range(30):
        problem = drawn(number, order)
        row = {**corners.ORDINARY, **problem.made_with["levels"]}
        standard = STANDARDS.of(problem, order)
        dtype = "float64" if row["dtype"] == "float64" else "float32"
        assert standard.separation(dtype) >= DECIDES, problem
        found = list(met(standard, dtype))[-1]
        wanted = {factor: level for factor, level in row.items() if (factor, level) in conditions(order)}
        wanted.pop("calls before")  # each is asked twice
        if order == "reptile":
            wanted.pop("gradient")  # it is a displacement over α
        assert {factor: found[factor] for factor in wanted} == wanted, problem


def test_a_problem_without_a_choice_is_ordinary():
    """Always the first level makes the problem that nothing is said of, which failures shrink to."""
    assert drawn_corner(Choices()).made_with == {"levels": {}}
    assert repr(make_corner({})) == "make_corner(levels={})"
    assert corners.can_be(corners.ORDINARY)


def test_any_three_conditions_meet_as_a_campaign_grows():
    """Of all triples of levels that can stand together, 500 corners have 99 %, and no corner has what cannot."""
    rows = rows_drawn(500)
    assert all(map(corners.can_be, rows))
    levels_ = [(factor, level) for factor, some in FACTORS.items() for level in some if factor != "calls before"]
    has = np.array([[row[factor] == level for factor, level in levels_] for row in rows])
    triples = [
        three
        for three in combinations(range(len(levels_)), 3)
        if len({levels_[place][0] for place in three}) == 3
        and corners.can_be({levels_[place][0]: levels_[place][1] for place in three})
    ]
    first, second, third = np.array(triples).T
    together = np.einsum("ra,rb,rc->abc", *[has.astype(np.float32)] * 3, optimize=True) > 0
    share = np.mean(together[first, second, third])
    assert len(triples) > 90_000
    assert share >= 0.99


def test_what_a_subject_does_not_support_is_not_drawn():
    """No problem needs more than is supported, and all of that is drawn."""
    for supports in (frozenset(), frozenset({"batched"}), frozenset({"selections", "mixed-dtypes"}), EXTRAS):
        needs = [drawn(number, supports=supports).needs for number in range(40)]
        assert frozenset().union(*needs) == supports


def test_a_line_makes_a_drawn_corner_again():
    """What is printed is Python that makes the same problem, to the last bit, in any framework's arrays."""
    for number in (3, 4):
        problem = drawn(number, order=2)
        again = eval(repr(problem), {"make_corner": make_corner})  # a line of our own
        assert repr(again.native("numpy")) == repr(problem)
        assert leaves(again.variables).keys() == leaves(problem.variables).keys()
        assert all(map(np.array_equal, leaves(again.variables).values(), leaves(problem.variables).values()))


@pytest.mark.parametrize(
    ("levels_", "message"),
    [
        ({"k": "2"}, "levels: expected one of 'cost', 'K', 'T'"),
        ({"K": "9"}, "K: expected one of '0', '1', '2', '3 to 5', '6 or more'"),
        ({"axes of a leaf": "0", "entries of a leaf": "2 to 9"}, "expected some that can stand together"),
    ],
)
def test_levels_that_make_no_problem(levels_, message):
    """A factor or level that does not exist, or that cannot stand beside another, is refused with what there is."""
    with pytest.raises(ValueError, match=message):
        make_corner(levels_)
