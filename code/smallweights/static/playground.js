// The playground: a small network that trains in the page, on data in two dimensions.
//
// First the core: pure functions in float64, without a page. A network is the list of its
// parameters in PyTorch's order, [weight 0, bias 0, weight 1, …], each a flat Float64Array; a
// weight is (out, in) row by row. Its definitions are those of smallweights.train.fit, which is
// the oracle of the tests: mean cross-entropy, alpha·Σ|w|, alpha·Σw² without a half.
//
// Then the view: one class that draws a state and turns the knobs into settings.

// ---------------------------------------------------------------- core: penalties

const shrink = (w, threshold) => Math.sign(w) * Math.max(Math.abs(w) - threshold, 0);

/** l1·Σ|w| + l2·Σw², as value, subgradient and proximal operator of one weight. */
export const elasticNet = (l1, l2) => ({
  value: (w) => l1 * Math.abs(w) + l2 * w * w,
  grad: (w) => l1 * Math.sign(w) + 2 * l2 * w,
  prox: (w, step) => shrink(w, step * l1) / (1 + 2 * step * l2),
});

/** alpha·Σ(e^|w| − 1); alpha = 0 is no penalty, also where e^|w| overflows. */
export const exponential = (alpha) => ({
  value: (w) => (alpha > 0 ? alpha * Math.expm1(Math.abs(w)) : 0),
  grad: (w) => (alpha > 0 ? alpha * Math.sign(w) * Math.exp(Math.abs(w)) : 0),
  prox: (w, step) => shrink(w, lambertOfExp(Math.abs(w) + Math.log(step * alpha))),
});

/** Lambert's W₀(e^y), the u > 0 with u + ln u = y, without ever computing e^y. */
export function lambertOfExp(y) {
  y = Math.max(y, -1e3);
  let logU = y > 1 ? Math.log(y) : y;
  for (let i = 0; i < 8; i++) {  // Newton on e^s + s = y
    const u = Math.exp(logU);
    logU -= (u + logU - y) / (u + 1);
  }
  return Math.exp(logU);
}

const PENALTIES = {
  none: () => null,
  l1: (alpha) => elasticNet(alpha, 0),
  l2: (alpha) => elasticNet(0, alpha),
  elastic: (alpha, share) => elasticNet(alpha * share, alpha * (1 - share)),
  exp: (alpha) => exponential(alpha),
};

const SCHEDULES = {
  constant: () => 1,
  warm: (step, turn) => Math.min(1, step / turn),
  off: (step, turn) => (step < turn ? 1 : 0),
};

/** One penalty (or null) for each parameter at this step, from the settings of the page. */
export function penaltiesAt(s, step) {
  const factor = SCHEDULES[s.schedule](step, s.turn);
  return Array.from({ length: 2 * (s.layers + 1) }, (_, i) => {
    const layer = Math.floor(i / 2) + 1;
    const alpha = factor * (s.own ? s[`alpha${layer}`] : s.alpha);
    return i % 2 && !s.biases ? null : PENALTIES[s.penalty](alpha, s.share);
  });
}

// ---------------------------------------------------------------- core: network

const ACTIVATIONS = {  // the slope is a function of the activation's value
  tanh: { value: Math.tanh, slope: (a) => 1 - a * a },
  relu: { value: (z) => Math.max(z, 0), slope: (a) => (a > 0 ? 1 : 0) },
  sigmoid: { value: (z) => 1 / (1 + Math.exp(-z)), slope: (a) => a * (1 - a) },
};

function affine(x, weight, bias) {
  const out = bias.length, fanIn = weight.length / out, n = x.length / fanIn;
  const z = new Float64Array(n * out);
  for (let row = 0; row < n; row++) {
    for (let o = 0; o < out; o++) {
      let sum = bias[o];
      for (let k = 0; k < fanIn; k++) sum += weight[o * fanIn + k] * x[row * fanIn + k];
      z[row * out + o] = sum;
    }
  }
  return z;
}

/** The inputs (n·2), every hidden layer's activations (n·width) and the logits (n·2). */
export function forward(params, activation, x) {
  const outputs = [x];
  for (let i = 0; i < params.length; i += 2) {
    const z = affine(outputs.at(-1), params[i], params[i + 1]);
    outputs.push(i + 2 < params.length ? z.map(ACTIVATIONS[activation].value) : z);
  }
  return outputs;
}

function logSumExp(logits, from, to) {
  let top = -Infinity, sum = 0;
  for (let i = from; i < to; i++) top = Math.max(top, logits[i]);
  for (let i = from; i < to; i++) sum += Math.exp(logits[i] - top);
  return top + Math.log(sum);
}

/** The mean cross-entropy and the share of wrong answers on examples {x, y}. */
export function scores(params, activation, { x, y }) {
  const logits = forward(params, activation, x).at(-1), classes = logits.length / y.length;
  let loss = 0, wrong = 0;
  y.forEach((label, row) => {
    const answer = logits.subarray(row * classes, (row + 1) * classes);
    loss += logSumExp(answer, 0, classes) - answer[label];
    wrong += answer.indexOf(Math.max(...answer)) !== label;
  });
  return { loss: loss / y.length, error: wrong / y.length };
}

function lossByLogits(logits, y) {
  const classes = logits.length / y.length;
  const result = new Float64Array(logits.length);
  for (let row = 0, from = 0; row < y.length; row++, from += classes) {
    const total = logSumExp(logits, from, from + classes);
    for (let i = from; i < from + classes; i++) result[i] = Math.exp(logits[i] - total) / y.length;
    result[from + y[row]] -= 1 / y.length;
  }
  return result;
}

function lossByLayer(delta, input, out) {
  const n = delta.length / out, fanIn = input.length / n;
  const weight = new Float64Array(out * fanIn), bias = new Float64Array(out);
  for (let row = 0; row < n; row++) {
    for (let o = 0; o < out; o++) {
      const d = delta[row * out + o];
      bias[o] += d;
      for (let k = 0; k < fanIn; k++) weight[o * fanIn + k] += d * input[row * fanIn + k];
    }
  }
  return [weight, bias];
}

function lossByInput(delta, weight, input, slope, out) {
  const fanIn = weight.length / out, n = delta.length / out, result = new Float64Array(n * fanIn);
  for (let row = 0; row < n; row++) {
    for (let k = 0; k < fanIn; k++) {
      let sum = 0;
      for (let o = 0; o < out; o++) sum += delta[row * out + o] * weight[o * fanIn + k];
      result[row * fanIn + k] = sum * slope(input[row * fanIn + k]);
    }
  }
  return result;
}

/** The gradient of the mean cross-entropy with respect to every parameter: backpropagation. */
export function gradients(params, activation, { x, y }) {
  const outputs = forward(params, activation, x), result = [];
  let delta = lossByLogits(outputs.at(-1), y);
  for (let i = params.length - 2; i >= 0; i -= 2) {
    const input = outputs[i / 2], out = params[i + 1].length;
    result.unshift(...lossByLayer(delta, input, out));
    if (i) delta = lossByInput(delta, params[i], input, ACTIVATIONS[activation].slope, out);
  }
  return result;
}

/** The penalty of all parameters together, from one penalty (or null) for each. */
export const penaltyValue = (params, penalties) => params.reduce((total, p, i) =>
  total + (penalties[i] ? p.reduce((sum, w) => sum + penalties[i].value(w), 0) : 0), 0);

const weightsOf = (params) => params.filter((_, i) => i % 2 === 0).flatMap((w) => [...w]);

/** The L2 norm of all weights without biases. */
export const norm = (params) => Math.hypot(...weightsOf(params));

/** How many weights there are without biases, and how many of them are exactly zero. */
export function countWeights(params) {
  const weights = weightsOf(params);
  return { all: weights.length, zero: weights.filter((w) => w === 0).length };
}

// ---------------------------------------------------------------- core: optimizers

const zip = (arrays, others, f) => arrays.map((a, i) => a.map((v, j) => f(v, others[i][j])));

/** The state of an untrained network: its parameters and the optimizer's empty memory. */
export function begin(params) {
  const empty = params.map((p) => new Float64Array(p.length));
  return { params, memory: { count: 0, first: empty, second: empty } };
}

function sgd(params, slopes, memory, { lr, momentum }) {
  const first = zip(memory.first, slopes, (m, g) => momentum * m + g);
  return { params: zip(params, first, (p, m) => p - lr * m), memory: { ...memory, first } };
}

function adam(params, slopes, memory, { lr }) {
  const count = memory.count + 1, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  const first = zip(memory.first, slopes, (m, g) => beta1 * m + (1 - beta1) * g);
  const second = zip(memory.second, slopes, (v, g) => beta2 * v + (1 - beta2) * g * g);
  const size = lr / (1 - beta1 ** count), scale = Math.sqrt(1 - beta2 ** count);
  const moves = zip(first, second, (m, v) => (size * m) / (Math.sqrt(v) / scale + epsilon));
  return { params: zip(params, moves, (p, d) => p - d), memory: { count, first, second } };
}

const penalized = (arrays, penalties, f) =>
  arrays.map((a, i) => (penalties[i] ? a.map((v, j) => f(v, penalties[i], i, j)) : a));

/**
 * The state after one update on a batch {x, y}. `how` has activation, optimizer ("sgd", "adam"),
 * lr, momentum (0 with Adam), penalties (one a parameter or null) and method, the way they enter:
 * "penalty" adds to the gradient, "prox" takes a proximal step after the optimizer's, "decay"
 * takes lr times the penalty's gradient off the weights.
 */
export function update({ params, memory }, batch, how) {
  const { penalties, method, lr } = how;
  let slopes = gradients(params, how.activation, batch), start = params;
  if (method === "penalty") {
    slopes = penalized(slopes, penalties, (g, p, i, j) => g + p.grad(params[i][j]));
  } else if (method === "decay") {
    start = penalized(params, penalties, (w, p) => w - lr * p.grad(w));
  }
  const next = (how.optimizer === "adam" ? adam : sgd)(start, slopes, memory, how);
  if (method !== "prox") return next;
  const length = lr / (1 - how.momentum);  // where momentum stops, the gradients have added up
  return { ...next, params: penalized(next.params, penalties, (w, p) => p.prox(w, length)) };
}

// ---------------------------------------------------------------- core: seeds and data

/** Numbers uniform on [0, 1), the same for the same seed and stream (mulberry32). */
export function makeRandom(seed, stream = 0) {
  let state = Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(stream + 1, 0x85ebca6b);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const normal = (random) =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

/** Every weight and bias uniform on ±1/√(fan-in), as PyTorch's layers do. */
export function initialize(sizes, random) {
  return sizes.slice(1).flatMap((out, i) => {
    const bound = sizes[i] ** -0.5;
    const draw = (length) => Float64Array.from({ length }, () => bound * (2 * random() - 1));
    return [draw(out * sizes[i]), draw(out)];
  });
}

const SHAPES = {  // a point without noise, for class 0 or 1
  moons: (u, label) => {
    const angle = Math.PI * u();
    const [x, y] = [Math.cos(angle), Math.sin(angle)];
    return label ? [0.5 - x, 0.25 - y] : [x - 0.5, y - 0.25];
  },
  rings: (u, label) => {
    const angle = 2 * Math.PI * u(), radius = label ? 1.3 : 0.5;
    return [radius * Math.cos(angle), radius * Math.sin(angle)];
  },
  xor: (u, label) => {
    const x = 2.6 * u() - 1.3, size = 1.3 * u();
    return [x, (x > 0) === (label === 1) ? -size : size];
  },
  linear: (u, label) => {
    const along = 1.8 * u() - 0.9, across = (label ? -0.9 : 0.9) * u();
    return [along + across, across - along];
  },
};

/** n examples {x (n·2), y (n)}, the classes in turn, with normal noise on both axes. */
export function makeData(shape, n, noise, random) {
  const y = Array.from({ length: n }, (_, i) => i % 2);
  const points = y.map((label) => SHAPES[shape](random, label));
  return { x: Float64Array.from(points.flat(), (v) => v + noise * normal(random)), y };
}

const rowsOf = ({ x, y }, rows) => ({
  x: Float64Array.from(rows.flatMap((row) => [x[2 * row], x[2 * row + 1]])),
  y: rows.map((row) => y[row]),
});

const span = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);

/** The rows of a mini-batch: an order for each epoch, whose shorter last batch is skipped. */
export function batchRows(n, batch, seed, step) {
  const perEpoch = Math.max(1, Math.floor(n / batch)), rows = span(0, n);
  const random = makeRandom(seed, 2 + Math.floor(step / perEpoch));
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [rows[i], rows[j]] = [rows[j], rows[i]];
  }
  const start = (step % perEpoch) * batch;
  return rows.slice(start, start + batch);
}

export const sizesOf = (s) => [2, ...Array(s.layers).fill(s.width), 2];

/** One trial a seed: its own draw of the data, cut into training and held-out, and weights. */
export function startTrials(s) {
  const train = Math.round(s.train * s.n);
  return span(0, s.seeds).map((replica) => {
    const data = makeData(s.data, s.n, s.noise, makeRandom(s.seed + replica, 0));
    const seed = s.start + replica;
    return {
      seed,
      train: rowsOf(data, span(0, train)),
      heldOut: rowsOf(data, span(train, s.n)),
      ...begin(initialize(sizesOf(s), makeRandom(seed, 1))),
    };
  });
}

/** All trials one step on, with the settings as they are now. */
export function advance(trials, s, step) {
  const [optimizer, momentum] = s.optimizer === "momentum" ? ["sgd", 0.9] : [s.optimizer, 0];
  const how = { ...s, optimizer, momentum, penalties: penaltiesAt(s, step) };
  return trials.map((trial) => {
    const { train, seed } = trial, n = train.y.length;
    const whole = s.batch === 0 || s.batch >= n;
    const batch = whole ? train : rowsOf(train, batchRows(n, s.batch, seed, step));
    return { ...trial, ...update(trial, batch, how) };
  });
}

// Student's t for a two-sided 95 % interval from so many seeds.
export const STUDENT = { 4: 3.182446305284, 8: 2.364624251593, 16: 2.131449545559 };

/** Mean and half the width of its 95 % interval; half is 0 for a single value. */
export function interval(values) {
  const n = values.length, mean = values.reduce((a, b) => a + b) / n;
  const squares = values.reduce((sum, v) => sum + (v - mean) ** 2, 0);
  return { mean, half: n > 1 ? STUDENT[n] * Math.sqrt(squares / (n - 1) / n) : 0 };
}

/** What the curves show at one step: the first trial, and held-out loss over all of them. */
export function summarize(trials, s, step) {
  const [{ params, train, heldOut }] = trials;
  const [on, off] = [train, heldOut].map((part) => scores(params, s.activation, part));
  const losses = trials.map((t) => scores(t.params, s.activation, t.heldOut).loss);
  const { mean, half } = interval(losses);
  return {
    step, mean, half, train: on.loss, heldOut: off.loss, trainError: on.error,
    heldOutError: off.error, penalty: penaltyValue(params, penaltiesAt(s, step)),
    norm: norm(params), ...countWeights(params),
  };
}

// ---------------------------------------------------------------- settings and their address

const linear = (from, to, by) =>
  span(0, Math.round((to - from) / by) + 1).map((i) => +(from + i * by).toFixed(6));
const decades = (from, to) => linear(from, to, 0.2).map((e) => +(10 ** e).toPrecision(2));
const ALPHAS = [0, ...decades(-5, 0)];
const hasPenalty = (s) => s.penalty !== "none";
const perWeight = (s) => (s.penalty === "l2" ? "loss per squared weight" : "loss per weight");
const ownAlpha = (layer) => ({
  key: `alpha${layer}`, group: "Penalty", label: `alpha of layer ${layer}`, values: ALPHAS,
  value: 0.0025, unit: perWeight, shown: (s) => hasPenalty(s) && s.own && layer <= s.layers + 1,
});

/** Every knob: options (a choice), values (a slider) or neither (a box to tick). */
export const SETTINGS = [
  { key: "penalty", group: "Penalty", label: "penalty", value: "l1", options: {
    none: "none", l1: "L1", l2: "L2", elastic: "elastic net", exp: "exponential" } },
  { key: "alpha", group: "Penalty", label: "alpha", values: ALPHAS, value: 0.0025,
    unit: perWeight, shown: (s) => hasPenalty(s) && !s.own },
  ownAlpha(1), ownAlpha(2), ownAlpha(3), ownAlpha(4),
  { key: "share", group: "Penalty", label: "share of L1", values: linear(0, 1, 0.1), value: 0.5,
    unit: () => "of alpha", shown: (s) => s.penalty === "elastic" },
  { key: "method", group: "Penalty", label: "enters by", value: "prox", shown: hasPenalty,
    options: { prox: "proximal step", penalty: "gradient", decay: "decoupled" } },
  { key: "schedule", group: "Penalty", label: "schedule", value: "constant", shown: hasPenalty,
    options: { constant: "constant", warm: "linear warm-up", off: "off after a while" } },
  { key: "turn", group: "Penalty", label: "turning point", values: linear(50, 2000, 50),
    value: 500, unit: () => "steps", shown: (s) => hasPenalty(s) && s.schedule !== "constant" },
  { key: "own", group: "Penalty", label: "an alpha for each layer", value: 0, shown: hasPenalty },
  { key: "biases", group: "Penalty", label: "biases too", value: 0, shown: hasPenalty },
  { key: "data", group: "Data", label: "data set", value: "moons", restarts: true, options: {
    moons: "two moons", rings: "two rings", xor: "XOR", linear: "a noisy line" } },
  { key: "noise", group: "Data", label: "noise", values: linear(0, 0.8, 0.05), value: 0.2,
    unit: () => "std. dev.", restarts: true },
  { key: "n", group: "Data", label: "examples", values: linear(20, 400, 20), value: 200,
    unit: () => "in all", restarts: true },
  { key: "train", group: "Data", label: "training part", values: linear(0.1, 0.9, 0.1),
    value: 0.3, unit: () => "of all", restarts: true },
  { key: "seed", group: "Data", label: "seed of the data", values: linear(0, 50, 1), value: 0,
    unit: () => "", restarts: true },
  { key: "layers", group: "Network", label: "hidden layers", values: [0, 1, 2, 3], value: 2,
    unit: () => "", restarts: true },
  { key: "width", group: "Network", label: "width", values: linear(1, 8, 1), value: 8,
    unit: () => "units a layer", shown: (s) => s.layers > 0, restarts: true },
  { key: "activation", group: "Network", label: "activation", value: "tanh", restarts: true,
    options: { tanh: "tanh", relu: "ReLU", sigmoid: "sigmoid" }, shown: (s) => s.layers > 0 },
  { key: "start", group: "Network", label: "seed of the weights", values: linear(0, 50, 1),
    value: 0, unit: () => "", restarts: true },
  { key: "optimizer", group: "Training", label: "optimizer", value: "momentum", options: {
    sgd: "SGD", momentum: "momentum", adam: "Adam" } },
  { key: "lr", group: "Training", label: "learning rate", values: decades(-4, 0), value: 0.1,
    unit: () => "" },
  { key: "batch", group: "Training", label: "examples a step", value: 0,
    options: { 0: "all", 1: "1", 4: "4", 16: "16" } },
  { key: "speed", group: "Training", label: "speed", values: [1, 2, 5, 10, 20, 50], value: 5,
    unit: () => "steps a frame" },
  { key: "seeds", group: "Training", label: "networks trained", value: 8, restarts: true,
    options: { 1: "1", 4: "4", 8: "8", 16: "16" } },
];

export const defaults = () => Object.fromEntries(SETTINGS.map(({ key, value }) => [key, value]));

const valuesOf = (knob) => (knob.options ? Object.keys(knob.options) : knob.values ?? [0, 1]);

/** The settings that an address such as "data=xor&alpha=0.01" asks for, and what is wrong in it. */
export function readState(text) {
  const settings = defaults(), problems = [];
  for (const [key, asked] of new URLSearchParams(text)) {
    const knob = SETTINGS.find((k) => k.key === key);
    const found = knob && valuesOf(knob).find((v) => String(v) === asked);
    if (found !== undefined) {
      settings[key] = typeof knob.value === "number" ? Number(found) : found;
    } else {
      const there = knob ? valuesOf(knob) : SETTINGS.map((k) => k.key);
      problems.push(`The address asks for ${key}=${asked}; there are ${there.join(", ")}.`);
    }
  }
  return { settings, problems };
}

/** The settings that differ from the defaults, in the form of an address. */
export const writeState = (settings) => new URLSearchParams(
  SETTINGS.map(({ key }) => key).filter((key) => settings[key] !== defaults()[key])
    .map((key) => [key, settings[key]]),
).toString();

// ---------------------------------------------------------------- view

const NAMESPACE = "http://www.w3.org/2000/svg";
const VIEW = 2.2, GRID = 72, RECORDS = 300, ANNOUNCE = 5000, FRAME = 12;  // the last two in ms

function make(tag, attributes = {}, ...children) {
  const isDrawing = ["svg", "g", "line", "circle", "rect", "path", "text"].includes(tag);
  const node = isDrawing ? document.createElementNS(NAMESPACE, tag) : document.createElement(tag);
  Object.entries(attributes).forEach(([name, value]) => node.setAttribute(name, value));
  node.append(...children);
  return node;
}

const figure = (drawing, ...caption) =>
  make("figure", {}, drawing, make("figcaption", {}, ...caption));
const sample = (kind) => make("i", { class: `sample ${kind}`, "aria-hidden": "true" });
const short = (v) => (v && (v < 1e-3 || v >= 1e4) ? v.toExponential(0) : String(+v.toPrecision(3)));
const fixed = (v) => v.toFixed(3);

/** One knob: a label, a control and its value with the unit. */
class Knob {
  constructor(spec, changed) {
    this.spec = spec;
    this.input = this.control();
    this.output = make("span", { class: "value", "aria-hidden": "true" });
    this.node = make("label", { class: spec.values ? "slider" : "" },
      make("span", { class: "name" }, spec.label), this.input, this.output);
    this.input.addEventListener("input", () => changed(spec, this.read(), false));
    this.input.addEventListener("change", () => changed(spec, this.read(), true));
  }

  control() {
    const { key, options, values } = this.spec;
    if (values) {
      return make("input", { type: "range", name: key, min: 0, max: values.length - 1, step: 1 });
    }
    if (!options) return make("input", { type: "checkbox", name: key });
    const choices = Object.entries(options).map(([value, text]) => make("option", { value }, text));
    return make("select", { name: key }, ...choices);
  }

  read() {
    const { options, values, value } = this.spec;
    if (values) return values[this.input.value];
    if (!options) return Number(this.input.checked);
    return typeof value === "number" ? Number(this.input.value) : this.input.value;
  }

  show(settings) {
    const { key, values, options, unit, shown } = this.spec, value = settings[key];
    this.node.hidden = shown ? !shown(settings) : false;
    if (values) {
      this.input.value = values.indexOf(value);
      this.output.textContent = `${short(value)} ${unit(settings)}`.trim();
      this.input.setAttribute("aria-valuetext", this.output.textContent);
    } else if (options) this.input.value = value;
    else this.input.checked = Boolean(value);
  }
}

/** The classes' regions as colours on a canvas, and the examples as marks above them. */
class Surface {
  constructor() {
    this.canvas = make("canvas", { width: GRID, height: GRID });
    this.marks = make("svg", { viewBox: "-100 -100 200 200", "aria-hidden": "true" });
    this.node = make("div", { class: "surface", role: "img" }, this.canvas, this.marks);
    this.grid = Float64Array.from({ length: 2 * GRID * GRID }, (_, i) => {
      const cell = i >> 1, place = i % 2 ? GRID - 1 - Math.floor(cell / GRID) : cell % GRID;
      return VIEW * ((2 * place + 1) / GRID - 1);
    });
  }

  place({ train, heldOut }) {
    const marks = (part, kind) => part.y.map((label, i) => {
      const x = (100 * part.x[2 * i]) / VIEW, y = (-100 * part.x[2 * i + 1]) / VIEW;
      return label
        ? make("rect", { x: x - 2, y: y - 2, width: 4, height: 4, class: `one ${kind}` })
        : make("circle", { cx: x, cy: y, r: 2.3, class: `zero ${kind}` });
    });
    this.marks.replaceChildren(...marks(heldOut, "held-out"), ...marks(train, "train"));
  }

  draw(params, activation, { trainError, heldOutError }) {
    const logits = forward(params, activation, this.grid).at(-1);
    const context = this.canvas.getContext("2d"), image = context.createImageData(GRID, GRID);
    for (let cell = 0; cell < GRID * GRID; cell++) {
      const margin = logits[2 * cell + 1] - logits[2 * cell];
      const sure = 0.18 + 0.5 * Math.abs(Math.tanh(margin / 2));
      image.data.set([...(margin > 0 ? [230, 140, 0] : [0, 130, 200]), 255 * sure], 4 * cell);
    }
    context.putImageData(image, 0, 0);
    this.node.setAttribute("aria-label", "The data and the class the network answers at each point."
      + ` Wrong: ${short(100 * trainError)} % of the training examples,`
      + ` ${short(100 * heldOutError)} % of the held-out ones.`);
  }
}

/** The network: a unit is a circle, a weight a line whose width is its size. */
class Diagram {
  constructor() {
    this.node = make("svg", { viewBox: "0 0 320 310", role: "img", class: "diagram" });
  }

  place(sizes) {
    const at = (layer, unit) => [22 + (276 * layer) / (sizes.length - 1),
      155 + 38 * (unit - (sizes[layer] - 1) / 2)];
    this.lines = sizes.slice(1).map((out, layer) => span(0, out * sizes[layer]).map((i) => {
      const [x1, y1] = at(layer, i % sizes[layer]);
      const [x2, y2] = at(layer + 1, Math.floor(i / sizes[layer]));
      return make("line", { x1, y1, x2, y2, pathLength: 100 });
    }));
    this.units = sizes.map((width, layer) => span(0, width).map((unit) => {
      const [cx, cy] = at(layer, unit);
      return make("circle", { cx, cy, r: 8 });
    }));
    const names = [["x₁", "x₂"], ["●", "■"]].flatMap((pair, end) => pair.map((name, unit) => {
      const [x, y] = at(end * (sizes.length - 1), unit);
      return make("text", { x, y: y + 3.5, "text-anchor": "middle" }, name);
    }));
    this.node.replaceChildren(...this.lines.flat(), ...this.units.flat(), ...names);
  }

  draw(params, { zero, all }) {
    this.lines.forEach((lines, layer) => lines.forEach((line, i) => {
      const w = params[2 * layer][i];
      line.setAttribute("class", w === 0 ? "cut" : w > 0 ? "positive" : "negative");
      line.style.strokeWidth = w === 0 ? 1 : 0.4 + Math.min(7, 2 * Math.abs(w));
    }));
    this.units.slice(1, -1).forEach((units, layer) => units.forEach((unit, i) => {
      const into = params[2 * layer], out = params[2 * layer + 2];
      const fanIn = into.length / units.length;
      const dead = into.subarray(i * fanIn, (i + 1) * fanIn).every((w) => w === 0)
        || out.filter((_, j) => j % units.length === i).every((w) => w === 0);
      unit.setAttribute("class", dead ? "dead" : "");
    }));
    this.node.setAttribute("aria-label",
      `The network. ${zero} of its ${all} weights are exactly zero and drawn as cut.`);
  }
}

const niceTop = (value) => {
  const unit = 10 ** Math.floor(Math.log10(value));
  return unit * [1, 2, 3, 4, 5, 6, 8, 10].find((m) => m * unit >= value * 0.999);
};

/** Curves against the step, from zero up; `band` names a mean and half its interval's width. */
class Chart {
  constructor(name, keys, band) {
    Object.assign(this, { keys, band });
    this.node = make("svg", { viewBox: "0 0 320 182", role: "img", class: "chart",
      "aria-label": `${name} against the step; the numbers stand above.` });
  }

  draw(records, changes) {
    const highest = (r) => Math.max(...this.keys.map((k) => r[k]), this.band ? r.mean + r.half : 0);
    const top = niceTop(Math.max(1e-3, ...records.map(highest)));
    const end = Math.max(10, records.at(-1).step);
    const y = (v) => 160 - 148 * Math.min(1, Math.max(0, v) / top);
    const place = ([step, v]) => `${(40 + (272 * step) / end).toFixed(1)},${y(v).toFixed(1)}`;
    const path = (kind, points) =>
      make("path", { class: kind, d: `M${points.map(place).join("L")}` });
    const curve = (f) => records.map((r) => [r.step, f(r)]);
    const upper = curve((r) => r.mean + r.half), lower = curve((r) => r.mean - r.half);
    const text = (content, x, base, anchor) =>
      make("text", { x, y: base, "text-anchor": anchor }, content);
    this.node.replaceChildren(
      ...[0, top / 2, top].flatMap((v) =>
        [path("grid", [[0, v], [end, v]]), text(short(v), 35, y(v) + 4, "end")]),
      text("0", 40, 175, "middle"), text(`${end} steps`, 312, 175, "end"),
      ...changes.map((step) => path("change", [[step, 0], [step, top]])),
      ...(this.band ? [path("band", [...upper, ...lower.reverse()]),
        path("mean", curve((r) => r.mean))] : []),
      ...this.keys.map((key) => path(`curve ${key}`, curve((r) => r[key]))),
    );
  }
}

const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

export class Playground {
  constructor(root) {
    Object.assign(this, { root, settings: defaults(), playing: false, spoken: 0 });
    this.inPage = !root.closest(".jp-OutputArea");  // in a notebook the address is not ours
    this.build();
    this.load(this.asked() ?? root.dataset.state ?? "");
    addEventListener("hashchange", () => {
      if (!root.isConnected || !this.asked()) return;
      this.load(this.asked());
      root.scrollIntoView({ block: "start", behavior: calm() ? "auto" : "smooth" });
      this.buttons.play.focus({ preventScroll: true });
    });
  }

  asked() {
    return this.inPage && location.hash.includes("=") ? location.hash.slice(1) : null;
  }

  build() {
    this.knobs = SETTINGS.map((spec) => new Knob(spec, (...change) => this.change(...change)));
    [this.surface, this.diagram] = [new Surface(), new Diagram()];
    this.charts = [new Chart("Loss", ["train", "heldOut"], true), new Chart("Norm", ["norm"])];
    this.readout = make("p", { class: "readout" });
    this.status = make("p", { class: "spoken", role: "status", "aria-live": "polite" });
    this.message = make("p", { class: "message", role: "alert" });
    const action = (name, does) => {
      const button = make("button", { type: "button" }, name);
      button.addEventListener("click", does);
      return button;
    };
    this.buttons = { play: action("Play", () => this.play(!this.playing)),
      step: action("Step", () => this.stepOnce()), reset: action("Reset", () => this.restart()) };
    const bar = make("div", { class: "bar" }, ...Object.values(this.buttons));
    const [first, ...others] = ["Penalty", "Data", "Network", "Training"].map((g) => this.group(g));
    this.root.replaceChildren(bar, this.readout, this.message, this.status, first, this.pictures(),
      make("div", { class: "groups" }, ...others));
    this.root.setAttribute("data-started", "");
    this.root.querySelectorAll("button, input, select").forEach((control) =>
      control.setAttribute("data-lm-suppress-shortcuts", ""));  // JupyterLab takes keys otherwise
  }

  group(name) {
    const nodes = this.knobs.filter((knob) => knob.spec.group === name).map((knob) => knob.node);
    return make("fieldset", {}, make("legend", {}, name), ...nodes);
  }

  pictures() {
    const [loss, size] = this.charts;
    return make("div", { class: "pictures" },
      figure(this.surface.node, "The two classes: circles and squares, filled for training, hollow"
        + " for held-out. The ground is the network's answer, deeper where it is surer."),
      figure(this.diagram.node, sample("positive"), "positive weight, ", sample("negative"),
        "negative, ", sample("cut"), "exactly zero. The width is the size."),
      figure(loss.node, "Loss: ", sample("train"), "training, ", sample("heldOut"), "held-out, ",
        sample("mean"), "held-out mean over all networks with its 95 % interval."),
      figure(size.node, "Norm of the weights (L2). Vertical lines: you changed a setting."));
  }

  load(text) {
    const { settings, problems } = readState(text);
    this.settings = settings;
    this.restart();
    this.message.textContent = problems.join(" ");
  }

  change(spec, value, final) {
    const changed = this.settings[spec.key] !== value;
    this.settings[spec.key] = value;
    if (final && this.inPage) {
      history.replaceState(null, "", `#${writeState(this.settings) || "="}`);
    }
    if (changed && spec.restarts) return this.restart();
    if (changed && spec.key === "optimizer") {
      this.trials = this.trials.map((t) => ({ ...t, ...begin(t.params) }));
    }
    const visible = spec.group === "Penalty" || ["lr", "batch", "optimizer"].includes(spec.key);
    if (changed && visible && this.step && this.changes.at(-1) !== this.step) {
      this.changes.push(this.step);
    }
    return this.draw();
  }

  restart() {
    this.play(false);
    this.message.textContent = "";
    Object.assign(this, { step: 0, changes: [], records: [], trials: startTrials(this.settings) });
    this.surface.place(this.trials[0]);
    this.diagram.place(sizesOf(this.settings));
    this.draw();
    this.speak();
  }

  play(on) {
    this.playing = on;
    this.buttons.play.textContent = on ? "Pause" : "Play";
    if (on) requestAnimationFrame(() => this.frame());
    else if (this.step) this.speak();
  }

  frame() {
    if (!this.playing || !this.root.isConnected) return;
    const start = performance.now(), slow = calm(), { speed } = this.settings;
    const until = this.step + speed * (slow ? 30 : 1);
    while (this.playing && this.step < until && performance.now() - start < (slow ? 400 : FRAME)) {
      this.train();
    }
    this.draw();
    if (performance.now() - this.spoken > ANNOUNCE) this.speak();
    if (slow) setTimeout(() => this.frame(), 1000);  // a still picture a second, no animation
    else requestAnimationFrame(() => this.frame());
  }

  stepOnce() {
    this.play(false);
    this.train();
    this.draw();
    this.speak();
  }

  train() {
    this.trials = advance(this.trials, this.settings, this.step++);
  }

  record() {
    const now = summarize(this.trials, this.settings, this.step);
    if (!Number.isFinite(now.train + now.norm + now.mean)) this.stopDiverged();
    else if (now.step > (this.records.at(-1)?.step ?? -1)) this.records.push(now);
    if (this.records.length > RECORDS) {
      this.records = this.records.filter((r, i) => i % 2 === 0 || r === now);
    }
    return now;
  }

  stopDiverged() {
    this.play(false);
    this.message.textContent = "Training diverged: the loss is no longer finite at step"
      + ` ${this.step}. Lower the learning rate or alpha, then press Reset.`;
  }

  draw() {
    const now = this.record(), { params } = this.trials[0];
    this.knobs.forEach((knob) => knob.show(this.settings));
    this.surface.draw(params, this.settings.activation, now);
    this.diagram.draw(params, now);
    this.charts.forEach((chart) => chart.draw(this.records, this.changes));
    this.readout.textContent = this.sentence(now);
  }

  sentence({ step, train, heldOut, mean, half, penalty, norm: size, zero, all }) {
    const { seeds, method, optimizer } = this.settings;
    const several = seeds > 1 ? ` (mean of ${seeds}: ${fixed(mean)} ± ${fixed(half)})` : "";
    const heuristic = method === "prox" && optimizer === "adam" && hasPenalty(this.settings);
    return `Step ${step}. Loss: training ${fixed(train)}, held-out ${fixed(heldOut)}${several}.`
      + ` Penalty ${fixed(penalty)}. Norm ${fixed(size)}. Exactly zero: ${zero} of ${all} weights.`
      + (heuristic ? " A proximal step after Adam is a heuristic." : "");
  }

  speak() {
    this.spoken = performance.now();
    this.status.textContent = `${this.playing ? "Training" : "Paused"}. ${
      this.readout.textContent}`;
  }
}

if (typeof document !== "undefined") {
  document.querySelectorAll(".sw-playground:not([data-started])")
    .forEach((root) => new Playground(root));
}
