"""What the tests of the judge share: the standards of the built-in problems, which each process works out once."""

from __future__ import annotations

from functools import partial

import verification
from verification.judging.standard import Standards

STANDARDS = Standards()
verify = partial(verification.verify, standards=STANDARDS)
verify_own = partial(verification.verify_own, standards=STANDARDS)
