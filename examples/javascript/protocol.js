"use strict";
// What it takes to be judged by refmaml: JSON lines on standard input and output, numbers as C99 hex floats.
// docs/protocol.md describes every message. To judge other code, copy this file and write your own `harness`.

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
const mapObject = (object, change) => Object.fromEntries(Object.entries(object).map(([k, v]) => [k, change(v)]));

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

module.exports = { serve };
