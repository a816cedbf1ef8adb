"""First-order MAML in TensorFlow, in the form that refmaml judges.

    refmaml verify subject.py:subject

This file passes as it stands. Replace what is marked YOUR CODE.
"""

import tensorflow as tf


# YOUR CODE: import your step here, and delete this one.
def fomaml_step(inner_loss, outer_loss, weights, tasks, steps, rate):
    """Return the mean loss on the query sets, and the first-order gradient."""
    losses, gradients = [], []
    for support, query in tasks:
        adapted = weights
        for _ in range(steps):
            _, slope = loss_and_gradient(inner_loss, adapted, support)
            pairs = zip(adapted, slope, strict=True)
            adapted = [w - rate * g for w, g in pairs]
        loss, gradient = loss_and_gradient(outer_loss, adapted, query)
        losses.append(loss)
        gradients.append(gradient)
    by_weight = zip(*gradients, strict=True)
    return mean(losses), [mean(values) for values in by_weight]


def loss_and_gradient(loss, weights, batch):
    """Return a loss and its gradient; without effect it is 0, not None."""
    with tf.GradientTape() as tape:
        tape.watch(weights)
        value = loss(weights, batch)
    zero = tf.UnconnectedGradients.ZERO
    return value, tape.gradient(value, weights, unconnected_gradients=zero)


def mean(values):
    """Return the mean of the values."""
    return sum(values) / len(values)


def subject(problem):
    """Return a problem's cost and its gradients, nested as its variables."""

    def nested(weights):
        return tf.nest.pack_sequence_as(problem.variables, weights)

    # The costs of a problem take (batch, variables), and its variables are
    # dicts, lists and tuples of tensors. Write here what your code calls: these
    # take a list of tensors first, as the weights of a Keras model are.
    def inner_loss(weights, batch):
        return problem.inner_cost(batch, nested(weights))

    def outer_loss(weights, batch):
        return problem.outer_cost(batch, nested(weights))

    # YOUR CODE: call your step here. For second-order MAML, add --order 2 to
    # the command above.
    loss, gradients = fomaml_step(
        inner_loss,
        outer_loss,
        tf.nest.flatten(problem.variables),
        list(problem.tasks()),  # pairs of a support and a query batch
        problem.inner_grad_steps,
        problem.inner_learning_rate,
    )
    return loss, nested(gradients)
