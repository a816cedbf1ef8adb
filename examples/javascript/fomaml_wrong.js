"use strict";
// First-order MAML with a mistake that is easily made in JavaScript: `const phi = theta` copies no array, so that the
// updates in place move θ itself, and each task starts where the last one ended (E01 of the catalogue).
//     refmaml verify --command "node examples/javascript/fomaml_wrong.js"

const { innerCost } = require("./costs.js");
const { capabilities, step, valueAndGradient } = require("./fomaml.js");
const { serve } = require("../../verification/templates/node_subject.js");

function iterates(problem, task, theta, round) {
  const phi = theta;
  const points = [phi];
  for (let k = 0; k < problem.steps; k++) {
    const { gradients } = valueAndGradient(innerCost(problem.family), task.support, phi);
    for (const name of problem.inner[task.index]) {
      const { values } = phi[name];
      gradients[name].values.forEach((g, i) => { values[i] = round(values[i] - round(problem.rates[name] * g)); });
    }
    points.push(phi);
  }
  return points;
}

const run = (problem, dtype) => step(problem, dtype, iterates);
serve({ name: "fomaml_wrong.js", capabilities: { ...capabilities, steps: ["fomaml"], options: ["gains"] }, run });
