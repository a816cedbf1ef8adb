"""Say whether every mutant that survived `mutmut run` has its reason in `mutation_survivors.md`.

Mutants are recognised by the lines that they change, since their numbers move with the code. Those that change only the
words of a sentence share one reason. Run from the root of the project, after `mutmut run`: exit code 0 where all is in
order, and 1 with the differences that have no reason yet, with mutants that were not tried, and with reasons whose
mutant is gone.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

REASONS = Path(__file__).with_name("mutation_survivors.md")
#: A mutant that never ends was noticed as well.
DEAD = {"killed", "timeout"}
#: A literal of text.
_TEXT = r'"([^"]*)"'


def mutmut(*arguments: str) -> str:
    """Return what a mutmut command prints."""
    command = [sys.executable, "-m", "mutmut", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def change(diff: str) -> str:
    """Return the lines that a unified diff takes away and puts in, without file names, places and indentation."""
    lines = [line for line in diff.splitlines() if re.match(r"[-+](?!--|\+\+)", line)]
    return "\n".join(f"{line[0]} {line[1:].strip()}" for line in lines)


def excused(text: str) -> Counter[str]:
    """Return the changes that the file of reasons shows, as blocks of diff."""
    return Counter(change(block) for block in re.findall(r"```diff\n(.*?)```", text, flags=re.DOTALL))


def is_of_words(lines: str) -> bool:
    """Return whether a change gives a text of several words other letters: XX around it, or capitals, or none."""
    before, after = (re.findall(rf"^{sign} (.*)$", lines, flags=re.MULTILINE) for sign in (r"\-", r"\+"))
    pairs = zip(re.findall(_TEXT, "".join(before)), re.findall(_TEXT, "".join(after)), strict=False)
    changed = [(one, other) for one, other in pairs if one != other]
    return bool(changed) and all(
        re.search(r"[^\W\d] \W*[^\W\d]", one)
        and one.casefold() == other.removeprefix("XX").removesuffix("XX").casefold()
        for one, other in changed
    )


def main() -> int:
    """Compare what is alive with what is excused."""
    statuses = re.findall(r"^\s*(\S+__mutmut_\d+): (.+)$", mutmut("results", "--all", "true"), flags=re.MULTILINE)
    alive = {mutant: status for mutant, status in statuses if status not in DEAD}
    changes = {mutant: change(mutmut("show", mutant)) for mutant in alive}
    reasons = excused(REASONS.read_text(encoding="utf-8"))
    unexcused, gone = Counter(changes.values()) - reasons, reasons - Counter(changes.values())
    of_words = [lines for lines in unexcused if is_of_words(lines)]
    for lines in of_words:
        del unexcused[lines]
    for mutant, lines in changes.items():
        if lines in unexcused:
            print(f"{mutant}: {alive[mutant]}, without a reason in {REASONS.name}\n{lines}\n")
    for lines in gone:
        print(f"{REASONS.name}: a reason for a mutant that is gone\n{lines}\n")
    excuses = len(changes) - unexcused.total()
    print(
        f"{len(statuses)} mutants, {len(alive)} of them alive, {excuses} with a reason; {len(of_words)} change words."
    )
    return 0 if statuses and not unexcused and not gone else 1


if __name__ == "__main__":
    sys.exit(main())
