import torch


def reptile_step(params, tasks, loss_on, steps, rate):
    """Return the loss, a mean over all points of the inner loop and over tasks, and the
    mean of (params - adapted params) / rate."""
    total, found = 0.0, {name: torch.zeros_like(p) for name, p in params.items()}
    for support in tasks:
        fast = {name: p.clone().requires_grad_() for name, p in params.items()}
        losses = [loss_on(fast, support)]
        for _ in range(steps):
            slopes = gradients(losses[-1], fast)
            fast = {name: fast[name] - rate * slopes[name] for name in fast}
            losses.append(loss_on(fast, support))
        total += sum(losses).item() / len(losses) / len(tasks)
        for name, p in fast.items():
            found[name] += (params[name] - p.detach()) / rate / len(tasks)
    return total, found


def gradients(loss, params):
    """Return the gradient by each parameter, 0 for one that the loss does not use."""
    found = torch.autograd.grad(
        loss, list(params.values()), retain_graph=True, materialize_grads=True
    )
    return dict(zip(params, found))
