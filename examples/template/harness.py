"""A harness to begin with: first-order MAML on quadratic costs, in lists of numbers.

    refmaml smoke --command "python examples/template/harness.py"
    refmaml verify --command "python examples/template/harness.py"

`protocol.py` is what has to be translated once for each language; this file is what you write. Call your own code in
`run`, and declare what it can do: you are asked nothing else.
"""

import sys

import protocol

NAME = "template"
LANGUAGE = "Python"
CAPABILITIES = {"families": ["quadratic"], "steps": ["fomaml"], "dtypes": ["float64"], "options": []}


def run(problem, dtype):  # noqa: ARG001  # float64, since nothing else is declared
    """Return the mean cost, the mean gradients, and the adapted variables of all tasks."""
    costs, gradients, points = [], [], []
    for t in range(problem["num_tasks"]):
        phi = {name: leaf["values"] for name, leaf in problem["variables"].items()}
        for _ in range(problem["steps"]):
            _, slope = quadratic(row(problem["support"], t), phi, ("inner_only", "vector", "matrix"))
            phi = {name: [p - problem["rates"][name] * g for p, g in zip(phi[name], slope[name])] for name in phi}
        cost, gradient = quadratic(row(problem["query"], t), phi, ("vector", "matrix", "outer_only"))
        costs.append(cost)
        gradients.append(gradient)
        points.append(phi)
    shapes = {name: leaf["shape"] for name, leaf in problem["variables"].items()}
    means = {name: {"shape": shapes[name], "values": mean(gradients, name)} for name in shapes}
    rows = {
        name: {"shape": [len(points), *shapes[name]], "values": [entry for phi in points for entry in phi[name]]}
        for name in shapes
    }
    return sum(costs) / len(costs), means, rows


def quadratic(data, v, takes):
    """Return the cost r·Ar/2 and its gradient Ar, with r = v - c and v the variables that it takes, end to end."""
    names = [name for name in takes if name in v]
    r = [entry - c for entry, c in zip([entry for name in names for entry in v[name]], data["centre"])]
    product = [sum(a * b for a, b in zip(data["matrix"][i * len(r) :], r)) for i in range(len(r))]
    slopes = iter(product)
    gradient = {name: [next(slopes) for _ in v[name]] for name in names}
    cost = sum(a * b for a, b in zip(r, product)) / 2
    return cost, {name: gradient.get(name, [0.0] * len(leaf)) for name, leaf in v.items()}


def row(data, t):
    """Return the numbers of row t of each array."""
    rows = {}
    for name, array in data.items():
        width = len(array["values"]) // array["shape"][0]
        rows[name] = array["values"][t * width : (t + 1) * width]
    return rows


def mean(gradients, name):
    """Return the mean over the tasks of the gradients by a variable."""
    return [sum(entries) / len(gradients) for entries in zip(*(gradient[name] for gradient in gradients))]


if __name__ == "__main__":
    protocol.serve(sys.modules[__name__])
