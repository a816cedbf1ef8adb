import copy

import torch


def fomaml_step(model, tasks, inner_loss, outer_loss, inner_steps, inner_learning_rate):
    """Return the first-order gradient of the mean loss on the query sets."""
    found = [torch.zeros_like(p) for p in model.parameters()]
    for support, query in tasks:
        learner = copy.deepcopy(model)
        optimizer = torch.optim.SGD(learner.parameters(), lr=inner_learning_rate)
        for _ in range(inner_steps):
            optimizer.zero_grad()
            inner_loss(learner, support).backward()
            optimizer.step()
        optimizer.zero_grad()
        outer_loss(learner, query).backward()
        for total, p in zip(found, learner.parameters()):
            total += p.grad / len(tasks)
    return found
