import torch
from torch.func import functional_call


def maml_step(model, tasks, inner_loss, outer_loss, inner_steps, inner_learning_rate):
    """Return the gradient of the mean loss on the query sets."""
    params = dict(model.named_parameters())
    total = 0.0
    for support, query in tasks:
        fast = dict(params)
        for _ in range(inner_steps):
            loss = inner_loss(with_weights(model, fast), support)
            slopes = torch.autograd.grad(loss, list(fast.values()), create_graph=True)
            moves = [inner_learning_rate * slope for slope in slopes]
            fast = {name: p - move for (name, p), move in zip(fast.items(), moves)}
        total = total + outer_loss(with_weights(model, fast), query)
    return torch.autograd.grad(total / len(tasks), list(model.parameters()))


def with_weights(model, params):
    """Return the model as a function, with other parameters."""
    return lambda *inputs: functional_call(model, params, inputs)
