import copy

import torch


def fomaml_step(model, tasks, inner_loss, outer_loss, inner_steps, inner_learning_rate):
    """Take one outer step of SGD along the first-order gradient."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    start = copy.deepcopy(model.state_dict())
    found = [torch.zeros_like(p) for p in model.parameters()]
    for support, query in tasks:
        for _ in range(inner_steps):
            slopes = gradients(inner_loss(model, support), model)
            for p, slope in zip(model.parameters(), slopes):
                p.data -= inner_learning_rate * slope
        slopes = gradients(outer_loss(model, query), model)
        model.load_state_dict(start)
        for total, slope in zip(found, slopes):
            total += slope / len(tasks)
    for p, total in zip(model.parameters(), found):
        p.grad = total
    optimizer.step()


def gradients(loss, model):
    """Return the gradient by each parameter of the model."""
    return torch.autograd.grad(loss, list(model.parameters()))
