// Starts reveal.js. A knob of an explorer keeps the arrow keys to itself, also a menu, which
// reveal.js would take them from; a presenter's clicker sends Page Down and moves on all the same.
const knob = (event) => event.target.closest?.(".explorer [data-knob]");

document.addEventListener(
  "keydown",
  (event) => {
    if (["PageDown", "PageUp", "Escape"].includes(event.key)) knob(event)?.blur();
  },
  true,
);

Reveal.initialize({
  width: 1280,
  height: 720,
  margin: 0.02,
  center: false,
  controlsLayout: "edges",
  display: "flex",
  hash: true,
  slideNumber: "c/t",
  transition: "none",
  keyboardCondition: (event) => !document.activeElement.matches(".explorer [data-knob]"),
  plugins: [RevealNotes],
});
