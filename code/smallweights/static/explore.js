// One script for all explorers of a page. It listens on the document, so that an output which a
// front end adds later needs no set-up, and the address (#alpha=0.01&norm=l1) keeps the state.
(() => {
  if (window.smallWeightsExplorers) return;
  window.smallWeightsExplorers = true;

  const read = new WeakMap();
  const explorers = () => [...document.querySelectorAll(".explorer")];
  const knobs = (explorer) => [...explorer.querySelectorAll("[data-knob]")];
  const allKnobs = () => explorers().flatMap(knobs);
  const explorerOf = (knob) => knob.closest(".explorer");
  const values = (knob) => JSON.parse(knob.dataset.values);
  const isSelect = (knob) => knob.tagName === "SELECT";
  const place = (knob) => (isSelect(knob) ? knob.selectedIndex : Number(knob.value));
  const move = (knob, at) => (isSelect(knob) ? (knob.selectedIndex = at) : (knob.value = at));

  function data(explorer) {
    if (!read.has(explorer)) {
      read.set(explorer, JSON.parse(explorer.querySelector("script[type='application/json']").text));
    }
    return read.get(explorer);
  }

  function show(explorer) {
    const { alts, tables, strip } = data(explorer);
    const frame = knobs(explorer).reduce((at, k) => at * values(k).length + place(k), 0);
    explorer.querySelectorAll(".explorer-frame img").forEach((image, at) => {
      image.hidden = at !== Math.floor(frame / strip);
      if (image.hidden) return;
      image.style.left = `${-100 * (frame % strip)}%`;
      image.alt = alts[frame];
    });
    explorer.querySelector("[role=status]").textContent = alts[frame];
    explorer.querySelector("tbody").replaceChildren(...tables[frame].map(row));
    knobs(explorer).forEach(readOut);
  }

  function row(cells) {
    const tr = document.createElement("tr");
    cells.forEach((cell) => (tr.insertCell().textContent = cell));
    return tr;
  }

  function readOut(knob) {
    if (isSelect(knob)) return;
    const text = `${values(knob)[place(knob)]} ${knob.dataset.unit}`.trim();
    knob.setAttribute("aria-valuetext", text);
    knob.parentElement.querySelector(".explorer-value").textContent = text;
  }

  // A knob's name in the address: what it shares, or its own; with its explorer where another
  // explorer of the page has a knob of the same name.
  function key(knob) {
    const { share, knob: name } = knob.dataset;
    if (share) return share;
    const same = allKnobs().filter((k) => (k.dataset.share || k.dataset.knob) === name);
    return same.length === 1 ? name : `${explorerOf(knob).dataset.name}.${name}`;
  }

  const address = () => new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");

  function restore() {
    const state = address();
    const moved = new Set();
    for (const knob of allKnobs()) {
      if (select(knob, state.get(key(knob)))) moved.add(explorerOf(knob));
    }
    moved.forEach(show);
  }

  function select(knob, value) {
    const wanted = value === null ? "" : value.toLowerCase();
    const at = values(knob).findIndex((text) => text.toLowerCase() === wanted);
    if (at < 0 || at === place(knob)) return false;
    move(knob, at);
    return true;
  }

  document.addEventListener("input", (event) => {
    const knob = event.target.closest(".explorer [data-knob]");
    if (!knob) return;
    show(explorerOf(knob));
    if (!knob.dataset.share) return;
    allKnobs()
      .filter((other) => other !== knob && other.dataset.share === knob.dataset.share)
      .filter((other) => select(other, values(knob)[place(knob)]))
      .forEach((other) => show(explorerOf(other)));
  });

  document.addEventListener("change", (event) => {
    const knob = event.target.closest(".explorer [data-knob]");
    if (!knob) return;
    const state = address();
    state.set(key(knob), values(knob)[place(knob)]);
    history.replaceState(history.state, "", `#${state}`);
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest(".explorer [data-csv]");
    if (!button) return;
    const explorer = explorerOf(button);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csv(explorer)], { type: "text/csv" }));
    link.download = `${explorer.dataset.name}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  // All frames, a row each line, the knobs' values in the first columns.
  function csv(explorer) {
    const { tables } = data(explorer);
    const columns = [...explorer.querySelectorAll("thead th")].map((th) => th.textContent);
    const lines = [[...knobs(explorer).map((k) => k.dataset.knob), ...columns]];
    tables.forEach((rows, frame) => {
      let rest = frame;
      const state = knobs(explorer).reverse().map((knob) => {
        const texts = values(knob);
        const text = texts[rest % texts.length];
        rest = Math.floor(rest / texts.length);
        return text;
      });
      state.reverse();
      rows.forEach((cells) => lines.push([...state, ...cells]));
    });
    const quote = (cell) => (/[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
    return lines.map((cells) => cells.map(quote).join(",")).join("\n") + "\n";
  }

  window.addEventListener("hashchange", restore);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", restore);
  else restore();
})();
