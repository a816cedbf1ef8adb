"""What a model of some size asks of the judge: kinks everywhere, little memory, no operation twice."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

import verification
from verification.models.recent import Recent

torch = pytest.importorskip("torch", reason="the models are PyTorch code")

pytestmark = [pytest.mark.once, pytest.mark.framework("torch")]  # arithmetic

RATE = 0.1


def loss(model, batch):
    """Return the mean squared error."""
    return ((model(batch[0]) - batch[1]) ** 2).mean()


def fomaml(model, tasks, *, steps=1, at_start=False):
    """Return first-order MAML's gradients, by weights that are put into the model and taken out again."""
    theta = [parameter.detach().clone() for parameter in model.parameters()]
    parts = []
    for support, query in tasks:
        for _ in range(steps):
            slopes = torch.autograd.grad(loss(model, support), list(model.parameters()))
            with torch.no_grad():
                for parameter, slope in zip(model.parameters(), slopes, strict=True):
                    parameter.sub_(RATE * slope)
        if at_start:
            put(model, theta)
        parts.append(torch.autograd.grad(loss(model, query), list(model.parameters())))
        put(model, theta)
    return [sum(leaves) / len(tasks) for leaves in zip(*parts, strict=True)]


def put(model, theta):
    """Set the parameters of a model."""
    with torch.no_grad():
        for parameter, leaf in zip(model.parameters(), theta, strict=True):
            parameter.copy_(leaf)


def near_a_kink():
    """Return a model one of whose units is active by a relative 5e-7: in float32 for sure, and 2⁻²⁰ switches it off."""
    model = torch.nn.Sequential(torch.nn.Linear(2, 1, bias=False), torch.nn.ReLU(), torch.nn.Linear(1, 1, bias=False))
    put(model, [torch.tensor([[1.0, -1.0 + 2.0**-20]]), torch.tensor([[0.7]])])
    return model


TASKS = [((torch.ones(1, 2), torch.full((1, 1), goal)), (torch.ones(1, 2), torch.full((1, 1), 2.0))) for goal in (1, 3)]


@pytest.mark.parametrize(("at_start", "verdict"), [(False, "pass"), (True, "fail")])
def test_a_kink_within_the_first_disturbance_does_not_hide_what_is_right(at_start, verdict):
    """A large network has units at every distance from their kinks: what bends from a large disturbance gets less."""
    model = near_a_kink()
    report = verification.check(
        lambda model, tasks: fomaml(model, tasks, at_start=at_start),
        model=model, inner_loss=loss, tasks=TASKS, inner_steps=1, inner_learning_rate=RATE,
    )  # fmt: skip
    assert report.verdict == verdict


def test_a_trajectory_that_memory_is_too_small_for(monkeypatch):
    """The points of an inner loop need not all be remembered while their Hessian-vector products are made."""
    monkeypatch.setattr("verification.models.standard.Recent", lambda _: Recent(3 * 13 * 8))
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    report = verification.check(
        lambda model, tasks: fomaml(model, tasks, steps=3),
        model=model, inner_loss=loss, tasks=TASKS, inner_steps=3, inner_learning_rate=RATE, order=2,
    )  # fmt: skip
    assert [found.name for found in report.diagnosis][:1] == ["A01"]


def test_no_product_is_made_twice(monkeypatch):
    """Many faults multiply the same vectors by the Hessians of the same points."""
    from verification.models.torch_losses import TorchCosts

    made, product = Counter(), TorchCosts.product

    def counted(self, phi, u):
        made[self, phi.tobytes(), u.tobytes()] += 1
        return product(self, phi, u)

    monkeypatch.setattr(TorchCosts, "product", counted)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    verification.check(
        lambda model, tasks: fomaml(model, tasks, steps=2),
        model=model, inner_loss=loss, tasks=TASKS, inner_steps=2, inner_learning_rate=RATE, order=2,
    )  # fmt: skip
    assert set(made.values()) == {1}


def halved(model, tasks, inner_steps, rows=0, factor=0.5):
    """Return second-order MAML's gradients at half the inner rate, which is wrong; for so many rows alone, if any."""
    total, theta = 0.0, dict(model.named_parameters())
    for support, query in tasks:
        assert rows in (0, len(support[0]))
        weights = theta
        for _ in range(inner_steps):
            slopes = torch.autograd.grad(loss_of(model, weights, support), list(weights.values()), create_graph=True)
            weights = {name: w - RATE * factor * g for (name, w), g in zip(weights.items(), slopes, strict=True)}
        total = total + loss_of(model, weights, query)
    return torch.autograd.grad(total / len(tasks), list(theta.values()))


def loss_of(model, weights, batch):
    """Return the loss of a model with other weights."""
    return loss(lambda x: torch.func.functional_call(model, weights, (x,)), batch)


def right(model, tasks, inner_steps):
    """Return second-order MAML's gradients."""
    return halved(model, tasks, inner_steps, factor=1.0)


def halved_of_four(model, tasks):
    """Return the same of five inner steps, by code that is made for four examples."""
    return halved(model, tasks, 5, rows=4)


@pytest.mark.parametrize(("step", "most"), [(halved, 150), (halved_of_four, 600)])
def test_a_wrong_number_is_found_in_few_products(step, most, monkeypatch):
    """Few examples in few inner steps tell most faults apart; a step that is made for more is compared with those."""
    from verification.models.torch_losses import TorchCosts

    rows, product = [], TorchCosts.product

    def counted(self, phi, u):
        rows.append(len(self.batch[0]))
        return product(self, phi, u)

    monkeypatch.setattr(TorchCosts, "product", counted)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    tasks = [tuple((torch.randn(4, 2), torch.randn(4, 1)) for _ in range(2)) for _ in range(3)]
    report = verification.check(
        step, model=model, inner_loss=loss, tasks=tasks, inner_steps=5, inner_learning_rate=RATE, order=2
    )
    assert report.diagnosis[0].name == "G10"
    assert "times 0.5" in report.diagnosis[0].evidence
    assert sum(rows) / 4 < most, sum(rows) / 4


def test_a_right_step_is_judged_in_few_products(monkeypatch):
    """The definition is worked once, however little is remembered, and mistakes are told from it on one task."""
    from verification.models.torch_losses import TorchCosts

    made, product = Counter(), TorchCosts.product

    def counted(self, phi, u):
        made["disturbed" if self.disturbance else self.host.dtype] += 1
        return product(self, phi, u)

    monkeypatch.setattr(TorchCosts, "product", counted)
    monkeypatch.setattr("verification.models.standard.Recent", lambda _: Recent(3 * 13 * 8))
    tasks, steps = [tuple((torch.randn(4, 2), torch.randn(4, 1)) for _ in range(2)) for _ in range(8)], 3
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    report = verification.check(
        right, model=model, inner_loss=loss, tasks=tasks, inner_steps=steps, inner_learning_rate=RATE, order=2
    )
    assert report.verdict == "pass"
    assert made["disturbed"] == made["float32"] == 8 * steps
    # One task more, where mistakes are told, of four kinds and the right answer; and one for the differences.
    assert made["float64"] <= (8 + 5 * 2 + 1) * steps, made


def test_a_first_task_that_shows_nothing_leaves_it_to_the_others():
    """Where all inputs are 0, as in a padded task, each mistake gives the right answer."""
    model = torch.nn.Linear(2, 1, bias=False)
    nothing = (torch.zeros(3, 2), torch.zeros(3, 1))
    report = verification.check(
        right, model=model, inner_loss=loss, tasks=[(nothing, nothing), *TASKS], inner_steps=2,
        inner_learning_rate=RATE, order=2,
    )  # fmt: skip
    assert report.verdict == "pass"


def test_watching_imports_no_compiler():
    """PyTorch's compiler takes seconds to import, which a step that does not use it is spared."""
    script = (
        "import sys, torch, verification\n"
        "model = torch.nn.Linear(1, 1)\n"
        "loss = lambda model, x: (model(x) ** 2).mean()\n"
        "step = lambda model, tasks: torch.autograd.grad(loss(model, tasks[0][1]), list(model.parameters()))\n"
        "tasks = [(torch.ones(2, 1), torch.ones(3, 1))]\n"
        "verification.check(step, model=model, inner_loss=loss, tasks=tasks, inner_steps=0, inner_learning_rate=0.1)\n"
        "print('torch._dynamo' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
