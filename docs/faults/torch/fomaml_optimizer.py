import torch


def fomaml_step(params, tasks, inner_loss, outer_loss, steps, rate):
    """Return the mean loss on the query sets, and its first-order gradient."""
    total, found = 0.0, {name: torch.zeros_like(p) for name, p in params.items()}
    for support, query in tasks:
        fast = {name: p.clone().requires_grad_() for name, p in params.items()}
        optimizer = torch.optim.SGD(fast.values(), lr=rate)
        for _ in range(steps):
            optimizer.zero_grad()
            inner_loss(fast, support).backward()
            optimizer.step()
        optimizer.zero_grad()
        loss = outer_loss(fast, query)
        loss.backward()
        total += loss.item() / len(tasks)
        for name, p in fast.items():
            if p.grad is not None:
                found[name] += p.grad / len(tasks)
    return total, found
