"""The entries of the catalogue about what an author can declare: an inner optimizer, clips, decay, weights of points.

Formulas as in the catalogue; g is the inner gradient, m and v are the moments of an inner optimizer.
"""

from __future__ import annotations

from dataclasses import replace

from verification.faults import (
    algorithms,
    decays,
    declared_clips,
    implicit,
    learned_rates,
    optimizers,
    selections,
    step_rates,
    weighting,
)
from verification.faults.algorithms import with_update
from verification.faults.catalogue import EVERY, MAML, Fault
from verification.faults.question import AnswerFunction
from verification.oracles.updates import Adam, Momentum, Part, RMSProp

_USUAL: dict[str, Part] = {
    **{f"momentum({mu:g})": Momentum(mu=mu) for mu in (0.9, 0.5, 0.95, 0.99)},
    **{f"nesterov({mu:g})": Momentum(mu=mu, nesterov=True) for mu in (0.9, 0.5)},
    "rmsprop(0.99)": RMSProp(),
    "rmsprop(0.9)": RMSProp(rho=0.9),
    "adam": Adam(),
    "adam(eps=1e-07)": Adam(eps=1e-7),
    "adam(eps=1e-06)": Adam(eps=1e-6),
    "adam(0)": Adam(beta1=0.0),
    "adam(0.999, 0.9)": Adam(beta1=0.999, beta2=0.9),
    "adam(0.9, 0.99)": Adam(beta2=0.99),
    "adam(0.9, 0.95)": Adam(beta2=0.95),
    "adam(0.5)": Adam(beta1=0.5),
}


def _updates() -> dict[str, AnswerFunction]:
    found: dict[str, AnswerFunction] = {"plain gradient descent": with_update()}
    for spelled, part in _USUAL.items():
        found[spelled] = with_update(part)
        words = spelled.replace(")", ", held)") if "(" in spelled else f"{spelled}(held)"
        found[words] = with_update(replace(part, held=True))
    return found | optimizers.UNDECLARABLE


def _faults() -> list[Fault]:
    return [
        Fault("O01", "another inner update than is declared", "φ_{k+1} by another rule",
              "mailong25/meta-learning-bert; sungyubkim/GBML", "K ≥ 1, for momentum K ≥ 2",
              "Use the declared inner update. If the one that the report names is meant and can be declared, declare "
              "it with --algorithm in just this spelling.", _updates(), EVERY),
        Fault("O02", "another form of the momentum", "m ← μm + (1−μ)g for μm + g, or g + μm for m", "none confirmed",
              "K ≥ 2, for damping K ≥ 1",
              "Compare the velocity with the declared formula: refmaml algorithms shows it.",
              {"Nesterov's for heavy ball, or the other way": algorithms.other_momentum,
               optimizers.DAMPED: algorithms.dampened,
               "the same but for m = g in the first step, as in PyTorch": optimizers.dampened_as_in_pytorch,
               "the velocity of the step before": optimizers.velocity_before,
               "m + μm for g + μm": optimizers.velocity_twice,
               "the gradient at φ − αμm": optimizers.looking_ahead}, EVERY),
        Fault("O03", "bias correction left out, or of another step", "m/(√v + ε) for m̂/(√v̂ + ε)", "none confirmed",
              "K ≥ 1",
              "Divide m by 1 − β₁ᵗ and v by 1 − β₂ᵗ, with t from 1 on in each task.",
              {"": algorithms.uncorrected, "always that of the first step": optimizers.correction_stuck,
               "of m alone": optimizers.first_corrected, "of v alone": optimizers.second_corrected,
               "with t from 2 on": optimizers.correction_ahead}, EVERY),
        Fault("O04", "ε in another place, or another ε", "√(v̂ + ε), or c/‖g‖ for c/(‖g‖ + ε)", "none confirmed",
              "float64, an inner gradient that is not large beside √ε",
              "Add ε where the declared formula has it, or declare its value.",
              {"under the root": algorithms.eps_under_root,
               "before the bias is corrected": algorithms.eps_before_correction,
               "ε = 1e-07": algorithms.with_eps(1e-7), "ε = 1e-06": algorithms.with_eps(1e-6),
               "ε = 1e-05": algorithms.with_eps(1e-5), "ε = 0": algorithms.with_eps(0.0),
               **{f"ε = {eps:g}": algorithms.with_eps(eps) for eps in (1e-4, 1e-3, 1e-2)},
               "ε = 0 in the clip": algorithms.without_clip_eps, "ε = 1e-06 in the clip": algorithms.with_clip_eps},
              EVERY, dtypes=("float64",)),
        Fault("O05", "another clip than is declared", "clip(g) by another rule", "none confirmed",
              "an inner gradient above the limit",
              "Clip as declared: by value every entry, by norm all adapting leaves together, before the optimizer.",
              {"by value for norm, or the other way": declared_clips.other_clip,
               "the norm of each leaf": declared_clips.clip_of_each_leaf, "left out": declared_clips.without_clip,
               "after the optimizer": declared_clips.clip_last, "before everything else": declared_clips.clip_first,
               "of α times the gradient": declared_clips.clip_of_step,
               "of the meta-gradient in its place": declared_clips.clip_of_outer,
               "of the weights in its place": declared_clips.clip_of_weights,
               "min(g, c), whatever is below −c": declared_clips.clip_above,
               "c · tanh(g/c)": declared_clips.squashed, **declared_clips.clips_by_size}, EVERY),
        Fault("O06", "what is declared to be held is differentiated, or the other way",
              "∂c/∂θ, or ∂m/∂θ of earlier steps, there or left out",
              "learnables/learn2learn#244", "K ≥ 2, for a clip K ≥ 1; αH ≠ 0",
              "Detach the state or the coefficient where it is declared as held, and nowhere else.",
              {"held": algorithms.held, "differentiated": algorithms.differentiated,
               "the denominator held alone": optimizers.with_held_root}, (2,)),
        Fault("O07", "weight decay in another place", "g + λφ for the direction + λφ, or left out",
              "Loshchilov and Hutter 2019, section 2", "θ large, ∇S small",
              "Put the decay where it is declared: before the optimizer a penalty, after it the decay of AdamW. At "
              "first order detach all that a step adds to φ, the decay too.",
              {"decoupled, after the optimizer": decays.decay_last,
               "coupled, in the gradient": decays.decay_first,
               "left out": decays.without_decay,
               "of the weights that the step has moved": decays.decay_of_new,
               "differentiated at first order, times (1 − αλ)ᴷ": decays.decay_differentiated,
               "left out for variables with less than two axes": decays.decay_of_matrices,
               "with the other sign": decays.decay_negated, "λ sign φ for λφ": decays.decay_of_sizes,
               "held at second order": decays.decay_held,
               "in the outer loss, too, ½λ‖φ‖²": decays.decay_in_both}, EVERY),
        Fault("O08", "other weights of the outer losses along the inner loop", "Σ_k w_k Q(φ_k), other w",
              "AntreasAntoniou/HowToTrainYourMAMLPytorch#33", "K ≥ 2",
              "Take the weights of the declared epoch, and each loss after its inner step.",
              {"the last point alone": weighting.last_point_alone, "1/K each": weighting.uniform_weights,
               "1 each": weighting.summed_weights, "of one step before": weighting.weights_before_steps,
               "in the other order": weighting.weights_reversed, "divided by K": weighting.weights_over_steps}, MAML),
        Fault("O09", "rates of other steps", "r_{k+1}, or r_0 throughout, for r_k", "none confirmed", "K ≥ 2",
              "Multiply α by the factor of the step that is taken.",
              step_rates.VARIANTS, EVERY),
        Fault("O10", "another gradient by the learned rates", "∂Q/∂r wrong or missing", "learnables/learn2learn#167",
              "Meta-SGD, K ≥ 1",
              "Let the rates be leaves that require a gradient, one for each entry or leaf as declared, use them "
              "themselves in each step, and take the outer gradient by them as by the variables.",
              learned_rates.VARIANTS, MAML),
        Fault("O11", "another sum of support and query loss", "w_S S(θ) + w_Q Q(φ_K), other w", "none confirmed",
              "MLDG, K ≥ 1",
              "Add the support loss before adaptation and β times the query loss after it, as declared.",
              {"the support loss left out": weighting.without_support,
               "the query loss left out": weighting.without_query, "β left out": weighting.without_beta,
               "the mean of both": weighting.mean_of_both, "S(φ_K) for S(θ)": weighting.support_at_end}, MAML),
        Fault("O12", "another difference in place of the Hessian than is declared",
              "H u by another rule than (∇S(φ + δu) − ∇S(φ − δu)) / 2δ", "none confirmed",
              "Per-FedAvg (HF), K ≥ 1, S not quadratic, float64",
              "Take the gradient of the inner cost, on the same data, at φ + δu and at φ − δu, with the declared δ and "
              "u the outer gradient, and divide by 2δ.",
              {"an exact product": algorithms.exact_products, "δ over ‖u‖": algorithms.relative_differences,
               "from φ on, (∇S(φ + δu) − ∇S(φ)) / δ": algorithms.one_sided_differences,
               "up to φ, (∇S(φ) − ∇S(φ − δu)) / δ": algorithms.backward_differences,
               "(∇S(φ + αδu) − ∇S(φ − αδu)) / 2δ": algorithms.differences_at_rate,
               "divided by δ": algorithms.differences_over_delta,
               "with the other sign": algorithms.differences_negated, "without α": algorithms.differences_without_rate,
               "δ = 0.01": algorithms.differences_of(delta=0.01), "δ = 0.1": algorithms.differences_of(delta=0.1),
               "δ = 0.0001": algorithms.differences_of(delta=1e-4)}, (2,), dtypes=("float64",)),
        Fault("O13", "other variables adapt than are declared", "φ_{k+1} = φ_k − α I'∇S(φ_k), I' for I",
              "none confirmed", "ANIL, BOIL, CAVIA, K ≥ 1",
              "Take the inner gradient by the variables that are declared to adapt, and update them alone.",
              selections.VARIANTS, EVERY),
        Fault("O14", "another implicit gradient than is declared", "(I + H/λ)⁻¹∇Q(φ_K), wrong",
              "none confirmed", "iMAML, K ≥ 1",
              "Take the outer gradient at the end of the inner loop, and solve (I + H/λ) g = ∇Q with the Hessian H of "
              "the inner cost there, on the support data. Each inner step has the gradient of ½ λ ‖φ − θ‖² too.",
              {"(I + H)⁻¹, without λ": implicit.without_strength,
               "(I + λH)⁻¹": implicit.strength_for_inverse, "(I − H/λ)⁻¹": implicit.other_sign,
               "(λI + H)⁻¹, not times λ": implicit.not_times_strength,
               "λ(I + H/λ)⁻¹": implicit.times_strength, "(I + H/(λ + 1))⁻¹": implicit.strength_ahead,
               "(2I + H/λ)⁻¹, H of S with the pull": implicit.with_bent_pull,
               "I − H/λ, the first term of a series": implicit.first_term,
               "all of it at θ": implicit.at_start, "H at θ": implicit.hessian_at_start,
               "H of the query data": implicit.hessian_of_query,
               "H of the outer cost": implicit.hessian_of_outer_cost,
               "differentiated through the loop": implicit.through_the_loop,
               "2λ in the pull": implicit.twice_the_pull, "λ/2 in the pull": implicit.half_the_pull,
               "no pull": implicit.without_pull,
               **{f"conjugate gradients stopped after {count} step{'s' * (count > 1)}": implicit.with_steps(count)
                  for count in (1, 2, 3)}}, (2,)),
    ]  # fmt: skip


ALGORITHM_CATALOGUE: dict[str, Fault] = {fault.id: fault for fault in _faults()}
