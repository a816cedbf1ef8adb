"""Algorithms that an author declares: what a step computes beside plain MAML, each with its definition and source.

An `Algorithm` is spelled as ingredients with their parameters, joined by " + ": ``"adam"``, ``"momentum(0.9)"``,
``"clip-by-norm(1) + adam(eps=1e-7, held)"``. Gradients go through the ingredients from left to right. It goes along
with a problem (`Problem.algorithm`): the oracles, the bounds and the faults then compute what it says, and nothing
looks it up by a name.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from verification.oracles.hessian_free import HessianFree
from verification.oracles.implicit import Implicit
from verification.oracles.updates import (
    Adam,
    ClipByNorm,
    ClipByValue,
    InnerUpdate,
    Momentum,
    Part,
    Proximal,
    RatesByStep,
    RMSProp,
    WeightDecay,
)

#: The weights of the outer costs at φ_0, …, φ_K, from the number of steps K.
Weights = Callable[[int], list[float]]


class Rates(Enum):
    """Which inner learning rates the outer loop learns."""

    BY_ENTRY = "one for each entry"
    BY_LEAF = "one for each leaf"


@dataclass(frozen=True)
class AddedSupport:
    """S(θ) + β Q(φ_K) for the outer cost."""

    beta: float

    def __call__(self, steps: int) -> list[float]:
        """Return the weights of the outer costs at φ_0, …, φ_K."""
        return [0.0] * steps + [self.beta]


@dataclass(frozen=True)
class Algorithm:
    """What a step computes: plain MAML where nothing is set.

    `update` turns inner gradients into directions, `weights` has the weights of the outer costs along the inner loop,
    `adapts` tells which variables the inner loop adapts: "" all that a problem says, "head" the last layer alone,
    "body" all but it, "context" one that the outer loop does not learn and that starts at 0. `rates` tells which inner
    rates the outer loop learns as well: none, one for each entry of the variables, or one for each leaf, and
    `adds_support` that S(θ) is added to the outer costs. `needs_all_used` tells that right code may differ on a
    variable that a cost ignores: PyTorch's optimizers pass over it, and √v has no derivative there. `hessian_free` has
    the differences that stand for products with Hessians at second order, and `implicit` the inverse that stands for
    the Jacobian of the whole inner loop.
    """

    spelled: str = ""
    update: InnerUpdate | None = None
    weights: Weights | None = None
    adapts: str = ""
    rates: Rates | None = None
    adds_support: bool = False
    needs_all_used: bool = False
    hessian_free: HessianFree | None = None
    implicit: Implicit | None = None

    def __str__(self) -> str:
        return self.spelled or "plain gradient descent"

    @property
    def is_plain(self) -> bool:
        """Whether it is MAML as the papers have it, with nothing declared."""
        return not self.spelled

    @property
    def is_smooth(self) -> bool:
        """Whether differences of values can give its derivative: not where something is held, nor around jumps.

        g/(√v + ε) is nearly the sign of g at first, and jumps where an entry of an inner gradient passes 0. What has
        differences in place of Hessians is no derivative of anything, and an implicit gradient none of the loop.
        """
        return (
            self.hessian_free is None
            and self.implicit is None
            and not any(part.held or isinstance(part, RMSProp | Adam) for part in self._parts)
        )

    @property
    def _parts(self) -> tuple[Part, ...]:
        return self.update.parts if self.update else ()


PLAIN = Algorithm()


#: What an ingredient makes.
Made: TypeAlias = Part | Weights | Rates | HessianFree | Implicit | str


@dataclass(frozen=True)
class Ingredient:
    """One thing that can be declared: its parameters with their defaults, None where there is none.

    `make` gets the values of the parameters, the flag ``held`` among them where it is in `flags`.
    """

    name: str
    parameters: dict[str, float | None]
    meaning: str
    source: str
    make: Callable[..., Made]
    flags: tuple[str, ...] = ()
    example: str = ""
    many: bool = False  # as many numbers as one likes, in place of parameters by name

    @property
    def signature(self) -> str:
        """How it is spelled, with its parameters."""
        words = [name if value is None else f"{name}={value:g}" for name, value in self.parameters.items()]
        words += ["r_0, r_1, …"] * self.many
        words += [f"[{flag}]" for flag in self.flags]
        return f"{self.name}({', '.join(words)})" if words else self.name


def importance(steps: int, epoch: float, epochs: float) -> list[float]:
    """Return MAML++'s weights of the outer losses at φ_0, …, φ_K in an epoch of several.

    1/K each at φ_1, …, φ_K in epoch 0; all but the last fall by 1/(K epochs) an epoch, to no less than 0.03/K, and the
    last has the rest: `get_per_step_loss_importance_vector` of the authors' program. Where K = 0, it is all at φ_0.
    """
    if not steps:
        return [1.0]
    early = max(1 / steps - epoch / steps / epochs, 0.03 / steps)
    last = min(1 / steps + epoch * (steps - 1) / steps / epochs, 1 - (steps - 1) * 0.03 / steps)
    return [0.0, *[early] * (steps - 1), last]


def _momentum(mu: float, *, held: bool) -> Part:
    return Momentum(mu=mu, held=held)


def _nesterov(mu: float, *, held: bool) -> Part:
    return Momentum(mu=mu, nesterov=True, held=held)


def _rmsprop(rho: float, eps: float, *, held: bool) -> Part:
    return RMSProp(rho=rho, eps=eps, held=held)


def _adam(beta1: float, beta2: float, eps: float, *, held: bool) -> Part:
    return Adam(beta1=beta1, beta2=beta2, eps=eps, held=held)


def _clip_by_norm(limit: float, eps: float, *, held: bool) -> Part:
    return ClipByNorm(limit=limit, eps=eps, held=held)


def _clip_by_value(limit: float, *, held: bool) -> Part:
    return ClipByValue(limit=limit, held=held)


def _mldg(beta: float) -> AddedSupport:
    if not beta:
        raise ValueError("algorithm: expected a beta above 0 in mldg(beta=1), but got 0: nothing would adapt.")
    return AddedSupport(beta)


def _per_fedavg(delta: float) -> HessianFree:
    if not delta:
        raise ValueError("algorithm: expected a delta above 0 in per-fedavg(delta=0.001), but got 0.")
    return HessianFree(delta=delta)


def _imaml(strength: float, cg_steps: float) -> Implicit:
    if not strength or cg_steps != int(cg_steps):
        raise ValueError("algorithm: expected a lambda above 0 and a whole number of steps in imaml(lambda, cg=0).")
    return Implicit(strength=strength, cg_steps=int(cg_steps))


def _meta_sgd(**flags: bool) -> Rates:
    return Rates.BY_LEAF if flags[_BY_LEAF] else Rates.BY_ENTRY


def _multi_step(epoch: float, epochs: float) -> Weights:
    return lambda steps: importance(steps, epoch, epochs)


_HELD, _BY_LEAF = ("held",), "by-leaf"
INGREDIENTS: dict[str, Ingredient] = {
    ingredient.name: ingredient
    for ingredient in (
        Ingredient("momentum", {"mu": 0.9}, "m ← μm + g, φ ← φ − αm",
                   "torch.optim.SGD(momentum=μ); Polyak 1964", _momentum, _HELD, "momentum(0.9)"),
        Ingredient("nesterov", {"mu": 0.9}, "m ← μm + g, φ ← φ − α(g + μm)",
                   "torch.optim.SGD(momentum=μ, nesterov=True); Sutskever et al. 2013", _nesterov, _HELD,
                   "nesterov(0.9)"),
        Ingredient("rmsprop", {"rho": 0.99, "eps": 1e-8}, "v ← ρv + (1−ρ)g², φ ← φ − αg/(√v + ε)",
                   "torch.optim.RMSprop; Tieleman and Hinton 2012", _rmsprop, _HELD, "rmsprop(0.99)"),
        Ingredient("adam", {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}, "φ ← φ − αm̂/(√v̂ + ε)",
                   "torch.optim.Adam; Kingma and Ba 2015", _adam, _HELD, "adam"),
        Ingredient("weight-decay", {"strength": None}, "g ← g + λφ; before adam its penalty, after it AdamW's decay",
                   "torch.optim, weight_decay=λ; Loshchilov and Hutter 2019",
                   lambda strength: WeightDecay(strength=strength), (), "weight-decay(0.01) + momentum(0.9)"),
        Ingredient("clip-by-norm", {"limit": None, "eps": 1e-6}, "g ← g min(1, c/(‖g‖ + ε)), ‖g‖ over all leaves",
                   "torch.nn.utils.clip_grad_norm_; Pascanu et al. 2013", _clip_by_norm, _HELD,
                   "clip-by-norm(1) + adam"),
        Ingredient("clip-by-value", {"limit": None}, "g ← g with every entry within ±c",
                   "torch.nn.utils.clip_grad_value_", _clip_by_value, _HELD, "clip-by-value(0.5)"),
        Ingredient("rates-by-step", {}, "φ ← φ − r_k αg in step k, and the last factor from there on",
                   "Antoniou et al. 2019, section 4 (LSLR), with given rates",
                   lambda *factors: RatesByStep(factors=factors), (), "rates-by-step(1, 0.5, 0.25)", many=True),
        Ingredient("multi-step-loss", {"epoch": None, "epochs": None}, "Σ_k w_k Q(φ_k), the weights of that epoch",
                   "Antoniou et al. 2019, section 4 (MSL)", _multi_step, (), "multi-step-loss(5, 10)"),
        Ingredient("mldg", {"beta": 1.0}, "S(θ) + β Q(φ_K), S the meta-train and Q the meta-test cost",
                   "Li et al. 2018, algorithm 1", _mldg, (), "mldg(1)"),
        Ingredient("meta-sgd", {}, "φ ← φ − r g, and the outer gradient by the rates r too",
                   "Li et al. 2017, algorithm 1", _meta_sgd, (_BY_LEAF,), "meta-sgd"),
        Ingredient("per-fedavg", {"delta": 1e-3}, "H u as (∇S(φ + δu) − ∇S(φ − δu))/2δ at order 2 (HF); at order 1, FO",
                   "Fallah et al. 2020, section 5", _per_fedavg, (), "per-fedavg(0.001)"),
        Ingredient("imaml", {"lambda": None, "cg": 0.0}, "φ ← φ − α(g + λ(φ − θ)); at order 2 (I + H/λ)⁻¹∇Q at φ_K",
                   "Rajeswaran et al. 2019, lemma 1 and algorithm 2", _imaml, (), "imaml(2)"),
        Ingredient("anil", {}, "the inner loop adapts the last layer alone", "Raghu et al. 2020, section 4",
                   lambda: "head", (), "anil"),
        Ingredient("cavia", {}, "context parameters adapt alone, from 0, and the outer loop learns all others",
                   "Zintgraf et al. 2019, algorithm 1", lambda: "context", (), "cavia"),
        Ingredient("boil", {}, "the inner loop adapts all but the last layer", "Oh et al. 2021, section 3",
                   lambda: "body", (), "boil"),
    )
}  # fmt: skip
#: Other spellings that people use.
_ALIASES = {"maml++": "multi-step-loss", "heavy-ball": "momentum"}
_FORM = "NAME or NAME(NUMBER, name=NUMBER, held), several joined by ' + '"


def algorithm(spelled: str | Algorithm) -> Algorithm:
    """Return the algorithm that is spelled; an empty text is plain MAML.

    Raises:
        ValueError: there is no such ingredient, or its parameters are not what they have to be.
    """
    if isinstance(spelled, Algorithm):
        return spelled
    if not spelled.strip():
        return PLAIN
    texts = re.split(r"\s*\+\s*(?=[A-Za-z])", spelled.strip())
    made = [_ingredient(text) for text in texts]
    parts = tuple(value for _, value in made if isinstance(value, Part))
    words = [value for _, value in made if isinstance(value, str)]
    rates = [value for _, value in made if isinstance(value, Rates)]
    inverses = [value for _, value in made if isinstance(value, Implicit)]
    differences = [value for _, value in made if isinstance(value, HessianFree)]
    weights: Sequence[Any] = [value for _, value in made if callable(value)]
    if rates and parts:
        raise ValueError(f"algorithm: expected meta-sgd without another inner update, but got {' and '.join(texts)}.")
    if differences and len(made) > 1:
        raise ValueError(f"algorithm: expected per-fedavg alone, but got {' and '.join(texts)}.")
    if inverses and len(made) > 1:
        raise ValueError(f"algorithm: expected imaml alone, but got {' and '.join(texts)}.")
    parts += tuple(Proximal(strength=value.strength) for value in inverses)
    if max(len(words), len(weights), len(rates)) > 1:
        raise ValueError(f"algorithm: expected at most one of a kind in {spelled!r}, but got {' and '.join(texts)}.")
    return Algorithm(
        spelled=" + ".join(name for name, _ in made),
        update=InnerUpdate(parts) if parts else None,
        weights=weights[0] if weights else None,
        adapts=words[0] if words else "",
        rates=rates[0] if rates else None,
        adds_support=any(isinstance(value, AddedSupport) for value in weights),
        hessian_free=differences[0] if differences else None,
        implicit=inverses[0] if inverses else None,
        needs_all_used=any(isinstance(part, WeightDecay | RMSProp | Adam) for part in parts),
    )


def _ingredient(text: str) -> tuple[str, Made]:
    """Return one ingredient as it is spelled in full, and what it makes."""
    found = re.fullmatch(r"\s*([A-Za-z][\w-]*(?:\+\+)?)\s*(?:\((.*)\))?\s*", text)
    name = found[1].lower().replace("_", "-") if found else ""
    name = _ALIASES.get(name, name)
    if found is None or name not in INGREDIENTS:
        near = difflib.get_close_matches(name or text, INGREDIENTS, 1)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        known = ", ".join(INGREDIENTS)
        raise ValueError(f"algorithm: expected {_FORM}, with a name of {known}, but got {text!r}.{meant}")
    ingredient = INGREDIENTS[name]
    values, flags = _values(ingredient, found[2] or "")
    return _full(ingredient, values, flags), ingredient.make(*values, **flags)


def _values(ingredient: Ingredient, text: str) -> tuple[list[float], dict[str, bool]]:
    """Read the parameters of an ingredient."""
    flags = dict.fromkeys(ingredient.flags, False)
    values = dict(ingredient.parameters)
    numbers: list[float] = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, equals, number = (word.strip() for word in entry.partition("="))
        if not equals and name in flags:
            flags[name] = True
        elif equals and name in values:
            values[name] = _number(ingredient, number)
        elif not equals and (ingredient.many or len(numbers) < len(values)):
            numbers.append(_number(ingredient, entry))
        else:
            raise ValueError(f"algorithm: expected {ingredient.signature}, but got {entry!r} in {text!r}.")
    if ingredient.many:
        if not numbers:
            raise ValueError(f"algorithm: expected numbers, as in {ingredient.example}, but got none.")
        return numbers, flags
    values.update(zip(values, numbers, strict=False))
    missing = [name for name, value in values.items() if value is None]
    if missing:
        raise ValueError(f"algorithm: expected {ingredient.signature}, but got no {', '.join(missing)}.")
    return [value for value in values.values() if value is not None], flags


def _number(ingredient: Ingredient, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value < float("inf"):
        raise ValueError(f"algorithm: expected a number of at least 0 in {ingredient.signature}, but got {text!r}.")
    return value


def _full(ingredient: Ingredient, values: list[float], flags: dict[str, bool]) -> str:
    """Spell an ingredient with what is not as it is by default; its first parameter is always there."""
    words, defaults = [], list(ingredient.parameters.items())
    if ingredient.many:
        words = [f"{value:.12g}" for value in values]
    else:
        for index, ((name, default), value) in enumerate(zip(defaults, values, strict=True)):
            first = index == 0 and ingredient.name != "adam"
            if first or value != default:
                words.append(f"{value:.12g}" if index == len(words) else f"{name}={value:.12g}")
    words += [flag for flag, given in flags.items() if given]
    return f"{ingredient.name}({', '.join(words)})" if words else ingredient.name
