"""How the tests run: samples that cover what they stand for, and workers where nobody says otherwise."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import running

GRID = {f"{a}-{b}": {"a": a, "b": b} for a in range(5) for b in range(2)}


def test_a_sample_has_every_value_of_every_parameter() -> None:
    """Five of ten are enough to have all five values of one parameter and both of the other, if any five are."""
    chosen = running.sample(GRID, 7)
    assert len(chosen) == 7
    assert {GRID[name]["a"] for name in chosen} == set(range(5))
    assert {GRID[name]["b"] for name in chosen} == {0, 1}


def test_a_sample_is_the_same_every_day() -> None:
    """The order in which the tests are collected has no say in it."""
    assert running.sample(GRID, 3) == running.sample(dict(reversed(GRID.items())), 3)


def test_a_sample_of_more_than_there_are_is_all() -> None:
    """One test that was asked for by its name is not left out."""
    assert running.sample({"0-1": GRID["0-1"]}, 3) == {"0-1"}


def options(**changes: object) -> SimpleNamespace:
    plain = {"numprocesses": None, "dist": "no", "tx": [], "usepdb": False, "capture": "fd", "collectonly": False}
    return SimpleNamespace(**{**plain, **changes})


@pytest.fixture(autouse=True)
def _threads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in running._THREADS:
        monkeypatch.setenv(name, "1")


def test_a_folder_runs_in_a_process_for_each_core() -> None:
    """Where nothing is said, xdist counts the cores, and hands on what is left to who is done."""
    option = options()
    running.run_in_workers(option, ["tests"], is_worker=False)
    assert (option.numprocesses, option.dist) == ("auto", "worksteal")


@pytest.mark.parametrize(
    "changes",
    [
        {"numprocesses": 0},
        {"numprocesses": 3},
        {"dist": "loadfile"},
        {"tx": ["popen"]},
        {"usepdb": True},
        {"capture": "no"},
        {"collectonly": True},
        {"cov_source": ["refmaml"]},
    ],
)
def test_who_says_how_to_run_has_it_so(changes: dict[str, object]) -> None:
    """An option that says otherwise, or that needs one process, wins."""
    option = options(**changes)
    before = vars(option).copy()
    running.run_in_workers(option, ["tests"], is_worker=False)
    assert vars(option) == before


def test_single_files_run_in_one_process() -> None:
    """To start workers takes longer than most files, and a worker starts none of its own."""
    for arguments, is_worker in (
        (["tests/conftest.py"], False),
        (["tests/conftest.py::name"], False),
        (["tests"], True),
    ):
        option = options()
        running.run_in_workers(option, arguments, is_worker=is_worker)
        assert option.numprocesses is None


def test_without_xdist_nothing_is_changed() -> None:
    """Its options are not there then, and the tests run in one process."""
    option = options()
    del option.numprocesses, option.dist, option.tx
    before = vars(option).copy()
    running.run_in_workers(option, ["tests"], is_worker=False)
    assert vars(option) == before
