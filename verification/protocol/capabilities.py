"""What a program says that it can do, and what a problem asks of it."""

from __future__ import annotations

from dataclasses import dataclass

from verification.orders import BY_STEP, DTYPES
from verification.problems.families import FAMILIES
from verification.vectors.layout import Json, has_subnormals

STEPS = tuple(BY_STEP)
#: What a problem may ask beyond the plainest: docs/protocol.md, section "Capabilities".
OPTIONS = ("averaging", "batched", "gains", "leaf-rates", "same-cost", "selections")
#: What a program may say that its arithmetic has not: XLA on the CPU computes with 0 for a subnormal number.
LIMITS = ("subnormals",)
VALUES = {"families": tuple(FAMILIES), "steps": STEPS, "dtypes": DTYPES, "options": OPTIONS}


@dataclass(frozen=True)
class Capabilities:
    """The families, steps, precisions and options that a program declares, and what its arithmetic has not."""

    families: frozenset[str]
    steps: frozenset[str]
    dtypes: frozenset[str]
    options: frozenset[str]
    without: frozenset[str] = frozenset()

    def lacks(self, problem: Json, dtype: str) -> str:
        """Return what a problem in its layout asks for that was not declared, in words; nothing where all was."""
        for kind, value, declared in (
            ("family", problem["family"], self.families),
            ("step", problem["step"], self.steps),
            ("precision", dtype, self.dtypes),
        ):
            if value not in declared:
                return f"the {kind} {value}"
        if "subnormals" in self.without and has_subnormals(problem, dtype):
            return "subnormal numbers"
        lacking = sorted(needs(problem) - self.options)
        return f"the {'option' if len(lacking) == 1 else 'options'} {' and '.join(lacking)}" if lacking else ""


#: In place of what a program that could not be asked did not declare.
EVERYTHING = Capabilities(*(frozenset(values) for values in VALUES.values()))


def needs(problem: Json) -> frozenset[str]:
    """Return the options that a problem in its layout asks for."""
    every = set(problem["variables"])
    needed = {
        "averaging": problem["average"],
        "batched": problem["batched"],
        "gains": bool(every & {"inner_gain", "outer_gain"}),
        "leaf-rates": len({float.fromhex(rate) for rate in problem["rates"].values()}) > 1,
        "same-cost": problem["same_cost"],
        "selections": any(set(names) != every for names in (*problem["inner"], *problem["outer"])),
    }
    return frozenset(name for name, wanted in needed.items() if wanted)
