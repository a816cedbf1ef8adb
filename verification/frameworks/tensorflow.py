"""TensorFlow's tensors, with the namespace `tensorflow.experimental.numpy` and none of its global settings."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verification.frameworks.base import Arrays, Cost, Framework, optional


@cache
def make() -> Framework:
    """Return the framework.

    Raises:
        MissingFrameworkError: TensorFlow is not installed.
    """
    tf = optional("tensorflow", "tensorflow")
    tnp = tf.experimental.numpy

    def array(values: NDArray[Any]) -> Any:
        return tf.constant(values)

    def to_numpy(value: Any) -> NDArray[Any]:
        dense = tf.convert_to_tensor(value) if isinstance(value, tf.IndexedSlices) else value
        return np.array(dense)  # a copy: nobody can write into a tensor, so that sharing one is no fault

    def gradient(cost: Cost, data: Arrays, variables: Arrays) -> Arrays:
        points = {name: tf.convert_to_tensor(leaf) for name, leaf in variables.items()}
        with tf.GradientTape() as tape:
            tape.watch(points)
            value = cost(tnp, data, points)
        found: Arrays = tape.gradient(value, points, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return found

    # Its threads flush subnormal numbers to zero: tsl/platform/denormal.h.
    return Framework("tensorflow", tnp, array, to_numpy, gradient, promotes=False, has_subnormals=False)
