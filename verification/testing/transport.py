"""What became of a check as plain data, and back: it travels with pytest's report from a worker to where it is told.

pytest-xdist passes numbers, strings, lists and dicts alone. Expected and found arrays of findings stay behind, since
they are shown where the test fails.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from verification.cases import Case
from verification.judging.standard import Standard
from verification.naming.evidence import Observation
from verification.subjects import Finding, Reply
from verification.testing.checks import Check

Data: TypeAlias = dict[str, Any]


def pack(check: Check) -> Data:
    """Return what became of a check, or why its subject was not asked."""
    subject, answered = check.subject, check.answered
    packed: Data = {
        "subject": {"name": subject.name, "framework": subject.framework, "kind": subject.kind},
        "order": check.order,
        "conventions": list(check.conventions),
        "problem": check.standard.problem.name,
        "is_built_in": check.standard.problem.is_built_in,
        "reason_to_skip": check.reason_to_skip,
    }
    if answered is not None:
        case = {**vars(answered.case), "findings": [_finding(finding) for finding in answered.case.findings]}
        packed["case"] = case
        packed["observations"] = [_observation(observation) for observation in answered.observations]
        packed["names"] = [diagnosis.name for diagnosis in answered.diagnosis if diagnosis.convincing]
    return packed


def unpack_case(packed: Data) -> Case:
    """Return the case in what was packed."""
    return Case(**{**packed, "findings": [Finding(**finding) for finding in packed["findings"]]})


def unpack_observation(packed: Data, standard: Standard) -> Observation:
    """Return the observation in what was packed, of an answer to the problem of this standard."""
    reply = packed["reply"]
    adapted = reply["adapted"]
    return Observation(
        standard,
        packed["dtype"],
        Reply(
            cost=reply["cost"],
            gradients={chain: _array(leaf) for chain, leaf in reply["gradients"].items()},
            returned={chain: None if leaf is None else _array(leaf) for chain, leaf in reply["returned"].items()},
            adapted=None if adapted is None else {chain: _array(leaf) for chain, leaf in adapted.items()},
            findings=[Finding(**finding) for finding in reply["findings"]],
            malformed=reply["malformed"],
        ),
        call=packed["call"],
        overwrote=packed["overwrote"],
        wrong=tuple(packed["wrong"]),
    )


def _observation(observation: Observation) -> Data:
    reply = observation.reply
    return {
        "dtype": observation.dtype,
        "call": observation.call,
        "overwrote": observation.overwrote,
        "wrong": list(observation.wrong),
        "reply": {
            "cost": reply.cost,
            "gradients": {chain: _layout(leaf) for chain, leaf in reply.gradients.items()},
            "returned": {chain: None if leaf is None else _layout(leaf) for chain, leaf in reply.returned.items()},
            "adapted": None
            if reply.adapted is None
            else {chain: _layout(leaf) for chain, leaf in reply.adapted.items()},
            "findings": [_finding(finding) for finding in reply.findings],
            "malformed": reply.malformed,
        },
    }


def _finding(finding: Finding) -> Data:
    return {"what": finding.what, "message": finding.message, "leaf": finding.leaf}


def _layout(array: NDArray[Any]) -> Data:
    return {"dtype": str(array.dtype), "shape": list(array.shape), "values": array.ravel().tolist()}


def _array(layout: Data) -> NDArray[Any]:
    return np.array(layout["values"], layout["dtype"]).reshape(layout["shape"])
