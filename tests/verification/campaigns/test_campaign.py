"""Campaigns: trials that follow from their numbers, journals that outlive a process, and failures that shrink."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import pytest
from click.testing import CliRunner

from verification import verify
from verification.campaigns.attempts import plan_of
from verification.campaigns.campaign import CHUNK, Campaign, Record
from verification.campaigns.choices import Choices, shrunk
from verification.campaigns.journal import Journal, JournalError
from verification.campaigns.running import run
from verification.campaigns.takers import InThisProcess
from verification.campaigns.trier import Trier
from verification.commands.cli import main
from verification.faults import CATALOGUE, Fault
from verification.faults.order import right
from verification.faults.subject import FaultySubject
from verification.judging.standard import Standards
from verification.selftest.correct import Variant
from verification.selftest.lineup import Lineup
from verification.selftest.trials import Trial
from verification.selftest.trials import run as try_out
from verification.testing import Selection, make_corner, make_problem

pytestmark = pytest.mark.once  # arithmetic

SELF_TEST = Campaign("self-test", seed=3)
WRONG = """
import refmaml


def always_one(batch, inner, outer, variables, steps, rate, /, **options):
    return refmaml.fomaml_step(batch, inner, outer, variables, min(steps, 1), rate, **options)


def right(batch, inner, outer, variables, steps, rate, /, **options):
    print("noise")
    return refmaml.fomaml_step(batch, inner, outer, variables, steps, rate, **options)


def ends(batch, inner, outer, variables, steps, rate, /, **options):
    import os

    os._exit(3) if steps == 0 else None
    return refmaml.fomaml_step(batch, inner, outer, variables, steps, rate, **options)


def stops_at_five(batch, inner, outer, variables, steps, rate, /, **options):
    return refmaml.fomaml_step(batch, inner, outer, variables, min(steps, 5), rate, **options)


def adam(problem):
    raise AssertionError("it is not to be asked")


adam.algorithm = "adam"
"""


def command(*arguments, given=None):
    """Return the result of `refmaml campaign`."""
    return CliRunner().invoke(main, ["campaign", *map(str, arguments)], obj=given)


def lineup(answer, *correct):
    """Return a lineup with one fault, Z99, which the judge does not know, and some correct variants."""
    return Lineup({"Z99": Fault("Z99", "planted", "", "", "", "", {"": answer})}, lambda: list(correct))


def made(line):
    """Return the problem that a line makes again."""
    names = {"make_corner": make_corner, "make_problem": make_problem, "Selection": Selection}
    return eval(line, names)  # a line of our own


@pytest.fixture
def wrong(tmp_path):
    """Write a file with subjects."""
    path = tmp_path / "wrong.py"
    path.write_text(WRONG, "utf-8")
    return path


# Choices


def test_choices_are_taken_again():
    """What was chosen by chance is chosen again by its numbers, and beyond them comes the first."""
    first = Choices(rng=SELF_TEST.chance(1))
    taken = [first(range(100)) for _ in range(5)]
    again = Choices(first.made)
    assert [again(range(100)) for _ in range(7)] == [*taken, 0, 0]
    assert Choices([9])("abc") == "c"


def test_numbers_shrink_to_the_smallest_that_fail():
    """Each number falls as far as the others allow, and what is no longer used goes."""
    heard = []

    def fails(numbers):
        heard.append(numbers)
        choices = Choices(numbers)
        first = choices(range(50))
        last = choices(range(50)) if first > 5 else 7
        return choices.made if first * last >= 30 else None

    assert shrunk([40, 30], fails) == [5]
    assert len(heard) < 40


def test_shrinking_ends():
    """However long it could go on, it ends, with something that fails."""
    heard = []
    found = shrunk([10**6] * 50, lambda numbers: heard.append(1) or (numbers if sum(numbers) > 10**7 else None))
    assert sum(found) > 10**7
    assert len(heard) <= 200


# Trials


def test_a_trial_follows_from_its_number():
    """Whatever was asked before, a trial is the same fault with the same result; another seed has others."""
    numbers = [7, 23, 4]
    forward = Trier(SELF_TEST).attempt(numbers)
    assert Trier(SELF_TEST).attempt(numbers[::-1]) == forward[::-1]
    names = [[Trier(campaign).about(number) for number in range(30)] for campaign in (SELF_TEST, Campaign("self-test"))]
    assert len(set(names[0])) > 20
    assert names[0] != names[1]


def test_trials_of_a_chunk_share_three_problems_of_different_families():
    """Ten trials in a row have one order and the same problems, whose names differ, and the next ten have others."""
    trials = plan_of(SELF_TEST)
    drawn = [trials.trial(number).drawn() for number in (0, CHUNK - 1, CHUNK)]
    assert drawn[0] == drawn[1] != drawn[2]
    problems = [trials.trial(0).problem(Choices(numbers)) for numbers in drawn[0]]
    assert len({problem.name for problem in problems}) == 3
    assert len({repr(problem) for problem in problems}) == 3


def test_a_fault_that_no_problem_shows_has_not_survived():
    """What passes where its distance from the right answer is nothing is hidden; what passes elsewhere survived."""
    campaign = Campaign("self-test", orders=(1,), dtypes=("float64",))
    assert {record.became for record in Trier(campaign, lineup(right)).attempt(range(3))} == {"hidden"}


def test_a_fault_that_passes_where_it_shows_has_survived(monkeypatch):
    """A judge that passes everything has survivors, which are failures and shrink."""

    def passing(trial, standards, given):
        return replace(try_out(trial, standards, given), outcome="survived")

    monkeypatch.setattr("verification.campaigns.attempts.run", passing)
    given = lineup(CATALOGUE["B03"].variants[""])
    trier = Trier(Campaign("self-test", orders=(1,), dtypes=("float64",)), given)
    (record,) = trier.attempt([0])
    assert record.became == "survived"
    assert trier.shrink(record).problem == "make_problem('quadratic', tasks=2, steps=1, rate=0.25)"


def test_a_false_alarm_shrinks_to_one_line():
    """Correct code that fails is a failure, and the line that is printed makes a problem on which it does."""
    accused = Variant("two steps at most", lambda _: FaultySubject(CATALOGUE["B02"].variants[""]))
    result = command("self-test", "--trials", 12, "--order", 1, "--jobs", 1, given=Lineup({}, lambda: [accused]))
    assert result.exit_code == 1
    assert "false alarm" in result.output
    problem = made(re.search(r"problem = (make_problem\(.*\))", result.output)[1])
    assert (problem.family.name, problem.num_tasks, problem.inner_grad_steps) == ("quadratic", 2, 1)
    assert verify(accused.make(1), framework="numpy", kind="problem", problems=[problem]).verdict == "fail"


def test_correct_code_alone():
    """No fault is tried; each trial has two problems of different families and a corner, and as many answers."""
    campaign = Campaign("correct-code", seed=3)
    trials = plan_of(campaign)
    assert {trials.about(number).partition(" (")[0] for number in range(100)} == {"correct"}
    drawn = [repr(trials.trial(0).problem(Choices(numbers))) for numbers in trials.trial(0).drawn()]
    assert [line.partition("(")[0] for line in drawn] == ["make_corner", "make_problem", "make_problem"]
    assert [(one.became, one.answers) for one in Trier(campaign).attempt(range(2))] == [("correct", 3)] * 2


def test_correct_code_that_supports_no_problem_was_not_asked():
    """It gives no answer, which is no verdict."""
    given = Lineup({}, lambda: [Variant("plain", lambda _: lambda problem: None)])
    trial = plan_of(Campaign("correct-code", orders=(1,)), given).trial(0)
    judged = trial.judge([make_problem("quadratic", batched=True)], Standards())
    assert (judged.became, judged.answers) == ("not asked", 0)


def test_correct_code_on_which_nothing_is_decided_is_not_called_correct():
    """It is inconclusive: rounding could hide a wrong answer."""
    tiny = make_problem("quadratic", rate=2.0**-60)
    given = Lineup({}, lambda: [Variant("plain", lambda _: FaultySubject(right))], (tiny,))
    assert try_out(Trial((), "plain", 1, "float32"), Standards(), given).outcome == "inconclusive"


def test_a_wrong_subject(wrong):
    """A subject that is wrong at K ≥ 2 alone is shown at K = 2, with its name; the report is JSON as well."""
    result = command(f"{wrong}:always_one", "--trials", 12, "--jobs", 1, "--json", wrong.parent / "out.json")
    assert result.exit_code == 1
    found = json.loads((wrong.parent / "out.json").read_text())
    assert found["first"]["problem"] == "make_corner(levels={})"
    assert made(found["first"]["problem"]).inner_grad_steps == 2
    assert found["first"]["said"].startswith("B02")  # which one of two steps is
    assert found["became"]["wrong"] == len(found["failures"]) > 1
    assert found["trials"] == sum(found["became"].values()) == 12
    assert found["first"]["problem"] in result.output
    assert found["answers"] == 24  # of each problem one in each precision
    assert "They had 24 answers." in result.output


def test_a_subject_that_is_wrong_in_a_corner(wrong):
    """A step that is wrong where K ≥ 6 alone is found on a corner, and shown on one that has nothing else unusual."""
    trier = Trier(Campaign(f"{wrong}:stops_at_five", orders=(1,)))
    records = trier.attempt(range(30))
    failed = [record for record in records if record.became == "wrong"]
    assert 0 < len(failed) < 15
    failure = trier.shrink(failed[0])
    assert failure.problem == "make_corner(levels={'K': '6 or more'})"
    assert made(failure.problem).inner_grad_steps >= 6


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{}:adam"], "refmaml verify asks this one"),
        (["{}:missing"], "has no 'missing'"),
        (["{}:right", "--order", "1", "--order", "2"], "expected one --order"),
        (["{}:right", "--convention", "nothing"], "expected one of"),
        (["self-test", "--framework", "torch"], "are for a SUBJECT"),
        (["self-test", "--journal", "{}"], "is no journal of a campaign"),
    ],
)
def test_wrong_usage(wrong, arguments, says):
    """What cannot be asked is told in a sentence, with exit code 2."""
    result = command(*(argument.format(wrong) for argument in arguments), "--jobs", 1)
    assert (result.exit_code, says in " ".join(result.output.split())) == (2, True), result.output


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_named_pipe_is_no_subject(tmp_path):
    """Nobody waits for what will never be written into it."""
    os.mkfifo(tmp_path / "pipe.py")
    start = "from verification.commands.cli import main; main()"
    words = ["campaign", f"{tmp_path / 'pipe.py'}:step", "--trials", "1"]
    done = subprocess.run(
        [sys.executable, "-c", start, *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, "there is no file" in done.stderr) == (2, True)


def test_a_process_that_ends_is_a_failure(wrong):
    """A subject that ends its process fails those trials, and the others are taken by new processes."""
    result = command(f"{wrong}:ends", "--trials", 12, "--format", "json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    trials = plan_of(Campaign(f"{wrong}:right", orders=(1,)))
    zero = [
        number for number in range(12)
        if trials.trial(number).problem(Choices(trials.trial(number).drawn()[0])).inner_grad_steps == 0
    ]  # fmt: skip
    assert [trial["number"] for trial in found["failures"]] == zero
    assert {trial["became"] for trial in found["failures"]} == {"crashed"}
    assert "steps=0" in found["first"]["problem"]


# The journal


RECORDS = [Record(number, f"trial {number}", "named", "B02") for number in range(5)]


def kept(path, campaign=SELF_TEST):
    """Return what a journal has, by number."""
    with closing(Journal(path, campaign)) as journal:
        return list(journal.done.values())


def test_a_journal_has_what_was_written(tmp_path):
    """What is added is there for the next process, also after a line that was torn, which is dropped."""
    path = tmp_path / "journal.jsonl"
    with closing(Journal(path, SELF_TEST)) as journal:
        journal.add(RECORDS[:2])
        journal.add(RECORDS[2:4])
    whole = path.read_bytes()
    for torn in (b"", b'{"trials": [[4, "tri', b'{"trials": []}'):
        path.write_bytes(whole + torn)
        assert kept(path) == RECORDS[:4]
        assert path.read_bytes() == whole
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        assert kept(path) == RECORDS[: 2 * max(whole[:cut].count(b"\n") - 1, 0)]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a diary, without an end", "is no journal of a campaign"),
        (b"a diary\n", "is no journal of a campaign"),
        (b"[1]\n", "is no journal of a campaign"),
        (None, "with seed 4 and not 3"),
    ],
)
def test_another_file_is_refused(tmp_path, content, says):
    """A file that is another campaign's journal, or none at all, is refused with a sentence and left as it is."""
    path = tmp_path / "journal.jsonl"
    kept(path, Campaign("self-test", seed=4)) if content is None else path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(JournalError, match=says):
        Journal(path, SELF_TEST)
    assert path.read_bytes() == before


def test_a_line_in_the_middle_that_is_none_is_refused(tmp_path):
    """Where a whole line is not what was written, the campaign does not go on as if it were."""
    path = tmp_path / "journal.jsonl"
    kept(path)
    path.write_bytes(path.read_bytes() + b"oops\n")
    with pytest.raises(JournalError, match="line 2"):
        Journal(path, SELF_TEST)


class Noting:
    """Takes trials without taking them, and notes which."""

    def __init__(self):
        self.pieces = []

    def results(self, pieces):
        """Return the pieces from the last to the first."""
        self.pieces = list(pieces)
        yield from ([Record(number, "", "named") for number in piece] for piece in self.pieces[::-1])


def test_what_the_journal_has_is_not_taken_again(tmp_path):
    """Only what is missing is taken, in chunks; results come in order, and progress is told of what was left."""
    path, takers, heard = tmp_path / "journal.jsonl", Noting(), []
    with closing(Journal(path, SELF_TEST)) as journal:
        journal.add([Record(number, "", "named") for number in (*range(10), 12, 99)])
    with closing(Journal(path, SELF_TEST)) as journal:
        records = run(takers, 25, journal, lambda *progress: heard.append(progress))
    assert takers.pieces == [(10, 11, *range(13, 20)), tuple(range(20, 25))]
    assert [trial.number for trial in records] == list(range(25))
    assert heard == [(0, 14, "0 failures"), (5, 14, "0 failures"), (14, 14, "0 failures")]
    assert len(kept(path)) == 26


def test_a_subject_that_has_changed_begins_anew(wrong):
    """The journal of a file that has been edited since is another campaign's."""
    arguments = (f"{wrong}:right", "--trials", 2, "--jobs", 1, "--journal", wrong.parent / "journal.jsonl")
    assert [command(*arguments).exit_code for _ in range(2)] == [0, 0]
    wrong.write_text(WRONG + "\n", "utf-8")
    result = command(*arguments)
    assert (result.exit_code, "with source" in result.output) == (2, True)


def test_a_worker_elsewhere_must_have_the_same(wrong):
    """Where a file or the lineup is another one than where the campaign began, no trial is taken."""
    for subject in ("self-test", f"{wrong}:right"):
        with pytest.raises(Exception, match="is not the same here"):
            Trier(Campaign(subject, source="another"))


def test_what_a_subject_prints_is_no_part_of_the_report(wrong):
    """Standard output has the report alone."""
    result = command(f"{wrong}:right", "--trials", 2, "--jobs", 1, "--format", "json")
    assert json.loads(result.stdout)["became"]


def test_in_this_process():
    """One job takes the trials here."""
    records = run(InThisProcess(SELF_TEST), 3, Journal(None, SELF_TEST))
    assert records == Trier(SELF_TEST).attempt(range(3))
