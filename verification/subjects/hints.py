"""What to say to somebody whose subject cannot be found or imported, beside what Python says."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

#: A module such as NumPy has hundreds of names, and nobody reads them.
_SHOWN = 12


def what_there_is(name: str, names: Sequence[str]) -> str:
    """Return a sentence on what a module has in place of a name, the nearest ones first."""
    near = get_close_matches(name, names, _SHOWN)
    shown = [*near, *(other for other in names if other not in near)][:_SHOWN]
    more = f", and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f"It has: {', '.join(shown) or 'nothing'}{more}."


def how_to_name(place: str, name: str) -> str:
    """Return what is probably meant by a place that is neither a module nor a file of Python; "" where nobody knows."""
    path = Path(place)
    if place.endswith(":") and name:
        return f" Write one colon: {place.rstrip(':')}:{name}"
    if path.suffix == ".ipynb":
        return (
            " A notebook is no file of Python. Write its code to one, for example with jupyter nbconvert --to script."
        )
    if place and not place.endswith(".py") and path.with_suffix(".py").is_file():
        return f" There is a file {path.with_suffix('.py')}."
    if path.suffix == ".py" and path.is_file():
        return f" Write {place}:NAME, with the name of the function."
    return ""


def where_raised(error: BaseException, place: str) -> str:
    """Return in brackets the file and line at which an import raised, in the file itself where it is on the way."""
    frames = [
        (Path(frame.f_code.co_filename), line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not str(frame.f_globals.get("__name__", "")).startswith(("importlib", "verification."))
    ]
    known = [found for found in frames if found[0] == Path(place)] or frames
    return f" ({known[-1][0].name}, line {known[-1][1]})" if known else ""


def what_to_do(error: BaseException, place: str) -> str:
    """Return what an import error of a usual kind calls for; "" for any other."""
    if isinstance(error, SystemExit):
        return '. Put what only a script does, such as reading its arguments, under if __name__ == "__main__"'
    if isinstance(error, ImportError) and "relative import" in str(error):
        return ". The file belongs to a package: give its folder an __init__.py, or write package.module:name"
    source = Path("src", place.partition(".")[0])
    if isinstance(error, ModuleNotFoundError) and error.name == source.name and source.is_dir():
        return f". There is {source}: install the project (python -m pip install -e .), or write the path of the file"
    return ""
