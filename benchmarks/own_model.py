"""The judge on models of one's own: verdicts and names, and what they take beside one plain step of the same subject.

`python -m benchmarks --parts own-model`; each network, and each measurement of memory, has a process of its own.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import verification
from benchmarks.own_networks import CONV4, LARGE, PERCEPTRON, TRANSFORMER, Network
from benchmarks.own_subjects import MISTAKES, Step, into_grad

NETWORKS = {network.name: network for network in (PERCEPTRON, TRANSFORMER, CONV4, LARGE)}
#: The last layer of each network, by what the names of its parameters begin with.
_LAST = {PERCEPTRON.name: "4.", TRANSFORMER.name: "head", CONV4.name: "head", LARGE.name: "6."}
_SEEDS = (0, 1, 2)
#: Of the mistakes, the largest network is asked about two.
_ON_LARGE = ("B01", "D01")

#: MiB: a smaller step raises the peak memory by what the allocator happens to have at hand.
_LEAST = 8.0

#: The name that is right ("" where the subject is), the subject, its order, and where its gradients are.
Subject = tuple[str, Callable[..., Any], int, Any]


def subjects(network: Network) -> list[Subject]:
    """Return right subjects and wrong ones: each mistake at both orders on the perceptron, else at one by turns."""
    found: list[Subject] = [("", Step(1), 1, "gradients"), ("", Step(2), 2, "gradients"), ("", into_grad, 2, "grad")]
    for index, (names, mistake) in enumerate(MISTAKES.items()):
        if ("evaluates" in mistake) > (network is CONV4) or (network is LARGE and names not in _ON_LARGE):
            continue
        options = {key: _LAST[network.name] if key == "kept" else value for key, value in mistake.items()}
        both: list[Subject] = [
            (name, Step(order, **options), order, "gradients")
            for order, name in zip((1, 2), (names.split() * 2)[:2], strict=True)
        ]
        found += both if network is PERCEPTRON else [both[index % 2]]
    return found


def own_model() -> dict[str, Any]:
    """Return the figures of each network, and print them."""
    found = {}
    for name in NETWORKS:
        found[name] = _in_a_process("judge", name)
        steps = [_in_a_process("weigh the step", name, order) for order in ("1", "2")]
        checks = [_in_a_process("weigh the check", name, order) for order in ("1", "2")]
        found[name]["memory"] = [
            check / step if step > _LEAST else float("nan") for step, check in zip(steps, checks, strict=True)
        ]
        found[name]["mebibytes"] = [*steps, *checks]
        print(line(name, found[name]), flush=True)
    return found


def line(name: str, figures: dict[str, Any]) -> str:
    """Return one row of the table in the documentation."""
    rows = figures["rows"]
    right = sum(row["expected"] == row["found"] for row in rows)
    seconds, ratios = ([row[key] for row in rows] for key in ("seconds", "ratio"))
    return (
        f"| {name} | {figures['parameters']:,} | {right} of {len(rows)} | "
        f"{np.median(seconds):.1f} | {max(seconds):.1f} | {np.median(ratios):.0f} | {max(ratios):.0f} | "
        f"{', '.join(f'{ratio:.1f}' for ratio in figures['memory'])} |"
    )


def _in_a_process(what: str, network: str, *more: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.own_model", what, network, *more],
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def _judged(network: Network, subject: Subject, seed: int) -> tuple[str, float, float]:
    """Return the name that the judge gives first, its seconds, and those of one plain step beside them."""
    step = subject[1]
    model, tasks = network.model(seed), network.tasks(seed)

    def plain() -> float:
        began = time.perf_counter()
        step(model, tasks, network.loss, network.inner_steps, network.inner_learning_rate)
        return time.perf_counter() - began

    plain()
    before = [plain() for _ in range(3)]
    began = time.perf_counter()
    report = _check(network, subject, model, tasks)
    seconds = time.perf_counter() - began
    # On both sides of the check, so that what else the machine does meets both alike.
    steps = float(np.median(before + [plain() for _ in range(3)]))
    name = report.diagnosis[0].name if report.diagnosis else "" if report.verdict == "pass" else report.verdict
    return name, seconds, steps


def _check(network: Network, subject: Subject, model: Any, tasks: Any) -> Any:
    _, step, order, gives = subject
    return verification.check(
        step, model=model, inner_loss=network.loss, tasks=tasks, inner_steps=network.inner_steps,
        inner_learning_rate=network.inner_learning_rate, order=order, gives=gives,
    )  # fmt: skip


def _judge(network: Network) -> dict[str, Any]:
    rows = []
    some = subjects(network)
    _judged(network, some[0], 0)  # what is imported on the way is imported
    for seed in _SEEDS[: 1 if network is LARGE else 3]:
        for subject in some:
            found, seconds, step = _judged(network, subject, seed)
            row = {"seed": seed, "order": subject[2], "expected": subject[0], "found": found,
                   "seconds": seconds, "step": step, "ratio": seconds / step}  # fmt: skip
            rows.append(row)
            print(network.name, row, file=sys.stderr, flush=True)
    return {"rows": rows, "parameters": sum(leaf.numel() for leaf in network.model(0).parameters())}


def _weigh(network: Network, order: int, what: str) -> float:
    """Return by how much a step, or the check of one with a mistake, raises the peak memory of the process, in MiB."""
    subject = ("D01", Step(order, tasks="sum"), order, "gradients")
    _judged(PERCEPTRON, subject, 0)  # what is imported on the way is imported
    model, tasks = network.model(0), network.tasks(0)
    before = _kibibytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak that importing has left
    if what == "weigh the check":
        _check(network, subject, model, tasks)
    else:
        subject[1](model, tasks, network.loss, network.inner_steps, network.inner_learning_rate)
    return (_kibibytes("VmHWM") - before) / 1024


def _kibibytes(name: str) -> int:
    found = re.search(name + r":\s*(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


if __name__ == "__main__":
    what, chosen, *others = sys.argv[1:]
    print(json.dumps(_judge(NETWORKS[chosen]) if what == "judge" else _weigh(NETWORKS[chosen], int(others[0]), what)))
