import torch


def fomaml_step(params, inner, outer, tasks, inner_loss, outer_loss, steps, rate):
    """Return the mean loss on the query sets, and its first-order gradient. `inner`
    names the parameters that adapt, and `outer` those to differentiate by."""
    params = {name: p.detach().requires_grad_() for name, p in params.items()}
    total = 0.0
    for support, query in tasks:
        fast = dict(params)
        for _ in range(steps):
            loss = inner_loss(fast, support)
            slopes = gradients(loss, {name: fast[name] for name in inner})
            fast.update({name: fast[name] - rate * slopes[name] for name in inner})
        total = total + outer_loss(fast, query)
    mean = total / len(tasks)
    return mean, gradients(mean, {name: params[name] for name in outer})


def gradients(loss, params):
    """Return the gradient by each parameter, 0 for one that the loss does not use."""
    found = torch.autograd.grad(loss, list(params.values()), materialize_grads=True)
    return dict(zip(params, found))
