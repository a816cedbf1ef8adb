"""The arrows between modules, held by reading the imports of every module (see CONTRIBUTING.md, "The layout").

What counts as an import: every statement, inside functions and under ``if TYPE_CHECKING:`` too, and every string that
names a module of ours.

Each rule is a function from a mapping {module name: imports} to a list of sentences, one for each violation, that tell
a newcomer what is wrong and what to do. Every rule runs twice: on the packages, where it must be silent, and on planted
source, where it must speak.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest

pytestmark = pytest.mark.once  # what the files say

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("refmaml", "verification")

#: Packages that a plain installation does not have, or that take long to import.
HEAVY = (
    "torch",
    "jax",
    "jaxlib",
    "tensorflow",
    "flint",
    "dask",
    "matplotlib",
    "sklearn",
    "numba",
    "pytest",
    "hypothesis",
)
#: Where a heavy package may stand at the top of a module all the same: modules that exist for it alone, and are
#: themselves imported only where that package is wanted.
MAY_IMPORT_AT_TOP = {
    "torch": ("verification.templates",),
    "jax": ("verification.templates",),
    "tensorflow": ("verification.templates",),
    "numba": ("refmaml.compiled",),
    "pytest": ("verification.testing",),
    "hypothesis": ("verification.testing",),
}
#: The modules of refmaml that hold the reference's arithmetic.
ARITHMETIC = ("refmaml.reference", "refmaml.tasks", "refmaml.differentiation")
#: The one module of the compiled engine that may call the reference: it hands over what cannot be compiled, and
#: what runs inside an enclosing autograd trace.
HANDS_OVER = "refmaml.compiled.steps"
#: The rooms of each package from the ground floor up: a room imports from rooms that stand before it alone.
FLOORS: Mapping[str, tuple[str, ...]] = {
    "refmaml": (
        "containers", "supplements", "differentiation", "updates", "validation", "tasks", "preparation", "reference",
        "compiled", "__main__",
    ),
    "refmaml.compiled": (
        "guarding", "program", "errors", "code", "machine", "recording", "lowering", "running", "calls", "steps",
    ),
    "verification": (
        "templates", "texts", "processes", "orders", "verdicts", "frameworks", "oracles", "algorithms", "problems",
        "faults", "subjects", "judging", "vectors", "relations", "isolation", "naming", "cases", "report", "missing",
        "remarks", "runs", "judge", "testing", "own", "models", "protocol", "selftest", "campaigns", "reports",
        "commands",
    ),
}  # fmt: skip
#: Beginnings of absolute paths of somebody's machine.
MACHINE_PATHS = re.compile(r"(?<![\w.~:/-])/(?:root|work|home|Users)/[\w.]")


@dataclass(frozen=True)
class Import:
    """One imported module, and whether it is imported when its importer is (not inside a function)."""

    module: str
    line: int
    at_top: bool


Imports: TypeAlias = Mapping[str, list[Import]]
Rule: TypeAlias = Callable[[Imports], list[str]]


def within(module: str, package: str) -> bool:
    """Return whether `module` is `package` or lies inside it."""
    return module == package or module.startswith(f"{package}.")


def modules_of(root: Path, package: str) -> dict[str, Path]:
    """Return the modules of a package by name."""
    found = {}
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(source: str, name: str, *, is_package: bool, known: Iterable[str]) -> list[Import]:
    """Return what a module imports; ``from package import module`` counts as the module where `known` has it."""
    modules = frozenset(known)

    def targets(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
            return
        base = node.module or ""
        if node.level:
            parts = name.split(".")
            parts = parts[: len(parts) - node.level + is_package]
            base = ".".join([*parts, *([node.module] if node.module else [])])
        submodules = [f"{base}.{alias.name}" for alias in node.names if f"{base}.{alias.name}" in modules]
        yield from submodules
        # Importing nothing but submodules does not use what the package's own module defines.
        if len(submodules) < len(node.names):
            yield base

    def walk(node: ast.AST, at_top: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import | ast.ImportFrom):
                yield from (Import(target, child.lineno, at_top) for target in targets(child))
            else:
                deferred = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                yield from walk(child, at_top and not deferred and not _is_type_checking(child))

    tree = ast.parse(source)
    # A package that the module lies in is named by loggers, and is no news.
    named = (
        Import(module, line, False) for module, line in modules_named_in(tree, modules) if not within(name, module)
    )
    return [*walk(tree, at_top=True), *named]


def _is_type_checking(node: ast.AST) -> bool:
    """Return whether a node is ``if TYPE_CHECKING:``, whose imports never run, but say what a module needs to know."""
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def strings_in(tree: ast.AST, *, docstrings: bool) -> Iterator[tuple[str, int]]:
    """Yield the strings of a module with their lines; strings that stand as statements, docstrings, if wanted."""
    statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and (docstrings or id(node) not in statements)
        ):
            yield node.value, node.lineno


def modules_named_in(tree: ast.AST, modules: frozenset[str]) -> Iterator[tuple[str, int]]:
    """Yield the modules of ours that strings name: a whole string, or what stands before its colon."""
    for string, line in strings_in(tree, docstrings=False):
        module = string.partition(":")[0]
        if "." in module and module in modules:
            yield module, line


def read_imports(root: Path, packages: Iterable[str] = PACKAGES) -> Imports:
    """Return the imports of every module of the packages."""
    modules = {name: path for package in packages for name, path in modules_of(root, package).items()}
    return {
        name: imports_of(path.read_text("utf-8"), name, is_package=path.name == "__init__.py", known=modules)
        for name, path in modules.items()
    }


def reachable(imports: Imports, start: str) -> dict[str, list[str]]:
    """Return every module that `start` imports, directly or not, with the chain of imports that leads there."""
    chains = {start: [start]}
    waiting = [start]
    while waiting:
        module = waiting.pop(0)
        for found in imports.get(module, []):
            if found.module not in chains:
                chains[found.module] = [*chains[module], found.module]
                waiting.append(found.module)
    return chains


def refmaml_stands_alone(imports: Imports) -> list[str]:
    """What a step computes does not depend on who judges it."""
    return [
        f"{name}, line {entry.line}, imports {entry.module}: refmaml says what a step computes and must work without "
        "the judge. Move what you need into refmaml, or the code that needs it into verification."
        for name, found in imports.items()
        for entry in found
        if within(name, "refmaml") and within(entry.module, "verification")
    ]


def reference_knows_no_engine(imports: Imports) -> list[str]:
    """The reference has nothing that exists for speed, and works where Numba is not installed."""
    chains = reachable(imports, "refmaml.reference")
    return [
        f"refmaml.reference reaches {module} (by {' → '.join(chain)}): the reference must have no hook for speed and "
        "must work where Numba is not installed. Let refmaml.compiled import what it shares, never the other way."
        for module, chain in chains.items()
        if within(module, "numba") or within(module, "refmaml.compiled")
    ]


def engine_has_its_own_arithmetic(imports: Imports) -> list[str]:
    """The compiled engine shares checks and containers with the reference, not what it is compared with."""
    return [
        f"{name}, line {entry.line}, imports {entry.module}: the compiled engine is compared with the reference, so it "
        f"must not compute with it. Only {HANDS_OVER} may, to hand over what cannot be compiled."
        for name, found in imports.items()
        for entry in found
        if within(name, "refmaml.compiled") and name != HANDS_OVER and entry.module in (*ARITHMETIC, "refmaml")
    ]


def oracles_share_no_code(imports: Imports) -> list[str]:
    """An oracle or a fault that shares the reference's code would share its bugs."""
    sentences = []
    for name in imports:
        if not (within(name, "verification.oracles") or within(name, "verification.faults")):
            continue
        for module, chain in reachable(imports, name).items():
            if within(module, "refmaml"):
                sentences.append(
                    f"{name} reaches {module} (by {' → '.join(chain)}): an oracle that shares the reference's code "
                    "shares its bugs. Write what you need again, from the definition."
                )
    return sentences


def heavy_packages_wait(imports: Imports) -> list[str]:
    """A heavy or optional package is imported where it is used, so that everything else works without it."""

    def allowed(module: str, package: str) -> bool:
        return any(within(module, place) for place in MAY_IMPORT_AT_TOP.get(package, ()))

    return [
        f"{name}, line {entry.line}, imports {entry.module} when it is itself imported: {package} is heavy or "
        "optional. Import it inside the function that uses it, and say there which extra to install when it is missing."
        for name, found in imports.items()
        for entry in found
        for package in HEAVY
        if entry.at_top and within(entry.module, package) and not allowed(name, package)
    ]


def no_circles(imports: Imports) -> list[str]:
    """Modules can be read in an order in which nothing is used before it is known."""
    sentences = []
    for name, found in imports.items():
        for entry in found:
            back = reachable(imports, entry.module).get(name) if entry.module in imports else None
            # A circle is told once, from its module that comes first in the alphabet.
            if back and name == min(back):
                sentences.append(
                    f"{' → '.join([name, *back])} is a circle of imports: none of these modules can be understood "
                    "first. Move what they share into a module of its own."
                )
    return sentences


def room_of(module: str, package: str) -> str | None:
    """Return the room of a package that a module lies in, or None where it lies in no room of it."""
    if module == package or not within(module, package):
        return None
    return module.removeprefix(f"{package}.").split(".")[0]


def rooms_in(imports: Imports, package: str) -> dict[str, dict[str, str]]:
    """Return {room: {other room: who imports what}} of a package."""
    rooms: dict[str, dict[str, str]] = {}
    for name, found in imports.items():
        room = room_of(name, package)
        if room is None:
            continue
        others = rooms.setdefault(room, {})
        for entry in found:
            other = room_of(entry.module, package)
            if other is not None and other != room:
                others.setdefault(other, f"{name}, line {entry.line}, imports {entry.module}")
    return rooms


def rooms_stand_on_lower_ones(imports: Imports) -> list[str]:
    """No room imports from a floor above its own, and each room has its floor."""
    sentences = []
    for package, floors in FLOORS.items():
        for room, others in rooms_in(imports, package).items():
            if room not in floors:
                sentences.append(
                    f"{package}.{room} has no floor: put it into FLOORS in tests/test_architecture.py, above all that "
                    "it imports and below all that import it."
                )
                continue
            sentences += [
                f"{where}, which stands on a higher floor than {package}.{room}: a room is understood from those below "
                "it alone. Move what is needed down, or hand it along as an argument."
                for other, where in others.items()
                if other in floors and floors.index(other) > floors.index(room)
            ]
    return sentences


def no_circles_between_folders(imports: Imports) -> list[str]:
    """Folders can be read in an order, at every level, even where no module is part of a circle itself."""
    folders = {".".join(name.split(".")[:depth]) for name in imports for depth in range(1, name.count(".") + 1)}
    sentences = []
    for folder in sorted(folders):
        rooms = rooms_in(imports, folder)
        graph = {room: [Import(other, 0, at_top=True) for other in others] for room, others in rooms.items()}
        for room, others in rooms.items():
            for other, where in others.items():
                back = reachable(graph, other).get(room)
                # Circles of modules alone are told by `no_circles`.
                if back and room == min(back) and any(f"{folder}.{step}" in folders for step in back):
                    sentences.append(
                        f"{' → '.join([room, *back])} is a circle of folders in {folder} ({where}): none of them can "
                        "be understood first. Move what they share into a folder of its own."
                    )
    return sentences


RULES: list[Rule] = [
    refmaml_stands_alone,
    reference_knows_no_engine,
    engine_has_its_own_arithmetic,
    oracles_share_no_code,
    heavy_packages_wait,
    no_circles,
    rooms_stand_on_lower_ones,
    no_circles_between_folders,
]


def names_of_what_is_gone(root: Path, packages: Iterable[str] = PACKAGES) -> list[str]:
    """Return a sentence for each string, docstrings included, that names a module or a file of ours that is not there.

    A dotted name has to be a module, or something in a module that its source names; a file's name one of the package.
    """
    paths = {name: path for package in packages for name, path in modules_of(root, package).items()}
    files = {path.name for path in paths.values()}
    words = {name: names_bound_in(ast.parse(path.read_text("utf-8"))) for name, path in paths.items()}
    dotted = re.compile(rf"(?<![\w./-])(?:{'|'.join(packages)})(?:\.\w+)+(?![\w/-])")
    sentences = []
    for name, path in paths.items():
        for string, line in strings_in(ast.parse(path.read_text("utf-8")), docstrings=True):
            gone = [mention for mention in dotted.findall(string) if not _is_there(mention, words)]
            if re.fullmatch(r"\w+\.py", string) and string not in files:
                gone.append(string)
            sentences += [
                f"{name}, line {line}, names {mention}, which is not there: name what took its place, or better the "
                "imported object itself."
                for mention in gone
            ]
    return sentences


def names_bound_in(tree: ast.AST) -> frozenset[str]:
    """Return the names that a module defines, assigns or imports, those of methods and attributes included."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name)
    return frozenset(names)


def _is_there(mention: str, words: Mapping[str, frozenset[str]]) -> bool:
    parts = mention.split(".")
    for cut in range(len(parts), 0, -1):
        module = ".".join(parts[:cut])
        if module in words:
            return cut == len(parts) or parts[cut] in words[module]
    return False


def shadowed_modules(root: Path, packages: Iterable[str] = PACKAGES) -> list[str]:
    """Return a sentence for each name that a package binds although one of its modules is called so."""
    paths = {name: path for package in packages for name, path in modules_of(root, package).items()}
    sentences = []
    for package, path in paths.items():
        if path.name != "__init__.py":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            sentences += [
                f"{package} binds {name}, which hides its module {package}.{name}: `import {package}.{name}` would not "
                "give the module. Rename one of the two."
                for name in _bound_by(node, package)
                if f"{package}.{name}" in paths
            ]
    return sentences


def _bound_by(node: ast.AST, package: str) -> list[str]:
    """Return the names that a statement binds, without the modules that a package imports from itself."""
    if isinstance(node, ast.ImportFrom) and node.module != package:
        return [alias.asname or alias.name for alias in node.names]
    return [node.name] if isinstance(node, ast.FunctionDef | ast.ClassDef) else []


def logic_in(source: str) -> list[str]:
    """Return a sentence for each statement that is not a docstring, an import or a dunder assignment."""

    def is_plain(node: ast.stmt) -> bool:
        if isinstance(node, ast.Assign):
            return all(isinstance(target, ast.Name) and target.id.startswith("__") for target in node.targets)
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        return is_docstring or isinstance(node, ast.Import | ast.ImportFrom)

    return [
        f"refmaml/__init__.py, line {node.lineno}, has logic ({ast.unparse(node).splitlines()[0]}): it is the public "
        "screen of the package and only re-exports names. Move the code into a module and import its name."
        for node in ast.parse(source).body
        if not is_plain(node)
    ]


def machine_paths_in(text: str, where: str) -> list[str]:
    """Return a sentence for each line that names a path of somebody's machine."""
    return [
        f"{where}, line {number}, names a path of one machine ({line.strip()[:80]}): it exists nowhere else. Use a "
        "path relative to the repository, or a temporary directory."
        for number, line in enumerate(text.splitlines(), start=1)
        if MACHINE_PATHS.search(line)
    ]


def tracked_files() -> list[Path]:
    """Return the files that git tracks; where there is no git (an unpacked archive), the text files there are."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
        return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    except (OSError, subprocess.CalledProcessError):
        folders = (*PACKAGES, "tests", "docs", "examples")
        return [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def imports() -> Imports:
    """Return the imports of both packages, read once for all rules."""
    return read_imports(ROOT)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_packages_keep_every_arrow(imports: Imports, rule: Rule) -> None:
    """No module of either package crosses an arrow."""
    violations = rule(imports)
    assert not violations, "\n".join(violations)


def test_no_string_names_what_is_gone() -> None:
    """Strings and docstrings of both packages name modules and files that exist."""
    violations = names_of_what_is_gone(ROOT)
    assert not violations, "\n".join(violations)


def test_no_public_name_hides_a_module() -> None:
    """Every module can be imported by its dotted name."""
    violations = shadowed_modules(ROOT)
    assert not violations, "\n".join(violations)


def test_both_packages_were_read(imports: Imports) -> None:
    """The rules above are not silent because there was nothing to read."""
    assert [entry.module for entry in imports["refmaml"]] == ["refmaml.reference", "refmaml.updates"]
    assert any(within(name, "verification") for name in imports)


def test_the_public_screen_has_no_logic() -> None:
    """`refmaml/__init__.py` holds a docstring, re-exports and dunders."""
    violations = logic_in((ROOT / "refmaml" / "__init__.py").read_text("utf-8"))
    assert not violations, "\n".join(violations)


def test_no_tracked_file_names_a_path_of_one_machine() -> None:
    """Every tracked text file can be used on any machine."""
    violations = []
    for path in tracked_files():
        data = path.read_bytes()
        if path != Path(__file__) and b"\0" not in data:
            violations += machine_paths_in(data.decode("utf-8"), str(path.relative_to(ROOT)))
    assert not violations, "\n".join(violations)


def planted(tmp_path: Path, **sources: str) -> Imports:
    """Write modules (``a__b`` for a/b.py) into a temporary tree and read their imports."""
    for name, source in sources.items():
        path = tmp_path.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, "utf-8")
    for package in PACKAGES:
        (tmp_path / package).mkdir(exist_ok=True)
        (tmp_path / package / "__init__.py").touch()
    return read_imports(tmp_path)


PLANTED: list[tuple[Rule, dict[str, str], str]] = [
    (
        refmaml_stands_alone,
        {"refmaml__tasks": "def judge():\n    from verification.judge import verify\n"},
        "refmaml.tasks, line 2, imports verification.judge: refmaml says what",
    ),
    (
        reference_knows_no_engine,
        {"refmaml__reference": "from refmaml import tasks\n", "refmaml__tasks": "def fast():\n    import numba\n"},
        "refmaml.reference reaches numba (by refmaml.reference → refmaml.tasks → numba)",
    ),
    (
        reference_knows_no_engine,
        {"refmaml__reference": "from refmaml.compiled import steps\n", "refmaml__compiled__steps": "x = 1\n"},
        "refmaml.reference reaches refmaml.compiled.steps",
    ),
    (
        engine_has_its_own_arithmetic,
        {"refmaml__compiled__runtime": "from ..reference import adapt\n", "refmaml__reference": "adapt = 1\n"},
        "refmaml.compiled.runtime, line 1, imports refmaml.reference: the compiled engine is compared",
    ),
    (
        oracles_share_no_code,
        {"verification__oracles__closed_form": "import refmaml\n"},
        "verification.oracles.closed_form reaches refmaml (by",
    ),
    (
        oracles_share_no_code,
        {
            "verification__faults": "from verification import problem\n",
            "verification__problem": "from refmaml.containers import flatten\n",
        },
        "verification.faults reaches refmaml.containers (by verification.faults → verification.problem →",
    ),
    (
        heavy_packages_wait,
        {"verification__subjects": "try:\n    import torch.func\nexcept ImportError:\n    pass\n"},
        "verification.subjects, line 2, imports torch.func when it is itself imported: torch is heavy",
    ),
    (
        no_circles,
        {"refmaml__b": "from refmaml import c\n", "refmaml__c": "def later():\n    from refmaml.b import x\n"},
        "refmaml.b → refmaml.c → refmaml.b is a circle of imports",
    ),
    (
        no_circles,
        {
            "refmaml__b": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from refmaml.c import C\n",
            "refmaml__c": "from refmaml.b import b\n",
        },
        "refmaml.b → refmaml.c → refmaml.b is a circle of imports",
    ),
    (
        refmaml_stands_alone,
        {
            "refmaml__tasks": "from importlib import import_module\njudge = import_module('verification.judge')\n",
            "verification__judge": "x = 1\n",
        },
        "refmaml.tasks, line 2, imports verification.judge: refmaml says what",
    ),
    (
        rooms_stand_on_lower_ones,
        {
            "verification__problems__suite": "from verification.judging import standard\n",
            "verification__judging__standard": "x = 1\n",
        },
        "verification.problems.suite, line 1, imports verification.judging.standard, which stands on a higher floor",
    ),
    (
        rooms_stand_on_lower_ones,
        {"verification__cellar": "x = 1\n"},
        "verification.cellar has no floor: put it into FLOORS",
    ),
    (
        no_circles_between_folders,
        {
            "verification__naming__fits": "from verification.naming.inner import b\n",
            "verification__judging__a": "from verification.oracles import b\n",
            "verification__judging__c": "x = 1\n",
            "verification__oracles__b": "x = 1\n",
            "verification__oracles__d": "def later():\n    from verification.judging.c import x\n",
        },
        "judging → oracles → judging is a circle of folders in verification",
    ),
]


@pytest.mark.parametrize(("rule", "sources", "sentence"), PLANTED, ids=lambda case: getattr(case, "__name__", None))
def test_every_rule_sees_a_planted_violation(
    tmp_path: Path, rule: Rule, sources: dict[str, str], sentence: str
) -> None:
    """Each rule says one sentence about a violation planted for it."""
    violations = rule(planted(tmp_path, **sources))
    assert len(violations) == 1, violations
    assert violations[0].startswith(sentence)


ALLOWED: list[tuple[Rule, dict[str, str]]] = [
    (
        engine_has_its_own_arithmetic,
        {
            "refmaml__compiled__steps": "from refmaml.reference import fomaml_step\n",
            "refmaml__compiled__trace": "from refmaml.containers import flatten\nfrom refmaml import validation\n",
            "refmaml__reference": "x = 1\n",
            "refmaml__validation": "x = 1\n",
        },
    ),
    (heavy_packages_wait, {"refmaml__compiled__runtime": "import numba\n"}),
    (heavy_packages_wait, {"verification__subjects": "def call():\n    import torch\n"}),
    (
        heavy_packages_wait,
        {"verification__subjects": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\n"},
    ),
]


@pytest.mark.parametrize(("rule", "sources"), ALLOWED, ids=lambda case: getattr(case, "__name__", None))
def test_no_rule_speaks_about_what_is_allowed(tmp_path: Path, rule: Rule, sources: dict[str, str]) -> None:
    """The exceptions that the rules name are exceptions."""
    assert rule(planted(tmp_path, **sources)) == []


def test_a_planted_name_of_what_is_gone_is_seen(tmp_path: Path) -> None:
    """Modules, files and functions that are named in strings and do not exist are told; those that exist are not."""
    planted(
        tmp_path,
        refmaml__boxes='"""See `refmaml.trace`, and `refmaml.tasks.run`."""\nTRACER = "trace.py"\nOWN = "boxes.py"\n',
        refmaml__tasks='def run():\n    return "refmaml.tasks:walk", "refmaml.tasks.walk", "path/to/refmaml.py"\n',
    )
    assert [message.partition(", which")[0] for message in names_of_what_is_gone(tmp_path)] == [
        "refmaml.boxes, line 1, names refmaml.trace",
        "refmaml.boxes, line 2, names trace.py",
        "refmaml.tasks, line 2, names refmaml.tasks.walk",
    ]


def test_a_planted_name_that_hides_a_module_is_seen(tmp_path: Path) -> None:
    """A function that is called like a module of its package is told; a module that is re-exported is not."""
    planted(tmp_path, verification__problem="problem = 1\n", verification__suite="def problem():\n    pass\n")
    screen = tmp_path / "verification" / "__init__.py"
    screen.write_text("from verification import suite\nfrom verification.suite import problem\n", "utf-8")
    assert [message.partition(":")[0] for message in shadowed_modules(tmp_path)] == [
        "verification binds problem, which hides its module verification.problem"
    ]


def test_planted_logic_in_the_public_screen_is_seen() -> None:
    """A branch in `__init__.py` is told, a docstring and a re-export are not."""
    source = '"""Docs."""\nfrom a import b\n__all__ = ["b"]\nif b:\n    fast = True\n'
    assert [message.split(":")[0] for message in logic_in(source)] == ["refmaml/__init__.py, line 4, has logic (if b"]


def test_a_planted_machine_path_is_seen() -> None:
    """A home directory is told; a relative path, an address and a fraction are not."""
    text = "see /home/" + "somebody/data\nsee work/home/x\nsee https://example.org/home/x\na = b/root/2\n"
    assert [message.split(" names")[0] for message in machine_paths_in(text, "a.md")] == ["a.md, line 1,"]


def claimless_in(source: str, file: str) -> list[str]:
    """Return a sentence for each test that does not say what it claims."""
    return [
        f"{file}, line {node.lineno}: {node.name} has no docstring. Say in one sentence what it claims."
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node)
    ]


def test_every_test_says_what_it_claims() -> None:
    """Each test has a docstring, as CONTRIBUTING.md asks."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    assert [message for path in files for message in claimless_in(path.read_text("utf-8"), path.name)] == []


def test_a_planted_test_without_a_claim_is_seen() -> None:
    """A test without a docstring is told, one with it and a helper are not."""
    source = 'def test_a():\n    """It holds."""\ndef test_b():\n    assert True\ndef helper():\n    pass\n'
    assert [message.split(" has")[0] for message in claimless_in(source, "t.py")] == ["t.py, line 3: test_b"]
