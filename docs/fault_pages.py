"""A page for each fault, made of the catalogue and of the code in `faults/` whenever the documentation is built.

The code is written once. `faults/torch/fomaml.py` is a right step, and `faults/torch/fomaml/B01.diff` is what mends a
wrong one: some sentences, and after each line ``@@`` lines as in a diff, from wrong to right. The lines that begin with
" " and "+" are in the right step, and those that begin with " " and "-" take their place in the wrong one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from verification.faults import ALGORITHM_CATALOGUE, ENTRIES, MODEL_CATALOGUE, NOT_SHOWN, Fault
from verification.orders import Order
from verification.texts import issue_address

FOLDER = Path(__file__).parent / "faults"
FRAMEWORKS = {"torch": "PyTorch", "jax": "JAX"}
#: What a step computes, by the first word of its name.
ORDER_OF: dict[str, Order] = {"fomaml": 1, "maml": 2, "reptile": "reptile"}
_KINDS: dict[Order, str] = {1: "first-order MAML", 2: "second-order MAML", "reptile": "Reptile"}
#: Faults that give the answers of another one, which the report names first.
LIKE = {"A05": "A03", "A06": "A03"}
_SOURCELESS = ("no public source known", "none confirmed")
_REPOSITORY = re.compile(r"\b([\w-]+/[\w.-]*\w)((?:#\d+)?(?: #\d+)*)")

_IMMUTABLE = "JAX arrays cannot be written to, so that a step has no way to change those of its caller."
_NO_ACCUMULATOR = "JAX returns gradients, and accumulates them nowhere."
_APART = (
    "It shows only on a loss that takes the parameters of the inner and of the outer loop apart, with some of them in "
    "both. The steps on these pages have no such loss."
)
_DECLARED = (
    "The steps on these pages are meant to be plain gradient descent. `refmaml algorithms` lists what can be declared."
)
_AS_IN_PYTORCH = "The wrong lines are those in PyTorch."
_NO_CODE = {
    "torch": {"D09": _APART, **dict.fromkeys(ALGORITHM_CATALOGUE, _DECLARED)},
    "jax": {
        "A02": _IMMUTABLE,
        **dict.fromkeys(("A10", "D12", "F06", "M07"), _AS_IN_PYTORCH),
        **dict.fromkeys(ALGORITHM_CATALOGUE, _DECLARED),
        "A06": "`jax.grad` differentiates a function of the parameters: there is no copy that a setting could detach.",
        "B05": "`jax.grad` differentiates the inner loss, a function of the fast weights. To differentiate by the "
        "parameters, the whole loop so far would have to be written as a function of them.",
        "D05": _NO_ACCUMULATOR,
        "D06": _NO_ACCUMULATOR,
        "D09": _APART,
        "E02": _IMMUTABLE,
        "F02": "`jax.grad` gives zeros for a parameter that the loss does not use, and never None.",
        **dict.fromkeys(MODEL_CATALOGUE, "`refmaml check`, the command that names it, takes PyTorch models only."),
    },
}
#: An index or an exponent at a letter that stands alone, or an exponent behind an index.
_SCRIPT = re.compile(r"(?:(?<=(?<![A-Za-z])[^\W\d_])|(?<=_[A-Za-z0-9]))([_^])(\{[^}]+\}|[A-Za-z0-9]+)")

_SYMBOLS = (
    "S and Q are the inner and the outer cost, φ_0, …, φ_K the points of the inner loop with φ_0 = θ, H_k the Hessian "
    "of S at φ_k, K the number of inner steps, T that of tasks, α the inner learning rate. gF = mean ∇Q(φ_K) is the "
    "first-order gradient, and gM = mean (I − αH_0)…(I − αH_{K−1})∇Q(φ_K) the second-order one."
)


@dataclass(frozen=True)
class Line:
    """A line of a wrong step, and whether it is one of those that are wrong."""

    text: str
    is_wrong: bool = False


@dataclass(frozen=True)
class Snippet:
    """Code with one fault: a right step of a framework, and what mends it."""

    path: Path

    @property
    def fault(self) -> str:
        """The id of the fault."""
        return self.path.stem

    @property
    def step(self) -> str:
        """The name of the right step."""
        return self.path.parent.name

    @property
    def framework(self) -> str:
        """The framework that it is written in."""
        return self.path.parent.parent.name

    @property
    def order(self) -> Order:
        """What the step is meant to compute."""
        return ORDER_OF[self.step.partition("_")[0]]

    @property
    def right(self) -> str:
        """The code without the fault."""
        return self.path.parent.with_suffix(".py").read_text("utf-8")

    @property
    def story(self) -> str:
        """Where the mistake is, in a sentence or two."""
        return self._parts[0].strip()

    @property
    def diff(self) -> str:
        """What mends the wrong code, as a diff."""
        return "…\n".join(self._parts[1:]).rstrip("\n")

    @property
    def lines(self) -> list[Line]:
        """The code with the fault.

        Raises:
            ValueError: what should be mended is not in the right step, or in several places.
        """
        lines = [Line(text) for text in self.right.splitlines()]
        for part in self._parts[1:]:
            hunk = [(line[:1] or " ", line[1:]) for line in part.splitlines()]
            right = [text for sign, text in hunk if sign != "-"]
            places = [
                start
                for start in range(len(lines) - len(right) + 1)
                if [line.text for line in lines[start : start + len(right)]] == right
            ]
            if len(places) != 1:
                raise ValueError(
                    f"{self.path}: expected the lines with ' ' and '+' once in {self.step}.py, but they are there "
                    f"{len(places)} times: {right}. Give more lines around them."
                )
            wrong = [Line(text, is_wrong=sign == "-") for sign, text in hunk if sign != "+"]
            lines[places[0] : places[0] + len(right)] = wrong
        return lines

    @property
    def wrong(self) -> str:
        """The code with the fault, as a text."""
        return "\n".join(line.text for line in self.lines) + "\n"

    @property
    def _parts(self) -> list[str]:
        return re.split(r"^@@\n", self.path.read_text("utf-8"), flags=re.MULTILINE)


def snippets(framework: str) -> dict[str, Snippet]:
    """Return the snippets of a framework by fault."""
    return {path.stem: Snippet(path) for path in sorted((FOLDER / framework).glob("*/*.diff"))}


def why_no_code(fault: str, framework: str) -> str | None:
    """Return why there is no snippet of a fault in a framework; None where there is one."""
    return _NO_CODE[framework].get(fault)


def write_pages(folder: Path = FOLDER) -> None:
    """Write the pages into a folder, where they are not up to date, and remove those of faults that are gone."""
    found = {f"{fault.id}.md": _page(fault) for fault in ENTRIES.values()}
    found |= {"index.md": _index(), "right-steps.md": _right_steps()}
    for path in folder.glob("*.md"):
        if path.name not in found:
            path.unlink()
    for name, text in found.items():
        path = folder / name
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def has_source(fault: Fault) -> bool:
    """Return whether public code or a public issue is known that had the fault."""
    return fault.source not in _SOURCELESS


def linked(source: str) -> str:
    """Return a source with its repositories and issues as links."""

    def link(found: re.Match[str]) -> str:
        repository, numbers = found[1], found[2].split()
        if not numbers:
            return f"[{repository}](https://github.com/{repository})"
        names = [f"{repository}{numbers[0]}", *numbers[1:]]
        links = [issue_address(repository, number.removeprefix("#")) for number in numbers]
        return ", ".join(f"[{name}]({address})" for name, address in zip(names, links, strict=True))

    return _REPOSITORY.sub(link, source)


def _page(fault: Fault) -> str:
    return "\n\n".join(_page_parts(fault)) + "\n"


def _page_parts(fault: Fault) -> Iterator[str]:
    yield f"(fault-{fault.id.lower()})=\n# {fault.id}: {fault.title}"
    yield f"What comes back:\n\n> {as_text(fault.formula)}"
    yield f"Here, {as_text(_SYMBOLS)}"
    named = ENTRIES[LIKE.get(fault.id, fault.id)]
    report = [f"The mistake is {named.id}: {named.title}"]
    if named is not fault:
        report.append(f"    These answers do not distinguish it from {fault.id}.")
    report.append(f"    What to do: {named.advice}")
    yield "A report says:\n\n" + _block("text", "\n".join(report))
    kinds = ", ".join(_KINDS[order] for order in fault.orders)
    facts = [("Shows on", as_text(fault.shows)), ("In", kinds)]
    if variants := [variant for variant in fault.variants if variant]:
        facts.append(("Other forms" if "" in fault.variants else "Forms", as_text("; ".join(variants))))
    if fault.convention:
        facts.append(("If it is meant", "declare it: see [Conventions](../faults.md#conventions)"))
    if named is not fault:
        facts.append(("What to do", fault.advice))
    facts.append(("Seen in", linked(fault.source) if has_source(fault) else "no public code or issue that we know of"))
    yield "\n\n".join(f"{name}\n: {words}" for name, words in facts)
    for framework, name in FRAMEWORKS.items():
        yield f"## In {name}"
        snippet = snippets(framework).get(fault.id)
        yield _code(snippet) if snippet else f"There is no code. {why_no_code(fault.id, framework)}"


def _code(snippet: Snippet) -> str:
    wrong = [number for number, line in enumerate(snippet.lines, 1) if line.is_wrong]
    marked = f":emphasize-lines: {','.join(map(str, wrong))}\n\n" if wrong else ""
    return "\n\n".join([
        snippet.story,
        "Wrong:",
        _block("{code-block} python", marked + snippet.wrong.rstrip("\n")),
        "What mends it:",
        _block("diff", snippet.diff),
        f"The [right step](right-steps.md#{_anchor(snippet.framework, snippet.step)}) as a whole.",
    ])  # fmt: skip


def _index() -> str:
    parts = [
        "(the-catalogue)=\n# The catalogue",
        "A page for each fault: what comes back, what the report says, wrong code, and what mends it. The tests have "
        "all of this code judged: the judge names the fault of what is wrong, and passes what is right.",
        f"In the formulas, {as_text(_SYMBOLS)}",
        "## Faults with a public source",
        _table([fault for fault in ENTRIES.values() if has_source(fault)]),
        "## Faults without a public source",
        "We know of no public code or issue that had these. They are in the catalogue because they are one slip away "
        "from right code.",
        _table([fault for fault in ENTRIES.values() if not has_source(fault)]),
        "## Known, without a page",
        "\n".join(f"- {id_}: {reason}" for id_, reason in NOT_SHOWN.items() if id_ not in ENTRIES),
        _block("{toctree}", ":hidden:\n\n" + "\n".join([*sorted(ENTRIES), "right-steps"])),
    ]
    return "\n\n".join(parts) + "\n"


def _table(faults: list[Fault]) -> str:
    rows = [
        f"| [{fault.id}]({fault.id}.md) | {_cell(fault.title)} | {_cell(as_text(fault.formula))} |" for fault in faults
    ]
    return "\n".join(["| id | fault | what comes back |", "| --- | --- | --- |", *rows])


def _right_steps() -> str:
    parts = [
        "# The right steps",
        "The code on the pages of the faults is made of these steps. The judge passes each of them. `params` is a dict "
        "of arrays by name, a task is a pair of a support and a query batch, and a loss takes parameters and a batch. "
        "The steps on a model are those that [`refmaml check`](../own-model.md) judges.",
    ]
    for framework, name in FRAMEWORKS.items():
        for path in sorted((FOLDER / framework).glob("*.py")):
            kind = _KINDS[ORDER_OF[path.stem.partition("_")[0]]]
            parts.append(f"({_anchor(framework, path.stem)})=\n## {name}: {kind}, `{path.stem}`")
            parts.append(_block("python", path.read_text("utf-8").rstrip("\n")))
    return "\n\n".join(parts) + "\n"


def _anchor(framework: str, step: str) -> str:
    return f"right-{framework}-{step.replace('_', '-')}"


def _block(kind: str, text: str) -> str:
    return f"```{kind}\n{text}\n```"


def as_text(text: str) -> str:
    """Return a formula as Markdown, with indices and exponents in their places."""
    first, *rest = _SCRIPT.split(text)  # a text; then a sign, what is written lower or higher, and a text each time
    found = [_plain(first)]
    for sign, script, after in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
        found.append(f"{{{'sub' if sign == '_' else 'sup'}}}`{script.strip('{}')}`{_plain(after)}")
    return "".join(found)


def _plain(text: str) -> str:
    """Return a text in which Markdown has nothing to read."""
    return re.sub(r"([\\`*_{}\[\]<>|$#])", r"\\\1", text)


def _cell(text: str) -> str:
    return text.replace("|", r"\|")
