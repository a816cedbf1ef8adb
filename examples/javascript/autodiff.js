"use strict";
// Reverse-mode differentiation of scalars: every operation remembers what it was made of, and with which derivatives.

/** Rounds each result to the precision that is asked for: Math.fround for binary32, nothing for binary64. */
let round = (number) => number;

function setPrecision(dtype) {
  round = dtype === "float32" ? Math.fround : (number) => number;
}

class Scalar {
  constructor(value, parents = [], slopes = []) {
    this.value = round(value);
    this.parents = parents;
    this.slopes = slopes;
  }

  plus(other) { return new Scalar(this.value + other.value, [this, other], [1, 1]); }
  minus(other) { return new Scalar(this.value - other.value, [this, other], [1, -1]); }
  times(other) { return new Scalar(this.value * other.value, [this, other], [other.value, this.value]); }
  scaled(factor) { return new Scalar(this.value * factor, [this], [round(factor)]); }
  over(count) { return new Scalar(this.value / count, [this], [round(1 / count)]); }
  exp() { const e = round(Math.exp(this.value)); return new Scalar(e, [this], [e]); }
  log() { return new Scalar(Math.log(this.value), [this], [round(1 / this.value)]); }
  tanh() { const t = round(Math.tanh(this.value)); return new Scalar(t, [this], [round((1 - t) * (1 + t))]); }
  relu() { return new Scalar(Math.max(this.value, 0), [this], [this.value > 0 ? 1 : 0]); }

  /** log(1 + exp z) = max(z, 0) + log(1 + exp(-|z|)), and its derivative 1 / (1 + exp(-z)): nothing overflows. */
  softplus() {
    const small = round(Math.exp(-Math.abs(this.value)));
    const slope = this.value > 0 ? round(1 / round(1 + small)) : round(small / round(1 + small));
    return new Scalar(round(Math.max(this.value, 0)) + round(Math.log1p(small)), [this], [slope]);
  }
}

const constant = (number) => new Scalar(number);
const sum = (scalars) => scalars.reduce((total, each) => total.plus(each));
const mean = (scalars) => sum(scalars).over(scalars.length);

/** log Σ exp(z_i) = m + log Σ exp(z_i - m), with m the largest. */
function logSumExp(scalars) {
  const largest = scalars.reduce((a, b) => (a.value >= b.value ? a : b));
  return largest.plus(sum(scalars.map((each) => each.minus(largest).exp())).log());
}

/** Return the derivatives of `output` by each of `inputs`. */
function gradient(output, inputs) {
  const order = [];
  const seen = new Set();
  const visit = (node) => {
    if (seen.has(node)) return;
    seen.add(node);
    node.parents.forEach(visit);
    order.push(node);
  };
  visit(output);
  const slopes = new Map([[output, 1]]);
  for (const node of order.reverse()) {
    node.parents.forEach((parent, i) => {
      slopes.set(parent, round((slopes.get(parent) ?? 0) + round(slopes.get(node) * node.slopes[i])));
    });
  }
  return inputs.map((input) => slopes.get(input) ?? 0);
}

module.exports = { Scalar, constant, gradient, logSumExp, mean, setPrecision, sum };
