// The recorded graph, evaluated and differentiated in the browser the way engine.py does it.
//
//   const graph = new Graph(spec);                    // spec is what _spec in make_page.py gives
//   const {values, errors} = graph.evaluate([…]);     // from one number for each leaf
//   const {totals, steps, errors} = graph.sweep(values, 3);   // three steps of the reverse sweep
//   graph.sentence(steps[2], values);                 // what print(step) says
//
// TABLE, the operations, comes from operations_in_javascript.py; m is the mathematics that they use.
// Where Python raises an error, m throws one of the same kind.
"use strict";

class EngineError extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

const outside = (message) => { throw new EngineError("ValueError", message); };

function finite(result, ...operands) {
  if (Math.abs(result) === Infinity && operands.every(Number.isFinite)) {
    throw new EngineError("OverflowError", "math range error");
  }
  return result;
}

const m = {
  div(a, b) {
    if (b === 0) throw new EngineError("ZeroDivisionError", "float division by zero");
    return a / b;
  },
  exp: (a) => finite(Math.exp(a), a),
  log: (a) => (a <= 0 ? outside("math domain error") : Math.log(a)),
  sqrt: (a) => (a < 0 ? outside("math domain error") : Math.sqrt(a)),
  sin: (a) => (Math.abs(a) === Infinity ? outside("math domain error") : Math.sin(a)),
  cos: (a) => (Math.abs(a) === Infinity ? outside("math domain error") : Math.cos(a)),
  tanh: Math.tanh,
  abs: Math.abs,
  sigmoid(a) {
    if (a >= 0) return 1 / (1 + Math.exp(-a));
    const e = Math.exp(a);
    return e / (1 + e);
  },
  sech2(a) {
    const e = Math.exp(-2 * Math.abs(a));
    return 4 * e / ((1 + e) * (1 + e));
  },
  pow(a, b) {
    if (a === 0 && b < 0) {
      throw new EngineError(
        "ZeroDivisionError", "a base other than 0 where the exponent is negative");
    }
    if (a < 0 && Number.isFinite(b) && b % 1 !== 0) {
      outside("a base from 0 up where the exponent is no whole number");
    }
    // C has 1 ** nan = 1 and (-1) ** inf = 1; JavaScript has NaN.
    if (a === 1 || (a === -1 && Math.abs(b) === Infinity)) return 1;
    return finite(Math.pow(a, b), a, b);
  },
  xlogy: (x, y) => (y === 0 ? 0 : x * m.log(y)),
  maximum: (a, b) => (a > b || Number.isNaN(a) ? a : b),
  step: (a, b, tie) => (a > b ? 1 : a < b ? 0 : a === b ? tie : NaN),
  is_zero: (a) => (a === 0 ? 1 : 0),
};

// ---- How numbers are written: as by notation.number, by Python's repr, and in a number box -----

function number(x, {signed = false, precision = 4} = {}) {
  if (Number.isNaN(x)) return "undefined";
  let text;
  if (Math.abs(x) === Infinity) {
    text = "∞";
  } else {
    const [decimal, exponent] = rounded(Math.abs(x), precision).split("e");
    const digits = decimal.replace(".", "");
    const e = Number(exponent);
    if (e < -4 || e >= precision) {
      text = trimmed(decimal) + `e${e}`;
    } else if (e < 0) {
      text = trimmed(`0.${"0".repeat(-e - 1)}${digits}`);
    } else {
      text = trimmed(`${digits.slice(0, e + 1)}.${digits.slice(e + 1)}`);
    }
  }
  const sign = x < 0 ? "-" : signed && x > 0 ? "+" : "";
  return (sign + text).replace(/-/g, "−");
}

// x to 2 or more significant digits; a tie goes to the even digit, as in Python.
function rounded(x, precision) {
  const up = x.toExponential(precision - 1);
  const more = x.toExponential(precision);
  if (/[02468]e/.test(up) || !more.includes("5e") || Number(more) !== x) return up;
  const [digits, exponent] = x.toExponential(60).split("e");
  const isTie = /^50*$/.test(digits.slice(precision + 1));
  return isTie ? `${digits.slice(0, precision + 1)}e${exponent}` : up;
}

const trimmed = (decimal) => decimal.replace(/\.?0*$/, "");

function repr(x) {
  if (Number.isNaN(x)) return "nan";
  if (!Number.isFinite(x)) return x < 0 ? "-inf" : "inf";
  if (Object.is(x, -0)) return "-0.0";
  const [digits, exponent] = x.toExponential().split("e");
  const size = Math.abs(Number(exponent));
  if (x !== 0 && (exponent < -4 || exponent >= 16)) {
    return `${digits}e${exponent[0]}${String(size).padStart(2, "0")}`;
  }
  return Number.isInteger(x) ? `${x}.0` : String(x);
}

// What a number box shows: it cannot show infinity, and has room for nine characters.
function boxed(x) {
  if (!Number.isFinite(x)) return "";
  let [text, precision] = [String(x), 16];
  while (text.length > 9 && precision > 3) text = String(Number(x.toPrecision(--precision)));
  return Number.isFinite(Number(text)) ? text : String(x);  // the largest numbers round to infinity
}

const inParentheses = (term) => (term.startsWith("−") ? `(${term})` : term);

// One pass, so that a label that looks like a placeholder stays a label.
const filled = (template, words) => template.replace(/\{(\w+)\}/g, (_, word) => words[word]);

// ---- The graph --------------------------------------------------------------------------------

class Graph {
  // spec.nodes, operands first and the root last: {op, in, label, name, heading, rules, …};
  // spec.errors: the engine's messages; spec.firsts and spec.overflow: what is said of the
  // first node that is not finite, and where a gradient becomes too large.
  constructor(spec) {
    this.nodes = spec.nodes;
    this.errors = spec.errors;
    this.firstWords = spec.firsts;
    this.overflow = spec.overflow;
    this.root = spec.nodes.length - 1;
    this.rows = spec.nodes.map((node) => TABLE[node.op]);
  }

  // The values, given one number for each leaf, by its index. A node that has no value is NaN, and
  // errors has the reason. The nodes computed from it are NaN, too.
  evaluate(leaves) {
    const values = new Float64Array(this.nodes.length);
    const errors = new Map();
    const lost = new Set();
    this.nodes.forEach((node, i) => {
      const row = this.rows[i];
      if (row === undefined) {
        values[i] = leaves[i];
      } else if (node.in.some((operand) => lost.has(operand))) {
        values[i] = NaN;
        lost.add(i);
      } else {
        try {
          values[i] = row.value(...node.in.map((operand) => values[operand]));
        } catch (error) {
          if (!(error instanceof EngineError)) throw error;
          values[i] = NaN;
          lost.add(i);
          errors.set(i, this.hasNoValue(error, i, values));
        }
      }
    });
    return {values, errors, lost};
  }

  // The first `count` steps of the reverse sweep. `handed` holds what each node that has had its
  // turn passes to its operands. A local derivative that does not exist is NaN, and errors has the
  // reason; `steps` ends before the first such node, as ReverseSweep does.
  sweep(values, count = this.nodes.length) {
    const totals = new Float64Array(this.nodes.length);
    const handed = new Array(this.nodes.length);
    const errors = new Map();
    const steps = [];
    // What a max, relu or abs shuts off gets no gradient: whether it has slopes does not matter.
    const reached = new Set([this.root]);
    totals[this.root] = 1;
    for (let i = this.root; i > this.root - count; i--) {
      const upstream = totals[i];
      const {slopes, error} = this.localDerivatives(i, values);
      if (error && reached.has(i)) errors.set(i, error);
      handed[i] = this.nodes[i].in.map((operand, place) => {
        const derivative = slopes[place];
        const isOpen = reached.has(i) && (derivative !== 0 || !this.rows[i].cases);
        const product = isOpen ? upstream * derivative : 0;
        if (isOpen) reached.add(operand);
        totals[operand] += product;
        return {operand, derivative, product, total: totals[operand]};
      });
      if (errors.size === 0) steps.push({node: i, upstream, contributions: handed[i]});
    }
    return {totals, handed, errors, steps};
  }

  // The local derivatives of a node. If one does not exist, all are NaN, and error is the reason.
  localDerivatives(i, values) {
    if (!this.rows[i]) return {slopes: []};
    const operands = this.nodes[i].in.map((operand) => values[operand]);
    try {
      const slopes = this.rows[i].partials(...operands, values[i]);
      this.checkSlopes(slopes, i, [...operands, values[i]]);
      return {slopes};
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      return {slopes: operands.map(() => NaN), error: this.hasNoSlope(error, i, values)};
    }
  }

  // Without the slopes for constants, which nobody needs.
  checkSlopes(slopes, i, given) {
    if (slopes.every(Number.isFinite) || !given.every(Number.isFinite)) return;
    const asked = slopes.filter((_, place) => this.nodes[this.nodes[i].in[place]].op !== "constant");
    if (asked.some(Number.isNaN)) outside("a slope is nan");
    if (!asked.every(Number.isFinite)) throw new EngineError("OverflowError", "a slope is infinite");
  }

  // What print(step) says.
  sentence(step, values) {
    const node = this.nodes[step.node];
    if (node.op === "constant") return node.heading;
    if (node.op === "leaf") return `${node.heading} ${number(step.upstream)}`;
    const lines = [node.heading];
    step.contributions.forEach(({derivative, product, total}, place) => {
      if (!node.rules[place]) return;
      const factors = [step.upstream, derivative].map((x) => inParentheses(number(x))).join(" · ");
      const isAsked = product !== 0 || !Number.isNaN(derivative);
      const overflows = Math.abs(product) === Infinity && [step.upstream, derivative].every(Number.isFinite);
      const found = isAsked ? `${factors} = ${number(product)}` : `0 ${this.errors.notAsked}`;
      const line = `  ${node.rules[place]} = ${found}${overflows ? this.overflow : ""}`;
      lines.push(total === product ? line : `${line}, in all ${number(total)}`);
    });
    const because = this.reason(step.node, values);
    return (because ? [...lines, `  ${because}`] : lines).join("\n");
  }

  // The first node that is infinite or nan, and the first that is nan, with the words for it.
  firsts({values, lost}) {
    const [infinite, undefined_] = [Number.isFinite, (x) => !Number.isNaN(x)].map(
      (isRight) => values.findIndex((x, i) => !isRight(x) && !lost.has(i)));
    const found = new Map([[infinite, this.firstWords[0]], [undefined_, this.firstWords[1]]]);
    found.delete(-1);
    return found;
  }

  // What the page says after the last step: J, and ∂J/∂input for the first few inputs.
  outcome(values, totals, inputs, most) {
    const slopes = inputs.slice(0, most).map(
      (i) => `${this.nodes[i].slope} = ${number(totals[i], {signed: true})}`);
    if (inputs.length > most) slopes.push("…");
    const ends = [...this.firsts({values, lost: new Set()})].map(
      ([i, words]) => `\n${this.nodes[i].name} is ${words}`);
    const lead = `${this.nodes[this.root].name} = ${number(values[this.root])}`;
    return [lead, ...slopes].join(", ") + ends.join("");
  }

  // Why the gradient goes where it goes, for an operation with a kink or its own explanation.
  reason(i, values) {
    const {cases, explanation} = this.rows[i] ?? {};
    if (explanation) return explanation;
    const now = this.case(i, values);
    if (now === null) return "";
    const operands = this.nodes[i].in;
    const said = operands.map((operand) => {
      const value = number(values[operand]);
      const name = this.nodes[operand].name;
      return name === value ? value : `${name} = ${value}`;
    });
    const names = operands.map((operand) => this.nodes[operand].name);
    const words = {a: said[0], b: said.at(-1), x: names[0], y: names.at(-1)};
    return filled(cases[now], words);
  }

  // Which case of an operation with a kink this is: 0 (a > b), 1 (a = b, the kink), 2 (a < b).
  case(i, values) {
    if (!this.rows[i]?.cases) return null;
    const [a, b = 0, ...more] = this.nodes[i].in.map((operand) => values[operand]);
    if (more.length) {  // as RowOfMany.side in many.py
      const ties = [a, b, ...more].filter((x) => x === values[i]).length;
      return ties === 0 ? null : ties > 1 ? 1 : 0;
    }
    return a > b ? 0 : a === b ? 1 : a < b ? 2 : null;
  }

  // What the boxes and arrows show, as in boxes_and_arrows.py. A node without a value shows "—".
  // Texts are made when they are needed: of a large graph, only a few are visible at a time.
  boxesAndArrows({values, lost}, {totals, handed}) {
    const isConstant = (i) => this.nodes[i].op === "constant";
    const isLost = lost.has(this.root);
    const loud = new Set();
    const more = new Set();
    let largest = 0;
    const arrows = this.nodes.flatMap((node, i) => node.in.map((operand, place) => {
      if (!handed[i]) {
        more.add(operand);
        if (totals[i] !== 0) loud.add(operand);
        return {quiet: false, back: "", flow: 0, text: ""};
      }
      const {derivative, product} = handed[i][place];
      const isShown = !isConstant(operand) || Boolean(this.rows[i].cases);
      const quiet = (isShown ? product : totals[i]) === 0;
      if (!quiet) loud.add(operand);
      if (Number.isFinite(product)) largest = Math.max(largest, Math.abs(product));
      if (!isShown) return {quiet, back: "", flow: 0, text: ""};
      if (Number.isNaN(derivative)) {
        return quiet ? {quiet, back: "quiet", flow: 0, text: ""}
          : {quiet, back: "undefined", flow: 0, text: "no slope"};
      }
      return {
        quiet, back: product === 0 ? "quiet" : "live", flow: product,
        get text() { return `×${inParentheses(number(derivative))}`; },
      };
    }));
    for (const arrow of arrows) {
      const isFinite = Number.isFinite(arrow.flow) && largest > 0;
      const share = isFinite ? Math.abs(arrow.flow) / largest : 0;
      arrow.width = arrow.back === "live" ? (0.8 + 1.4 * share).toFixed(2) : "1";
    }
    const boxes = this.nodes.map((node, i) => {
      const waits = !handed[i];
      const total = totals[i];
      const hasGradient = !isConstant(i) && !(waits && total === 0) && !isLost;
      const signed = node.op === "leaf" && i !== this.root;
      return {
        state: waits ? "waits" : i !== this.root && !loud.has(i) ? "pale" : "",
        case: this.case(i, values),
        get value() { return lost.has(i) ? "—" : number(values[i]); },
        get gradient() {
          if (!hasGradient) return "";
          const said = Number.isNaN(total) ? "does not exist" : number(total, {signed});
          return more.has(i) ? `${said} so far` : said;
        },
        get afterSymbol() {  // what follows ∂J/∂node in the box
          if (!this.gradient) return "";
          return this.gradient === "does not exist" ? " does not exist" : ` = ${this.gradient}`;
        },
      };
    });
    return {boxes, arrows};
  }

  hasNoValue(error, i, values) {
    const {symbol, domain} = this.rows[i];
    const template = error.kind === "OverflowError" ? this.errors.tooLarge : this.errors.needs;
    const words = {symbol, domain: domain.replace("{error}", () => error.message) || error.message, operands: this.got(i, values)};
    return new EngineError(error.kind, filled(template, words));
  }

  hasNoSlope(error, i, values) {
    const isTooLarge = error.kind === "OverflowError";
    const {label} = this.nodes[i];
    const words = {
      symbol: this.rows[i].symbol,
      name: label ? ` (the node ${label})` : "",
      operands: this.got(i, values),
    };
    const template = isTooLarge ? this.errors.slopeTooLarge : this.errors.noSlope;
    return new EngineError(isTooLarge ? error.kind : "SlopeError", filled(template, words));
  }

  // The operands of a node in an error message.
  got(i, values) {
    const withValue = (operand) => {
      const {label} = this.nodes[operand];
      return label ? `${label} = ${repr(values[operand])}` : repr(values[operand]);
    };
    return this.nodes[i].in.map(withValue).join(", ");
  }
}

