"""The live face of an explorer: ipywidgets that draw anew when the reader lets go of a slider.

The drawing runs in a thread beside the kernel's own, so that "cancel" is heard while it works.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable, Iterator, Sized
from html import escape
from typing import Any

import ipywidgets as widgets

from smallweights.explore import Explorer, Frame, Knob


class _CancelledError(Exception):
    """The reader asked for something else."""


class Live:
    """The widgets of one explorer and the drawing that they ask for; ``box`` shows them."""

    def __init__(self, explorer: Explorer) -> None:
        self.explorer = explorer
        self.knobs = {knob.name: knob for knob in explorer.knobs}
        self.image = widgets.Image(format="png")
        self.bar = widgets.FloatProgress(max=1.0, layout={"visibility": "hidden"})
        self.cancel = widgets.Button(description="cancel", disabled=True)
        self.status = widgets.HTML()
        self.table = widgets.HTML()
        self.controls = {knob.name: self._control(knob) for knob in explorer.knobs}
        self.drawing = threading.Lock()  # matplotlib draws one figure at a time
        self.turn = 0
        self.thread: threading.Thread | None = None
        self.cancel.on_click(lambda _: self._stop())
        rows = [widgets.HBox([self.controls[k.name], *self._more(k)]) for k in explorer.knobs]
        progress = widgets.HBox([self.bar, self.cancel, self.status])
        self.box = widgets.VBox([self.image, *rows, progress, self.table])
        self._show(explorer.render(self.values))

    @property
    def values(self) -> dict[str, object]:
        """What the knobs are set to."""
        return {name: control.value for name, control in self.controls.items()}

    def _control(self, knob: Knob) -> widgets.Widget:
        kind = widgets.SelectionSlider if knob.is_slider else widgets.Dropdown
        extra = {"continuous_update": False} if knob.is_slider else {}
        made = kind(
            options=_options(knob),
            value=knob.values[knob.start],
            description=knob.label or knob.name,
            style={"description_width": "initial"},
            **extra,
        )
        made.observe(lambda _: self.redraw(), names="value")
        return made

    def _more(self, knob: Knob) -> list[widgets.Widget]:
        """A field for a value that the slider does not have yet."""
        if not knob.is_slider:
            return []
        field = widgets.Text(
            placeholder="another value", continuous_update=False, layout={"width": "9rem"}
        )
        field.observe(lambda change: self._widen(knob.name, change["new"]), names="value")
        return [field]

    def _widen(self, name: str, typed: str) -> None:
        if not typed.strip():
            return
        try:
            wider = self.knobs[name].with_value(float(typed))
        except ValueError:
            self._say(f"{name} takes a finite number; got {typed!r}.")
            return
        control, self.knobs[name] = self.controls[name], wider
        before = control.value
        with control.hold_trait_notifications():
            control.options = _options(wider)
            control.value = before
        control.value = float(typed)

    def redraw(self) -> None:
        """Drop what is being drawn, and draw at the values that the knobs have now."""
        self.turn += 1
        self.thread = threading.Thread(target=self._draw, args=(self.turn, self.values))
        self.bar.value, self.bar.layout.visibility = 0.0, "visible"
        self.cancel.disabled = False
        self._say("drawing …")
        self.thread.start()

    def _draw(self, turn: int, values: dict[str, object]) -> None:
        def progress(
            items: Iterable[Any], total: int | None = None, **options: object
        ) -> Iterator[Any]:
            count = total or (len(items) if isinstance(items, Sized) else 0)
            for done, item in enumerate(items, start=1):
                self._require(turn)
                yield item
                self.bar.value = done / count if count else 0.5

        try:
            with self.drawing:
                self._require(turn)
                frame = self.explorer.render(values, progress)
                self._require(turn)
                self._show(frame)
        except _CancelledError:
            return
        except Exception as problem:  # whatever the drawing raises, the reader sees it
            self._finish(f"{type(problem).__name__}: {problem}")

    def _require(self, turn: int) -> None:
        if turn != self.turn:
            raise _CancelledError

    def _stop(self) -> None:
        self.turn += 1
        self._finish("cancelled; the figure shows the values before")

    def _show(self, frame: Frame) -> None:
        buffer = io.BytesIO()
        frame.image.save(buffer, "PNG")
        self.image.value = buffer.getvalue()
        self.image.layout.width = f"{frame.image.width // 2}px"
        lines = ["".join(f"<th>{escape(column)}</th>" for column in frame.columns)]
        lines += ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in frame.rows]
        rows = "".join(f"<tr>{line}</tr>" for line in lines)
        self.table.value = f"<details><summary>Numbers</summary><table>{rows}</table></details>"
        self._finish(frame.words)

    def _finish(self, words: str) -> None:
        self.bar.layout.visibility, self.cancel.disabled = "hidden", True
        self._say(words)

    def _say(self, words: str) -> None:
        self.status.value = escape(words)


def widget(explorer: Explorer) -> widgets.Widget:
    """The explorer's knobs, figure and numbers as one widget."""
    return Live(explorer).box


def _options(knob: Knob) -> list[tuple[str, object]]:
    pairs = zip(knob.texts, knob.values, strict=True)
    return [(f"{text} {knob.unit}".strip(), value) for text, value in pairs]
