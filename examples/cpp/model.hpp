// Regression and a small network, with gradients worked by hand, in the precision of Real. The costs are those of
// docs/vectors.md.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

template <class Real>
using Vector = std::vector<Real>;

template <class Real>
struct Matrix {
    std::size_t rows, columns;
    Vector<Real> values;
    Real& at(std::size_t i, std::size_t j) { return values[i * columns + j]; }
    Real at(std::size_t i, std::size_t j) const { return values[i * columns + j]; }
};

/// The variables by name, each flat, row by row.
template <class Real>
using Variables = std::map<std::string, Vector<Real>>;

template <class Real>
struct Examples {
    Matrix<Real> x;  // [N, D]
    Vector<Real> y;  // [N] or [N, O]
};

/// z = x W + b, and the gradients of a cost by W, b and x where its gradient by z is known.
template <class Real>
struct Layer {
    const Vector<Real>& weight;  // [D, O]
    const Vector<Real>& bias;    // [O]

    Matrix<Real> forward(const Matrix<Real>& x) const {
        const std::size_t outputs = bias.size();
        Matrix<Real> z{x.rows, outputs, Vector<Real>(x.rows * outputs)};
        for (std::size_t n = 0; n < x.rows; ++n)
            for (std::size_t o = 0; o < outputs; ++o) {
                Real sum = 0;
                for (std::size_t d = 0; d < x.columns; ++d) sum += x.at(n, d) * weight[d * outputs + o];
                z.at(n, o) = sum + bias[o];
            }
        return z;
    }

    void backward(const Matrix<Real>& x, const Matrix<Real>& dz, Vector<Real>& dweight, Vector<Real>& dbias) const {
        for (std::size_t n = 0; n < x.rows; ++n)
            for (std::size_t o = 0; o < dz.columns; ++o) {
                dbias[o] += dz.at(n, o);
                for (std::size_t d = 0; d < x.columns; ++d) dweight[d * dz.columns + o] += x.at(n, d) * dz.at(n, o);
            }
    }

    Matrix<Real> through(const Matrix<Real>& dz, std::size_t inputs) const {
        Matrix<Real> dx{dz.rows, inputs, Vector<Real>(dz.rows * inputs)};
        for (std::size_t n = 0; n < dz.rows; ++n)
            for (std::size_t d = 0; d < inputs; ++d)
                for (std::size_t o = 0; o < dz.columns; ++o) dx.at(n, d) += dz.at(n, o) * weight[d * dz.columns + o];
        return dx;
    }
};

/// mean (z - y)^2; z becomes the gradient by it.
template <class Real>
Real squaredError(Matrix<Real>& z, const Vector<Real>& y) {
    Real sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i) {
        const Real error = z.values[i] - y[i];
        sum += error * error;
        z.values[i] = 2 * error / y.size();
    }
    return sum / y.size();
}

/// mean log(1 + exp z) - y z, without overflow; z becomes the gradient by it.
template <class Real>
Real logisticLoss(Matrix<Real>& z, const Vector<Real>& y) {
    Real sum = 0;
    for (std::size_t n = 0; n < y.size(); ++n) {
        const Real score = z.values[n], small = std::exp(-std::abs(score));
        sum += std::max(score, Real(0)) + std::log1p(small) - y[n] * score;
        const Real probability = score > 0 ? 1 / (1 + small) : small / (1 + small);
        z.values[n] = (probability - y[n]) / y.size();
    }
    return sum / y.size();
}

/// A base cost at v; `gradient` has a vector of zeros for each variable, which is added to.
template <class Real>
Real baseCost(const std::string& family, const Examples<Real>& data, const Variables<Real>& v,
              Variables<Real>& gradient) {
    if (family == "mlp-tanh-mse") {
        const Layer<Real> first{v.at("w1"), v.at("b1")}, second{v.at("w2"), v.at("b2")};
        Matrix<Real> hidden = first.forward(data.x);
        for (Real& each : hidden.values) each = std::tanh(each);
        Matrix<Real> output = second.forward(hidden);
        const Real cost = squaredError(output, data.y);
        second.backward(hidden, output, gradient["w2"], gradient["b2"]);
        Matrix<Real> slope = second.through(output, hidden.columns);
        for (std::size_t i = 0; i < slope.values.size(); ++i)
            slope.values[i] *= (1 - hidden.values[i]) * (1 + hidden.values[i]);
        first.backward(data.x, slope, gradient["w1"], gradient["b1"]);
        return cost;
    }
    const bool isLinear = family == "linear-regression";
    if (!isLinear && family != "logistic-regression") throw std::runtime_error("no family " + family);
    const Layer<Real> only{v.at("weight"), v.at("bias")};
    Matrix<Real> z = only.forward(data.x);
    const Real cost = isLinear ? squaredError(z, data.y) : logisticLoss(z, data.y);
    only.backward(data.x, z, gradient["weight"], gradient["bias"]);
    return cost;
}

/// The cost with its gain, if v has one: exp(gain) base + gain^2 / 2; its gradient replaces what is in `gradient`.
template <class Real>
Real cost(const std::string& family, const std::string& gain, const Examples<Real>& data, const Variables<Real>& v,
          Variables<Real>& gradient) {
    for (const auto& [name, leaf] : v) gradient[name] = Vector<Real>(leaf.size());
    const Real base = baseCost(family, data, v, gradient);
    const auto found = v.find(gain);
    if (found == v.end()) return base;
    const Real height = found->second[0], factor = std::exp(height);
    for (auto& [name, leaf] : gradient)
        for (Real& each : leaf) each *= factor;
    gradient[gain][0] = factor * base + height;
    return factor * base + height * height / 2;
}
