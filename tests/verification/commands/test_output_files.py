"""Files that a command writes: whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from verification.commands.shared import write_file


def test_a_file_that_fails_half_way_leaves_the_old_one_whole(tmp_path: Path) -> None:
    """What stops while a file is written leaves the file of the last run as it was, and nothing beside it."""
    old = tmp_path / "report.json"
    old.write_text("old", "utf-8")

    def stop(beside: Path) -> None:
        beside.write_text("ne", "utf-8")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_file(old, stop)
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
    assert old.read_text("utf-8") == "old"


def test_a_device_and_a_link_stay_what_they_are(tmp_path: Path) -> None:
    """A file that is no plain file is written to, not replaced; of a link, the file that it leads to is replaced."""
    write_file(Path(os.devnull), lambda beside: beside.write_text("lost", "utf-8"))
    assert not Path(os.devnull).is_file()
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old", "utf-8")
    link.symlink_to(target)
    write_file(link, lambda beside: beside.write_text("new", "utf-8"))
    assert link.is_symlink()
    assert target.read_text("utf-8") == "new"
