"use strict";
// First-order MAML in JavaScript, in the form that refmaml judges. It passes as it stands:
//     refmaml verify --command "node subject.js"
// Replace what is marked YOUR CODE. docs/protocol.md describes what a problem holds, docs/vectors.md each family of
// costs. In a package with "type": "module", call this file subject.cjs.

// YOUR CODE: declare what it can do. It gets no other problems.
const capabilities = { families: ["quadratic"], steps: ["fomaml"], dtypes: ["float64"], options: [] };

// YOUR CODE: one task from the variables `theta`. Return the cost of the query set, its gradient, and the adapted
// variables. Arrays are flat lists of numbers here.
function adaptAndEvaluate(problem, support, query, theta) {
  let phi = theta;
  for (let k = 0; k < problem.steps; k++) {
    const { gradient } = quadratic(support, phi, ["inner_only", "vector", "matrix"]);
    phi = mapObject(phi, (leaf, name) => leaf.map((x, i) => x - problem.rates[name] * gradient[name][i]));
  }
  return { ...quadratic(query, phi, ["vector", "matrix", "outer_only"]), phi };
}

// YOUR CODE: the costs. This is r.Ar / 2 with the gradient Ar, where r = v - c, and v are the variables that the cost
// takes, end to end.
function quadratic({ matrix, centre }, v, takes) {
  const names = takes.filter((name) => name in v);
  const r = names.flatMap((name) => v[name]).map((x, i) => x - centre[i]);
  const product = r.map((_, i) => r.reduce((sum, x, j) => sum + matrix[i * r.length + j] * x, 0));
  const cost = r.reduce((sum, x, i) => sum + x * product[i], 0) / 2;
  const gradient = mapObject(v, (leaf) => leaf.map(() => 0));
  for (const name of names) gradient[name] = product.splice(0, v[name].length);
  return { cost, gradient };
}

/** Answer a problem: the means over all tasks of cost and gradients, and the adapted variables of each task. */
function run(problem) {
  const answers = [];
  for (let t = 0; t < problem.num_tasks; t++) {
    const [support, query] = [problem.support, problem.query].map((data) => mapObject(data, (array) => row(array, t)));
    answers.push(adaptAndEvaluate(problem, support, query, mapObject(problem.variables, ({ values }) => values)));
  }
  const mean = (numbers) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length;
  return {
    cost: mean(answers.map(({ cost }) => cost)),
    gradients: mapObject(problem.variables, ({ shape, values }, name) => ({
      shape, values: values.map((_, i) => mean(answers.map(({ gradient }) => gradient[name][i]))),
    })),
    adapted: mapObject(problem.variables, ({ shape }, name) => ({
      shape: [answers.length, ...shape], values: answers.flatMap(({ phi }) => phi[name]),
    })),
  };
}

/** The numbers of row t of an array. */
function row({ shape, values }, t) {
  const width = values.length / shape[0];
  return values.slice(t * width, (t + 1) * width);
}

// The protocol: JSON lines on standard input and output, numbers as C99 hex floats. It stays as it is.

const readline = require("node:readline");

/** Read "-0x1.8p+1" as -3. The digits are an integer of at most 53 bits, so that nothing is rounded. */
function fromHex(text) {
  const match = /^(-?)0x([0-9a-f])(?:\.([0-9a-f]*))?p([+-]?\d+)$/i.exec(text);
  if (!match) throw new Error(`expected a hex float, but got ${text}`);
  const [, sign, whole, digits = "", exponent] = match;
  const size = parseInt(whole + digits, 16) * 2 ** (exponent - 4 * digits.length);
  return sign ? -size : size;
}

const bytes = new DataView(new ArrayBuffer(8));

/** Write -3 as "-0x1.8000000000000p1": the sign, exponent and fraction of its binary64. */
function toHex(number) {
  if (!Number.isFinite(number)) return Number.isNaN(number) ? "nan" : number > 0 ? "inf" : "-inf";
  bytes.setFloat64(0, number);
  const bits = bytes.getBigUint64(0);
  const exponent = Number((bits >> 52n) & 0x7ffn);
  const fraction = (bits & 0xfffffffffffffn).toString(16).padStart(13, "0");
  return `${bits >> 63n ? "-" : ""}0x${exponent ? 1 : 0}.${fraction}p${exponent ? exponent - 1023 : -1022}`;
}

const readArray = ({ shape, values }) => ({ shape, values: values.map(fromHex) });
const writeArray = ({ shape, values }) => ({ shape, values: Array.from(values, toHex) });
const mapObject = (object, change) => Object.fromEntries(Object.entries(object).map(([k, v]) => [k, change(v, k)]));

/** Read the numbers of a problem; everything else in it stays as docs/vectors.md has it. */
function readProblem(problem) {
  const arrays = (group) => group && mapObject(group, readArray);
  const { rates, variables, support, query } = problem;
  const numbers = { variables: arrays(variables), support: arrays(support), query: arrays(query) };
  return { ...problem, ...numbers, rates: mapObject(rates, fromHex) };
}

/** Answer requests until `stop`; harness.run(problem, dtype) returns { cost, gradients, adapted }. */
function serve(harness) {
  const commands = {
    start: () => ({ protocol: 1, name: harness.name, language: "JavaScript" }),
    capabilities: () => harness.capabilities,
    echo: ({ array }) => ({ array: writeArray(readArray(array)) }),
    run({ problem, dtype }) {
      const { cost, gradients, adapted } = harness.run(readProblem(problem), dtype);
      const [slopes, points] = [gradients, adapted].map((arrays) => mapObject(arrays, writeArray));
      return { cost: toHex(cost), gradients: slopes, adapted: points };
    },
  };
  const lines = readline.createInterface({ input: process.stdin });
  lines.on("line", (line) => {
    const request = JSON.parse(line);
    if (request.command === "stop") return lines.close();
    let answer;
    try {
      answer = { result: commands[request.command](request) };
    } catch (error) {
      answer = { error: String(error) };
    }
    process.stdout.write(JSON.stringify({ id: request.id, ...answer }) + "\n");
  });
}

if (require.main === module) serve({ name: "subject.js", capabilities, run });

module.exports = { serve };
