"""The pages on the faults, as they are written before the documentation is built."""

from __future__ import annotations

import fault_pages
import pytest
from fault_pages import FRAMEWORKS, Snippet

from verification.faults import ENTRIES
from verification.texts import fault_address

pytestmark = pytest.mark.once  # texts

RIGHT = "def step(x):\n    y = x\n    y = y + 1\n    return y\n"


@pytest.fixture
def pages(tmp_path):
    """Write the pages into a folder, which is returned."""
    fault_pages.write_pages(tmp_path)
    return tmp_path


def snippet(folder, diff):
    """Return the snippet that mends a small step by a diff."""
    (folder / "fomaml").mkdir()
    (folder / "fomaml.py").write_text(RIGHT, "utf-8")
    (folder / "fomaml" / "X01.diff").write_text(diff, "utf-8")
    return Snippet(folder / "fomaml" / "X01.diff")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_fault_has_code_or_a_reason(framework):
    """In each framework a fault has either code or the reason why there is none, and no code has an unknown id."""
    found = fault_pages.snippets(framework)
    assert found.keys() <= ENTRIES.keys()
    for fault in ENTRIES:
        assert (fault in found) != bool(fault_pages.why_no_code(fault, framework)), fault


def test_a_report_leads_to_a_page_that_exists(pages):
    """The address of each fault that a report can name is that of a page which the documentation has."""
    addresses = {fault: fault_address(fault) for fault in [*ENTRIES, "V02"]}
    assert addresses.pop("V02").endswith("/vectors.html#the-named-faults")
    assert "\n## The named faults\n" in (fault_pages.FOLDER.parent / "vectors.md").read_text("utf-8")
    written = {path.stem for path in pages.glob("*.md")}
    for fault, address in addresses.items():
        assert address.endswith(f"/faults/{fault}.html")
        assert fault in written


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_no_step_is_without_a_fault(framework):
    """Every right step is there for a wrong one, in a file that is Python; no diff has another file's name."""
    found = fault_pages.snippets(framework)
    steps = {path.stem for path in (fault_pages.FOLDER / framework).glob("*.py")}
    assert {one.step for one in found.values()} == steps
    assert len(found) == len(list((fault_pages.FOLDER / framework).glob("*/*.diff")))
    for one in found.values():
        compile(one.wrong, str(one.path), "exec")
        assert one.wrong != one.right


def test_a_wrong_step_is_made_of_the_right_one(tmp_path):
    """What a diff has with "-" takes the place of what it has with "+", and is marked as wrong."""
    found = snippet(
        tmp_path, "It subtracts.\n\nTwice.\n@@\n     y = x\n-    y = y - 1\n-    y = y - 1\n+    y = y + 1\n"
    )
    assert found.wrong == "def step(x):\n    y = x\n    y = y - 1\n    y = y - 1\n    return y\n"
    assert [number for number, line in enumerate(found.lines, 1) if line.is_wrong] == [3, 4]
    assert found.story == "It subtracts.\n\nTwice."
    assert found.diff == "     y = x\n-    y = y - 1\n-    y = y - 1\n+    y = y + 1"


@pytest.mark.parametrize(("line", "count"), [("    y = 2 * y", 0), ("", 5)])
def test_a_diff_that_does_not_fit_is_refused(tmp_path, line, count):
    """Lines that the right step has not, or not in one place, are an error that names the file."""
    found = snippet(tmp_path, f"A story.\n@@\n-    y = 0\n{f'+{line}' if line else ''}\n")
    with pytest.raises(ValueError, match=r"X01\.diff: expected .* once in fomaml\.py"):
        _ = found.lines


def test_a_page_has_what_is_known_of_a_fault(pages):
    """Anchor, formula, sentence of the report, sources as links, wrong and right lines in both frameworks."""
    page = (pages / "A01.md").read_text("utf-8")
    assert page.startswith("(fault-a01)=\n# A01: second order asked, first order given\n")
    assert "\n> gF for gM\n" in page
    assert "\nThe mistake is A01: second order asked, first order given\n" in page
    assert "[#32](https://github.com/dragen1860/MAML-Pytorch/issues/32)" in page
    assert "[kjaved0/mrcl#15](https://github.com/kjaved0/mrcl/issues/15)" in page
    assert "## In PyTorch" in page
    assert (
        "\n-            slopes = gradients(loss, fast)\n+            slopes = gradients(loss, fast, create_graph=True)"
        in page
    )
    assert "## In JAX" in page
    assert "\n-            slopes = jax.lax.stop_gradient(slopes)\n" in page


def test_a_page_says_where_there_is_no_code(pages):
    """Where code makes no sense in a framework, the page has the reason."""
    page = (pages / "E02.md").read_text("utf-8")
    assert "## In JAX\n\nThere is no code. JAX arrays cannot be written to, so that a step has no way to" in page


def test_the_index_tells_faults_without_a_public_source_apart(pages):
    """A fault with an issue is in the first table, and one without any source in the second."""
    index = (pages / "index.md").read_text("utf-8")
    with_source, _, without = index.partition("## Faults without a public source")
    assert "| [B01](B01.md) |" in with_source
    assert "| [B01](B01.md) |" not in without
    for fault in ("C03", "D05"):
        assert f"| [{fault}]({fault}.md) |" in without
    assert "no public code or issue that we know of" in (pages / "C03.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        ("φ_{k+1} = φ_k − αJ_kᵀ∇S(φ_k)", "φ{sub}`k+1` = φ{sub}`k` − αJ{sub}`k`ᵀ∇S(φ{sub}`k`)"),
        ("θ^{t+1} = φ_K^t", "θ{sup}`t+1` = φ{sub}`K`{sup}`t`"),
        ("α_eff = cα", "α{sub}`eff` = cα"),
        ("inner_v ≠ outer_v", r"inner\_v ≠ outer\_v"),
    ],
)
def test_formulas_have_indices(formula, text):
    """Indices and exponents are set lower and higher, and names with an underscore are left as they are."""
    assert fault_pages.as_text(formula) == text


def test_pages_are_written_where_something_changed(pages):
    """A page that is up to date is left alone, so that a build need not read it again; one of no fault goes."""
    (pages / "Z99.md").write_text("gone", "utf-8")
    (pages / "B01.md").write_text("changed", "utf-8")
    before = (pages / "B02.md").stat().st_mtime_ns
    fault_pages.write_pages(pages)
    assert not (pages / "Z99.md").exists()
    assert (pages / "B01.md").read_text("utf-8") != "changed"
    assert (pages / "B02.md").stat().st_mtime_ns == before
