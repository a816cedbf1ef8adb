"""Names of mistakes on a small model, with the numbers in them: each step is first-order MAML, wrong in one place."""

from __future__ import annotations

import copy
from functools import partial

import pytest

import verification

torch = pytest.importorskip("torch", reason="the models are PyTorch code")

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.once, pytest.mark.framework("torch")]  # arithmetic
nn = torch.nn

STEPS, RATE, OUTER_RATE = 2, 0.3, 0.05


def batches(seed: int, rows: int):
    """Return inputs [rows, 3] and targets [rows, 2]."""
    source = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 3, generator=source), torch.randn(rows, 2, generator=source)


TASKS = [(batches(2 * task, 4), batches(2 * task + 1, 5)) for task in range(3)]


def loss(model, batch):
    """Return the mean squared error."""
    return ((model(batch[0]) - batch[1]) ** 2).mean()


def mlp():
    """Return a smooth model whose weights are always the same."""
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    source = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.6 * torch.randn(parameter.shape, generator=source))
    return model


def wrong(
    *, optimizer=None, hook=lambda learner: None, steps=STEPS, inner=loss, outer=loss, change=lambda tasks: tasks
):
    """Return first-order MAML by copies with a part of it exchanged."""

    def step(model, tasks):
        parts = []
        for support, query in change(tasks):
            learner = copy.deepcopy(model)
            inner_optimizer = (optimizer or sgd())(learner)
            for _ in range(steps):
                inner_optimizer.zero_grad()
                inner(learner, support).backward()
                hook(learner)
                inner_optimizer.step()
            parts.append(torch.autograd.grad(outer(learner, query), list(learner.parameters())))
        return [sum(leaves) / len(parts) for leaves in zip(*parts, strict=True)]

    return step


def sgd(rate=RATE, **options):
    """Return what makes an inner optimizer."""
    return lambda learner: torch.optim.SGD(learner.parameters(), rate, **options)


def adaptive(kind, rate=RATE):
    """Return what makes an inner optimizer that divides by gradients."""
    return lambda learner: kind(learner.parameters(), rate)


def falling(share):
    """Return what makes an inner optimizer whose rate falls from step to step."""

    def make(learner):
        optimizer = torch.optim.SGD(learner.parameters(), RATE)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, share)
        optimizer.register_step_post_hook(lambda *_: schedule.step())
        return optimizer

    return make


def pulled_to(strength):
    """Return a support loss with a pull to the weights that the model began with."""
    start = mlp()

    def pulled(model, batch):
        apart = zip(model.parameters(), start.parameters(), strict=True)
        return loss(model, batch) + strength / 2 * sum(((one - other.detach()) ** 2).sum() for one, other in apart)

    return pulled


def clip_leaves(learner):
    """Clip each parameter's gradient by its own norm."""
    for parameter in learner.parameters():
        nn.utils.clip_grad_norm_([parameter], 0.2)


def normalize(learner):
    """Make the gradient one of norm 5, which is more than it has in the first task."""
    size = sum(float((parameter.grad**2).sum()) for parameter in learner.parameters()) ** 0.5
    for parameter in learner.parameters():
        parameter.grad *= 5 / size


def faster(chosen, factor):
    """Return what multiplies the inner gradients of parameters that are chosen by their names."""

    def hook(learner):
        for name, parameter in learner.named_parameters():
            if chosen(name):
                parameter.grad *= factor

    return hook


WRONG = {
    "biases": (wrong(hook=faster(lambda name: "bias" in name, 2)), "G10", "less than two axes alone, an effective"),
    "head": (wrong(hook=faster(lambda name: "2." in name, 10)), "G10", "for the last module alone, an effective"),
    "clip": (
        wrong(hook=lambda m: nn.utils.clip_grad_norm_(m.parameters(), 0.37)),
        "M02",
        "by norm as in PyTorch, at 0.37",
    ),
    "biases that hardly move": (
        wrong(hook=faster(lambda name: "bias" in name, 0.001)),
        "G10",
        "axes alone, an effective learning rate of α times 0.001",
    ),
    "clip by a small value": (
        wrong(hook=lambda m: nn.utils.clip_grad_value_(m.parameters(), 0.01)),
        "M02",
        "by value, at 0.01",
    ),
    "clip of each leaf": (wrong(hook=clip_leaves), "M02", "each leaf by norm as in PyTorch, at 0.2"),
    "normalized": (wrong(hook=normalize), "M02", "set to a norm of 5"),
    "half of both losses": (
        wrong(inner=lambda m, b: loss(m, b) / 2, outer=lambda m, b: loss(m, b) / 2),
        "D11 + G10",
        "both losses times 0.5",
    ),
    "eight times both losses": (
        wrong(inner=lambda m, b: 8 * loss(m, b), outer=lambda m, b: 8 * loss(m, b)),
        "D11 + G10",
        "both losses times 8",
    ),
    "strong decay": (wrong(optimizer=sgd(weight_decay=1.5)), "G06", "a weight decay of 1.5"),
    "momentum and decay": (
        wrong(optimizer=sgd(momentum=0.9, weight_decay=0.01)),
        "G06 + M04",
        "a weight decay of 0.01",
    ),
    "falling": (wrong(optimizer=falling(0.6)), "G10", "α γᵏ in step k, γ = 0.6"),
    "pull": (wrong(inner=pulled_to(0.2)), "G06", "of φ − θ, a weight decay of 0.2"),
    "Nesterov": (wrong(optimizer=sgd(momentum=0.8, nesterov=True)), "M04", "Nesterov's, μ = 0.8"),
    "dampened": (wrong(optimizer=sgd(momentum=0.9, dampening=0.1)), "M04", "dampened by 0.1"),
    "Adam at a rate": (wrong(optimizer=adaptive(torch.optim.Adam, 0.004)), "M05", "Adam at a rate of 0.004"),
    "Adam at a high rate": (wrong(optimizer=adaptive(torch.optim.Adam, 0.5)), "M05", "Adam at a rate of 0.5"),
    "AdamW": (wrong(optimizer=adaptive(torch.optim.AdamW)), "M05", "AdamW"),
    "RMSprop": (wrong(optimizer=adaptive(torch.optim.RMSprop)), "M05", "RMSprop"),
    "AdaGrad": (wrong(optimizer=adaptive(torch.optim.Adagrad)), "M05", "AdaGrad"),
    "always 7": (wrong(steps=7), "B12", "inner steps: always 7"),
    "α times T": (wrong(optimizer=sgd(3 * RATE)), "G10", "α times 3)"),
    "α times 1e-4": (wrong(optimizer=sgd(1e-4 * RATE)), "G10", "α times 0.0001)"),
    "α times 0.07": (wrong(optimizer=sgd(0.07 * RATE)), "G10", "α times 0.07)"),
    "scaled loss": (wrong(outer=lambda m, b: 65536 * loss(m, b)), "D11", "c = 65536"),
    "one support for all": (
        wrong(change=lambda tasks: [(tasks[0][0], q) for _, q in tasks]),
        "D13",
        "support of the first",
    ),
    "last query for all": (
        wrong(change=lambda tasks: [(s, tasks[-1][1]) for s, _ in tasks]),
        "D13",
        "query of the last",
    ),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_named_with_its_number(case):
    """The first name is that of the mistake, and the evidence has the number that the code has."""
    step, name, words = WRONG[case]
    report = verification.check(
        step, model=mlp(), inner_loss=loss, tasks=TASKS, inner_steps=STEPS, inner_learning_rate=RATE
    )
    assert report.diagnosis[0].name == name
    assert words in report.diagnosis[0].evidence


def test_support_loss_in_the_outer_loss():
    """The support loss added to the query loss is C07."""

    def step(model, tasks):
        on_query = wrong()(model, tasks)
        on_support = wrong(change=lambda tasks: [(support, support) for support, _ in tasks])(model, tasks)
        return [one + other for one, other in zip(on_query, on_support, strict=True)]

    report = verification.check(
        step, model=mlp(), inner_loss=loss, tasks=TASKS, inner_steps=STEPS, inner_learning_rate=RATE
    )
    assert report.diagnosis[0].name == "C07"


def by_task(step, reduce):
    """Return a step that puts the answers of `step` to each task together otherwise than by their mean."""

    def whole(model, tasks):
        return [reduce(list(leaves)) for leaves in zip(*(step(model, [task]) for task in tasks), strict=True)]

    return whole


def running(leaves):
    """Divide a running total by the number of tasks at each of them."""
    total = 0
    for leaf in leaves:
        total = (total + leaf) / len(leaves)
    return total


def clipped(leaves):
    """Return the mean of gradients of which each parameter's entries are cut at each task."""
    return sum(leaf.clamp(-0.05, 0.05) for leaf in leaves) / len(leaves)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("step", "name", "words"),
    [
        (by_task(wrong(), running), "D12", "of 3 tasks"),
        (by_task(wrong(), lambda leaves: sum(leaf / 2 ** (k + 1) for k, leaf in enumerate(leaves))), "D12", "0.125"),
        (by_task(wrong(), clipped), "G07", "of each task, by value, at 0.05"),
        (by_task(wrong(steps=1), lambda leaves: leaves[-1]), "B02 + D03", ""),
        (by_task(wrong(optimizer=sgd(0.07 * RATE)), sum), "D01 + G10", "α times 0.07"),
        (by_task(wrong(optimizer=sgd(momentum=0.8)), running), "D12 + M04", "μ = 0.8"),
    ],
)
def test_a_mistake_between_tasks(step, name, words):
    """What is done with the tasks' answers is named by itself, and beside a mistake that one task alone shows."""
    report = verification.check(
        step, model=mlp(), inner_loss=loss, tasks=TASKS, inner_steps=STEPS, inner_learning_rate=RATE
    )
    assert sorted(report.diagnosis[0].name.split(" + ")) == sorted(name.split(" + "))
    assert words in report.diagnosis[0].evidence


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("step", "name"),
    [
        (wrong(optimizer=sgd(momentum=0.9)), "A01 + M04"),
        (wrong(steps=STEPS + 1), "A01 + B03"),
        (wrong(hook=faster(lambda name: "bias" in name, 0)), "A01 + F03"),
    ],
)
def test_first_order_beside_another_mistake(step, name):
    """Where second order is meant, a first-order step with one more mistake is named with both."""
    report = verification.check(
        step, model=mlp(), inner_loss=loss, tasks=TASKS, inner_steps=STEPS, inner_learning_rate=RATE, order=2
    )
    assert report.diagnosis[0].name == name


def test_features_that_are_detached():
    """A01 is named where second order reaches the head alone, because the inner loop reads detached features."""
    model = mlp()

    def step(model, tasks):
        total = 0
        for (x, y), (query, target) in tasks:
            features, weights = model[:2](x).detach(), list(model[2].parameters())
            for _ in range(STEPS):
                value = ((nn.functional.linear(features, *weights) - y) ** 2).mean()
                slopes = torch.autograd.grad(value, weights, create_graph=True)
                weights = [w - RATE * slope for w, slope in zip(weights, slopes, strict=True)]
            total += ((nn.functional.linear(model[:2](query), *weights) - target) ** 2).mean() / len(tasks)
        return torch.autograd.grad(total, list(model.parameters()))

    report = verification.check(
        step,
        model=model,
        inner_loss=loss,
        tasks=TASKS,
        inner_steps=STEPS,
        inner_learning_rate=RATE,
        order=2,
        adapts="2",
    )
    assert report.diagnosis[0].name == "A01"
    assert "for the parameters that do not adapt" in report.diagnosis[0].evidence


@pytest.mark.parametrize(
    ("used", "words"),
    [(lambda _: 0.3, "for all parameters, an inner learning rate of 0.3"),
     (lambda _: 0.2, "for all parameters, an inner learning rate of 0.2"),
     (lambda name: 0.3 if "bias" in name else 0.1, "the two rates of parameters exchanged")],
)  # fmt: skip
def test_other_rates_than_those_by_parameter(used, words):
    """G10 is named where all parameters have one rate, be it one of those meant or not, and where two are exchanged."""

    def optimizer(learner):
        return torch.optim.SGD([{"params": [leaf], "lr": used(name)} for name, leaf in learner.named_parameters()])

    rates = {name: 0.1 if "bias" in name else 0.3 for name, _ in mlp().named_parameters()}
    report = verification.check(
        wrong(optimizer=optimizer),
        model=mlp(),
        inner_loss=loss,
        tasks=TASKS,
        inner_steps=STEPS,
        inner_learning_rate=rates,
    )
    assert report.diagnosis[0].name == "G10"
    assert words in report.diagnosis[0].evidence


def test_an_outer_rate_in_the_inner_loop():
    """G01 is named where the inner loop has the outer rate that is declared, however unusual it is."""

    def step(model, tasks):
        slopes = wrong(optimizer=sgd(0.0123))(model, tasks)
        with torch.no_grad():
            for parameter, slope in zip(model.parameters(), slopes, strict=True):
                parameter.sub_(0.0123 * slope)

    report = verification.check(
        step, model=mlp(), inner_loss=loss, tasks=TASKS, inner_steps=STEPS, inner_learning_rate=RATE,
        gives="parameters", outer_learning_rate=0.0123,
    )  # fmt: skip
    assert report.diagnosis[0].name == "G01"


def test_an_accumulator_that_nobody_clears():
    """D06 is named where nothing clears `.grad` of a model and each query loss is divided by the number of tasks."""

    def step(model, tasks):
        start = copy.deepcopy(model.state_dict())
        for support, query in tasks:
            model.load_state_dict(start)
            optimizer = torch.optim.SGD(model.parameters(), 0.1)
            for _ in range(STEPS):
                loss(model, support).backward()
                optimizer.step()
            (loss(model, query) / len(tasks)).backward()
        model.load_state_dict(start)

    report = verification.check(
        step, model=mlp(), inner_loss=loss, tasks=TASKS, inner_steps=STEPS, inner_learning_rate=0.1, gives="grad"
    )
    assert report.diagnosis[0].name == "D06"


def with_statistics():
    """Return a model with batch normalisation whose running statistics have seen something."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))
    model(2 * torch.randn(16, 3) + 1)
    return model


def in_modes(modes, *, copied):
    """Return a step that switches its model as `modes` (in the inner loop, in the outer loss) says, None leaving it."""

    def step(model, tasks):
        total = 0
        for support, query in tasks:
            learner = copy.deepcopy(model) if copied else model
            weights = dict(learner.named_parameters())

            def value(batch, mode, weights=weights, learner=learner):
                if mode is not None:
                    learner.train(mode)
                return ((torch.func.functional_call(learner, weights, batch[0]) - batch[1]) ** 2).mean()

            for _ in range(STEPS):
                slopes = torch.autograd.grad(value(support, modes[0]), list(weights.values()))
                weights |= {name: w - RATE * g for (name, w), g in zip(weights.items(), slopes, strict=True)}
            slopes = torch.autograd.grad(value(query, modes[1]), list(weights.values()))
            total = [slope + before for slope, before in zip(slopes, total or [0] * len(slopes), strict=True)]
        return [slope / len(tasks) for slope in total]

    return step


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("mode", "modes", "copied", "words"),
    [
        (True, (True, False), True, "in the outer loss, with the statistics that the task's own passes left"),
        (True, (True, False), False, "in the outer loss, with the statistics that all passes left"),
        (False, (True, False), True, "in the inner loop, with the statistics that the task's own passes left"),
        (False, (True, False), False, "in the inner loop, with the statistics that all passes left"),
        (True, (None, False), False, "from the first outer loss on, with the statistics that all passes left"),
    ],
)
def test_the_other_mode_with_statistics_that_passes_left(mode, modes, copied, words):
    """M01 is named where the running statistics that are read are those that the step's own passes have moved."""
    report = verification.check(
        in_modes(modes, copied=copied),
        model=with_statistics().train(mode),
        inner_loss=loss,
        tasks=TASKS,
        inner_steps=STEPS,
        inner_learning_rate=RATE,
    )
    assert (report.verdict, report.diagnosis[0].name) == ("fail", "M01")
    assert words in report.diagnosis[0].evidence


def test_an_algorithm_that_is_not_meant():
    """First-order MAML where Reptile is meant, and Reptile where MAML is, are named as that."""

    def reptile(model, tasks):
        parts = []
        for support, _ in tasks:
            learner = copy.deepcopy(model)
            optimizer = torch.optim.SGD(learner.parameters(), RATE)
            for _ in range(STEPS):
                optimizer.zero_grad()
                loss(learner, support).backward()
                optimizer.step()
            pairs = zip(model.parameters(), learner.parameters(), strict=True)
            parts.append([(one - other).detach() / RATE for one, other in pairs])
        return [sum(leaves) / len(parts) for leaves in zip(*parts, strict=True)]

    about = {"model": mlp(), "inner_loss": loss, "tasks": TASKS, "inner_steps": STEPS, "inner_learning_rate": RATE}
    assert verification.check(reptile, order="reptile", **about).verdict == "pass"
    for step, order in ((reptile, 1), (wrong(), "reptile")):
        assert verification.check(step, order=order, **about).diagnosis[0].name == "M09"


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    ("optimizer", "words"),
    [
        (lambda parameters: torch.optim.Adam(parameters, OUTER_RATE), "(Adam)"),
        (lambda parameters: torch.optim.SGD(parameters, OUTER_RATE, momentum=0.9), "(μ = 0.9)"),
        (lambda parameters: torch.optim.SGD(parameters, OUTER_RATE, weight_decay=0.02), "a weight decay of 0.02"),
    ],
)
def test_an_outer_step_that_is_more_than_gradient_descent(optimizer, words):
    """A step that returns parameters ends in plain SGD; another outer optimizer is named as M08."""
    model = mlp()
    outer = optimizer(model.parameters())

    def step(tasks):
        for parameter, slope in zip(model.parameters(), wrong()(model, tasks), strict=True):
            parameter.grad = slope
        outer.step()

    report = verification.check(
        step, model=model, inner_loss=loss, tasks=TASKS, inner_steps=STEPS, inner_learning_rate=RATE,
        gives="parameters", outer_learning_rate=OUTER_RATE,
    )  # fmt: skip
    assert report.diagnosis[0].name == "M08"
    assert words in report.diagnosis[0].evidence


@pytest.mark.sampled(1)
@pytest.mark.parametrize("through", [True, False])
def test_a_clip_at_second_order(through):
    """A clip by norm is found at second order, whether the norm is a part of the graph or a constant to it."""

    def step(model, tasks):
        theta, total = dict(model.named_parameters()), 0.0
        for support, query in tasks:
            weights = dict(theta)
            for _ in range(STEPS):
                value = loss(lambda x, weights=weights: torch.func.functional_call(model, weights, (x,)), support)
                slopes = torch.autograd.grad(value, list(weights.values()), create_graph=True)
                size = sum((slope**2).sum() for slope in slopes) ** 0.5
                factor = (0.5 / size if through else 0.5 / size.detach()) if size > 0.5 else 1.0
                weights = {n: w - RATE * factor * g for (n, w), g in zip(weights.items(), slopes, strict=True)}
            total = total + loss(lambda x, weights=weights: torch.func.functional_call(model, weights, (x,)), query)
        return torch.autograd.grad(total / len(tasks), list(theta.values()))

    report = verification.check(
        step, model=mlp(), inner_loss=loss, tasks=TASKS, inner_steps=STEPS, inner_learning_rate=RATE, order=2
    )
    assert report.diagnosis[0].name == "M02"
    assert "0.5" in report.diagnosis[0].evidence


def test_a_lower_precision_beside_a_mistake():
    """Operations in float32 explain errors of its size, and no larger ones: a loss of another power has no name."""
    held = torch.ones(5, 2)

    def step(model, tasks, *, power=2):
        parts = []
        for support, query in tasks:
            learner = copy.deepcopy(model)
            value = ((learner(support[0]) - support[1]).abs() ** power).mean() + 0 * (held * 1.0).sum()
            slopes = torch.autograd.grad(value, list(learner.parameters()))
            with torch.no_grad():
                for parameter, slope in zip(learner.parameters(), slopes, strict=True):
                    parameter.sub_(RATE * slope)
            parts.append(torch.autograd.grad(loss(learner, query), list(learner.parameters())))
        return [sum(leaves) / len(tasks) for leaves in zip(*parts, strict=True)]

    report = verification.check(
        partial(step, power=1.9), model=mlp(), inner_loss=loss, tasks=TASKS, inner_steps=1, inner_learning_rate=RATE
    )
    assert (report.verdict, report.diagnosis[0].convincing) == ("fail", False)
    rounding = lambda *about: [leaf.float().to(leaf.dtype) for leaf in step(*about)]  # noqa: E731
    report = verification.check(
        rounding, model=mlp(), inner_loss=loss, tasks=TASKS, inner_steps=1, inner_learning_rate=RATE
    )
    assert (report.verdict, report.diagnosis[0].name) == ("fail", "G11")


#: Tasks of as many examples as one has at hand: no number of them is that of all.
RAGGED = [(batches(2 * task, rows), batches(2 * task + 1, 9 - rows)) for task, rows in enumerate((3, 5, 7, 2))]


def squares(model, batch):
    """Return the sum of squared errors over examples and outputs."""
    return ((model(batch[0]) - batch[1]) ** 2).sum()


def squares_of_examples(model, batch):
    """Return the sum over examples of the mean squared error of each."""
    return squares(model, batch) / batch[1].shape[1]


SMALL = RATE / 4


def report_on(step, tasks, model=None, **options):
    about = {"inner_loss": loss, "inner_steps": STEPS, "inner_learning_rate": SMALL, **options}
    return verification.check(step, model=model or mlp(), tasks=tasks, **about)


@pytest.mark.sampled(6)
@pytest.mark.parametrize("tasks", [TASKS, RAGGED])
@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"inner": squares_of_examples}, {"C05"}),
        ({"inner": squares}, {"C05"}),
        ({"inner": lambda model, batch: loss(model, batch) / len(batch[0])}, {"C06"}),
        ({"outer": squares_of_examples}, {"D11"}),
        ({"outer": squares}, {"D11"}),
        ({"inner": squares_of_examples, "outer": squares_of_examples}, {"C05", "D11"}),
        ({"inner": squares, "outer": squares}, {"C05", "D11"}),
    ],
)
def test_sums_over_the_examples_of_each_task(tasks, changed, names):
    """A sum has as many times more than a mean as each task has examples, or its targets numbers."""
    found = report_on(wrong(optimizer=sgd(SMALL), **changed), tasks).diagnosis[0].name
    assert set(found.split(" + ")) == names


def test_tasks_of_other_sizes_pass():
    """A right step is right whatever the tasks are."""
    assert report_on(wrong(optimizer=sgd(SMALL)), RAGGED).verdict == "pass"


def test_the_sum_of_both_losses_beside_the_tasks():
    """The loss of each is summed over outputs, and the gradients over tasks."""
    step = by_task(wrong(optimizer=sgd(SMALL), inner=squares), sum)
    assert set(report_on(step, TASKS).diagnosis[0].name.split(" + ")) == {"C05", "D01"}


@pytest.mark.parametrize("nothing", [torch.zeros_like, lambda _: None])
def test_the_last_task_is_left_out(nothing):
    """Of one task nothing is left then: zeros, or no gradient at all."""

    def step(model, tasks):
        if len(tasks) == 1:
            return [nothing(leaf) for leaf in model.parameters()]
        return wrong(optimizer=sgd(SMALL))(model, tasks[:-1])

    assert report_on(step, TASKS).diagnosis[0].name == "D12"


def test_the_first_task_alone():
    """A loop that returns too early is one mistake, not a sum beside it."""
    found = report_on(lambda model, tasks: wrong(optimizer=sgd(SMALL))(model, tasks[:1]), TASKS).diagnosis[0]
    assert found.name == "D04"


def test_random_numbers_of_a_model_that_draws_none():
    """The step changes the mode of a model that is given in evaluation mode: switching it off there is done already."""
    model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 2)).eval()

    def training(model, tasks):
        model.train()
        return wrong(optimizer=sgd(SMALL))(model, tasks)

    report = report_on(training, TASKS, model)
    assert report.verdict == "inconclusive"
    assert "If the step calls model.train(), that is M01" in report.reason
    model.train()
    assert "switch them off (model.eval(), p = 0) for the check." in report_on(training, TASKS, model).reason


class Attentive(nn.Module):
    """One layer of attention over three numbers."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 1, batch_first=True)
        self.ends = nn.ModuleList([nn.Linear(1, 4), nn.Linear(12, 2)])

    def forward(self, x):
        """Return outputs [N, 2] of inputs [N, 3]."""
        within = self.ends[0](x[..., None])
        return self.ends[1](self.attention(within, within, within, need_weights=False)[0].flatten(1))


def test_a_kernel_without_a_second_derivative():
    """PyTorch's error is followed by what to write."""

    def step(model, tasks):
        parts = []
        for support, query in tasks:
            theta = dict(model.named_parameters())
            slopes = torch.autograd.grad(
                loss(partial(torch.func.functional_call, model, theta), support),
                list(theta.values()),
                create_graph=True,
            )
            ends = {name: leaf - SMALL * slope for (name, leaf), slope in zip(theta.items(), slopes, strict=True)}
            value = loss(partial(torch.func.functional_call, model, ends), query)
            parts.append(torch.autograd.grad(value, list(theta.values())))
        return [sum(leaves) / len(parts) for leaves in zip(*parts, strict=True)]

    report = report_on(step, TASKS, Attentive().eval(), order=2, inner_steps=1)
    messages = [finding.message for case in report.cases for finding in case.findings]
    assert any("sdpa_kernel(SDPBackend.MATH)" in message for message in [*messages, *report.why_left_out.values()])


def test_an_answer_in_another_form():
    """The headline says that it is the form, and the finding which."""
    found = report_on(lambda model, _: [leaf.detach() for leaf in model.parameters()][:-1], TASKS).diagnosis[0]
    assert found.title == "answers in another form than is expected"
