"""First-order MAML in TensorFlow, in the form that refmaml judges.

    refmaml verify subject.py:subject

This file passes as it stands. Replace what is marked YOUR CODE.
"""

import tensorflow as tf


# YOUR CODE: import your step here, and delete this one.
def fomaml_step(inner_loss, outer_loss, weights, tasks, steps, rate):
    """Return the mean loss on the query sets after adaptation, and the first-order meta-gradient."""
    losses, gradients = [], []
    for support, query in tasks:
        adapted = weights
        for _ in range(steps):
            _, slope = loss_and_gradient(inner_loss, adapted, support)
            adapted = [w - rate * g for w, g in zip(adapted, slope, strict=True)]
        loss, gradient = loss_and_gradient(outer_loss, adapted, query)
        losses.append(loss)
        gradients.append(gradient)
    return mean(losses), [mean(values) for values in zip(*gradients, strict=True)]


def loss_and_gradient(loss, weights, batch):
    """Return a loss and its gradient, which is 0 by a weight that the loss does not use: a tape has None there."""
    with tf.GradientTape() as tape:
        tape.watch(weights)
        value = loss(weights, batch)
    return value, tape.gradient(value, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def mean(values):
    """Return the mean of the values."""
    return sum(values) / len(values)


def subject(problem):
    """Return the cost of a problem and its gradients, which are nested as `problem.variables`."""

    # The costs of a problem take (batch, variables), and its variables are dicts, lists and tuples of tensors. Write
    # here what your code calls: these take a list of tensors first, as the weights of a Keras model are.
    def inner_loss(weights, batch):
        return problem.inner_cost(batch, tf.nest.pack_sequence_as(problem.variables, weights))

    def outer_loss(weights, batch):
        return problem.outer_cost(batch, tf.nest.pack_sequence_as(problem.variables, weights))

    # YOUR CODE: call your step here. For second-order MAML, add --order 2 to the command above.
    loss, gradients = fomaml_step(
        inner_loss,
        outer_loss,
        tf.nest.flatten(problem.variables),
        list(problem.tasks()),  # pairs of a support and a query batch
        problem.inner_grad_steps,
        problem.inner_learning_rate,
    )
    return loss, tf.nest.pack_sequence_as(problem.variables, gradients)
