import torch


def fomaml_step(params, tasks, inner_loss, outer_loss, steps, rate):
    """Return the loss on the query sets, a mean over all points of the inner loop and
    over tasks, and its first-order gradient."""
    params = {name: p.detach().requires_grad_() for name, p in params.items()}
    total = 0.0
    for support, query in tasks:
        fast = dict(params)
        losses = [outer_loss(fast, query)]
        for _ in range(steps):
            loss = inner_loss(fast, support)
            slopes = gradients(loss, fast)
            fast = {name: fast[name] - rate * slopes[name] for name in fast}
            losses.append(outer_loss(fast, query))
        total = total + sum(losses) / len(losses)
    mean = total / len(tasks)
    return mean, gradients(mean, params)


def gradients(loss, params):
    """Return the gradient by each parameter, 0 for one that the loss does not use."""
    found = torch.autograd.grad(
        loss, list(params.values()), retain_graph=True, materialize_grads=True
    )
    return dict(zip(params, found))
