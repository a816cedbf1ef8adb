"""``refmaml vectors``: what its commands print, and how they fail."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from verification.commands.cli import main
from verification.commands.vectors import Source, vectors
from verification.vectors import DATA, load

pytestmark = pytest.mark.once  # arithmetic


def run(*arguments: str, given: Source | None = None) -> Result:
    return CliRunner().invoke(vectors, list(arguments), obj=given)


def test_list_prints_one_line_for_each_vector(every) -> None:
    """The list has every id in the manifest's order, and a count with the version."""
    result = run("list")
    lines = result.output.splitlines()
    assert result.exit_code == 0
    assert [line.split()[0] for line in lines[:-1]] == [vector.id for vector in every]
    assert lines[-1] == f"{len(every)} of {len(every)} vectors, version {every.version}, 0 errata."


def test_list_selects_by_family_step_and_fault() -> None:
    """Family, step and fault together select vectors that have all three."""
    lines = run("list", "--family", "bilinear", "--step", "maml", "--kills", "A08").output.splitlines()
    assert len(lines) > 2
    assert all(line.startswith("bilinear-maml-") for line in lines[:-1])


def test_list_takes_a_fault_without_its_variant() -> None:
    """A fault's id selects the vectors of each of its variants."""
    whole, one = run("list", "--kills", "B11"), run("list", "--kills", "B11/sum")
    assert len(whole.output.splitlines()) >= len(one.output.splitlines()) > 2


def test_an_unknown_fault_is_wrong_usage() -> None:
    """A fault that there is not ends with 2 and a list of those that there are."""
    result = run("list", "--kills", "Z99")
    assert result.exit_code == 2
    assert "expected one of A01, A02" in result.output


def test_show_prints_answer_bounds_and_kills() -> None:
    """A vector's page has its question, answer, kills and certificate."""
    result = run("show", next(iter(load())).id)
    assert result.exit_code == 0
    for part in ("K = ", "cost", "gradient vector", "kills: ", "certified with", "confirmed by"):
        assert part in result.output


def test_show_json_prints_the_vector_as_it_is_frozen(every) -> None:
    """With --json the vector is printed as it stands in its file."""
    first = next(iter(every))
    assert json.loads(run("show", first.id, "--json").output) == first.layout


def test_show_of_an_unknown_id_is_wrong_usage() -> None:
    """An id that there is not ends with 2 and is repeated."""
    result = run("show", "cubic")
    assert result.exit_code == 2
    assert "but got 'cubic'" in result.output


def test_export_writes_what_load_reads(tmp_path: Path, every) -> None:
    """The exported folder holds the same vectors and the schemas, and a second export changes nothing."""
    result = run("export", str(tmp_path / "out"))
    assert result.exit_code == 0
    assert f"{len(every)} vectors" in result.output
    assert [v.id for v in load(tmp_path / "out")] == [v.id for v in every]
    assert (tmp_path / "out" / "problem.schema.json").is_file()
    assert run("export", str(tmp_path / "out")).exit_code == 0  # the same files again


def test_export_leaves_other_files_of_these_names_alone(tmp_path: Path) -> None:
    """A file of the user's with one of the names is an error, and stays as it was."""
    (tmp_path / "manifest.json").write_text("mine", "utf-8")
    result = run("export", str(tmp_path))
    assert result.exit_code == 2
    assert "manifest.json differs there" in result.output
    assert (tmp_path / "manifest.json").read_text("utf-8") == "mine"


def test_export_to_a_place_that_cannot_be_written_is_wrong_usage(tmp_path: Path) -> None:
    """A folder below a file ends with 2."""
    (tmp_path / "file").write_text("", "utf-8")
    result = run("export", str(tmp_path / "file" / "inside"))
    assert result.exit_code == 2
    assert "cannot be written to" in result.output


def test_damaged_vectors_are_an_error_with_its_cause(tmp_path: Path) -> None:
    """Vectors that cannot be read end with 1 and say which file."""
    result = run("list", given=Source(lambda: load(tmp_path)))
    assert result.exit_code == 1
    assert "manifest.json cannot be read" in result.output


def test_the_errata_of_a_vector_are_shown_with_it(every) -> None:
    """What is known to be wrong with a vector stands on its page."""
    first = next(iter(every))
    erratum = {"id": first.id, "version": "1.0.0", "what": "Its note has a slip."}
    source = Source(lambda: type(every)(every.manifest, [erratum], every.vectors))
    assert "Its note has a slip." in run("show", first.id, given=source).output


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_matrix_prints_a_row_for_each_fault(every, dtype: str) -> None:
    """All faults are killed in double precision, all but two in single, and one needs two calls."""
    result = run("matrix", "--dtype", dtype)
    faults = every.manifest["faults"]
    killed = len(faults) - (0 if dtype == "float64" else 2)  # G11 and V02 need inputs that binary32 does not have
    assert result.exit_code == 0
    assert f"\n{killed} of {len(faults)} faults are killed in {dtype}.\n" in result.output
    assert ("\n  D05: it needs two calls\n" in result.output) == (dtype == "float64")


def test_matrix_fails_where_a_fault_survives(every) -> None:
    """A fault that no vector kills ends the command with 1 and is named."""
    without = {v.id: v for v in every if "V07" not in v.kills["float64"]}
    source = Source(lambda: type(every)(every.manifest, [], without))
    result = run("matrix", given=source)
    assert result.exit_code == 1
    assert "No vector kills V07." in result.output


def test_each_command_has_examples_in_its_help() -> None:
    """The help of each subcommand has examples."""
    for name in ("list", "show", "export", "matrix"):
        assert "Examples:" in run(name, "--help").output


def test_the_data_are_inside_the_package() -> None:
    """The vectors are part of the package, and take less than 8 MB."""
    assert DATA.parent.name == "vectors"
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 8e6


def test_the_self_test_prints_the_matrix_of_both_precisions(every) -> None:
    """`self-test --vectors` prints a matrix for each precision."""
    result = CliRunner().invoke(main, ["self-test", "--vectors"])
    count = len(every.manifest["faults"])
    assert result.exit_code == 0
    sums = [line for line in result.output.splitlines() if "faults are killed in" in line]
    assert sums[0] == f"{count} of {count} faults are killed in float64."
    assert sums[1].endswith("in float32.")


def test_the_self_test_fails_where_a_fault_survives(every) -> None:
    """`self-test --vectors` ends with 1 where a fault survives."""
    without = {v.id: v for v in every if "V07" not in v.kills["float64"]}
    source = Source(lambda: type(every)(every.manifest, [], without))
    result = CliRunner().invoke(main, ["self-test", "--vectors", "--dtype", "float64"], obj=source)
    assert result.exit_code == 1
    assert "No vector kills V07." in result.output


@pytest.mark.parametrize("other", [["--order", "1"], ["--pairs"], ["--random", "3"], ["--format", "html"]])
def test_the_self_test_on_vectors_goes_with_no_other_option(other: list[str]) -> None:
    """Options about built-in problems together with --vectors are wrong usage."""
    result = CliRunner().invoke(main, ["self-test", "--vectors", *other])
    assert result.exit_code == 2
    assert "--vectors allows no other option than --dtype." in result.output


def test_what_float32_cannot_show_is_told():
    """Two faults need double precision: they are named, and are no survivors."""
    result = CliRunner().invoke(main, ["vectors", "matrix", "--dtype", "float32"])
    assert result.exit_code == 0
    assert "Float32 cannot show G11, V02. Float64 shows them, so they do not count as survivors." in " ".join(
        result.output.split()
    )


@pytest.mark.parametrize("words", ["", "vectors", "vectors list", "vectors show", "vectors export", "vectors matrix"])
def test_the_help_has_examples_and_exit_codes(words):
    """The help of `refmaml` and of each vector command has examples and exit codes."""
    text = CliRunner().invoke(main, [*words.split(), "--help"]).output
    assert "Examples:" in text
    assert "Exit codes:" in text


def test_nothing_is_on_standard_error_without_a_terminal():
    """Where nobody watches no progress bar is drawn."""
    result = CliRunner().invoke(main, ["verify", "json:dumps", "--kind", "problem", "--dtype", "float64"])
    assert result.stderr == ""
