"""The command: measure, print a table, write JSON and figures.

Results are kept by workload, so that the parts can be measured one after the other: a run replaces what it measures
and leaves the rest of the file as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from contextlib import nullcontext
from importlib.metadata import PackageNotFoundError, version
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.by_hand import by_hand
from benchmarks.contestants import CONTESTANTS, contestants
from benchmarks.measure import batch_size, disagreement, first_calls, held_core, interleaved, peak_memory
from benchmarks.workloads import CURVES, EVERY, GROWTH, WORKLOADS, Workload

#: Two correct implementations add in different orders; a wrong one is off by far more.
_UNITS = 1000.0
_OWN, _ONE = "refmaml.compiled", "one thread"
_PARTS = ("ratios", "conditions", "first-calls", "memory", "curves", "by-hand", "own-model", "isolation")
#: Milliseconds of other work between two steps.
_GAPS = (0.0, 0.5, 3.0)
_WEIGHED = ("many-tasks-1024", "many-tasks-16384")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", default="", help="workloads whose name contains this text")
    parser.add_argument("--parts", default=",".join(_PARTS), help=f"what to measure: {', '.join(_PARTS)}")
    parser.add_argument("--peers", default="jax,torch", help="libraries to compare with, separated by commas")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to measure each workload")
    parser.add_argument("--output", type=Path, default=Path("benchmark.json"), help="where the results are kept")
    parser.add_argument("--figures", type=Path, default=None, help="a directory to draw the figures into")
    options = parser.parse_args()
    parts, names = options.parts.split(","), [_OWN, *filter(None, options.peers.split(","))]
    results = json.loads(options.output.read_text()) if options.output.exists() else {}
    results = {
        "machine": machine(),
        "rows": {},
        "conditions": {},
        "first calls": {},
        "memory": {},
        "curves": {},
        "by hand": {},
        "own model": {},
        "isolation": {},
    } | results
    if "by-hand" in parts:
        results["by hand"] = by_hand(options.seconds)
    if "own-model" in parts:
        from benchmarks.own_model import own_model

        results["own model"] = own_model()
    if "isolation" in parts:
        from benchmarks.isolation import isolation

        results["isolation"] = isolation()
    for workload in EVERY:
        if options.only in workload.name:
            for part in parts:
                measure(part, workload, names, options.seconds, results)
            options.output.write_text(json.dumps(results, indent=2))
    print("\n".join(summary(results)))
    if options.figures is not None:
        from benchmarks.figures import draw

        draw(results["curves"], options.figures)


def measure(part: str, workload: Workload, names: list[str], seconds: float, results: dict[str, Any]) -> None:
    """Measure one part of one workload, where it has this part."""
    is_row, grows = workload in WORKLOADS, workload in GROWTH
    if part == "ratios" and is_row:
        results["rows"][workload.name] = row(workload, names, seconds)
        print(line(workload.name, results["rows"][workload.name]), flush=True)
    if part == "conditions" and is_row:
        results["conditions"][workload.name] = conditions(workload, names, min(seconds, 3.0))
    if part == "curves" and not is_row and not grows:
        results["curves"][workload.name] = row(workload, names, min(seconds, 3.0))
        print(line(workload.name, results["curves"][workload.name]), flush=True)
    if part == "first-calls" and (is_row or grows or workload in CURVES["depth"]):
        known = [name for name in names if available(name)]
        if grows:  # what else is measured of the others begins with that
            compared(workload, known)
        found = {name: first_calls(name, workload) for name in known}
        results["first calls"][workload.name] = found
        texts = [f"{name} {waits(own)}" for name, own in found.items()]
        print(f"{workload.name:<32} first call: {'; '.join(texts)}", flush=True)
    if part == "memory" and (workload.name in _WEIGHED or not is_row) and os.path.exists("/proc/self/clear_refs"):
        weights = {name: peak_memory(name, workload) for name in names if available(name)}
        results["memory"][workload.name] = {**weights, "batch": batch_size(workload)}


def waits(found: dict[str, tuple[float, float]]) -> str:
    """Return what is said of first calls."""
    return ", ".join(
        f"{seconds:.2f} s {kind} ({processor:.2f} of processor time)" for kind, (seconds, processor) in found.items()
    )


def available(name: str) -> bool:
    """Tell whether a library is installed."""
    try:
        return name == _OWN or bool(version(name))
    except PackageNotFoundError:
        return False


def row(workload: Workload, names: list[str], seconds: float) -> dict[str, Any]:
    """Compare the libraries' answers, then time them."""
    calls, missing = compared(workload, contestants(workload, names))
    answers = {name: call() for name, call in calls.items()}
    medians = {name: float(np.median(times)) for name, times in interleaved(calls, seconds).items()}
    return {
        "milliseconds": {name: 1e3 * median for name, median in medians.items()},
        "ratios": {name: median / medians[_OWN] for name, median in medians.items() if name != _OWN},
        "units apart": disagreement(answers, workload.dtype), "missing": missing,
    }  # fmt: skip


def compared(workload: Workload, names: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Return the calls by name, and what is missing; end the run if their answers differ."""
    calls, missing = {}, []
    for name in names:
        try:
            calls[name] = CONTESTANTS[name](workload)
        except ImportError as error:
            missing.append(f"{name}: {error}")
    apart = disagreement({name: call() for name, call in calls.items()}, workload.dtype)
    if apart > _UNITS:
        raise SystemExit(
            f"{workload.name}: the answers differ by {apart:.0f} units of rounding, so no time is compared."
        )
    return calls, missing


def conditions(workload: Workload, names: list[str], seconds: float) -> dict[str, Any]:
    """Time the libraries, and the engine with one thread, between other work and beside a process that holds a core.

    Of each there are the median and the 90th percentile.
    """
    calls, _ = compared(workload, contestants(workload, [*names, _ONE]))
    found = {}
    for is_held in (False, True):
        with held_core(2 * seconds * len(_GAPS)) if is_held else nullcontext():
            for gap in _GAPS:
                times = interleaved(calls, seconds, gap / 1e3, pair=(_OWN, _ONE))
                quantiles = {name: 1e3 * np.quantile(sample, [0.5, 0.9]) for name, sample in times.items()}
                condition = f"{gap:g} ms between steps{', a core held' if is_held else ''}"
                found[condition] = {name: [float(number) for number in both] for name, both in quantiles.items()}
                print(condition_line(workload.name, condition, found[condition]), flush=True)
    return found


def condition_line(name: str, condition: str, times: dict[str, list[float]]) -> str:
    """Return one line about one condition."""
    median, late = to_one_thread(times)
    texts = "  ".join(f"{library} {pair[0]:.3f} ({pair[1]:.3f})" for library, pair in times.items())
    return (
        f"{name:<32} {condition}: {texts} ms; to one thread {median:.2f} ({late:.2f}), "
        f"to the faster peer {to_faster_peer(times):.2f}"
    )


def to_one_thread(times: dict[str, list[float]]) -> tuple[float, float]:
    """Return the ratios of the default's median and 90th percentile to those of one thread."""
    return times[_OWN][0] / times[_ONE][0], times[_OWN][1] / times[_ONE][1]


def to_faster_peer(times: dict[str, list[float]]) -> float:
    """Return the ratio of the faster peer's median to the default's; NaN where there is no peer."""
    peers = [both[0] for name, both in times.items() if name not in (_OWN, _ONE)]
    return min(peers) / times[_OWN][0] if peers else float("nan")


def line(name: str, result: dict[str, Any]) -> str:
    """Return one line of the table."""
    times = "  ".join(f"{library} {time:9.3f} ms" for library, time in result["milliseconds"].items())
    ratios = ", ".join(f"{ratio:.2f} to {library}" for library, ratio in result["ratios"].items()) or "no peer"
    left_out = "".join(f"\n    left out: {workload}" for workload in result["missing"])
    return f"{name:<32} {times}  ratio {ratios}{left_out}"


def summary(results: dict[str, Any]) -> list[str]:
    """Return the geometric mean of all rows that have been measured, and the growth of memory."""
    lines = []
    for mode in ("loop", "batched"):
        rows = [row for name, row in results["rows"].items() if name.endswith("-batched") == (mode == "batched")]
        ratios = [min(row["ratios"].values()) for row in rows if row["ratios"]]
        if not ratios:
            continue
        mean = exp(sum(map(log, ratios)) / len(ratios))
        lines.append(
            f"{len(ratios)} rows in {mode} mode: ratio to the faster peer {mean:.2f} in geometric mean, "
            f"{min(ratios):.2f} least"
        )
    every = [times for found in results["conditions"].values() for times in found.values()]
    if every:
        medians, late = zip(*map(to_one_thread, every), strict=True)
        lines.append(
            f"{len(every)} conditions: ratio to one thread {max(medians):.2f} at most by median, {max(late):.2f} by "
            f"90th percentile; to the faster peer {min(map(to_faster_peer, every)):.2f} least"
        )
    if set(_WEIGHED) <= set(results["memory"]):
        small, large = (results["memory"][name] for name in _WEIGHED)
        growth = ", ".join(f"{name} {large[name] - small[name]:.1f}" for name in large if name in small)
        lines.append(f"from 1,024 to 16,384 tasks, the peak memory beside the batch grows, in MiB, by: {growth}")
    return lines


def machine() -> dict[str, Any]:
    """Return where and with what the results were measured."""
    versions = {name: version(name) for name in ("numpy", "numba", "jax", "torch") if available(name)}
    cpu = next((text.partition(": ")[2] for text in _cpu_lines() if text.startswith("model name")), platform.machine())
    return {"date": time.strftime("%Y-%m-%d"), "processor": cpu, "processors": os.cpu_count(), "versions": versions}


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


if __name__ == "__main__":
    main()
