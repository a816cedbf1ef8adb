"""The compiled steps without the extra that they need."""

from __future__ import annotations

import subprocess
import sys


def test_the_extra_is_named_where_it_is_missing() -> None:
    """Without llvmlite the import of `refmaml.compiled` fails with the command that installs it."""
    code = "import sys; sys.modules['llvmlite'] = None; import refmaml.compiled"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ImportError: refmaml.compiled needs Numba")
    assert "refmaml[compiled]" in done.stderr
