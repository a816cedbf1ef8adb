// A problem of the protocol as tasks in the precision of Real, and the inner loop of first-order MAML.
#pragma once

#include "model.hpp"
#include "protocol.hpp"

template <class Real>
struct Task {
    Examples<Real> support, query;
};

template <class Real>
struct Problem {
    std::string family;
    int steps;
    bool sameCost;
    std::map<std::string, Real> rates;
    std::map<std::string, std::vector<std::size_t>> shapes;
    Variables<Real> theta;
    std::vector<Task<Real>> tasks;

    explicit Problem(const Json& json)
        : family(json["family"].text),
          steps(static_cast<int>(json["steps"].number)),
          sameCost(json["same_cost"].truth) {
        for (const auto& [name, rate] : json["rates"].members) rates[name] = static_cast<Real>(readNumber(rate));
        for (const auto& [name, array] : readArrays(json["variables"])) {
            shapes[name] = array.shape;
            theta[name] = Vector<Real>(array.values.begin(), array.values.end());
        }
        const Arrays support = readArrays(json["support"]), query = readArrays(json["query"]);
        for (std::size_t t = 0; t < json["num_tasks"].number; ++t)
            tasks.push_back({examples(support, t), examples(query, t)});
    }

    Real innerCost(const Task<Real>& task, const Variables<Real>& v, Variables<Real>& gradient) const {
        return cost<Real>(family, "inner_gain", task.support, v, gradient);
    }

    Real outerCost(const Task<Real>& task, const Variables<Real>& v, Variables<Real>& gradient) const {
        return cost<Real>(family, sameCost ? "inner_gain" : "outer_gain", task.query, v, gradient);
    }

    /// phi_K from theta: K steps of gradient descent on the support set.
    Variables<Real> adapted(const Task<Real>& task) const {
        Variables<Real> phi = theta, gradient;
        for (int k = 0; k < steps; ++k) {
            innerCost(task, phi, gradient);
            for (auto& [name, leaf] : phi)
                for (std::size_t i = 0; i < leaf.size(); ++i) leaf[i] -= rates.at(name) * gradient[name][i];
        }
        return phi;
    }

    /// Variables as arrays of the protocol, with an axis of tasks in front of those that have one.
    Arrays arrays(const Variables<Real>& v, bool withTasks) const {
        Arrays found;
        for (const auto& [name, leaf] : v) {
            found[name] = {shapes.at(name), {leaf.begin(), leaf.end()}};
            if (withTasks) found[name].shape.insert(found[name].shape.begin(), tasks.size());
        }
        return found;
    }

  private:
    static Examples<Real> examples(const Arrays& data, std::size_t t) {
        const auto row = [t](const Array& array) {
            const std::size_t width = array.values.size() / array.shape[0];
            return Vector<Real>(array.values.begin() + t * width, array.values.begin() + (t + 1) * width);
        };
        const Array& x = data.at("x");
        return {{x.shape[1], x.shape[2], row(x)}, row(data.at("y"))};
    }
};

template <class Real>
void append(Variables<Real>& to, const Variables<Real>& more) {
    for (const auto& [name, leaf] : more) to[name].insert(to[name].end(), leaf.begin(), leaf.end());
}

template <class Real>
void add(Variables<Real>& to, const Variables<Real>& more) {
    for (const auto& [name, leaf] : more) {
        to[name].resize(leaf.size());
        for (std::size_t i = 0; i < leaf.size(); ++i) to[name][i] += leaf[i];
    }
}

inline Json capabilities() {
    const auto list = [](std::vector<Json> names) { return Json(std::move(names)); };
    return std::map<std::string, Json>{
        {"families", list({"linear-regression", "logistic-regression", "mlp-tanh-mse"})},
        {"steps", list({"fomaml"})},
        {"dtypes", list({"float64", "float32"})},
        {"options", list({"gains", "leaf-rates", "same-cost"})},
    };
}

/// A step of problems in any precision, as a function that takes the one that is asked for.
template <class Step>
auto inPrecision(Step step) {
    return [step](const Json& problem, const std::string& dtype) -> Answer {
        return dtype == "float32" ? step(Problem<float>(problem)) : step(Problem<double>(problem));
    };
}
