// The calculator: one library's strengths in, every library's out. The arithmetic is that of
// smallweights.convert, which is the oracle of the tests; what each library minimizes,
//
//     scale · (mean loss) + first · Σ|w| + second · Σw²,
//
// comes from its table, as JSON in the page.

const shared = (p, q) => [p + 2 * q, p + 2 * q ? p / (p + 2 * q) : 0];

/** How strengths are stated: the factors of Σ|w| and Σw² from them, and the way back. */
const FORMS = {
  "l1": { read: (a) => [a, 0], write: (p) => [p] },
  "l2": { read: (a) => [0, a], write: (p, q) => [q] },
  "half l2": { read: (a) => [0, a / 2], write: (p, q) => [2 * q] },
  "both": { read: (a, b) => [a, b], write: (p, q) => [p, q] },
  "shared": { read: (a, r) => [a * r, (a * (1 - r)) / 2], write: shared },
  "inverse": {
    read: (C, r) => [r / C, (1 - r) / (2 * C)],
    write: (p, q) => [1 / shared(p, q)[0], shared(p, q)[1]],
  },
};
const REDUCTIONS = { "mean": () => 1, "half mean": () => 1 / 2, "sum": ({ batch }) => batch };
const SCALES = {
  "1": () => 1,
  "½": () => 1 / 2,
  "n": ({ n }) => n,
  "b": ({ batch }) => batch,
  "b/2": ({ batch }) => batch / 2,
  "": (state) => REDUCTIONS[state.reduction](state),
};

const close = (a, b) => a === b || Math.abs(a - b) <= 1e-9 * Math.max(Math.abs(a), Math.abs(b));

/** The strengths of `to` for those of `from`, as numbers; or a sentence why there are none. */
export function convert(from, strengths, to, state) {
  const decays = [from, to].filter((library) => library.kind === "decay").length;
  if (decays === 2) return [(strengths[0] * from.factor) / to.factor];
  if (decays === 1) return "none: a decay is no penalty";
  if (from.loss && to.loss && from.loss !== to.loss) return "none: another loss";
  const ratio = SCALES[to.scale](state) / SCALES[from.scale](state);
  const factors = FORMS[from.kind].read(...strengths).map((factor) => factor * ratio);
  const found = FORMS[to.kind].write(...factors);
  const back = FORMS[to.kind].read(...found);
  return back.every((x, i) => close(x, factors[i])) ? found : "none: it has no such term";
}

/** Six digits, as short as they go. */
export const digits = (value) => (isFinite(value) ? String(Number(value.toPrecision(6))) : "inf");

const COUNTS = { n: "training examples", batch: "examples in a step" };
const SLIPS = {
  l1_ratio: "l1_ratio is a share: a number from 0 to 1.",
  C: "C is the inverse of a strength: a number above 0.",
};

/** One calculator of the page: its form and its table. */
class Calculator {
  constructor(section) {
    const { libraries, start } = JSON.parse(section.querySelector("[type='application/json']").text);
    Object.assign(this, { section, libraries, form: section.querySelector("form") });
    this.source = this.menu("you have", Object.keys(libraries), start.source);
    this.strengths = document.createElement("span");
    this.form.append(this.strengths);
    this.askFor(start.strengths);
    this.counts = Object.entries(COUNTS).map(([name, label]) => this.number(name, label, start.n));
    this.reduction = this.menu("a loss that you write is a", Object.keys(REDUCTIONS), "mean");
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", (event) => {
      if (event.target === this.source) this.askFor({});
      if (event.target === this.counts[0]) this.follow();
      this.show();
    });
  }

  labelled(text, control, parent = this.form) {
    const label = document.createElement("label");
    label.append(text, control);
    parent.append(label);
    return control;
  }

  menu(label, names, chosen) {
    const menu = this.labelled(label, document.createElement("select"));
    menu.append(...names.map((name) => new Option(name, name, false, name === chosen)));
    return menu;
  }

  number(name, label, value, parent) {
    const input = this.labelled(label, document.createElement("input"), parent);
    Object.assign(input, { name, value, inputMode: "decimal", autocomplete: "off" });
    return input;
  }

  /** A step sees all examples until the reader says otherwise. */
  follow() {
    const [n, batch] = this.counts;
    if (batch.value === this.examples || !batch.value) batch.value = n.value;
    this.examples = n.value;
  }

  /** One field for each strength of the library, with these values or the number that stood. */
  askFor(values) {
    const before = this.strengths.querySelector("input")?.value ?? "0.01";
    this.strengths.replaceChildren();
    this.library.names.forEach((name, at) =>
      this.number(name, name, values[name] ?? (at ? "0" : before), this.strengths));
  }

  get library() {
    return this.libraries[this.source.value];
  }

  /** What the form says, or the sentence that says what is wrong with it. */
  read() {
    const strengths = [...this.strengths.querySelectorAll("input")];
    for (const { name, value } of strengths) {
      const x = value.trim() ? Number(value) : NaN;
      const bad = name === "C" ? !(x > 0) : !(x >= 0 && x < Infinity);
      if (bad || (name === "l1_ratio" && x > 1)) return SLIPS[name] ?? `${name} is a number from 0 up.`;
    }
    for (const { name, value } of this.counts) {
      if (!/^\s*0*[1-9]\d*\s*$/.test(value)) return `The ${COUNTS[name]} are a whole number from 1 up.`;
    }
    const [n, batch] = this.counts.map(({ value }) => Number(value));
    if (batch > n) return "A step cannot see more examples than there are.";
    const numbers = strengths.map(({ value }) => Number(value));
    return { numbers, n, batch, reduction: this.reduction.value };
  }

  show() {
    const state = this.read();
    const wrong = typeof state === "string";
    this.section.querySelector("[role=status]").textContent = wrong ? state : this.given(state);
    this.section.querySelector(".answers").hidden = wrong;
    if (wrong) return;
    for (const row of this.section.querySelectorAll("tbody tr")) {
      row.cells[1].textContent = this.answer(this.libraries[row.cells[0].textContent], state);
    }
  }

  given({ numbers, n }) {
    const stated = this.library.names.map((name, at) => `${name} = ${digits(numbers[at])}`);
    return `The same as ${this.source.value} with ${stated.join(", ")}, for ${n} examples:`;
  }

  answer(library, state) {
    const found = convert(this.library, state.numbers, library, state);
    if (typeof found === "string") return found;
    return library.names.map((name, at) => `${name} = ${digits(found[at])}`).join(", ");
  }
}

for (const section of document.querySelectorAll(".sw-calculator:not([data-started])")) {
  section.dataset.started = "";
  const calculator = new Calculator(section);
  calculator.follow();
  calculator.show();
}
