"use strict";
// The cost families of docs/vectors.md, of scalars that can be differentiated: base(data, v) for one task.
// In `data` and `v` are arrays { shape, values }; those of `v` hold scalars, those of `data` plain numbers.

const { constant, logSumExp, mean, sum } = require("./autodiff.js");

const range = (count) => Array.from({ length: count }, (_, i) => i);
const square = (scalar) => scalar.times(scalar);
const dot = (numbers, scalars) => sum(scalars.map((each, i) => each.scaled(numbers[i])));

/** The rows of an array: [N, D] as N lists of D. */
function rows({ shape, values }) {
  const width = shape.slice(1).reduce((a, b) => a * b, 1);
  return range(shape[0]).map((n) => values.slice(n * width, (n + 1) * width));
}

const columns = (matrix) => { const all = rows(matrix); return all[0].map((_, o) => all.map((row) => row[o])); };

/** x W + b for one example x: plain numbers, or scalars. */
function affine(x, weight, bias) {
  const product = (column) => (typeof x[0] === "number" ? dot(x, column) : sum(column.map((w, d) => w.times(x[d]))));
  return columns(weight).map((column, o) => product(column).plus(bias.values[o]));
}

const squaredError = (output, y) => mean(output.map((each, o) => square(each.minus(constant(y[o])))));
const crossEntropy = (output, y) => logSumExp(output).minus(dot(y, output));

const overExamples = (data, cost) => {
  const targets = rows(data.y ?? data.x);
  return mean(rows(data.x).map((x, n) => cost(x, targets[n])));
};

const multilayer = (activation, loss) => (data, v) =>
  overExamples(data, (x, y) => loss(affine(affine(x, v.w1, v.b1).map((z) => z[activation]()), v.w2, v.b2), y));

const bases = {
  quadratic(data, v, takes) {
    const laid = takes.filter((name) => v[name]).flatMap((name) => v[name].values);
    const r = laid.map((each, i) => each.minus(constant(data.centre.values[i])));
    return sum(rows(data.matrix).map((row, i) => r[i].times(dot(row, r)))).scaled(0.5);
  },
  "linear-regression": (data, v) => overExamples(data, (x, y) => squaredError(affine(x, v.weight, v.bias), y)),
  "logistic-regression": (data, v) =>
    overExamples(data, (x, [y]) => {
      const z = dot(x, v.weight.values).plus(v.bias.values[0]);
      return z.softplus().minus(z.scaled(y));
    }),
  bilinear: (data, v) =>
    overExamples(data, (x) => dot(x, v.latent.values.map((each, d) => each.times(v.weight.values[d])))).scaled(-1),
};
for (const activation of ["tanh", "relu", "softplus"]) {
  bases[`mlp-${activation}-mse`] = multilayer(activation, squaredError);
  bases[`mlp-${activation}-softmax`] = multilayer(activation, crossEntropy);
}

/** The cost with its gain, where the problem has one: exp(gain) base + gain² / 2. */
function withGain(family, name, takes) {
  return (data, v) => {
    const base = bases[family](data, v, takes);
    const gain = v[name]?.values[0];
    return gain ? gain.exp().times(base).plus(square(gain).scaled(0.5)) : base;
  };
}

const innerCost = (family) => withGain(family, "inner_gain", ["inner_only", "vector", "matrix"]);
const outerCost = (family) => withGain(family, "outer_gain", ["vector", "matrix", "outer_only"]);

module.exports = { families: Object.keys(bases), innerCost, outerCost };
