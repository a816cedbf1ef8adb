from torch.func import grad, grad_and_value, vjp


def maml_step(params, tasks, inner_loss, outer_loss, steps, rate):
    """Return the mean loss on the query sets, and its gradient by Hessian products."""
    losses, found = [], []
    for support, query in tasks:

        def slopes_at(point, support=support):
            return grad(inner_loss)(point, support)

        points = [params]
        for _ in range(steps):
            slopes = slopes_at(points[-1])
            points.append(
                {name: p - rate * slopes[name] for name, p in points[-1].items()}
            )
        u, loss = grad_and_value(outer_loss)(points[-1], query)
        for point in reversed(points[:-1]):
            (product,) = vjp(slopes_at, point)[1](u)
            u = {name: u[name] - rate * product[name] for name in u}
        losses.append(loss)
        found.append(u)
    mean = {name: sum(u[name] for u in found) / len(tasks) for name in params}
    return sum(losses) / len(tasks), mean
