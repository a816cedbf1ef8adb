"""Data classes that cross between processes: they come as they went, and nothing else is made of what comes."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from verification.isolation.records import pack_record, unpack_record
from verification.isolation.standing import Standing
from verification.processes import MalformedError


@dataclass(frozen=True)
class Leaf:
    """A part of a record."""

    array: NDArray[Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Record:
    """One field of each kind."""

    name: str = "a"
    count: int = 3
    holds: bool = True
    number: float = 0.1
    order: Literal[1, 2, "reptile"] = 1
    leaves: list[Leaf] = field(default_factory=list)
    names: tuple[str, ...] = ()
    reasons: dict[str, str] = field(default_factory=dict)
    perhaps: float | None = None


def test_a_record_comes_as_it_went() -> None:
    """Floats come to their last bit, NaN and infinities too; arrays with dtype and shape; tuples as tuples."""
    array = np.array([[1.5, -0.0]], np.float32)
    sent = Record(
        number=1 / 3, order="reptile", leaves=[Leaf(), Leaf(array)], names=("b",), reasons={"c": "d"}, perhaps=math.inf
    )
    came = unpack_record(Record, json.loads(json.dumps(pack_record(sent), allow_nan=False)))
    assert (came.number, came.order, came.names, came.reasons, came.perhaps) == (
        1 / 3, "reptile", ("b",), {"c": "d"}, math.inf,
    )  # fmt: skip
    assert came.leaves[0] == Leaf()
    found = came.leaves[1].array
    assert found is not None
    assert found.dtype == np.float32
    assert found.tobytes() == array.tobytes()
    assert found.shape == (1, 2)
    nan = unpack_record(Record, pack_record(Record(number=math.nan)))
    assert math.isnan(nan.number)


@pytest.mark.parametrize(
    "change",
    [
        {"name": 3},
        {"name": None},
        {"count": True},
        {"count": 3.0},
        {"holds": 1},
        {"number": "one"},
        {"number": True},
        {"order": True},
        {"order": 3},
        {"order": [1]},
        {"leaves": {}},
        {"leaves": [{}]},
        {"leaves": [{"array": [1.0]}]},
        {"leaves": [{"array": {"dtype": "|O", "shape": [1], "data": ""}}]},
        {"leaves": [{"array": None, "more": 1}]},
        {"names": "abc"},
        {"names": [1]},
        {"reasons": []},
        {"reasons": {"c": 1}},
        {"perhaps": "nothing"},
        {"unknown": 1},
    ],
    ids=str,
)
def test_what_is_no_record_is_refused(change: dict[str, Any]) -> None:
    """A field of another type, one too many, or one too few: nothing is made of it."""
    packed = pack_record(Record())
    with pytest.raises(MalformedError, match="expected"):
        unpack_record(Record, {**packed, **change})
    for name in packed:
        with pytest.raises(MalformedError, match="expected an object with"):
            unpack_record(Record, {key: value for key, value in packed.items() if key != name})
    for other in (None, [], "record", 3):
        with pytest.raises(MalformedError, match="expected an object with"):
            unpack_record(Record, other)


def test_what_is_exchanged_is_named_until_it_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function of NumPy that is another one, or gone; what programs exchange for good reasons is no news."""
    standing = Standing()
    assert standing.exchanged() == []
    with monkeypatch.context() as patched:
        patched.setattr(np.linalg, "norm", np.sum)
        patched.setattr("builtins.print", repr)
        assert standing.exchanged() == ["numpy.linalg.norm"]
    assert standing.exchanged() == []
