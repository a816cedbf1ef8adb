"""The arrows between modules, held by reading the imports of every module (see CONTRIBUTING.md, "The layout").

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
HEAVY = ("torch", "jax", "jaxlib", "flint", "dask", "matplotlib", "sklearn", "numba", "pytest", "hypothesis")
#: Where a heavy package may stand at the top of a module all the same: modules that exist for it alone, and are
#: themselves imported only where that package is wanted.
MAY_IMPORT_AT_TOP = {
    "numba": ("refmaml.compiled",),
    "pytest": ("verification.testing",),
    "hypothesis": ("verification.testing",),
}
#: The modules of refmaml that hold the reference's arithmetic.
ARITHMETIC = ("refmaml.reference", "refmaml.tasks", "refmaml.differentiation")
#: The one module of the compiled engine that may call the reference: it hands over what cannot be compiled, and
#: what runs inside an enclosing autograd trace.
HANDS_OVER = "refmaml.compiled.steps"
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
            elif not _is_type_checking(child):
                deferred = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                yield from walk(child, at_top and not deferred)

    return list(walk(ast.parse(source), at_top=True))


def _is_type_checking(node: ast.AST) -> bool:
    """Return whether a node is ``if TYPE_CHECKING:``, whose imports never run."""
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


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
        for each in imports.get(module, []):
            if each.module not in chains:
                chains[each.module] = [*chains[module], each.module]
                waiting.append(each.module)
    return chains


def refmaml_stands_alone(imports: Imports) -> list[str]:
    """What a step computes does not depend on who judges it."""
    return [
        f"{name}, line {each.line}, imports {each.module}: refmaml says what a step computes and must work without "
        "the judge. Move what you need into refmaml, or the code that needs it into verification."
        for name, found in imports.items()
        for each in found
        if within(name, "refmaml") and within(each.module, "verification")
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
        f"{name}, line {each.line}, imports {each.module}: the compiled engine is compared with the reference, so it "
        f"must not compute with it. Only {HANDS_OVER} may, to hand over what cannot be compiled."
        for name, found in imports.items()
        for each in found
        if within(name, "refmaml.compiled") and name != HANDS_OVER and each.module in (*ARITHMETIC, "refmaml")
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
        f"{name}, line {each.line}, imports {each.module} when it is itself imported: {package} is heavy or optional. "
        "Import it inside the function that uses it, and say there which extra to install when it is missing."
        for name, found in imports.items()
        for each in found
        for package in HEAVY
        if each.at_top and within(each.module, package) and not allowed(name, package)
    ]


def no_circles(imports: Imports) -> list[str]:
    """Modules can be read in an order in which nothing is used before it is known."""
    sentences = []
    for name, found in imports.items():
        for each in found:
            back = reachable(imports, each.module).get(name) if each.module in imports else None
            # A circle is told once, from its module that comes first in the alphabet.
            if back and name == min(back):
                sentences.append(
                    f"{' → '.join([name, *back])} is a circle of imports: none of these modules can be understood "
                    "first. Move what they share into a module of its own."
                )
    return sentences


RULES: list[Rule] = [
    refmaml_stands_alone,
    reference_knows_no_engine,
    engine_has_its_own_arithmetic,
    oracles_share_no_code,
    heavy_packages_wait,
    no_circles,
]


def logic_in(source: str) -> list[str]:
    """Return a sentence for each statement that is not a docstring, an import or a dunder assignment."""

    def is_plain(node: ast.stmt) -> bool:
        if isinstance(node, ast.Assign):
            return all(isinstance(each, ast.Name) and each.id.startswith("__") for each in node.targets)
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


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_packages_keep_every_arrow(rule: Rule) -> None:
    """No module of either package crosses an arrow."""
    violations = rule(read_imports(ROOT))
    assert not violations, "\n".join(violations)


def test_both_packages_were_read() -> None:
    """The rules above are not silent because there was nothing to read."""
    imports = read_imports(ROOT)
    assert [each.module for each in imports["refmaml"]] == ["refmaml.reference", "refmaml.updates"]
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


def test_planted_logic_in_the_public_screen_is_seen() -> None:
    """A branch in `__init__.py` is told, a docstring and a re-export are not."""
    source = '"""Docs."""\nfrom a import b\n__all__ = ["b"]\nif b:\n    fast = True\n'
    assert [each.split(":")[0] for each in logic_in(source)] == ["refmaml/__init__.py, line 4, has logic (if b"]


def test_a_planted_machine_path_is_seen() -> None:
    """A home directory is told; a relative path, an address and a fraction are not."""
    text = "see /home/" + "somebody/data\nsee work/home/x\nsee https://example.org/home/x\na = b/root/2\n"
    assert [each.split(" names")[0] for each in machine_paths_in(text, "a.md")] == ["a.md, line 1,"]


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
    assert [each for path in files for each in claimless_in(path.read_text("utf-8"), path.name)] == []


def test_a_planted_test_without_a_claim_is_seen() -> None:
    """A test without a docstring is told, one with it and a helper are not."""
    source = 'def test_a():\n    """It holds."""\ndef test_b():\n    assert True\ndef helper():\n    pass\n'
    assert [each.split(" has")[0] for each in claimless_in(source, "t.py")] == ["t.py, line 3: test_b"]
