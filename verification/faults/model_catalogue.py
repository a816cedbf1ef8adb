"""The entries of the catalogue that only a model shows, or a subject that fills `.grad` or returns parameters.

Formulas as in the catalogue; m is the velocity of an inner optimizer, β the outer rate. What has a number that nobody
knows beforehand (a limit, a momentum) is fitted: its variants here have the numbers that most code has.
"""

from __future__ import annotations

from verification.faults import clips, models, tasks
from verification.faults.algorithms import with_update
from verification.faults.catalogue import EVERY, Fault
from verification.faults.clips import Graph
from verification.faults.parts import AdaGrad, DampenedMomentum
from verification.faults.question import AnswerFunction
from verification.faults.scales import PYTORCH_CLIP
from verification.oracles.updates import Adam, Momentum, RMSProp, WeightDecay

#: The limits that most code has, of norms and of entries; every other one is searched for.
_OF_NORMS, _OF_ENTRIES = (1.0, 0.5, 0.1, 5.0, 10.0), (1.0,)


def _clips(*, alias: bool) -> dict[str, AnswerFunction]:
    """Return the clips at the usual limits: as PyTorch's own functions do them, or through a detached alias."""
    of_norm: Graph = "nothing" if alias else "the factor"
    of_entries: Graph = "nothing" if alias else "the clip"
    by_norm = {
        f"by norm, at {limit:g}": clips.with_clipped_norm(limit, PYTORCH_CLIP, graph=of_norm) for limit in _OF_NORMS
    }
    by_value = {f"by value, at {limit:g}": clips.with_clipped_entries(limit, graph=of_entries) for limit in _OF_ENTRIES}
    return by_norm | by_value


#: The other mode with the running statistics that passes left: with a copy of the model for each task, and with one.
WITH_STATISTICS: dict[str, AnswerFunction] = {
    f"{words}, with the statistics that {left} left": models.in_modes(
        inner=not outer, outer=outer, carried=carried, stays=stays
    )
    for words, outer, stays in (
        ("in the outer loss", True, False),
        ("in the inner loop", False, False),
        ("from the first outer loss on", True, True),
    )
    for left, carried in (("the task's own passes", False), ("all passes", True))
}
_ADAPTIVE: dict[str, AnswerFunction] = {
    "": with_update(Adam()),
    "AdamW": with_update(Adam(), WeightDecay(strength=0.01)),
    "RMSprop": with_update(RMSProp()),
    "AdaGrad": with_update(AdaGrad()),
}
_MOMENTA: dict[str, AnswerFunction] = {
    **{f"μ = {mu:g}": tasks.with_momentum(mu) for mu in (0.9, 0.5, 0.95, 0.99)},
    "Nesterov's, μ = 0.9": with_update(Momentum(mu=0.9, nesterov=True)),
    "as a moving average, μ = 0.9": with_update(Momentum(mu=0.9, dampening=0.9)),
    "μ = 0.9, dampened by 0.1": with_update(DampenedMomentum(mu=0.9, dampening=0.1)),
    "μ = 0.9, dampened by 0.9": with_update(DampenedMomentum(mu=0.9, dampening=0.9)),
}


def _faults() -> list[Fault]:
    return [
        Fault("F01", "tied parameter adapted as two", "φ_k[copy] moves by the copy's own part of ∇S",
              "learnables/learn2learn#174", "one parameter under two names, K ≥ 1",
              "Adapt a tied parameter once, and put the result wherever it stands.", {"": models.untied}, EVERY),
        Fault("M01", "model in the other mode (training, evaluation)", "∇Q(φ_K) with other statistics",
              "none confirmed", "batch normalisation or dropout",
              "Call model.train() or model.eval() where the losses of the definition have it, and nowhere else.",
              {"in the outer loss": models.outer_in_other_mode, "in the inner loop": models.inner_in_other_mode,
               "in both": models.both_in_other_mode, **WITH_STATISTICS}, EVERY),
        Fault("M02", "inner gradient clipped", "φ_{k+1} = φ_k − α clip(∇S(φ_k))", "none confirmed",
              "an inner gradient above the limit", "Take the clip out of the inner loop.",
              _clips(alias=False), EVERY),
        Fault("A07", "gradient clipped through a detached alias", "Π(I − αH)∇Q at the clipped φ_K",
              "learnables/learn2learn#244", "an inner gradient above the limit, αH ≠ 0",
              "Take the clip out of the inner loop, or differentiate it.", _clips(alias=True), (2,)),
        Fault("M03", "frozen parameters adapted", "φ_k moves in every parameter", "none confirmed",
              "a parameter that does not adapt, K ≥ 1", "Adapt the parameters of the inner loop only.",
              {"all of the model": models.everything_adapted, "all that are trained": models.all_trained_adapted},
              EVERY),
        Fault("M04", "momentum in the inner optimizer", "m ← μm + ∇S, φ ← φ − αm", "none confirmed", "K ≥ 2",
              "Use plain gradient descent in the inner loop.",
              _MOMENTA, EVERY),
        Fault("M05", "Adam, or another adaptive optimizer, in the inner loop", "φ ← φ − α m̂/(√v̂ + ε)",
              "none confirmed", "K ≥ 1", "Use plain gradient descent in the inner loop.", _ADAPTIVE, EVERY),
        Fault("C07", "support loss in the outer loss", "∇Q(φ_K) + ∇Q(φ_K) with the support data", "none confirmed",
              "support and query differ", "Take the outer loss on the query batch alone.",
              {"added": models.support_loss_added, "averaged": models.support_loss_averaged,
               "added, by the inner cost": models.inner_cost_added,
               "averaged, by the inner cost": models.inner_cost_averaged}),
        Fault("D13", "data of one task used for all", "∇Q_s at a point adapted to S_t, s or t one for all tasks",
              "none confirmed",
              "T ≥ 2, unequal tasks", "Take both batches of a task from that task: look at what a loop or a closure "
              "still holds.",
              {"support of the first": models.support_of_first, "support of the last": models.support_of_last,
               "query of the first": models.query_of_first, "query of the last": models.query_of_last}),
        Fault("M09", "another algorithm than the one that is meant", "θ − φ_K for ∇Q(φ_K), or the other way round",
              "none confirmed", "any problem", "Say with `order` what the step computes, or compute that.",
              {"Reptile's displacement": models.displacement,
               "Reptile's displacement over α": models.displacement_over_rate,
               "first-order MAML": models.first_order_for_reptile,
               "second-order MAML": models.second_order_for_reptile}, EVERY),
        *_of_parameters(),
    ]  # fmt: skip


def _of_parameters() -> list[Fault]:
    return [
        Fault("M06", "the outer optimizer holds parameters that the model has no more", "θ_new = θ",
              "none confirmed", "where the subject returns parameters",
              "Make the optimizer after the last change of the model's parameters, and change them in place.",
              {"": models.without_change}, EVERY),
        Fault("B10", "outer update applied to φ_K", "θ_new = φ_K − β∇Q(φ_K)", "RobinLu1209/ST-GFSL#3",
              "where the subject returns parameters", "Restore θ before the outer step.",
              {"": models.from_adapted, "and each task from the φ_K before": models.from_adapted_of_all}),
        Fault("D10", "outer step after each task, sold as a batch", "θ ← θ − βg_t(θ) for each t",
              "finninmunich/Maml-Reptile-RL#1", "where the subject returns parameters, T ≥ 2",
              "Sum the gradients of all tasks at one θ, and step once.",
              {"": models.task_by_task, "with β/T": models.task_by_task_divided},
              EVERY),
        Fault("M08", "the outer step is not plain gradient descent", "θ_new = θ − β(g + λθ), or −βĝ of Adam",
              "none confirmed", "where the subject returns parameters",
              "Let the step end in plain SGD for the check, or let the judge read `.grad` (gives=\"grad\").",
              {"Adam": models.outer_adam, "μ = 0.9": models.with_outer_momentum(0.9)}, EVERY),
    ]  # fmt: skip


MODEL_CATALOGUE: dict[str, Fault] = {fault.id: fault for fault in _faults()}
