"""The command ``refmaml campaign``: random trials by the thousand, which can be broken off and gone on with."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import click

from verification.campaigns.attempts import plan_of
from verification.campaigns.campaign import CORRECT, SELF_TEST, Campaign
from verification.campaigns.cluster import Cluster, require_distributed
from verification.campaigns.journal import Journal, JournalError
from verification.campaigns.running import run
from verification.campaigns.takers import InThisProcess, Processes, Takers
from verification.commands.formats import Output, deliver, format_option
from verification.commands.screen import subject_printing_aside
from verification.commands.shared import dtypes_option, jobs_option, shown_progress, usage_errors, writable
from verification.frameworks import FRAMEWORKS
from verification.judging.conventions import convention
from verification.orders import BY_OPTION, DTYPES, ORDERS
from verification.reports.campaign import Found, show_campaign
from verification.reports.formats import Format, as_json, printed
from verification.selftest.lineup import Lineup

_HELP = """
Judge SUBJECT on random problems with random options, one for each trial; SUBJECT is as in `refmaml verify`. The word
`self-test` in its place judges the judge: each trial is then a fault of the catalogue or correct code, by chance, on
three random problems. The word `correct-code` tries correct code alone, and one of the three is a corner.

The trials follow from the seed. With --journal they are written down as they are done: a campaign that was broken off,
however that was, goes on from there, and finds the same. A process that ends with a trial is replaced; a trial that
ends three in a row is reported. The first failure is shown on the smallest problem on which it still fails.

\b
Examples:
  refmaml campaign self-test --trials 100000 --seed 7 --journal campaign.jsonl --jobs 8
  refmaml campaign correct-code --trials 30000
  refmaml campaign mypackage.maml:step --trials 5000
  refmaml campaign subject.py:subject --order 2 --dtype float64 --json campaign.json
  refmaml campaign self-test --trials 100000 --scheduler tcp://10.0.0.1:8786

\b
Exit codes:
  0  no false verdict: no fault passed on a problem that shows it, no correct code failed; SUBJECT was never wrong
  1  a failure: a false verdict, a wrong answer of SUBJECT, or a trial that ends its process
  2  wrong usage: the subject, an option, the journal or the scheduler cannot be used
  70 the judge itself failed
"""


@click.command(help=_HELP)
@click.argument("subject")
@click.option("--trials", "count", type=click.IntRange(1), default=1000, show_default=True, help="How many trials.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="What the trials follow from.")
@click.option(
    "--journal",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=writable,
    metavar="FILE",
    help="A file for what is done, in lines of JSON, and to go on from.",
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Take the trials on the Dask cluster with this scheduler, where refmaml and SUBJECT are installed. Needs the "
    "extra distributed.",
)
@click.option(
    "--order",
    "orders",
    type=click.Choice(list(BY_OPTION)),
    multiple=True,
    help="What SUBJECT claims to compute, by default 1; of the self-test, the kinds of step to try, by default all.",
)
@click.option("--framework", type=click.Choice(FRAMEWORKS), help="The arrays of SUBJECT. By default inferred.")
@click.option("--convention", "conventions", multiple=True, metavar="NAME", help="A convention of SUBJECT.")
@dtypes_option
@jobs_option
@format_option(("text", "json"), short="json")
def campaign(
    subject: str,
    count: int,
    seed: int,
    path: Path | None,
    scheduler: str | None,
    orders: tuple[str, ...],
    framework: str | None,
    conventions: tuple[str, ...],
    dtypes: tuple[str, ...],
    jobs: int,
    outputs: tuple[Output, ...],
) -> None:
    """Judge a subject, or the judge, by random trials."""
    is_self_test = subject in (SELF_TEST, CORRECT)
    if is_self_test and (framework or conventions):
        raise click.UsageError(f"--framework and --convention are for a SUBJECT, not for {subject}.")
    if len(orders) > 1 and not is_self_test:
        raise click.UsageError("expected one --order for a SUBJECT, but got several.")
    lineup = click.get_current_context().find_object(Lineup)  # None: the whole one
    kinds = tuple(BY_OPTION[order] for order in orders) or (ORDERS if is_self_test else ORDERS[:1])
    with usage_errors(), shown_progress() as progress, subject_printing_aside():
        try:
            for name in conventions:
                convention(name)
            plan = Campaign(subject, seed, kinds, dtypes or DTYPES, framework, conventions)
            plan = replace(plan, source=plan_of(plan, lineup).source)
            takers = _takers(plan, jobs, scheduler, lineup)
            with closing(Journal(path, plan)) as journal:
                records = run(takers, count, journal, progress)
        except (JournalError, ValueError) as error:
            raise click.UsageError(str(error)) from error
        failed = next((record for record in records if record.is_failure), None)
        found = Found(plan, records, None if failed is None else takers.shrink(failed))
    forms: dict[str, Format[Found]] = {
        "text": Format(lambda found: printed(lambda console: show_campaign(found, console))),
        "json": Format(lambda found: as_json(found.to_dict())),
    }
    deliver(found, forms, outputs, lambda console: show_campaign(found, console))
    raise SystemExit(1 if failed else 0)


def _takers(plan: Campaign, jobs: int, scheduler: str | None, lineup: Lineup | None) -> Takers:
    if scheduler is not None:
        require_distributed()
        return Cluster(plan, scheduler)
    return InThisProcess(plan, lineup) if jobs == 1 else Processes(plan, jobs)
