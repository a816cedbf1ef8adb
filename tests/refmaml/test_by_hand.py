"""Literal numbers, worked out by hand. Nothing here is computed, and no helper is imported.

Two problems. Every number in them is a short binary fraction, so that the answers are exact unless they divide by 3.

*Quadratic*: S(w) = ½(w − x)², with θ = 2, α = ½ and tasks x = 4 and x = −2. One inner step goes half of the way,
φ ← φ − ½(φ − x) = (φ + x)/2, and ∂φ_k/∂θ = (½)^k.

=========  ====  =====  ======  =====  =============  ===========================
task       k     φ_k    S(φ_k)  ∇S     (½)^k ∇S       (θ − φ_k)/α
=========  ====  =====  ======  =====  =============  ===========================
x = 4      0     2      2       −2     −2             0
x = 4      1     3      ½       −1     −½             −1/½ = −2
x = 4      2     7/2    1/8     −½     −1/8           −(3/2)/½ = −3
x = −2     0     2      8       4      4              0
x = −2     1     0      2       2      1              2/½ = 4
x = −2     2     −1     ½       1      ¼              3/½ = 6
=========  ====  =====  ======  =====  =============  ===========================

*Bilinear*: S(l, w) = x·l·w, where the inner loop adapts the latent l (∂S/∂l = x·w) and the outer loop differentiates
by the weight w. θ = (l, w) = (2, −2), α = ½, tasks x = 3 and x = 1. Since w stays, l_k = l − kαxw, the cost is
x·l_k·w, its partial derivative by w is x·l_k, and the derivative through l_k is d/dw [x·w·(l − kαxw)] = xl − 2kαx²w.

=========  ====  ================  ==========  =======  =====================
task       k     l_k               x·l_k·w     x·l_k    xl − 2kαx²w
=========  ====  ================  ==========  =======  =====================
x = 3      0     2                 −12         6        6
x = 3      1     2 + 3 = 5         −30         15       6 + 18 = 24
x = 3      2     2 + 6 = 8         −48         24       6 + 36 = 42
x = 1      0     2                 −4          2        2
x = 1      1     2 + 1 = 3         −6          3        2 + 2 = 4
x = 1      2     2 + 2 = 4         −8          4        2 + 4 = 6
=========  ====  ================  ==========  =======  =====================
"""

import autograd.numpy as np
import pytest

from refmaml import fomaml_step, maml_step, reptile_step

STEPS = {"fomaml": fomaml_step, "maml": maml_step}


def half_square(batch, v):
    return np.mean(0.5 * (v["w"] - batch["x"]) ** 2)


def product(batch, v):
    return np.mean(batch["x"] * v["latent"] * v["weight"])


def product_of_two(batch, inner_v, outer_v):
    return np.mean(batch["x"] * inner_v["latent"] * outer_v["weight"])


def start(value, tasks, batched):
    """One variable of shape (1,), in batched mode once for each task."""
    return np.array([[value]] * tasks) if batched else np.array([value])


@pytest.mark.parametrize("batched", [False, True], ids=["loop", "batched"])
class TestQuadratic:
    """S(w) = ½(w − x)²."""

    @pytest.mark.parametrize(
        ("name", "steps", "cost", "gradient"),
        [
            ("fomaml", 0, 2.0, -2.0),
            ("fomaml", 1, 0.5, -1.0),
            ("fomaml", 2, 0.125, -0.5),
            ("maml", 0, 2.0, -2.0),
            ("maml", 1, 0.5, -0.5),
            ("maml", 2, 0.125, -0.125),
        ],
    )
    def test_one_task(self, batched, name, steps, cost, gradient):
        """The rows of the table for x = 4: S(φ_K), with ∇S for FOMAML and (½)^K ∇S for MAML."""
        batch, variables = {"x": np.array([[4.0]])}, {"w": start(2.0, 1, batched)}
        answer = STEPS[name](batch, half_square, None, variables, steps, 0.5, batched=batched)
        assert (answer[0], answer[1]["w"].tolist()) == (cost, [gradient])

    @pytest.mark.parametrize(
        ("name", "steps", "cost", "gradient"),
        [
            ("fomaml", 0, 5.0, 1.0),  # (2 + 8)/2, (−2 + 4)/2
            ("fomaml", 1, 1.25, 0.5),  # (½ + 2)/2, (−1 + 2)/2
            ("fomaml", 2, 0.3125, 0.25),  # (1/8 + ½)/2, (−½ + 1)/2
            ("maml", 1, 1.25, 0.25),  # (−½ + 1)/2
            ("maml", 2, 0.3125, 0.0625),  # (−1/8 + ¼)/2
        ],
    )
    def test_two_tasks(self, batched, name, steps, cost, gradient):
        """Cost and gradient are the means over the two tasks."""
        batch, variables = {"x": np.array([[4.0], [-2.0]])}, {"w": start(2.0, 2, batched)}
        answer = STEPS[name](batch, half_square, None, variables, steps, 0.5, batched=batched)
        assert (answer[0], answer[1]["w"].tolist()) == (cost, [gradient])

    @pytest.mark.parametrize(
        ("name", "steps", "cost", "gradient"),
        [
            ("fomaml", 0, 2.0, -2.0),  # one point: no average
            ("fomaml", 1, 1.25, -1.5),  # (2 + ½)/2, (−2 − 1)/2
            ("fomaml", 2, 0.875, -3.5 / 3),  # (2 + ½ + 1/8)/3 = 2.625/3, (−2 − 1 − ½)/3
            ("maml", 1, 1.25, -1.25),  # (−2 − ½)/2
            ("maml", 2, 0.875, -0.875),  # (−2 − ½ − 1/8)/3 = −2.625/3
        ],
    )
    def test_average_across_steps(self, batched, name, steps, cost, gradient):
        """Averaging takes the mean over the K + 1 points φ_0, …, φ_K of the task x = 4."""
        batch, variables = {"x": np.array([[4.0]])}, {"w": start(2.0, 1, batched)}
        answer = STEPS[name](
            batch, half_square, None, variables, steps, 0.5, batched=batched, average_across_steps=True
        )
        assert (answer[0], answer[1]["w"].tolist()) == (cost, [gradient])

    @pytest.mark.parametrize(
        ("steps", "cost", "gradient"),
        [
            (0, 5.0, 0.0),  # (2 + 8)/2; nothing has moved
            (1, 3.125, 1.0),  # ((2 + ½)/2 + (8 + 2)/2)/2 = (1.25 + 5)/2; (−2 + 4)/2
            (2, 2.1875, 1.5),  # (2.625/3 + 10.5/3)/2 = (0.875 + 3.5)/2; (−3 + 6)/2
        ],
    )
    def test_reptile(self, batched, steps, cost, gradient):
        """Reptile's gradient is (θ − φ_K)/α, its cost the mean over all points of both tasks."""
        batch, variables = {"x": np.array([[4.0], [-2.0]])}, {"w": start(2.0, 2, batched)}
        answer = reptile_step(batch, half_square, variables, steps, 0.5, batched=batched)
        assert (answer[0], answer[1]["w"].tolist()) == (cost, [gradient])

    @pytest.mark.parametrize(
        ("name", "averaged", "cost", "gradient"),
        [
            ("fomaml", False, 2.0, 2.0),
            ("fomaml", True, 1.25, 1.5),
            ("maml", False, 2.0, 1.0),
            ("maml", True, 1.25, 1.0),
        ],
    )
    def test_other_data_for_the_outer_cost(self, batched, name, averaged, cost, gradient):
        """The inner loop sees 4 and the outer cost 1, in every term of the average also without an outer cost function.

        φ_0 = 2 and φ_1 = 3; Q(φ) = ½(φ − 1)² is ½ and 2 there, ∇Q is 1 and 2. The averages are (½ + 2)/2 and (1 + 2)/2.
        MAML halves the derivative at φ_1: 1, and (1 + 1)/2 when averaged.
        """
        batch, variables = {"x": np.array([[4.0]]), "y": np.array([[1.0]])}, {"w": start(2.0, 1, batched)}
        answer = STEPS[name](
            batch, half_square, None, variables, 1, 0.5, batched=batched, average_across_steps=averaged,
            outer_batch_fn=lambda sub_batch: {"x": sub_batch["y"]},
        )  # fmt: skip
        assert (answer[0], answer[1]["w"].tolist()) == (cost, [gradient])

    def test_adapted_variables(self, batched):
        """After two steps the tasks have reached 7/2 and −1; 'first' returns the first of them."""
        batch, variables = {"x": np.array([[4.0], [-2.0]])}, {"w": start(2.0, 2, batched)}
        for step in STEPS.values():
            both = step(batch, half_square, None, variables, 2, 0.5, batched=batched, return_inner_v="all")[2]
            first = step(batch, half_square, None, variables, 2, 0.5, batched=batched, return_inner_v="first")[2]
            assert (both["w"].tolist(), first["w"].tolist()) == ([[3.5], [-1.0]], [[3.5]])


@pytest.mark.parametrize("batched", [False, True], ids=["loop", "batched"])
@pytest.mark.parametrize("cost_fn", [product, product_of_two], ids=["two parameters", "three parameters"])
class TestBilinear:
    """S(l, w) = x·l·w, with inner_v='latent' and outer_v='weight'."""

    @pytest.mark.parametrize(
        ("name", "steps", "averaged", "cost", "gradient"),
        [
            ("fomaml", 0, False, -8.0, 4.0),  # (−12 − 4)/2, (6 + 2)/2
            ("fomaml", 1, False, -18.0, 9.0),  # (−30 − 6)/2, (15 + 3)/2
            ("fomaml", 2, False, -28.0, 14.0),  # (−48 − 8)/2, (24 + 4)/2
            ("maml", 0, False, -8.0, 4.0),
            ("maml", 1, False, -18.0, 14.0),  # (24 + 4)/2
            ("maml", 2, False, -28.0, 24.0),  # (42 + 6)/2
            ("fomaml", 1, True, -13.0, 6.5),  # (−42/2 − 10/2)/2, (21/2 + 5/2)/2
            ("fomaml", 2, True, -18.0, 9.0),  # (−90/3 − 18/3)/2, (45/3 + 9/3)/2
            ("maml", 1, True, -13.0, 9.0),  # (30/2 + 6/2)/2
            ("maml", 2, True, -18.0, 14.0),  # (72/3 + 12/3)/2
        ],
    )
    def test_two_tasks(self, batched, cost_fn, name, steps, averaged, cost, gradient):
        """The means over the two tasks; the gradient container holds the weight alone."""
        batch = {"x": np.array([[3.0], [1.0]])}
        variables = {"latent": start(2.0, 2, batched), "weight": start(-2.0, 2, batched)}
        answer = STEPS[name](
            batch, cost_fn, None, variables, steps, 0.5, batched=batched, average_across_steps=averaged,
            inner_v="latent", outer_v="weight",
        )  # fmt: skip
        assert (answer[0], {key: leaf.tolist() for key, leaf in answer[1].items()}) == (cost, {"weight": [gradient]})

    def test_adapted_variables(self, batched, cost_fn):
        """One step takes the latents to 5 and 3, and the weight stays −2 in the third result."""
        batch = {"x": np.array([[3.0], [1.0]])}
        variables = {"latent": start(2.0, 2, batched), "weight": start(-2.0, 2, batched)}
        adapted = fomaml_step(
            batch, cost_fn, None, variables, 1, 0.5, batched=batched, inner_v="latent", outer_v="weight",
            return_inner_v=True,
        )[2]  # fmt: skip
        assert {key: leaf.tolist() for key, leaf in adapted.items()} == {
            "latent": [[5.0], [3.0]],
            "weight": [[-2.0], [-2.0]],
        }


@pytest.mark.parametrize("batched", [False, True], ids=["loop", "batched"])
def test_reptile_adapts_both_factors(batched):
    """Reptile on x·l·w with x = 3 moves both factors: l = 2 + ½·6 = 5 and w = −2 − ½·6 = −5.

    Its gradient is ((2 − 5)/½, (−2 + 5)/½) = (−6, 6), its cost the mean of 3·2·(−2) = −12 and 3·5·(−5) = −75: −43.5.
    """
    batch = {"x": np.array([[3.0]])}
    variables = {"latent": start(2.0, 1, batched), "weight": start(-2.0, 1, batched)}
    cost, gradient = reptile_step(batch, product, variables, 1, 0.5, batched=batched)
    assert (cost, gradient["latent"].tolist(), gradient["weight"].tolist()) == (-43.5, [-6.0], [6.0])


def test_a_leaf_in_both_arguments_counts_every_path():
    """The gradient of l·l, one factor from each argument of a three-parameter cost, is 2l.

    S(l, l) = l·l with l = 3 and α = ¼ steps to 3 − ¼·6 = 1.5, where the cost is 2.25 and the gradient 3; MAML's is
    3·∂φ_1/∂θ = 3·(1 − ¼·2) = 1.5.
    """
    batch, variables = {"x": np.array([[1.0]])}, {"l": np.array(3.0)}

    def square(batch, inner_v, outer_v):
        return inner_v["l"] * outer_v["l"]

    first = fomaml_step(batch, square, None, variables, 1, 0.25, batched=False)
    second = maml_step(batch, square, None, variables, 1, 0.25, batched=False)
    assert (first[0], first[1]["l"].item(), second[0], second[1]["l"].item()) == (2.25, 3.0, 2.25, 1.5)
