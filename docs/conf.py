"""How Sphinx builds the documentation: ``sphinx-build -W --keep-going -n docs docs/_build/html``."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent))
import command_page
import fault_pages

project = "refmaml"
author = "The refmaml maintainers"
copyright = "the refmaml maintainers"  # noqa: A001 (the name that Sphinx reads)
version = release = version_of("refmaml")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "mathml"]
html_math_renderer = "mathml"
exclude_patterns = ["_build"]

# $…$ and $$…$$ are formulas, ::: opens a directive, and every heading can be linked to.
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_typehints = "description"
autodoc_member_order = "bysource"
# `Container` is an alias of `Any`: the text of each parameter says what it holds.
autodoc_type_aliases = {"Container": "Container"}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# What comes before the colon in "Returns" is a shape of the answer, not the name of a type.
napoleon_use_rtype = False
# Single backticks in docstrings name Python objects where one is known, and are plain code elsewhere.
default_role = "code"

nitpicky = True
nitpick_ignore = [
    # Aliases and protocols without a page of their own; reference.md explains them in words.
    ("py:class", "Container"),
    ("py:class", "refmaml.updates.InnerOptimizationStep"),
    ("py:class", "InnerOptimizationStep"),
    ("py:class", "CostFn"),
    ("py:class", "BatchFn"),
]
nitpick_ignore_regex = [
    # Names of other packages, whose pages are not part of this documentation.
    ("py:.*", r"(collections|typing|numpy|pathlib|pytest|hypothesis|st)\..*|NDArray"),
    # Names of the judge's without a page of their own; testing.md and plugging-in.md explain them in words.
    (
        "py:.*",
        r"([\w.]+\.)?(Order|Problem|Options|Selection|Tree|GeneralCost|SubjectError|MissingFrameworkError|"
        r"Algorithm|Standards|Request|Observed|NotTested|StepError|OrderFit)",
    ),
]

html_theme = "furo"
html_title = "refmaml"
html_theme_options = {"navigation_with_keys": True}
html_static_path = ["_static"]
html_css_files = ["code.css"]


def setup(app: Sphinx) -> None:
    """Write the pages on the faults and on the command line before Sphinx looks for pages."""
    app.connect("config-inited", lambda *_: (fault_pages.write_pages(), command_page.write_page()))
