"""``python -m refmaml``: the command `refmaml`, where the folder of installed commands is not on the path.

The command belongs to the judge, which this package does not import: it is found as installers find it, by its entry
point.
"""

from __future__ import annotations

import sys
from importlib.metadata import entry_points

_UNKNOWN = (
    "python -m refmaml runs the command refmaml, but no installed package has it. Install the package first: "
    "python -m pip install . in a clone."
)


def main() -> None:
    """Run the command `refmaml` with the arguments of this process."""
    for command in entry_points(group="console_scripts", name="refmaml"):
        command.load()()
        return
    sys.exit(_UNKNOWN)


if __name__ == "__main__":
    main()
