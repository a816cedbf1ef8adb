import torch


def fomaml_step(params, tasks, inner_loss, outer_loss, steps, rate):
    """Return the mean loss on the query sets, and its first-order gradient."""
    for p in params.values():
        p.requires_grad_()
        p.grad = torch.zeros_like(p)
    total = 0.0
    for support, query in tasks:
        fast = dict(params)
        for _ in range(steps):
            loss = inner_loss(fast, support)
            slopes = torch.autograd.grad(
                loss, list(fast.values()), materialize_grads=True
            )
            fast = {name: p - rate * g for (name, p), g in zip(fast.items(), slopes)}
        loss = outer_loss(fast, query) / len(tasks)
        loss.backward()
        total += loss.item()
    return total, {name: p.grad.clone() for name, p in params.items()}
