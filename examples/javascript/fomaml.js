"use strict";
// First-order MAML and Reptile on small problems, and the harness by which refmaml judges them:
//     refmaml verify --command "node examples/javascript/fomaml.js"

const { Scalar, gradient, setPrecision } = require("./autodiff.js");
const { families, innerCost, outerCost } = require("./costs.js");
const { serve } = require("../../verification/templates/node_subject.js");

const mapObject = (object, change) => Object.fromEntries(Object.entries(object).map(([k, v]) => [k, change(v, k)]));
const size = (shape) => shape.reduce((a, b) => a * b, 1);

/** Row t of an array with a leading axis. */
function row({ shape, values }, t) {
  const width = size(shape.slice(1));
  return { shape: shape.slice(1), values: values.slice(t * width, (t + 1) * width) };
}

/** The value of a cost at v, and its gradient by each variable; 0 by those that it does not take. */
function valueAndGradient(cost, data, v) {
  const inputs = mapObject(v, ({ shape, values }) => ({ shape, values: values.map((x) => new Scalar(x)) }));
  const output = cost(data, inputs);
  const slopes = gradient(output, Object.values(inputs).flatMap((leaf) => leaf.values));
  const gradients = mapObject(v, ({ shape, values }) => ({ shape, values: slopes.splice(0, values.length) }));
  return { cost: output.value, gradients };
}

/** φ ← φ − α ∇S(φ) on the variables that adapt. */
function updated(v, gradients, rates, adapting, round) {
  return mapObject(v, (leaf, name) =>
    adapting.includes(name)
      ? { ...leaf, values: leaf.values.map((x, i) => round(x - round(rates[name] * gradients[name].values[i]))) }
      : leaf,
  );
}

/** The inner iterates φ_0, …, φ_K of one task. */
function iterates(problem, task, theta, round) {
  const cost = innerCost(problem.family);
  const points = [theta];
  for (let k = 0; k < problem.steps; k++) {
    const phi = points[k];
    const { gradients } = valueAndGradient(cost, task.support, phi);
    points.push(updated(phi, gradients, problem.rates, problem.inner[task.index], round));
  }
  return points;
}

/** The mean of containers of arrays. */
function mean(containers, round) {
  const meanOf = (numbers) => round(numbers.reduce((sum, each) => round(sum + each), 0) / numbers.length);
  return mapObject(containers[0], ({ shape, values }, name) => ({
    shape,
    values: values.map((_, i) => meanOf(containers.map((each) => each[name].values[i]))),
  }));
}

/** A cost goes with the gradients under the empty name, so that means are taken of both at once. */
const costAsLeaf = (number) => ({ "": { shape: [], values: [number] } });

/** First-order MAML on one task: cost and gradients of Q at φ_K, or their means over φ_0, …, φ_K. */
function fomaml(problem, task, points, round) {
  const cost = problem.same_cost ? innerCost(problem.family) : outerCost(problem.family);
  const taken = problem.average ? points : points.slice(-1);
  const answers = taken.map((phi) => {
    const answer = valueAndGradient(cost, task.query, phi);
    const masked = mapObject(answer.gradients, (leaf, name) =>
      problem.outer[task.index].includes(name) ? leaf : { ...leaf, values: leaf.values.map(() => 0) },
    );
    return { ...masked, ...costAsLeaf(answer.cost) };
  });
  return mean(answers, round);
}

/** Reptile on one task: (θ − φ_K) / α, and the mean of S over φ_0, …, φ_K. */
function reptile(problem, task, points, round) {
  const last = points[points.length - 1];
  const cost = innerCost(problem.family);
  const costs = points.map((phi) => costAsLeaf(valueAndGradient(cost, task.support, phi).cost));
  const moved = mapObject(points[0], ({ shape, values }, name) => ({
    shape,
    values: values.map((x, i) => round(round(x - last[name].values[i]) / problem.rates[name])),
  }));
  return { ...moved, ...mean(costs, round) };
}

/** One step over all tasks. `adapt` is an argument so that it can be had wrong: see fomaml_wrong.js. */
function step(problem, dtype, adapt = iterates) {
  setPrecision(dtype);
  const round = dtype === "float32" ? Math.fround : (x) => x;
  const answers = [];
  const adapted = [];
  for (let index = 0; index < problem.num_tasks; index++) {
    const rowOf = (data) => data && mapObject(data, (array) => row(array, index));
    const task = { index, support: rowOf(problem.support), query: rowOf(problem.query) };
    const theta = problem.batched ? mapObject(problem.variables, (leaf) => row(leaf, index)) : problem.variables;
    const points = adapt(problem, task, theta, round);
    answers.push((problem.step === "reptile" ? reptile : fomaml)(problem, task, points, round));
    adapted.push(points[points.length - 1]);
  }
  const { "": cost, ...gradients } = mean(answers, round);
  const wanted = Object.entries(gradients).filter(([name]) => problem.outer.some((names) => names.includes(name)));
  return { cost: cost.values[0], gradients: Object.fromEntries(wanted), adapted: stacked(adapted) };
}

/** Containers of arrays as one, with a leading axis. */
function stacked(containers) {
  return mapObject(containers[0], ({ shape }, name) => ({
    shape: [containers.length, ...shape],
    values: containers.flatMap((each) => Array.from(each[name].values)),
  }));
}

const capabilities = {
  families,
  steps: ["fomaml", "reptile"],
  dtypes: ["float64", "float32"],
  options: ["averaging", "batched", "gains", "leaf-rates", "same-cost", "selections"],
};

module.exports = { capabilities, step, valueAndGradient };

if (require.main === module) serve({ name: "fomaml.js", capabilities, run: step });
