// First-order MAML in C++17, and the harness by which refmaml judges it:
//     g++ -std=c++17 -O1 -o fomaml examples/cpp/fomaml.cpp && refmaml verify --command ./fomaml

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
    const Real count = static_cast<Real>(problem.tasks.size());
    for (auto& [name, leaf] : gradients)
        for (Real& each : leaf) each /= count;
    return {total / count, problem.arrays(gradients, false), problem.arrays(adapted, true)};
}

int main() {
    const auto run = inPrecision([](const auto& problem) { return fomaml(problem); });
    return Harness{"fomaml.cpp", capabilities(), run}.serve();
}
