"""The judge on small models of one's own: what is wrong with losses, what cannot be decided, what a step may be."""

from __future__ import annotations

import copy
import json

import pytest

import verification
from verification.subjects import SubjectError

torch = pytest.importorskip("torch", reason="the models are PyTorch code")

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.once, pytest.mark.framework("torch")]  # arithmetic
nn = torch.nn

STEPS, RATE = 2, 0.3


def batches(seed: int, rows: int):
    """Return inputs [rows, 3] and targets [rows, 2]."""
    source = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 3, generator=source), torch.randn(rows, 2, generator=source)


TASKS = [(batches(2 * task, 4), batches(2 * task + 1, 5)) for task in range(3)]


def make(*layers):
    """Return a model whose weights are always the same."""
    model = nn.Sequential(*layers)
    source = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.6 * torch.randn(parameter.shape, generator=source))
    return model


def mlp():
    """Return a smooth model."""
    return make(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def loss(model, batch):
    """Return the mean squared error."""
    return ((model(batch[0]) - batch[1]) ** 2).mean()


def maml(model, tasks, *, loss=loss, order=1, adapts=lambda name: True, clip=None):
    """Return the gradients of MAML by functional calls."""
    theta = dict(model.named_parameters())
    parts = []
    for support, query in tasks:
        weights = dict(theta)
        for _ in range(STEPS):
            value = torch.func.functional_call(_Loss(model, loss), _prefixed(weights), (support,))
            slopes = torch.autograd.grad(value, list(weights.values()), create_graph=order == 2)
            if clip:
                size = float(sum((slope.detach() ** 2).sum() for slope in slopes) ** 0.5)
                slopes = [slope * min(1.0, clip / size) for slope in slopes]
            weights = {
                name: w - RATE * g if adapts(name) else w for (name, w), g in zip(weights.items(), slopes, strict=True)
            }
        value = torch.func.functional_call(_Loss(model, loss), _prefixed(weights), (query,))
        parts.append(torch.autograd.grad(value, list((theta if order == 2 else weights).values())))
    return {name: sum(leaves) / len(tasks) for name, leaves in zip(theta, zip(*parts, strict=True), strict=True)}


class _Loss(nn.Module):
    def __init__(self, model, loss):
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch):
        return self.loss(self.model, batch)


def _prefixed(weights):
    return {f"model.{name}": w for name, w in weights.items()}


def check(step, model, **options):
    """Judge a step on the three tasks."""
    about = {"inner_loss": loss, "tasks": TASKS, "inner_steps": STEPS, "inner_learning_rate": RATE, **options}
    return verification.check(step, model=model, **about)


class _Square(torch.autograd.Function):
    """A square whose gradient is right, and whose second derivative is silently zero."""

    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(context, gradient):
        (x,) = context.saved_tensors
        return 2 * x.detach() * gradient


def square_loss(model, batch):
    """Return the mean squared error by the square above."""
    return _Square.apply(model(batch[0]) - batch[1]).mean()


def root_loss(model, batch):
    """Return a loss with a square root of the output's first entry, which is 0 where its weights are."""
    out = model(batch[0])
    return out[:, 0].abs().sqrt().mean() if float(out.detach().abs().sum()) else (out**2).sum(1).sqrt().mean()


def test_a_silently_wrong_second_derivative_is_found_and_named():
    """Differences of the objective show what every code that asks the framework has wrong, the judge's included."""
    report = check(
        lambda model, tasks: maml(model, tasks, loss=square_loss, order=2), mlp(), inner_loss=square_loss, order=2
    )
    assert (report.verdict, report.diagnosis[0].name) == ("fail", "A09")
    assert check(lambda model, tasks: maml(model, tasks, loss=square_loss), mlp(), inner_loss=square_loss).verdict == (
        "pass"
    )


def test_a_loss_without_finite_derivatives_is_named():
    """Where the definition itself is NaN, that is what is wrong, whatever a step makes of it."""
    model = mlp()
    with torch.no_grad():
        model[2].weight.zero_()
        model[2].bias.zero_()
    report = check(
        lambda model, tasks: maml(model, tasks, loss=root_loss, order=2), model, inner_loss=root_loss, order=2
    )
    assert (report.verdict, report.diagnosis[0].name) == ("fail", "A13")


def test_tied_weights():
    """A tied parameter is one: adapting it as one passes, and adapting each of its copies is F01."""

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            source = torch.Generator().manual_seed(3)
            self.one, self.other = nn.Linear(3, 3), nn.Linear(3, 3)
            with torch.no_grad():
                self.one.weight.copy_(torch.randn(3, 3, generator=source))
                self.one.bias.copy_(torch.randn(3, generator=source))
                self.other.bias.copy_(torch.randn(3, generator=source))
            self.other.weight = self.one.weight

        def forward(self, x):
            return self.other(torch.tanh(self.one(x)))[:, :2]

    def as_two(model, tasks):
        first = {"one.weight", "one.bias", "other.bias"}
        parts = []
        for support, query in tasks:
            weights = dict(model.named_parameters(remove_duplicate=False))
            for batch in (*[support] * STEPS, query):
                wrapped = _prefixed({name: w.detach().requires_grad_() for name, w in weights.items()})
                value = torch.func.functional_call(_Loss(model, loss), wrapped, (batch,), tie_weights=False)
                slopes = torch.autograd.grad(value, list(wrapped.values()))
                slopes = dict(zip(weights, slopes, strict=True))
                weights = {name: w - RATE * slopes[name] for name, w in weights.items()}
            slopes["one.weight"] = slopes["one.weight"] + slopes["other.weight"]
            parts.append(slopes)
        return {name: sum(part[name] for part in parts) / len(parts) for name in first}

    assert check(maml, Tied()).verdict == "pass"
    report = check(as_two, Tied())
    assert (report.verdict, report.diagnosis[0].name) == ("fail", "F01")


def test_frozen_layers_that_adapt_all_the_same():
    """Where only the head is to be adapted, adapting it alone passes, and adapting everything is M03."""
    only = {"adapts": "2"}
    assert check(
        lambda model, tasks: maml(model, tasks, adapts=lambda name: name[0] == "2"), mlp(), **only
    ).verdict == ("pass")
    report = check(maml, mlp(), **only)
    assert (report.verdict, report.diagnosis[0].name) == ("fail", "M03")


def test_an_inner_clip_is_found_at_its_limit():
    """A clip whose limit nobody knows is searched for."""
    report = check(lambda model, tasks: maml(model, tasks, clip=0.37), mlp())
    assert (report.verdict, report.diagnosis[0].name) == ("fail", "M02")
    assert "0.37" in report.diagnosis[0].evidence


def test_dropout_is_reported_with_its_place():
    """Random numbers that change the gradients leave nothing to compare: the report says where they are drawn."""
    model = make(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2))
    report = check(maml, model)
    assert report.verdict == "inconclusive"
    assert "native_dropout" in report.reason or "bernoulli" in report.reason
    assert "test_check.py" in report.reason
    assert check(maml, model.eval()).verdict == "pass"


def test_a_step_that_is_wired_to_its_own_data():
    """A step without arguments is judged in float32 where its data are, and the report says why not in float64."""
    model = mlp()
    report = check(lambda: maml(model, TASKS), model)
    assert (report.verdict, [case.dtype for case in report.cases]) == ("pass", ["float32"])
    assert "float64" in report.why_left_out


def test_gradients_in_grad_and_a_criterion():
    """A criterion takes outputs and targets; a step that fills `.grad` has it read there, and None is 0 if unused."""

    def step(model, tasks):
        for name, leaf in maml(model, tasks).items():
            model.get_parameter(name).grad = leaf

    assert check(step, mlp(), inner_loss=nn.MSELoss(), gives="grad").verdict == "pass"


def test_a_gradient_that_cancels_is_not_accused():
    """The true gradient of a bias before batch normalisation is 0, and rounding leaves what it leaves."""
    report = check(maml, make(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2)))
    assert report.verdict == "pass"


def test_a_block_that_is_watched():
    """What a block leaves in `.grad` is judged as it is: right where the block is, and named where it is not."""
    model, about = mlp(), {"inner_loss": loss, "tasks": TASKS, "inner_steps": STEPS, "inner_learning_rate": RATE}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for factor, verdict in ((1, "pass"), (3, "fail")):
        with verification.observe(model=model, **about) as observed:
            for name, leaf in maml(model, TASKS).items():
                model.get_parameter(name).grad = factor * leaf
            optimizer.step()
        assert observed.report.verdict == verdict
        assert [case.dtype for case in observed.report.cases] == ["float32"]
    assert observed.report.diagnosis[0].name == "D01"


def test_running_statistics_that_the_step_updates():
    """A query loss in evaluation mode reads what the support passes left, on which authors differ: nobody fails."""

    def outer(model, batch):
        model.eval()
        value = loss(model, batch)
        model.train()
        return value

    def step(model, tasks):
        total = dict.fromkeys(dict(model.named_parameters()), 0)
        for support, query in tasks:
            learner = copy.deepcopy(model)
            for _ in range(STEPS):
                slopes = torch.autograd.grad(loss(learner, support), list(learner.parameters()))
                with torch.no_grad():
                    for parameter, slope in zip(learner.parameters(), slopes, strict=True):
                        parameter.sub_(RATE * slope)
            slopes = torch.autograd.grad(outer(learner, query), list(learner.parameters()))
            total = {name: total[name] + slope / len(tasks) for name, slope in zip(total, slopes, strict=True)}
        return total

    model = make(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))
    report = check(step, model, outer_loss=outer)
    assert report.verdict == "inconclusive"
    assert "running statistics" in report.reason


def test_reptile_and_a_step_that_raises():
    """Reptile's displacement is judged as well; a step that raises fails with what it raised, and has no other name."""

    def reptile(model, tasks):
        theta = dict(model.named_parameters())
        total = dict.fromkeys(theta, 0)
        for support, _ in tasks:
            weights = dict(theta)
            for _ in range(STEPS):
                value = torch.func.functional_call(_Loss(model, loss), _prefixed(weights), (support,))
                slopes = torch.autograd.grad(value, list(weights.values()))
                weights = {name: w - RATE * g for (name, w), g in zip(weights.items(), slopes, strict=True)}
            total = {name: total[name] + (theta[name] - weights[name]) / RATE / len(tasks) for name in theta}
        return total

    assert check(reptile, mlp(), order="reptile").verdict == "pass"
    report = check(lambda tasks: 1 / 0, mlp())
    assert report.verdict == "fail"
    assert "ZeroDivisionError" in report.cases[0].findings[0].message
    assert "ZeroDivisionError" in repr(report)
    assert report.diagnosis == []


def test_a_report_on_a_model_is_valid():
    """The JSON of a report on a model follows the schema of reports."""
    jsonschema = pytest.importorskip("jsonschema")
    from verification.reports.json_schema import schema

    jsonschema.validate(json.loads(json.dumps(check(maml, mlp()).to_dict())), schema())


@pytest.mark.parametrize(
    ("about", "error", "words"),
    [
        (
            {"model": 3},
            TypeError,
            "model: expected a torch.nn.Module or .* or a container of NumPy arrays, but got int",
        ),
        ({"order": 3}, ValueError, "order: expected one of 1, 2, 'reptile', but got 3"),
        ({"inner_steps": -1}, ValueError, "inner_steps: expected a whole number from 0 up, but got -1"),
        ({"tasks": []}, ValueError, "tasks: expected pairs"),
        ({"tasks": [(0, 1, 2, 3)]}, ValueError, "at least one, but got a tuple of 4."),
        ({"gives": "nothing"}, ValueError, "gives: expected one of 'gradients', 'grad', 'parameters'"),
        ({"gives": "parameters"}, ValueError, "outer_learning_rate: expected the rate of the outer step"),
        ({"outer_learning_rate": 0}, ValueError, "outer_learning_rate: expected a number above 0, but got 0"),
        ({"adapts": "tail"}, ValueError, "adapts: expected names of parameters or of modules, but got 'tail'"),
        ({"inner_learning_rate": {"x": 1.0}}, ValueError, "inner_learning_rate: expected the names of parameters"),
        (
            {"inner_loss": lambda model, batch: model(batch[0])},
            SubjectError,
            "the losses cannot be computed: they raised TypeError: the loss: expected a scalar",
        ),
    ],
)
def test_what_a_problem_must_be(about, error, words):
    """A problem that cannot be judged is refused in a sentence that says what was expected."""
    with pytest.raises(error, match=words):
        check(maml, about.pop("model", mlp()), **about)


@pytest.mark.parametrize(("gives", "other"), [("grad", "gradients"), ("gradients", "grad")])
def test_gradients_in_the_other_place(gives, other):
    """Where the gradients are in the other place than is said, the report says in which, and names no mistake."""

    def step(model, tasks):
        gradients = maml(model, tasks)
        if other == "gradients":
            return gradients
        for name, leaf in gradients.items():
            model.get_parameter(name).grad = leaf
        return None

    report = check(step, mlp(), gives=gives)
    assert (report.verdict, [found.name for found in report.diagnosis]) == ("fail", ["several"])
    assert f'(gives="{other}")' in repr(report)


def test_a_step_that_requires_something_else():
    """A step with parameters that the judge cannot fill is refused before anything runs."""
    with pytest.raises(SubjectError, match="it requires also schedule"):
        check(lambda model, tasks, schedule: None, mlp())


def test_random_losses_decide_nothing_without_inner_steps():
    """Where the definition itself is random no answer can be right or wrong, at K = 0 no more than elsewhere."""
    model = make(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2))

    def nonsense(model, tasks):
        return {name: 1e3 * torch.ones_like(leaf) for name, leaf in model.named_parameters()}

    assert check(nonsense, model, inner_steps=0).verdict == "inconclusive"


@pytest.mark.parametrize("order", [1, 2])
def test_a_wrong_step_without_inner_steps_fails(order):
    """Every candidate for a name has an answer where nothing is adapted."""

    def doubled(model, tasks):
        values = [torch.autograd.grad(loss(model, query), list(model.parameters())) for _, query in tasks]
        return [2 * sum(leaves) / len(tasks) for leaves in zip(*values, strict=True)]

    assert check(doubled, mlp(), order=order, inner_steps=0).verdict == "fail"


class _Spare(nn.Module):
    """A model with a layer that its output does not use."""

    def __init__(self):
        super().__init__()
        self.used, self.spare = mlp(), nn.Linear(2, 2)

    def forward(self, x):
        return self.used(x)


def test_none_for_a_layer_that_no_loss_uses():
    """PyTorch leaves None in `.grad` of what no loss uses, and that is right."""

    def step(model, tasks):
        used = maml(model.used, tasks)
        for name, leaf in used.items():
            model.used.get_parameter(name).grad = leaf

    assert check(step, _Spare(), gives="grad").verdict == "pass"


def test_a_block_is_judged_by_what_it_writes_and_began_with():
    """A gradient that comes out as before was computed all the same; a mode that changes at the end is no loss's."""
    model = make(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))
    about = {"inner_loss": loss, "tasks": TASKS, "inner_steps": STEPS, "inner_learning_rate": RATE}
    gradients = maml(copy.deepcopy(model), TASKS)
    for name, leaf in gradients.items():
        model.get_parameter(name).grad = leaf.clone()
    with verification.observe(model=model, **about) as observed:
        for name, leaf in gradients.items():
            model.get_parameter(name).grad = leaf.clone()
        model.eval()
    assert observed.report.verdict == "pass"
    with (
        pytest.raises(TypeError, match=r"^gives: expected nothing"),
        verification.observe(model=model, gives="grad", **about),
    ):
        pass


def test_a_problem_is_the_model_as_it_is_when_it_is_judged():
    """A model that is loaded or trained after `problem_of` is judged with the weights that it has then."""
    from verification.models import judge

    model = mlp()
    request = verification.problem_of(
        maml, model=model, inner_loss=loss, tasks=TASKS, inner_steps=STEPS, inner_learning_rate=RATE
    )
    with torch.no_grad():
        model[0].weight.mul_(1.5)
    assert judge(request).verdict == "pass"


def test_what_cannot_be_used_is_said():
    """A rate that is missing and a loss that raises are the caller's, each in one sentence."""
    model = mlp()
    with pytest.raises(ValueError, match=r"^inner_learning_rate: .*0\.bias has none\.$"):
        check(maml, model, inner_learning_rate={"0.weight": 0.1})
    with pytest.raises(SubjectError, match=r"^the losses cannot be computed: "):
        check(maml, model, inner_loss=lambda model, batch: model(batch[0]) @ torch.ones(5))


def test_a_step_that_deletes_a_parameter_is_called_once():
    """A second call needs the parameters of the first; where they are gone there is none."""

    def step(model, tasks):
        gradients = maml(model, tasks)
        model.register_parameter("extra", nn.Parameter(torch.zeros(2)))
        return gradients

    assert check(step, mlp()).verdict == "pass"


def test_a_mistake_in_a_model_is_valid_in_json_and_has_no_convention():
    """A fault that only models show fits the schema; nothing is declared that cannot be."""
    jsonschema = pytest.importorskip("jsonschema")
    from verification.reports.json_schema import schema

    report = check(lambda model, tasks: maml(model, tasks, clip=0.05), mlp())
    assert [diagnosis.name for diagnosis in report.diagnosis] == ["M02"]
    jsonschema.validate(json.loads(json.dumps(report.to_dict())), schema())

    def summed(model, tasks):
        return {name: len(tasks) * leaf for name, leaf in maml(model, tasks).items()}

    (diagnosis,) = check(summed, mlp()).diagnosis
    assert (diagnosis.name, diagnosis.convention) == ("D01", None)
