// First-order MAML with a mistake: the cost is divided by the number of tasks, and the gradients that pile up beside it
// are not (D01 of the catalogue). With an optimizer that normalizes, training hardly shows it.
//     g++ -std=c++17 -O1 -o fomaml_wrong examples/cpp/fomaml_wrong.cpp && refmaml verify --command ./fomaml_wrong

#include "fomaml.hpp"

template <class Real>
Answer fomaml(const Problem<Real>& problem) {
    Real total = 0;
    Variables<Real> gradients, gradient, adapted;
    for (const Task<Real>& task : problem.tasks) {
        const Variables<Real> phi = problem.adapted(task);
        total += problem.outerCost(task, phi, gradient);
        add(gradients, gradient);
        append(adapted, phi);
    }
    return {total / problem.tasks.size(), problem.arrays(gradients, false), problem.arrays(adapted, true)};
}

int main() {
    const auto run = inPrecision([](const auto& problem) { return fomaml(problem); });
    return Harness{"fomaml_wrong.cpp", capabilities(), run}.serve();
}
