"""Leaves of nested containers, those too that autograd holds in a box."""

from __future__ import annotations

import autograd.numpy as anp
import numpy as np
from autograd import grad

from verification.problems.trees import leaves


def test_leaves_of_a_container_that_autograd_boxes():
    """A cost that is differentiated by a dict of lists gets a box, whose leaves are those of what it holds."""

    def cost(v):
        found = leaves(v)
        assert list(found) == ["net/0", "net/1", "bias"]
        return anp.sum(found["net/0"] ** 2) + 3.0 * found["net/1"] + found["bias"]

    v = {"net": [np.array([1.0, 2.0]), np.array(4.0)], "bias": np.array(5.0)}
    slopes = leaves(grad(cost)(v))
    assert slopes["net/0"].tolist() == [2.0, 4.0]
    assert (float(slopes["net/1"]), float(slopes["bias"])) == (3.0, 1.0)
