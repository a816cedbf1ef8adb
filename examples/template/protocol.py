"""The protocol's side of a harness, to be translated: Python's standard library alone, read top to bottom."""

import json
import sys


def read_number(text):
    return float.fromhex(text)  # C: strtod; Java: Double.parseDouble; docs/vectors.md spells the format out


def write_number(number):
    # C: printf("%a"); Java: Double.toHexString. NaN and infinities are "nan", "inf" and "-inf".
    return number.hex() if abs(number) < float("inf") else str(number)


def read_array(array):
    return {"shape": array["shape"], "values": [read_number(text) for text in array["values"]]}


def write_array(array):
    return {"shape": array["shape"], "values": [write_number(number) for number in array["values"]]}


def read_arrays(arrays):
    return {name: read_array(array) for name, array in (arrays or {}).items()}


def write_arrays(arrays):
    return {name: write_array(array) for name, array in arrays.items()}


def answer(request, harness):
    if request["command"] == "start":
        return {"protocol": 1, "name": harness.NAME, "language": harness.LANGUAGE}
    if request["command"] == "capabilities":
        return harness.CAPABILITIES
    if request["command"] == "echo":
        return {"array": write_array(read_array(request["array"]))}
    if request["command"] == "run":
        problem = dict(request["problem"])
        problem["rates"] = {name: read_number(rate) for name, rate in problem["rates"].items()}
        for group in ("variables", "support", "query"):
            problem[group] = read_arrays(problem[group])
        cost, gradients, adapted = harness.run(problem, request["dtype"])
        return {"cost": write_number(cost), "gradients": write_arrays(gradients), "adapted": write_arrays(adapted)}
    raise ValueError(f"unknown command {request['command']}")


def serve(harness):
    for line in sys.stdin:
        request = json.loads(line)
        if request["command"] == "stop":
            return
        try:
            reply = {"id": request["id"], "result": answer(request, harness)}
        except Exception as error:
            reply = {"id": request["id"], "error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)  # a line that stays in a buffer looks like a hang
