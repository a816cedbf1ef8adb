"""Right code on models that do something of their own: recompute, pad, normalize a norm, hold rates in float32."""

from __future__ import annotations

import copy

import pytest

import verification
from verification.subjects import SubjectError

torch = pytest.importorskip("torch", reason="the models are PyTorch code")

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.once, pytest.mark.framework("torch")]  # arithmetic
nn = torch.nn

STEPS, RATE = 2, 0.1


def made(kind, *about):
    """Return a model whose weights are always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind(*about)


def points(seed: int, rows: int):
    """Return inputs [rows, 3] and targets [rows, 2]."""
    source = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 3, generator=source), torch.randn(rows, 2, generator=source)


def words(seed: int, rows: int):
    """Return sentences [rows, 4] of seven words, the second of which is padding, and classes [rows]."""
    source = torch.Generator().manual_seed(seed)
    sentences = torch.randint(0, 7, (rows, 4), generator=source)
    sentences[:, 1] = 0
    return sentences, torch.arange(rows) % 3


POINTS = [(points(2 * task, 4), points(2 * task + 1, 5)) for task in range(2)]
WORDS = [(words(2 * task, 4), words(2 * task + 1, 5)) for task in range(2)]


def error(model, batch):
    """Return the mean squared error."""
    return ((model(batch[0]) - batch[1]) ** 2).mean()


def entropy(model, batch):
    """Return the cross entropy."""
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def first_order(model, tasks, *, loss=error, rate=RATE):
    """Return first-order MAML's gradients by copies of the model, whose buffers go on from pass to pass."""
    parts = []
    for support, query in tasks:
        learner = copy.deepcopy(model)
        for _ in range(STEPS):
            learner.zero_grad()
            loss(learner, support).backward()
            with torch.no_grad():
                for parameter in learner.parameters():
                    parameter.sub_(rate * parameter.grad.to_dense())
        learner.zero_grad()
        loss(learner, query).backward()
        parts.append([parameter.grad.to_dense() for parameter in learner.parameters()])
    return [sum(leaves) / len(tasks) for leaves in zip(*parts, strict=True)]


def second_order(model, tasks, *, loss=error, rate=RATE):
    """Return second-order MAML's gradients, by a copy for each inner step whose parameters are plain attributes."""
    total = 0
    for support, query in tasks:
        weights = {id(parameter): parameter for parameter in model.parameters()}
        for _ in range(STEPS):
            value = loss(with_weights(model, weights), support)
            slopes = torch.autograd.grad(value, list(weights.values()), create_graph=True)
            pairs = zip(weights.items(), slopes, strict=True)
            weights = {place: weight - rate * slope for (place, weight), slope in pairs}
        total = total + loss(with_weights(model, weights), query)
    return torch.autograd.grad(total / len(tasks), list(model.parameters()))


def with_weights(model, weights):
    """Return a copy of a model with other tensors in place of its parameters, by their ids."""
    learner = copy.deepcopy(model)
    for mine, its in zip(learner.modules(), model.modules(), strict=True):
        for name, parameter in its._parameters.items():
            if parameter is not None:
                del mine._parameters[name]
                setattr(mine, name, weights[id(parameter)])
    return learner


def check(step, model, tasks=POINTS, *, loss=error, **about):
    """Judge a step in two inner steps."""
    given = {"inner_loss": loss, "tasks": tasks, "inner_steps": STEPS, "inner_learning_rate": RATE, **about}
    return verification.check(lambda model, tasks: step(model, tasks, loss=loss), model=model, **given)


class _Recomputed(nn.Module):
    """A network whose first half is computed again on the way back."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Sequential(nn.Linear(3, 4), nn.Tanh()), nn.Linear(4, 2)

    def forward(self, x):
        return self.last(torch.utils.checkpoint.checkpoint(self.first, x, use_reentrant=False))


@pytest.mark.parametrize(("step", "order"), [(first_order, 1), (second_order, 2)])
def test_a_model_that_recomputes_on_the_way_back(step, order):
    """What checkpointing computes again has the parameters that it had the first time, in the judge as in the step."""
    assert check(step, made(_Recomputed), order=order).verdict == "pass"


class _Nearest(nn.Module):
    """Distances to prototypes, by an operation without a second derivative."""

    def __init__(self):
        super().__init__()
        self.embedding, self.prototypes = nn.Linear(3, 4), nn.Parameter(torch.randn(2, 4))

    def forward(self, x):
        return torch.cdist(self.embedding(x), self.prototypes)


def test_operations_without_a_second_derivative():
    """First order needs none: right steps pass, and wrong ones have their names. Second order cannot be judged."""
    assert check(first_order, made(_Nearest)).verdict == "pass"
    report = check(lambda *about, **more: [3 * leaf for leaf in first_order(*about, **more)], made(_Nearest))
    assert (report.verdict, report.diagnosis[0].name) == ("fail", "D11")
    with pytest.raises(SubjectError, match=r"second derivative.*_cdist_backward"):
        check(first_order, made(_Nearest), order=2)


class _Bag(nn.Module):
    """A mean of word vectors."""

    def __init__(self, **options):
        super().__init__()
        self.words, self.out = nn.Embedding(7, 4, **options), nn.Linear(4, 3)

    def forward(self, x):
        return self.out(self.words(x).mean(1))


def test_sparse_gradients():
    """The gradient of an embedding may come as its rows alone."""
    assert check(first_order, made(lambda: _Bag(sparse=True)), WORDS, loss=entropy).verdict == "pass"


class _Tied(nn.Module):
    """Words whose vectors are read and, all but in the classes, written; the padding is read where it stands."""

    def __init__(self):
        super().__init__()
        self.words, self.out = nn.Embedding(7, 4, padding_idx=0), nn.Linear(4, 7, bias=False)
        self.out.weight = self.words.weight

    def forward(self, x):
        return self.out(torch.tanh(self.words(x)).mean(1))


@pytest.mark.parametrize(("step", "order"), [(first_order, 1), (second_order, 2)])
@pytest.mark.parametrize("kind", [lambda: _Bag(padding_idx=0), _Tied], ids=["alone", "tied"])
def test_the_padding_of_an_embedding_is_held(step, order, kind):
    """PyTorch gives the row of a padding no gradient: differences along it confirm nothing, and accuse nobody."""
    assert check(step, made(kind), WORDS, loss=entropy, order=order).verdict == "pass"


def test_buffers_that_follow_the_parameters():
    """A spectral norm's vectors change in every pass once the weights have moved: nobody fails by them."""

    def kind():
        return nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(3, 4)), nn.Tanh(), nn.Linear(4, 2))

    report = check(first_order, made(kind))
    assert report.verdict == "inconclusive"
    assert "buffers that a forward pass changes" in report.reason


@pytest.mark.parametrize(("step", "order"), [(first_order, 1), (second_order, 2)])
def test_a_rate_that_is_held_in_float32(step, order):
    """A learned or stored rate is a tensor, and α as float32 has it is no other rate; a wrong one still is."""

    def at(rate):
        held = torch.tensor(rate)
        return lambda *about, **more: step(*about, rate=held, **more)

    model = made(lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)))
    report = check(at(RATE), model, order=order)
    assert (report.verdict, [case.dtype for case in report.cases]) == ("pass", ["float64", "float32"])
    assert check(at(RATE * (1 + 1e-6)), model, order=order).verdict == "fail"
