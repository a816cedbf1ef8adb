import torch


def fomaml_step(params, support, query, inner_loss, outer_loss, steps, rate):
    """Return the mean loss on the query sets, and its first-order gradient. Parameters
    have a row for each task, and the losses are means over tasks."""
    tasks = len(next(iter(params.values())))
    fast = {name: p.detach().requires_grad_() for name, p in params.items()}
    for _ in range(steps):
        loss = tasks * inner_loss(fast, support)
        slopes = gradients(loss, fast)
        fast = {name: fast[name] - rate * slopes[name] for name in fast}
    mean = outer_loss(fast, query)
    return mean, {name: rows.sum(0) for name, rows in gradients(mean, fast).items()}


def gradients(loss, params):
    """Return the gradient by each parameter, 0 for one that the loss does not use."""
    found = torch.autograd.grad(loss, list(params.values()), materialize_grads=True)
    return dict(zip(params, found))
