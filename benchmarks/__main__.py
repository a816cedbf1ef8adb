"""The command: measure, print a table, write JSON and a figure."""

from __future__ import annotations

import argparse
import json
from math import exp, log
from pathlib import Path
from typing import Any

from benchmarks.contestants import CONTESTANTS
from benchmarks.measure import disagreement, first_calls, interleaved
from benchmarks.workloads import WORKLOADS, Workload

#: Two correct implementations add in different orders; a wrong one is off by far more.
_UNITS = 1000.0


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", default="", help="workloads whose name contains this text")
    parser.add_argument("--peers", default="jax,torch", help="libraries to compare with, separated by commas")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to measure each workload")
    parser.add_argument("--first-calls", action="store_true", help="also measure first calls and memory")
    parser.add_argument("--output", type=Path, default=Path("benchmark.json"), help="where to write the results")
    options = parser.parse_args()
    rows = []
    for workload in WORKLOADS:
        if options.only in workload.name:
            rows.append(row(workload, options.peers.split(","), options.seconds, options.first_calls))
            print(line(rows[-1]), flush=True)
    ratios = [each["ratio"] for each in rows if each["ratio"]]
    if ratios:
        print(f"geometric mean of the ratios to the faster peer: {exp(sum(map(log, ratios)) / len(ratios)):.2f}")
    options.output.write_text(json.dumps(rows, indent=2))


def row(workload: Workload, peers: list[str], seconds: float, with_first_calls: bool) -> dict[str, Any]:
    """Measure one workload."""
    calls, missing = {}, []
    for name in ("refmaml.compiled", *peers):
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
    others = [times[name] for name in calls if name != "refmaml.compiled"]
    result: dict[str, Any] = {
        "workload": workload.name, "milliseconds": {name: 1e3 * each for name, each in times.items()},
        "ratio": min(others) / times["refmaml.compiled"] if others else None, "units apart": apart, "missing": missing,
    }  # fmt: skip
    if with_first_calls:
        result["first calls"] = {name: first_calls(name, workload) for name in calls}
    return result


def line(result: dict[str, Any]) -> str:
    """Return one line of the table."""
    times = "  ".join(f"{name} {each:9.3f} ms" for name, each in result["milliseconds"].items())
    ratio = f"{result['ratio']:.2f}" if result["ratio"] else "no peer"
    first = "".join(
        f"\n    {name}: first call {cold:.2f} s cold, {warm:.2f} s warm, {memory:.0f} MiB"
        for name, (cold, warm, memory) in result.get("first calls", {}).items()
    )
    left_out = "".join(f"\n    left out: {each}" for each in result["missing"])
    return f"{result['workload']:<32} {times}  ratio {ratio}{first}{left_out}"


if __name__ == "__main__":
    main()
