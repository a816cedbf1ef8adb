"""The entries of the catalogue that only a model shows, or a subject that fills `.grad` or returns parameters.

Formulas as in the catalogue; m is the velocity of an inner optimizer, β the outer rate. What has a number that nobody
knows beforehand (a limit, a momentum) is fitted: its variants here have the numbers that most code has.
"""

from __future__ import annotations

from verification.faults import models, tasks
from verification.faults.catalogue import EVERY, Fault
from verification.faults.question import AnswerFunction
from verification.faults.scales import PYTORCH_CLIP

_LIMITS = (1.0, 0.5, 0.1, 5.0, 10.0, 0.25)


def _clips(*, differentiated: bool) -> dict[str, AnswerFunction]:
    by_norm = {
        f"by norm, at {limit:g}": models.with_clipped_norm(limit, PYTORCH_CLIP, differentiated=differentiated)
        for limit in _LIMITS
    }
    by_value = {
        f"by value, at {limit:g}": models.with_clipped_entries(limit, differentiated=differentiated)
        for limit in _LIMITS
    }
    return by_norm | by_value


def _faults() -> list[Fault]:
    return [
        Fault("F01", "tied parameter adapted as two", "φ_k[copy] moves by the copy's own part of ∇S",
              "learnables/learn2learn#174", "one parameter under two names, K ≥ 1",
              "Adapt a tied parameter once, and put the result wherever it stands.", {"": models.untied}, EVERY),
        Fault("M01", "model in the other mode (training, evaluation)", "∇Q(φ_K) with other statistics",
              "none confirmed", "batch normalisation or dropout",
              "Call model.train() or model.eval() where the losses of the definition have it, and nowhere else.",
              {"in the outer loss": models.outer_in_other_mode, "in the inner loop": models.inner_in_other_mode,
               "in both": models.both_in_other_mode}, EVERY),
        Fault("M02", "inner gradient clipped", "φ_{k+1} = φ_k − α clip(∇S(φ_k))", "none confirmed",
              "an inner gradient above the limit", "Take the clip out of the inner loop.",
              _clips(differentiated=True), EVERY),
        Fault("A07", "gradient clipped through a detached alias", "Π(I − αH)∇Q at the clipped φ_K",
              "learnables/learn2learn#244", "an inner gradient above the limit, αH ≠ 0",
              "Take the clip out of the inner loop, or differentiate it.", _clips(differentiated=False), (2,)),
        Fault("M03", "frozen parameters adapted", "φ_k moves in every parameter", "none confirmed",
              "a parameter that does not adapt, K ≥ 1", "Adapt the parameters of the inner loop only.",
              {"all of the model": models.everything_adapted, "all that are trained": models.all_trained_adapted},
              EVERY),
        Fault("M04", "momentum in the inner optimizer", "m ← μm + ∇S, φ ← φ − αm", "none confirmed", "K ≥ 2",
              "Use plain gradient descent in the inner loop.",
              {f"μ = {mu:g}": tasks.with_momentum(mu) for mu in (0.9, 0.5, 0.95, 0.99)}, EVERY),
        Fault("M05", "Adam in the inner loop", "φ ← φ − α m̂/(√v̂ + ε)", "none confirmed", "K ≥ 1",
              "Use plain gradient descent in the inner loop.", {"": models.adam}, (1, "reptile")),
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
              {"": models.from_adapted}),
        Fault("D10", "outer step after each task, sold as a batch", "θ ← θ − βg_t(θ) for each t",
              "finninmunich/Maml-Reptile-RL#1", "where the subject returns parameters, T ≥ 2",
              "Sum the gradients of all tasks at one θ, and step once.",
              {"": models.task_by_task, "with β/T": models.task_by_task_divided},
              EVERY),
    ]  # fmt: skip


MODEL_CATALOGUE: dict[str, Fault] = {fault.id: fault for fault in _faults()}
