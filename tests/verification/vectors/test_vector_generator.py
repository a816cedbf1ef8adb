"""The generator: its balls, its definition by hand, its second route, and that it gives the frozen bytes again."""

import ast
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from click.testing import CliRunner
from flint import arb, ctx

from verification.vectors import DATA, generator
from verification.vectors.generator import collection, extra
from verification.vectors.generator.__main__ import main
from verification.vectors.generator.balls import (
    UndecidedError,
    exact,
    is_positive,
    relative_radius_bits,
    rounded,
    rounded_or_zero,
    to_fraction,
    with_enough_bits,
    working_precision,
)  # fmt: skip
from verification.vectors.generator.certificate import certify
from verification.vectors.generator.conditioning import UnfitProblemError, clear_of_kinks, condition
from verification.vectors.generator.confirmation import DisagreementError, Route, confirm
from verification.vectors.generator.drawing import Recipe, draw
from verification.vectors.generator.recipes import distinct, recipes
from verification.vectors.generator.step import answer, rule_of, solve, tasks_of

pytestmark = pytest.mark.once  # arithmetic

#: One of each kind that the plan has, as cheap as it comes.
SLUGS = [
    "quadratic-maml-k2-t2-batched-double",
    "quadratic-fomaml-selections-by-task",
    "quadratic-fomaml-zero-rate",
    "quadratic-fomaml-near-minimum",
    "quadratic-fomaml-subnormal-k1",
    "linear-regression-fomaml-average",
    "linear-regression-fomaml-average-one-cost",
    "linear-regression-fomaml-gains",
    "linear-regression-maml-one-zero-rate",
    "logistic-regression-fomaml-large-logits",
    "logistic-regression-reptile-gains",
    "bilinear-fomaml-disjoint-selections",
    "bilinear-fomaml-spare-rows",
    "bilinear-fomaml-steep",
    "mlp-tanh-mse-maml-k1-t3-loop-single",
    "mlp-relu-softmax-fomaml-k3-t3-loop-single",
    "mlp-softplus-mse-fomaml-large-logits",
]


def recipe(slug: str) -> Recipe:
    return next(recipe for recipe in recipes() if recipe.slug == slug)


def by_hand(step: str) -> dict:
    """S = ½ (v − 1)², Q = ½ · 2 (v − 3)², θ = 0, α = ½, K = 2: φ = 0, ½, ¾."""

    def array(shape, number):
        return {"shape": shape, "values": [number]}

    query = {"matrix": array([1, 1, 1], "0x1p+1"), "centre": array([1, 1], "0x1.8p+1")}
    return {
        "family": "quadratic", "step": step, "steps": 2, "num_tasks": 1, "batched": False, "average": False,
        "same_cost": False, "inner": [["vector"]], "outer": [["vector"]], "rates": {"vector": "0x1p-1"},
        "variables": {"vector": array([1], "0x0p+0")},
        "support": {"matrix": array([1, 1, 1], "0x1p+0"), "centre": array([1, 1], "0x1p+0")},
        "query": None if step == "reptile" else query,
    }  # fmt: skip


def right(problem: dict):
    with working_precision(128):
        tasks = tasks_of(problem)
        return answer(tasks, [solve(task, rule_of(problem)) for task in tasks])


@pytest.mark.parametrize(
    ("step", "cost", "gradient"),
    [("fomaml", Fraction(81, 16), Fraction(-9, 2)), ("maml", Fraction(81, 16), Fraction(-9, 8)),
     ("reptile", Fraction(7, 32), Fraction(-3, 2))],
)  # fmt: skip
def test_the_definition_gives_what_was_worked_by_hand(step: str, cost: Fraction, gradient: Fraction) -> None:
    """Each step's ball holds the fractions worked by hand for a quadratic with two steps."""
    got = right(by_hand(step))
    if step != "reptile":  # a mean over three points is no dyadic number
        assert to_fraction(got.cost) == cost
    assert abs(float(got.cost) - float(cost)) < 1e-16
    assert to_fraction(got.gradients["vector"][0]) == gradient
    assert to_fraction(got.adapted[0]["vector"][0]) == Fraction(3, 4)


def test_a_double_is_exact_in_a_ball() -> None:
    """A double goes into a ball without an error, at both ends of the range too."""
    for number in (0.1, -3.0, 5e-324, 1.7976931348623157e308, 0.0):
        assert to_fraction(exact(number)) == Fraction(number)


def test_a_ball_rounds_only_where_all_of_it_rounds_alike() -> None:
    """A ball around a rounding boundary is undecided, and a narrow one is rounded as its numbers are, ties to even."""
    with working_precision(128):
        assert rounded(arb(1) / 3) == 1 / 3
        assert rounded(arb(1, 2.0**-60)) == 1.0
        for wide in (arb(1, 2.0**-50), arb(0, 2.0**-90), arb("nan")):
            with pytest.raises(UndecidedError):
                rounded(wide)
        with pytest.raises(OverflowError):
            rounded(arb(2) ** 1024)
        assert rounded(arb(2) ** -1100) == 0.0
        assert rounded(arb(3) * arb(2) ** -1075) == 2.0**-1073  # between two subnormal numbers: ties to even
        assert rounded_or_zero(arb(0, 2.0**-110)) == 0.0


def test_the_sign_of_a_ball_around_zero_is_undecided() -> None:
    """A ball with numbers of both signs has no sign."""
    assert is_positive(arb(1))
    assert not is_positive(arb(-1))
    assert not is_positive(arb(0))
    with pytest.raises(UndecidedError):
        is_positive(arb(0, 0.5))


def test_the_working_precision_grows_until_everything_is_decided_and_is_put_back() -> None:
    """The bits are doubled until the result is decided, and are the caller's again afterwards."""
    before = ctx.prec
    requests = []

    def work() -> float:
        requests.append(ctx.prec)
        one = arb(1) + arb(2) ** -200  # rounding to 128 bits loses what is left after the subtraction
        return rounded((one.exp() - arb(1).exp()) * arb(2) ** 200)

    bits, got = with_enough_bits(work)
    assert (bits, got) == (512, pytest.approx(2.718281828459045, rel=1e-15))
    assert requests == [128, 256, 512]
    assert ctx.prec == before


def test_a_number_that_no_precision_decides_is_an_error() -> None:
    """A tie of rounding, which more bits never decide, ends in an error that says so."""

    def tie() -> float:
        return rounded(1 + arb(2) ** -53 * (arb(1) / 3 * 3))

    with pytest.raises(UndecidedError, match="a true value may be a tie of rounding"):
        with_enough_bits(tie)


def test_the_radius_is_recorded_as_a_bound() -> None:
    """The recorded bits never promise more than the ball's radius keeps."""
    with working_precision(128):
        third = arb(1) / 3
    bits = relative_radius_bits(third)
    assert to_fraction(third.rad()) <= abs(to_fraction(third.mid())) / 2**bits
    assert bits >= 120


@pytest.mark.parametrize("slug", ["quadratic-maml-k2-t2-batched-double", "mlp-tanh-mse-maml-k1-t3-batched-double"])
def test_the_second_route_turns_down_an_answer_that_is_slightly_wrong(slug: str) -> None:
    """A relative error of 2^-70 in one entry is found by the independent route."""
    problem = draw(recipe(slug), 0)
    good = right(problem)
    confirm(problem, good)
    name = next(iter(good.gradients))
    with working_precision(128):
        good.gradients[name][0] *= 1 + arb(2) ** -70
    with pytest.raises(DisagreementError, match=f"the two routes differ in the gradient {name}"):
        confirm(problem, good)

    """An outer gradient that is not pulled back through the loop is found."""


class WithoutCurvature(Route):
    """A route that takes every Jacobian of an inner step for the identity."""

    def pulled_back(self, point, gradient):
        """Return the gradient as it is."""
        return gradient


def test_the_second_route_checks_the_chain_rule() -> None:
    """A route without Hessians is turned down by a difference of the meta-objective along a direction."""
    problem = draw(recipe("quadratic-maml-k2-t2-batched-double"), 0)
    with pytest.raises(DisagreementError, match="the chain rule"):
        confirm(problem, right(problem), WithoutCurvature)


def test_a_leaf_that_is_zero_by_cancellation_is_unfit() -> None:
    """A gradient that cancels to exactly 0 has no relative condition, and its problem is not used."""
    problem = by_hand("fomaml")
    problem["query"]["centre"]["values"] = ["0x1.8p-1"]  # the outer cost is least at φ_2 = ¾
    with pytest.raises(UnfitProblemError, match="exactly 0 and ill-conditioned"):
        condition(problem, "zero")


def test_a_hidden_unit_near_its_kink_is_seen() -> None:
    """A ReLU unit within 2^-7 of its kink is seen, and tanh has no kink."""
    problem = draw(Recipe(slug="near", family="mlp-relu-mse", steps=0, tasks=1), 0)
    w1, b1 = problem["variables"]["w1"], problem["variables"]["b1"]
    w1["values"] = ["0x0p+0"] * len(w1["values"])  # the units are then their biases
    assert clear_of_kinks(problem)
    b1["values"][0] = "0x1p-7"
    assert not clear_of_kinks(problem)
    assert clear_of_kinks({**problem, "family": "mlp-tanh-mse"})


def test_a_recipe_that_no_attempt_fits_is_an_error() -> None:
    """After 50 unfit draws the recipe is given up with an error."""

    def unfit(*_):
        raise UnfitProblemError

    with pytest.raises(
        UnfitProblemError, match=r"quadratic-fomaml-k0.*: none of 50 attempts is fit; change the recipe"
    ):
        collection.make(recipes()[0], unfit)


def test_a_problem_near_a_kink_is_drawn_again() -> None:
    """The first attempt that is clear of the kink of relu is certified, and none before it."""
    near = recipe("mlp-relu-mse-fomaml-k1-t5-batched-double")
    assert not clear_of_kinks(draw(near, 0))
    first = next(attempt for attempt in range(50) if clear_of_kinks(draw(near, attempt)))
    assert collection.make(near, lambda slug, problem, *_: problem) == draw(near, first)


@pytest.fixture(scope="module")
def frozen() -> set[str]:
    return {line.rstrip(",") for path in DATA.glob("*.*.json") for line in path.read_text("utf-8").splitlines()}


@pytest.mark.parametrize("slug", SLUGS)
def test_a_frozen_line_is_made_again_byte_by_byte(slug: str, frozen: set[str]) -> None:
    """The recipe of a frozen vector gives the frozen line to the byte."""
    assert collection.compact(collection.make(recipe(slug))) in frozen


def test_two_processes_make_what_one_makes_in_the_same_order() -> None:
    """The number of processes changes neither the vectors nor their order."""
    plan = [
        recipe("quadratic-fomaml-subnormal-k1"),
        recipe("bilinear-fomaml-steep"),
        recipe("quadratic-fomaml-zero-rate"),
    ]
    assert list(collection.made(plan, 2)) == list(collection.made(plan, 1))


def test_a_recipe_that_fails_in_a_process_is_named() -> None:
    """An error in a worker process names the recipe."""
    with pytest.raises(RuntimeError, match="The recipe no-such-slug failed"):
        collection._by_slug("no-such-slug")


def test_an_unfit_problem_is_drawn_again() -> None:
    """The second attempt has other numbers than the first."""
    attempts = []

    def certified(slug, problem, dtypes, notes):
        attempts.append(problem)
        if len(attempts) == 1:
            raise UnfitProblemError
        return {}

    collection.make(recipe("bilinear-fomaml-steep"), certified)
    assert len(attempts) == 2
    assert attempts[0]["variables"] != attempts[1]["variables"]


def test_files_and_manifest_are_written_for_what_is_kept(tmp_path: Path) -> None:
    """A vector that kills nothing new is not written, and the manifest counts the others."""
    plan = [recipe("quadratic-fomaml-subnormal-k1"), recipe("quadratic-fomaml-subnormal-k1")]
    names: list[str] = []
    texts, manifest = collection.collect(plan, 1, names.append)
    collection.write(tmp_path / "new", texts, manifest)
    assert manifest["count"] == 1  # the second one kills nothing new
    assert names == [recipe.slug for recipe in plan]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["manifest.json", "quadratic.fomaml.json"]


def run(*arguments: str, plan: list[Recipe]):
    return CliRunner().invoke(main, [*arguments, "--processes", "1"], obj=plan)


def test_check_compares_a_sample(tmp_path: Path) -> None:
    """Frozen vectors are byte-identical when made again, and a changed one ends the check with 1 and its name."""
    plan = [recipe("quadratic-fomaml-subnormal-k1")]
    assert run("--folder", str(tmp_path), plan=plan).output.count("1 vectors of 1 kill something new") == 1
    assert "1 of 1 are byte-identical" in run("--check", "5", "--folder", str(tmp_path), plan=plan).output
    path = tmp_path / "quadratic.fomaml.json"
    path.write_text(path.read_text("utf-8").replace('"bits":128', '"bits":129'), "utf-8")
    result = run("--check", "5", "--folder", str(tmp_path), plan=plan)
    assert result.exit_code == 1
    assert "These differ from what is frozen" in result.output
    assert "quadratic-fomaml-subnormal-k1" in result.output


def test_check_fails_where_nothing_is_frozen(tmp_path: Path) -> None:
    """Vectors that are missing from the folder fail the check."""
    plan = [recipe("quadratic-fomaml-subnormal-k1")]
    result = run("--check", "1", "--folder", str(tmp_path), plan=plan)
    assert result.exit_code == 1
    assert "0 of 1 are byte-identical to the frozen ones, 1 are not among them." in result.output


def test_a_slug_that_comes_twice_is_an_error() -> None:
    """Two recipes of one name are refused."""
    with pytest.raises(AssertionError, match="Two recipes have one slug: quadratic-fomaml-k0"):
        distinct([recipes()[0], *recipes()])


def test_a_missing_package_says_which_extra_to_install() -> None:
    """The error names the package and the command that installs the extra."""
    with pytest.raises(
        extra.MissingExtraError, match=r'needs the package no-such-package.*pip install "refmaml\[vectors\]"'
    ):
        extra.needed("no_such_module", "no-such-package")


def test_without_the_extra_the_generator_says_what_to_install() -> None:
    """Without python-flint the generator ends with 1 and a line, not a traceback."""
    code = "import sys; sys.modules['flint'] = None; from verification.vectors.generator.__main__ import main; main()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert 'pip install "refmaml[vectors]"' in result.stderr
    assert "Traceback" not in result.stderr


def test_certify_records_how_the_answer_was_found() -> None:
    """A vector holds its bits, radius, second route, answer and kills."""
    vector = certify("by-hand", by_hand("maml"), ["float64"], ["worked by hand"])
    assert vector["certificate"] == {"bits": 128, "radius": "0x0p+0", "confirmed_by": "exact rational arithmetic"}
    assert vector["expected"]["gradients"]["vector"]["values"] == ["-0x1.2p+0"]
    assert vector["id"].startswith("by-hand-")
    assert "A01" in vector["kills"]["float64"]


def test_the_generator_shares_no_code_with_what_it_judges() -> None:
    """No module of the generator imports refmaml, the judge, autograd or NumPy."""
    folder = Path(generator.__file__).parent
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                ours = name.split(".")[0] in ("refmaml", "verification", "autograd", "numpy")
                assert not ours or name.startswith("verification.vectors.generator"), f"{path.name} imports {name}"
