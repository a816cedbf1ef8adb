import torch


def fomaml_step(params, tasks, inner_loss, outer_loss, steps, rate):
    """Return the mean loss on the query sets, and its first-order gradient."""
    params = {name: p.detach().requires_grad_() for name, p in params.items()}
    total = 0.0
    for support, query in tasks:
        fast = dict(params)
        for _ in range(steps):
            loss = inner_loss(fast, support)
            slopes = gradients(loss, fast)
            fast = {name: fast[name] - rate * slopes[name] for name in fast}
        total = total + outer_loss(fast, query)
    mean = total / len(tasks)
    return mean, gradients(mean, params)


def gradients(loss, params):
    """Return the gradient by each parameter, 0 for one that the loss does not use."""
    found = torch.autograd.grad(loss, list(params.values()), materialize_grads=True)
    return dict(zip(params, found))
