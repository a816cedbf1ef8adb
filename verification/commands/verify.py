"""The command ``refmaml verify``: a subject, a program or refmaml's own steps judged."""

from __future__ import annotations

from typing import Any

import click

from verification import judge, own
from verification.algorithms import algorithm as algorithm_named
from verification.commands.formats import Output, deliver, detail_options, format_option, tell_github
from verification.commands.screen import subject_printing_aside
from verification.commands.shared import (
    OneOf,
    completing,
    dtypes_option,
    in_process_noted,
    in_process_option,
    is_isolated,
    memory_option,
    refuse_limits,
    seconds,
    shown_progress,
    suggestion,
    usage_errors,
)
from verification.frameworks import FRAMEWORKS
from verification.judging.conventions import NAMES as CONVENTIONS
from verification.judging.conventions import convention
from verification.judging.standard import Standards
from verification.orders import BY_OPTION, DTYPES
from verification.problems import suite
from verification.problems.families import FAMILIES
from verification.problems.levels import LEVELS
from verification.processes import limits
from verification.report import Report
from verification.reports.formats import FORMATS
from verification.reports.terminal import Detail, show
from verification.subjects import search

command_option = click.option(
    "--command",
    metavar="COMMAND",
    help="Judge this program in place of SUBJECT. It must speak the protocol of docs/protocol.md. The command runs "
    "without a shell.",
)


def judged(context: click.Context, command: str, **options: Any) -> Report:
    """Return the report on a program, for ``refmaml verify --command``.

    Raises:
        UsageError: an option says how to ask a Python subject.
        SubjectError: the program cannot be used.
    """
    from verification.protocol.judging import verify_program

    if context.params["subject"] is not None:
        raise click.UsageError("expected SUBJECT or --command, but got both.")
    for name in ("framework", "kind", "returns", "outer_rate", "algorithm", "in_process"):
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            option = name.replace("_", "-")
            raise click.UsageError(f"--{option} is for a Python SUBJECT, and does not go with --command.")
    if context.get_parameter_source("order") is click.core.ParameterSource.DEFAULT:
        options["order"] = None  # all that the program declares
    return verify_program(command, **options)


def judged_subject(context: click.Context, subject: str, bounds: dict[str, Any], **options: Any) -> Report:
    """Return the report on a Python subject, which is called in a process of its own unless told otherwise."""
    if is_isolated(context):
        return judge.verify(subject, isolated=True, **bounds, **options)
    search()
    return in_process_noted(judge.verify(subject, **options))


_VERIFY_HELP = """
Judge SUBJECT, an implementation of a meta-learning step: package.module:name or path/to/file.py:name.

SUBJECT is either a step with the interface of refmaml.fomaml_step, or a function of one problem that returns
(cost, grads) or (cost, grads, adapted). Use --command in place of SUBJECT for a program in another language; the judge
then tests everything that the program declares, golden vectors included. Without SUBJECT and --command, the judge
compares refmaml's own steps with independent oracles.

The judge calls SUBJECT in a process of its own, with limits of time and memory. A call that crashes or ends the process
is a wrong answer; one that takes too long leaves the verdict open, if others answer. SUBJECT is code that runs with
your rights: docs/security.md.

\b
Examples:
  refmaml verify
  refmaml verify examples/torch_fomaml.py:subject
  refmaml verify mypackage.maml:step --order 2 --level full --format json=report.json
  refmaml verify --command "node harness.js" --timeout 5
  refmaml verify --command "node harness.js" --family quadratic --dtype float64
  refmaml verify federated.py:round --returns parameters --outer-rate 0.01
  refmaml verify mypackage.maml:step --timeout 300 --memory 32
  python -m pdb -m refmaml verify subject.py:subject --in-process
  refmaml verify mypackage.maml:step --algorithm "momentum(0.9)"
  refmaml verify mypackage.maml:step --problem quadratic --problem batched -v
  refmaml verify mypackage.maml:step --format junit=junit.xml --format html=report.html

\b
Exit codes:
  0  pass: every answer is right within its bound
  1  fail: an answer is wrong or missing, or a relation is broken; the report shows which
  2  wrong usage: the subject or an option cannot be used, or a file cannot be written
  3  inconclusive: rounding could hide a wrong answer, some came too late, or no problem was tested
  70 the judge itself failed, or its golden vectors are damaged, which says nothing about SUBJECT
"""


def _check_conventions(context: click.Context, parameter: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """Check the names of conventions while the command line is read."""
    for name in names:
        try:
            convention(name)
        except ValueError as error:
            text = f"{error}{suggestion(name, CONVENTIONS)}"
            raise click.BadParameter(text, context, parameter) from error
    return names


def _check_algorithm(context: click.Context, parameter: click.Parameter, spelled: str | None) -> str | None:
    """Check the spelling of an algorithm while the command line is read."""
    try:
        return None if spelled is None else algorithm_named(spelled).spelled
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from error


def _check_problems(context: click.Context, parameter: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """Check the names of problems while the command line is read."""
    for name in names:
        if not suite.exists(name):
            known = ", ".join(suite.NAMES)
            meant = suggestion(name, suite.NAMES)
            raise click.BadParameter(f"expected one of {known}, but got {name!r}.{meant}", context, parameter)
    return names


@click.command(help=_VERIFY_HELP)
@click.argument("subject", required=False)
@click.option(
    "--framework",
    type=OneOf(FRAMEWORKS),
    help="The arrays of SUBJECT. By default inferred from what its module imports.",
)
@click.option(
    "--order",
    type=OneOf(list(BY_OPTION)),
    default="1",
    show_default=True,
    help="What SUBJECT claims to compute: 1, first-order MAML; 2, second-order MAML; or Reptile. Default "
    "for a program: all that it declares.",
)
@click.option(
    "--kind",
    type=OneOf(["step", "problem"]),
    help="A step, or a function of one problem. By default inferred from the number of required parameters.",
)
@click.option(
    "--returns",
    type=OneOf(["gradients", "parameters"]),
    help="What SUBJECT returns beside the cost: the meta-gradient, or its variables after one outer step of plain "
    "descent. By default its attribute `returns`, or else gradients.",
)
@click.option(
    "--outer-rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="RATE",
    help="The rate of that outer step, for --returns parameters. By default its attribute `outer_rate`.",
)
@dtypes_option
@click.option(
    "--convention",
    "declared",
    multiple=True,
    metavar="NAME",
    callback=_check_conventions,
    help=f"A convention of SUBJECT that differs from the default: {', '.join(CONVENTIONS)}. You can repeat it.",
)
@click.option(
    "--algorithm",
    metavar="NAME",
    callback=_check_algorithm,
    help="What SUBJECT is meant to compute beside plain MAML, for example adam, 'momentum(0.9)' or "
    "'clip-by-norm(1) + adam'. By default its attribute `algorithm`. `refmaml algorithms` lists what there is.",
)
@command_option
@click.option(
    "--timeout",
    type=float,
    metavar="SECONDS",
    callback=seconds,
    help=f"The time limit of one call of SUBJECT (default: {limits.PYTHON_TIMEOUT:.0f}), or of one answer of a program "
    f"(default: {limits.TIMEOUT:.0f}).",
)
@memory_option
@in_process_option
@click.option(
    "--level",
    type=OneOf(LEVELS),
    default="quick",
    show_default=True,
    help="quick: problems that together show every fault of the catalogue. full: all built-in problems, the quick ones "
    "again with other random numbers, and the relations of a first- or second-order step.",
)
@click.option(
    "--problem",
    "problems",
    multiple=True,
    metavar="NAME",
    callback=_check_problems,
    shell_complete=completing(suite.NAMES),
    help="Test on this built-in problem only, in place of a level. You can repeat this option.",
)
@click.option(
    "--family",
    "families",
    type=OneOf(list(FAMILIES)),
    multiple=True,
    help="With --command, ask this cost family only, built-in problems and golden vectors. You can repeat this option.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="The seed of the other random numbers of --level full.",
)
@format_option(FORMATS, short="json")
@detail_options
def verify(
    subject: str | None,
    framework: str | None,
    order: str,
    kind: str | None,
    returns: str | None,
    outer_rate: float | None,
    dtypes: tuple[str, ...],
    declared: tuple[str, ...],
    algorithm: str | None,
    level: str,
    problems: tuple[str, ...],
    families: tuple[str, ...],
    seed: int,
    command: str | None,
    timeout: float | None,
    memory: float,
    in_process: bool,  # noqa: ARG001  # `judged_subject` reads it
    outputs: tuple[Output, ...],
    detail: Detail,
) -> None:
    """Judge an implementation of a meta-learning step."""
    _require_level_or_problems(click.get_current_context())
    with usage_errors(), shown_progress() as progress, subject_printing_aside():
        extent: dict[str, Any] = {
            "dtypes": dtypes or DTYPES, "level": level, "seed": seed, "problems": problems or None,
            "progress": progress, "standards": click.get_current_context().find_object(Standards),
        }  # fmt: skip
        has_figures = any(output.name == "html" for output in outputs)
        context = click.get_current_context()
        bounds = {"memory": memory, **({} if timeout is None else {"timeout": timeout})}
        if command is not None:
            report = judged(
                context,
                command,
                order=BY_OPTION[order],
                conventions=declared,
                measures_growth=has_figures,
                families=families,
                **bounds,
                **extent,
            )
        elif families:
            raise click.UsageError("--family goes with --command. For SUBJECT, name problems with --problem.")
        elif subject is None:
            _require_subject(context)
            refuse_limits(context, "needs SUBJECT or --command")
            report = own.verify_own(**extent)
        else:
            report = judged_subject(
                context,
                subject,
                bounds,
                framework=framework,
                order=BY_OPTION[order],
                kind=kind,
                returns=returns,
                outer_rate=outer_rate,
                conventions=declared,
                algorithm=algorithm,
                measures_growth=has_figures,
                **extent,
            )
    tell_github(report, outputs)
    deliver(report, FORMATS, outputs, lambda console: show(report, console, detail))
    raise SystemExit(report.exit_code)


def _require_level_or_problems(context: click.Context) -> None:
    """Refuse a level and a seed where problems are named: they would be ignored."""
    for name in ("level", "seed") if context.params["problems"] else ():
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            raise click.UsageError(f"--problem takes the place of --{name}.")


def _require_subject(context: click.Context) -> None:
    """Refuse options that say how to ask a subject where there is none: they would be ignored."""
    needing = ("framework", "order", "kind", "returns", "outer_rate", "declared", "algorithm", "in_process")
    for name in needing:
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            option = "convention" if name == "declared" else name.replace("_", "-")
            raise click.UsageError(f"--{option} needs a SUBJECT.")
