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
from importlib.metadata import PackageNotFoundError, version
from math import exp, log
from pathlib import Path
from typing import Any

from benchmarks.contestants import CONTESTANTS
from benchmarks.measure import batch_size, disagreement, first_calls, interleaved, peak_memory
from benchmarks.workloads import CURVES, WORKLOADS, Workload

#: Two correct implementations add in different orders; a wrong one is off by far more.
_UNITS = 1000.0
_OWN = "refmaml.compiled"
_PARTS = ("ratios", "first-calls", "memory", "curves")
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
    results = {"machine": machine(), "rows": {}, "first calls": {}, "memory": {}, "curves": {}} | results
    for workload in [*WORKLOADS, *CURVES["tasks"], *CURVES["width"]]:
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
    is_row = workload in WORKLOADS
    if part == "ratios" and is_row:
        results["rows"][workload.name] = row(workload, names, seconds)
        print(line(workload.name, results["rows"][workload.name]), flush=True)
    if part == "curves" and not is_row:
        results["curves"][workload.name] = row(workload, names, min(seconds, 3.0))
        print(line(workload.name, results["curves"][workload.name]), flush=True)
    if part == "first-calls" and is_row:
        found = {name: first_calls(name, workload) for name in names if available(name)}
        results["first calls"][workload.name] = found
        texts = [f"{name} {each['cold']:.2f} s cold, {each['warm']:.2f} s warm" for name, each in found.items()]
        print(f"{workload.name:<32} first call: {'; '.join(texts)}", flush=True)
    if part == "memory" and workload.name in _WEIGHED and os.path.exists("/proc/self/clear_refs"):
        weights = {name: peak_memory(name, workload) for name in names if available(name)}
        results["memory"][workload.name] = {**weights, "batch": batch_size(workload)}


def available(name: str) -> bool:
    """Tell whether a library is installed."""
    try:
        return name == _OWN or bool(version(name))
    except PackageNotFoundError:
        return False


def row(workload: Workload, names: list[str], seconds: float) -> dict[str, Any]:
    """Compare the libraries' answers, then time them."""
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
    times = interleaved(calls, seconds)
    return {
        "milliseconds": {name: 1e3 * each for name, each in times.items()},
        "ratios": {name: each / times[_OWN] for name, each in times.items() if name != _OWN},
        "units apart": apart, "missing": missing,
    }  # fmt: skip


def line(name: str, result: dict[str, Any]) -> str:
    """Return one line of the table."""
    times = "  ".join(f"{library} {each:9.3f} ms" for library, each in result["milliseconds"].items())
    ratios = ", ".join(f"{each:.2f} to {library}" for library, each in result["ratios"].items()) or "no peer"
    left_out = "".join(f"\n    left out: {each}" for each in result["missing"])
    return f"{name:<32} {times}  ratio {ratios}{left_out}"


def summary(results: dict[str, Any]) -> list[str]:
    """Return the geometric mean of all rows that have been measured, and the growth of memory."""
    lines = []
    ratios = [min(each["ratios"].values()) for each in results["rows"].values() if each["ratios"]]
    if ratios:
        mean = exp(sum(map(log, ratios)) / len(ratios))
        lines.append(
            f"{len(ratios)} rows: ratio to the faster peer {mean:.2f} in geometric mean, {min(ratios):.2f} least"
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
