"""The catalogue: every fault that a call or two of one step can show, with its formula, source and advice.

Formulas: S, Q inner and outer cost; φ_k the inner iterates, φ_0 = θ; H_k the Hessian of S at φ_k; T tasks; K steps; α
the inner rate; gF = mean ∇Q(φ_K), gM = mean (I−αH_0)…(I−αH_{K−1})∇Q(φ_K).
"""

from __future__ import annotations

from dataclasses import dataclass

from verification.faults import data, jacobians, order, pairing, parameters, place, scales, state, tasks
from verification.faults.question import AnswerFunction
from verification.orders import Order

EVERY: tuple[Order, ...] = (1, 2, "reptile")
MAML: tuple[Order, ...] = (1, 2)


@dataclass(frozen=True)
class Fault:
    """A mistake that real code has had.

    `variants` are the answers it gives, by a short description; `orders` the kinds of step that it can be in; `shows`
    the least problem on which it shows; `convention` the option that declares it, where it may be meant. Its
    answer takes a reasonable time up to `most_steps` inner steps: that of one fault grows as 3ᴷ.
    """

    id: str
    title: str
    formula: str
    source: str
    shows: str
    advice: str
    variants: dict[str, AnswerFunction]
    orders: tuple[Order, ...] = MAML
    convention: str | None = None
    dtypes: tuple[str, ...] = ("float64", "float32")
    most_steps: float = float("inf")

    @property
    def structural(self) -> bool:
        """Whether it changes more than a scale, and in the first call's gradients: a scale pairs with such a fault."""
        return self.id not in {"A02", "A03", "A05", "A06", "B08", "B11", "D01", "D02", "D05", "D07", "D11",
                               "E02", "E04", "F02", "G03", "G07", "G11"}  # fmt: skip


def _faults() -> list[Fault]:
    return [*_order(), *_place(), *_data(), *_tasks(), *_state(), *_parameters(), *_scales()]


def _order() -> list[Fault]:
    return [
        Fault("A01", "second order asked, first order given", "gF for gM",
              "dragen1860/MAML-Pytorch#17 #32 #63; pytorch/benchmark#328; kjaved0/mrcl#15",
              "K ≥ 1 and αH ≠ 0",
              "Keep the graph of the inner gradients (create_graph=True), and do not detach the inner updates.",
              {"": order.first_for_second, "but for the first task": order.first_but_for_the_first_task,
               "but for the last task": order.first_but_for_the_last_task}, (2,)),
        Fault("A02", "adapted values written back into the caller's parameters", "gF for gM, and θ overwritten by φ_K",
              "hoyeoplee/MeLU#9", "K ≥ 1; the variables compared after the call",
              "Adapt fast weights that are new tensors; never assign to the parameters' data in the inner loop.",
              {"": order.written_back}, (2,)),
        Fault("A03", "updated through a detached copy", "zero or None",
              "KanishJebaMathewM/Truxify#13118", "any problem",
              "Differentiate by the parameters that the adapted ones were made from, without detach or clone of data; "
              "keep the graph of the inner steps (create_graph=True; in higher track_higher_grads=True).",
              {"": order.detached_copy, "at each inner step": order.detached_parameters,
               "where K ≥ 1": order.detached_in_the_loop}),
        Fault("A04", "first-order switch ignored or inverted", "gM for gF",
              "tristandeleu/pytorch-maml-rl#19; cnguyen10/few_shot_meta_learning#6", "K ≥ 1 and αH ≠ 0",
              "Check what the first-order switch does: the inner gradients must carry no graph in first order.",
              {"": order.second_for_first, "in the first task alone": order.second_in_the_first_task,
               "in the last task alone": order.second_in_the_last_task}, (1,)),
        Fault("A05", "first-order mode detaches the parameters, not the gradients", "zero or None where K ≥ 1",
              "facebookresearch/higher#63 #102 #129", "K ≥ 1",
              "In first order detach the inner gradients (create_graph=False) and leave the parameters that they are "
              "subtracted from; in higher track_higher_grads=False detaches the parameters too.",
              {"": order.detached_parameters}, (1,)),
        Fault("A06", "initial weights copied or detached by default", "zero or None",
              "facebookresearch/higher#30 #54 #69", "any problem",
              "Turn the copy of the initial weights off (copy_initial_weights=False in higher).",
              {"": order.detached_copy}),
        Fault("A08", "only the last inner steps are differentiated", "(I − αH_{K−w}) ⋯ (I − αH_{K−1})∇Q(φ_K), w < K",
              "dut-media-lab/BOML (truncated back-propagation, a feature there)",
              "K ≥ 2", "Keep the graph over every inner step: detach nothing between steps.",
              {"": order.last_step_only, "the last 2": order.last_two_steps_only,
               "all but the first": jacobians.ALL_BUT_THE_FIRST}, (2,)),
        Fault("A10", "Hessian-vector products by finite differences", "H_k u ≈ (∇S(φ_k + εu) − ∇S(φ_k − εu)) / 2ε",
              "quark0/darts (a method there); Fallah et al. 2020, Per-FedAvg (HF)", "K ≥ 1, S not quadratic",
              "The answer is right to the error of the difference, about ε². Where that is not meant, differentiate "
              "the inner gradient exactly, by automatic differentiation. Where it is meant, as in Per-FedAvg (HF), "
              'declare it: --algorithm "per-fedavg(ε)".',
              {"ε = 0.01/‖u‖": order.by_relative_differences, "ε = 0.001": order.by_fixed_differences},
              (2,), dtypes=("float64",)),
    ]  # fmt: skip


def _place() -> list[Fault]:
    return [
        Fault("B01", "outer loss from before adaptation", "mean ∇Q(θ)",
              "learnables/learn2learn#420 (four years in its first example)", "K ≥ 1",
              "Evaluate the outer loss with the adapted variables, after the inner loop.",
              {"": place.before_adaptation}),
        Fault("B02", "one inner step too few", "∇Q(φ_{K−1})",
              "openai/supervised-reptile, class FOML (a convention there)", "K ≥ 2, to tell it from B01",
              "Count the inner updates: K of them come before the outer loss.", {"": place.one_step_fewer,
               "but at least one": place.one_step_fewer_of_several}, EVERY),
        Fault("B03", "one inner step too many", "∇Q(φ_{K+1})", "no public source known", "any problem",
              "Count the inner updates: no update comes after the K-th.",
              {"": place.one_step_more, "on the query data": place.one_step_on_query,
               "on the query data, by the outer cost": place.one_step_of_outer_cost}, EVERY),
        Fault("B05", "inner gradient of step k ≥ 1 taken by θ through the unrolled loop",
              "φ_{k+1} = φ_k − αJ_kᵀ∇S(φ_k), J_k = ∂φ_k/∂θ", "tristandeleu/pytorch-maml until 2019-05", "K ≥ 2",
              "Take each inner gradient by the current fast weights φ_k, not by the initial parameters.",
              {"": place.through_the_unrolled_loop}, EVERY, most_steps=3),
        Fault("B06", "all K inner gradients at θ", "φ_K = θ − Kα∇S(θ)", "gmum/few-shot-hypernets-public#6", "K ≥ 2",
              "Evaluate the inner loss with the current fast weights at every step.", {"": place.all_at_start}, EVERY),
        Fault("B07", "fast weights copied afresh from θ at each step", "φ_K = θ − α∇S(θ)",
              "AntreasAntoniou/FewShotContinualLearning#2", "K ≥ 3, to tell it from B02",
              "Make the fast weights once, before the loop over inner steps.",
              {"": place.afresh_each_step, "φ_{k+1} = θ − α∇S(φ_k)": place.every_step_from_theta}, EVERY),
        Fault("B08", "graph lost at the second step", "zero or None for K ≥ 2",
              "rlworkgroup/garage#1269; hereismari/tensorflow-maml#3", "K ≥ 2",
              "Do not re-wrap, clone or detach the fast weights between inner steps.", {"": place.graph_lost}),
        Fault("B12", "another number of inner steps than K", "∇Q(φ_k), k ≠ K",
              "AntreasAntoniou/HowToTrainYourMAMLPytorch#28", "any problem",
              "Take the number of inner steps from the argument, and not from another setting.",
              {"inner steps: always 5": place.always_five_steps, "inner steps: 2 K": place.twice_the_steps,
               "up to the lowest query cost": place.lowest_query_cost,
               "up to the lowest query cost after a step": place.lowest_query_cost_of_adapted}, EVERY),
        Fault("B11", "average over steps leaves θ out, or divides by the wrong count",
              "1/K Σ_{k=1..K}, or the sum", "ivy averages K+1 points, MAML++ weights them",
              "K ≥ 2 and average_across_steps",
              "Average over the K+1 points φ_0, …, φ_K, or declare the points that you mean.",
              {"θ left out": place.average_without_start, "sum over the points": place.sum_over_points,
               "divided by K": place.divided_by_steps, "sum without θ": place.sum_without_start,
               "θ left out, divided by K + 1": place.without_start_over_all,
               "φ_K left out": place.average_without_end, "not averaged": place.never_averaged},
              convention="average-adapted-points or sum-over-points"),
        Fault("M07", "outer gradient taken at several points", "Σ_k w_k ∇Q(φ_k)",
              "dragen1860/MAML-Pytorch#51; PyTorch forum threads", "K ≥ 2",
              "Take the outer loss once, after the last inner step.",
              {"the sum over φ_1, …, φ_K": place.sum_of_adapted, "the sum over θ, …, φ_K": place.sum_of_all,
               "the mean over φ_1, …, φ_K": place.mean_of_adapted, "the mean over θ, …, φ_K": place.mean_of_all,
               "at the mean of φ_1, …, φ_K": place.at_mean_of_adapted,
               "at the mean of θ, …, φ_K": place.at_mean_of_all,
               "at the mean of φ_K over the tasks": place.at_mean_over_tasks}),
    ]  # fmt: skip


def _data() -> list[Fault]:
    return [
        Fault("C01", "one batch for support and query", "∇Q at φ_K with the support data",
              "hereismari/tensorflow-maml#4", "support and query differ",
              "Evaluate the outer loss on the query batch.",
              {"": data.outer_on_support, "with the inner cost": data.outer_is_inner}),
        Fault("C02", "support data in the averaged outer gradient", "mean of ∇S(φ_k), k < K, and ∇Q(φ_K)",
              "ivy 1.0.0.5, outer_cost_fn=None with two batch functions and averaging", "exactly that configuration",
              "Evaluate every term of the average on the outer batch.", {"": data.support_in_average}),
        Fault("C03", "support and query exchanged", "∇Q with support data, at a point adapted on the query data",
              "no public source known", "support and query differ",
              "Adapt on the support batch and evaluate the outer loss on the query batch.",
              {"": data.exchanged, "with their costs": data.both_exchanged,
               "the costs alone": data.costs_exchanged}),
        Fault("C04", "query data in the inner loop", "∇Q at a point adapted on the query data",
              "no public source known", "support and query differ", "Adapt on the support batch.",
              {"": data.inner_on_query, "with the outer cost": data.inner_is_outer}),
        Fault("C05", "inner cost not reduced over examples", "α_eff = Nα, with N support examples",
              "cbfinn/maml, xent(...)/update_batch_size", "N ≥ 2",
              "Take the mean over the support examples, once.",
              {"": data.not_reduced, "N of the first array": data.not_reduced_by_rows}, EVERY),
        Fault("C06", "inner mean taken twice", "α_eff = α/N", "learnables/learn2learn#190 (14 months)", "N ≥ 2",
              "Divide by the number of support examples once: the loss may already be a mean.",
              {"": data.reduced_twice, "N of the first array": data.reduced_twice_by_rows}, EVERY),
    ]  # fmt: skip


def _tasks() -> list[Fault]:
    return [
        Fault("D01", "sum over tasks for mean", "T·g", "facebookresearch/higher#92; learnables/learn2learn#232",
              "T ≥ 2", "Divide by the number of tasks, or declare the sum with --convention sum-over-tasks.",
              {"": tasks.summed}, EVERY, "sum-over-tasks"),
        Fault("D02", "divided by T twice", "g/T", "no public source known", "T ≥ 2",
              "Divide by the number of tasks once.", {"": tasks.divided_twice}, EVERY),
        Fault("D03", "last task only", "g_T, or g_T/T", "hereismari/tensorflow-maml#6", "T ≥ 2, unequal tasks",
              "Accumulate the gradients of all tasks; the loop overwrites them.",
              {"": tasks.last_only, "divided by T": tasks.last_over_count}, EVERY),
        Fault("D04", "first task only, cost right", "g_1/T", "learnables/learn2learn#388", "T ≥ 2",
              "Accumulate the gradients of all tasks; the cost does not show that only the first came through.",
              {"": tasks.first_only}, EVERY),
        Fault("D05", "gradients not cleared between calls", "the n-th call returns the sum of n", "none confirmed",
              "two calls", "Clear the accumulated gradients at the start of each step.",
              {"": tasks.not_cleared}, EVERY),
        Fault("D06", "inner gradients left in the accumulator", "Σ_{k<K}∇S(φ_k) + ∇Q(φ_K)", "no public source known",
              "K ≥ 1", "Take inner gradients with autograd.grad, or clear the accumulator before every backward: of "
              "each inner step, and of the outer loss.",
              {"": tasks.inner_left_in, "of the last step": tasks.last_left_in,
               "through the graph": tasks.inner_left_in_through_graph,
               "not divided by T": tasks.undivided_left_in, "in the inner steps too": tasks.never_cleared,
               "in the inner steps alone": tasks.accumulated,
               "in the inner steps too, not divided by T": tasks.never_cleared_undivided}),
        Fault("D07", "the parameter's own first axis summed away", "Σ_j g[j, …]",
              "ivy 1.0.0.5, maml_step(batched=False)", "a leading dimension ≥ 2",
              "Reduce over the task axis only where there is one.",
              {"": tasks.own_axis_summed, "kept as an axis of length 1": tasks.own_axis_kept}, EVERY),
        Fault("D08", "batched mode assumes a mean over tasks; cost is a sum", "α_eff = Tα in batched mode",
              "ivy 1.0.0.5, undocumented", "batched against loop, T ≥ 2",
              "In batched mode multiply the gradient of a mean over tasks by T, and that of a sum by 1.",
              {"": tasks.batched_sum, "and the gradient times T": tasks.batched_sum_of_both,
               "α over T": tasks.batched_mean, "α and the gradient over T": tasks.batched_mean_of_both,
               "in loop mode too": tasks.summed_everywhere}, EVERY),
        Fault("D09", "a gradient path counted twice", "g + g_path", "Nithin-Holla/MetaWSD#3",
              "a variable that enters twice", "Let each path from a variable to the cost contribute once.",
              {"through the outer variables": tasks.outer_path_twice,
               "through the inner variables": tasks.inner_path_twice}),
        Fault("D11", "meta-gradient off by a factor", "c·g", "no public source known", "any problem",
              "Look for a loss scale, a doubled loss or a mean taken over the wrong count in the outer loop.",
              {"": tasks.by_a_factor}, EVERY),
        Fault("D12", "tasks weighted otherwise than by 1/T, or left out", "Σ_t w_t g_t",
              "learnables/learn2learn#263 (form inferred)", "T ≥ 3",
              "Weight every task by 1/T. A mean of means over groups of unequal size does not, and a last, incomplete "
              "micro-batch counts too.",
              {"mean of the means over two workers": tasks.mean_of_means,
               "last micro-batch of 2 left out": tasks.last_group_left_out, **tasks.BY_LOSSES}, EVERY),
    ]  # fmt: skip


def _state() -> list[Fault]:
    return [
        Fault("E01", "φ_K of a task starts the next one", "θ^{t+1} = φ_K^t",
              "naruya/maml-pytorch#1; ooples/AiDotNet#833", "T ≥ 2; permuted tasks",
              "Start every task from θ: restore or copy the parameters before each inner loop.",
              {"": state.carried_over, "as one descent": state.carried_whole}, EVERY),
        Fault("E02", "the caller's variables or batch changed", "inputs differ after the call",
              "facebookresearch/higher#41", "inputs compared",
              "Adapt copies; write to nothing that the caller owns.", {"": state.inputs_changed}, EVERY),
        Fault("E04", "state of the inner optimizer survives the task", "depends on history",
              "openai/supervised-reptile#28 (deliberate there)", "two calls, permuted tasks",
              "Make a new inner optimizer, or reset its state, for every task.",
              {"": state.momentum_kept, "within a call": state.momentum_kept_within}, EVERY),
    ]  # fmt: skip


def _parameters() -> list[Fault]:
    return [
        Fault("F02", "unused parameter: None or skipped", "no zero gradient",
              "learnables/learn2learn#92 #314 #387", "a variable that one cost ignores",
              "Return zeros for a variable that the cost does not use (allow_unused=True gives None).",
              {"": parameters.unused_is_none}),
        Fault("F03", "some parameters never adapted", "φ_K[n] = θ[n]",
              "torchmeta with plain layers; metaopt/torchopt#144", "cross-Hessian ≠ 0",
              "Check that every parameter is replaced by its fast weight in the inner forward pass.",
              {"": parameters.last_leaf_kept,
               "from the first on that has no gradient": parameters.stopped_at_unused}, EVERY),
        Fault("F04", "inner and outer selection exchanged", "gradient for the other set", "no public source known",
              "inner_v ≠ outer_v", "Adapt inner_v and differentiate by outer_v.", {"": parameters.selections_swapped}),
        Fault("F06", "no gradient for the variables that do not adapt", "zero or None where φ_K[n] = θ[n]",
              "no public source known (ANIL with features that are computed once)", "inner_v leaves out a variable",
              "Detach nothing of the variables that stay: only the inner loop passes over them, the outer gradient "
              "does not.", {"": parameters.nothing_for_what_stays}),
        Fault("F05", "parameters and gradients paired by position", "permuted updates",
              "learn2learn maml_update pairs by position", "equal shapes, different gradients",
              "Pair parameters and gradients by name.", {"": pairing.paired_wrongly,
               "of those that adapt": pairing.adapting_paired_wrongly,
               **{str(way): pairing.in_update(way) for way in pairing.USUAL_IN_UPDATE},
               **{f"in the answer, {way}": pairing.in_answer(way) for way in pairing.USUAL_IN_ANSWER}}, EVERY),
    ]  # fmt: skip


def _scales() -> list[Fault]:
    return [
        Fault("G01", "outer rate used as inner rate", "φ_K with β", "learnables/learn2learn#211 (16 months)",
              "two problems with different α", "Pass the inner learning rate to the inner loop.",
              {"": scales.another_rate}, EVERY),
        Fault("G02", "inner ascent", "φ_K with −α", "no public source known", "K ≥ 1",
              "Subtract the inner gradient.", {"": scales.ascent, "in the last step alone": scales.last_ascent}, EVERY),
        Fault("G03", "Reptile scale", "(θ−φ_K), (θ−φ_K)/(Kα), or a mean of K+1 gradients over α",
              "ivy 1.0.0.5 reptile_step", "K ≥ 2, α ≠ 1",
              "Return (θ − φ_K)/α, or declare the scale where that alone differs: --convention reptile-displacement "
              "for θ − φ_K, reptile-per-step for (θ − φ_K)/(Kα).",
              {"not divided": scales.reptile_undivided, "divided by Kα": scales.reptile_over_steps,
               "mean of K+1 gradients over α": scales.reptile_of_gradients}, ("reptile",),
              "reptile-displacement or reptile-per-step"),
        Fault("G04", "Reptile that is FOMAML", "∇S(φ_K)", "dragen1860/Reptile-Pytorch#2", "K ≥ 2",
              "Return the displacement θ − φ_K over α, not a gradient at φ_K.",
              {"": scales.reptile_is_fomaml}, ("reptile",)),
        Fault("G06", "weight decay in the inner loop", "φ_{k+1} = γφ_k − α∇S",
              "openai/supervised-reptile pre_step_op (a feature there)", "θ large, ∇S small",
              "Switch weight decay off in the inner optimizer, or give it the strength that is declared.",
              {"": scales.decayed}, EVERY),
        Fault("G07", "meta-gradient clipped inside the step", "clip(g)", "cbfinn/maml for miniImageNet",
              "an entry above the clip", "Return the gradients as they are and clip in the outer optimizer, or "
              "declare it.", {"by value": scales.clipped_by_value, "by norm": scales.clipped_by_norm}, EVERY),
        Fault("G09", "Hessian-vector product at another point, or put together otherwise",
              "H_k of another point, sign, factor or order", "quark0/darts#21", "S not quadratic",
              "Go back from the last inner step to the first with u ← u − H_k αu, where H_k is the Hessian of the "
              "inner cost at φ_k, the point that the step started from. Or let the framework differentiate the loop.",
              {"": scales.hessian_shifted, "at φ_K": scales.hessian_at_end, "at θ": scales.hessian_at_start,
               "of the query data": scales.hessian_of_query, "of the outer cost": scales.hessian_of_outer_cost,
               **jacobians.BY_HAND}, (2,)),
        Fault("G10", "scaled loss or rate in the inner step", "α_eff = cα, c_k α in step k, or c_t α in task t",
              "none confirmed", "K ≥ 1",
              "Unscale the loss before the inner gradient is taken, and take every step at the rate α.",
              {"": scales.scaled_loss, "over K": scales.loss_over_steps, "over T": scales.loss_over_tasks,
               "over k + 1 in step k": scales.over_step_count,
               "over √(k + 1) in step k": scales.over_root_of_step_count,
               "over t in task t": scales.over_task_count, "times t in task t": scales.times_task_count}, EVERY),
        Fault("G11", "a lower precision inside", "error of that precision", "no public source known",
              "float64 problem, tight bound", "Keep every tensor in the dtype of the variables.",
              {"": scales.single_precision, "half precision": scales.half_precision,
               **scales.ENDS_IN_LOWER_PRECISION}, EVERY, dtypes=("float64",)),
    ]  # fmt: skip


#: Rows of the known faults that no single step of these interfaces shows, with the reason.
NOT_SHOWN = {
    "A07": "needs an inner step that clips: `verification.check` shows it on a model of one's own",
    "A09": "needs the user's own loss operation: `verification.check` and `check_relations` show it on their costs",
    "A13": "needs a cost that is not smooth at 0: `verification.check` and `check_relations` show it on the user's",
    "B10": "shows only where a subject returns parameters: `--returns parameters`, or `verification.check`",
    "D10": "shows only where a subject returns parameters: `--returns parameters`, or `verification.check`",
    "E03": "needs a model with buffers, which a cost function has not",
    "F01": "needs one parameter under two names: `verification.check` shows it on a model of one's own",
    "G08": "needs an implicit solve, which no step here has",
}

CATALOGUE: dict[str, Fault] = {fault.id: fault for fault in _faults()}
