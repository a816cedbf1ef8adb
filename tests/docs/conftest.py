"""Makes what the documentation is built with importable, and what draws its figures."""

import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
sys.path[:0] = [str(DOCS), str(DOCS / "figures")]
