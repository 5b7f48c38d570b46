"""Figures that turn: a drawing function and the values of its knobs become one object.

On a page an explorer is a few frames drawn beforehand, with sliders and menus that need no kernel
and no other file. In a running notebook it is a set of widgets that draw anew (see ``live``).

Neighbouring frames share most of their pixels. So they lie side by side in a strip, where a
lossless WebP stores what repeats only once: measured on the figures of this book, a frame of
1,200 × 560 pixels takes 5 to 10 kB in a strip of ten, and 13 to 16 kB alone.
"""

from __future__ import annotations

import base64
import io
import json
import math
import os
import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from importlib import resources
from inspect import signature
from itertools import product
from typing import Any, cast

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from PIL import Image

MOST_FRAMES = 200
LARGEST = 600_000  # bytes of the page face: what a chapter page can carry two of
DPI = 200  # shown at half of it: two pixels of the screen to one of the layout
WIDEST = 16_383  # pixels: what WebP can store in one image

Value = Hashable
Draw = Callable[..., tuple[Figure, pd.DataFrame]]


@dataclass(frozen=True)
class Knob:
    """A named quantity that the reader can set: a slider over numbers, else a menu.

    ``name`` is the drawing function's argument, ``values`` are what it can take, in order; the
    middle one is shown first. ``label`` and ``unit`` are for the reader. Explorers of a page whose
    knobs have the same ``share`` turn together.

    >>> knob = Knob("alpha", (0.0, 0.01, 0.1), label="strength")
    >>> knob.is_slider, knob.values[knob.start]
    (True, 0.01)
    """

    name: str
    values: Sequence[Value]
    label: str = ""
    unit: str = ""
    share: str = ""
    texts: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        texts = tuple(_text(value) for value in self.values)
        if not self.name.isidentifier():
            raise ValueError(f"A knob's name is an argument of the drawing; got {self.name!r}.")
        if not texts:
            raise ValueError(f"Knob {self.name!r} has no values: give at least one.")
        if len(set(texts)) < len(texts):
            raise ValueError(f"Knob {self.name!r} shows a value twice: {', '.join(texts)}.")
        object.__setattr__(self, "texts", texts)

    @property
    def is_slider(self) -> bool:
        """Whether all values are numbers."""
        return all(isinstance(v, int | float) and not isinstance(v, bool) for v in self.values)

    @property
    def start(self) -> int:
        """The place of the value that is shown first."""
        return len(self.values) // 2

    def with_value(self, value: float) -> Knob:
        """The same knob with one more value, in its place; of a slider only."""
        if not self.is_slider or not math.isfinite(value):
            raise ValueError(f"Knob {self.name!r} takes no further value {value!r}.")
        values = tuple(sorted({*cast(Sequence[float], self.values), value}))
        return Knob(self.name, values, self.label, self.unit, self.share)


@dataclass(frozen=True, eq=False)
class Explorer:
    """A figure with knobs; show it as a cell's last expression.

    ``draw(**values)`` returns the figure and a table of the numbers in it. It may take an argument
    ``progress``, which wraps a loop as tqdm does: in a running notebook it moves the bar and obeys
    the button "cancel". ``describe(**values)`` says in words what the frame shows; without it the
    words are made from the table. ``name`` makes the ids on the page, so no two explorers of a
    page have the same. ``colors`` is the size of a frame's palette, ``digits`` the precision of
    the table. Raises ``ValueError`` and ``TypeError`` that say what to change.

    >>> def draw(power):
    ...     figure, x = plt.figure(), np.linspace(0, 1, 5)
    ...     figure.subplots().plot(x, x**power)
    ...     return figure, pd.DataFrame({"x": x, "y": x**power})
    >>> powers = Explorer("powers", draw, [Knob("power", (1, 2, 3))])
    >>> print(powers.frame(power=2).words)
    power = 2. x 0 to 1; y 0 to 1
    """

    name: str
    draw: Draw
    knobs: Sequence[Knob]
    describe: Callable[..., str] | None = None
    colors: int = 64
    digits: int = 3

    def __post_init__(self) -> None:
        names = [knob.name for knob in self.knobs]
        count = math.prod(len(knob.values) for knob in self.knobs)
        if not self.name.replace("-", "").replace("_", "").isalnum():
            raise ValueError(f"An explorer's name has letters, digits and -; got {self.name!r}.")
        if not names or len(set(names)) < len(names):
            raise ValueError(f"Explorer {self.name!r} needs knobs of different names; got {names}.")
        if count > MOST_FRAMES:
            raise ValueError(
                f"Explorer {self.name!r} would have {count} frames; at most {MOST_FRAMES} fit a"
                " page. Give its knobs fewer values."
            )

    def frame(self, **values: Value) -> Frame:
        """Draw the frame at one value for each knob, each among the knob's values."""
        for knob in self.knobs:
            if knob.name not in values or _text(values[knob.name]) not in knob.texts:
                raise ValueError(
                    f"Knob {knob.name!r} of explorer {self.name!r} takes one of"
                    f" {', '.join(knob.texts)}; got {values.get(knob.name)!r}."
                )
        return self.render(values)

    def render(
        self,
        values: Mapping[str, Value],
        progress: Callable[..., Iterable[Any]] | None = None,
        layout: Layout | None = None,
    ) -> Frame:
        """Draw at any values, which need not be among the knobs' own."""
        extra = (
            {"progress": progress or _silent}
            if "progress" in signature(self.draw).parameters
            else {}
        )
        drawn = self.draw(**values, **extra)
        if not _is_pair(drawn):
            raise TypeError(
                f"The drawing of explorer {self.name!r} must return a matplotlib Figure and a"
                f" pandas DataFrame; got {_kind(drawn)}."
            )
        figure, table = drawn
        if table.empty:
            raise ValueError(f"The drawing of explorer {self.name!r} gave a table without rows.")
        pixels = _pixels(figure, layout or Layout())
        plt.close(figure)
        columns, rows = _cells(table, self.digits)
        return Frame(pixels, columns, rows, self._words(values, columns, rows))

    def _words(
        self, values: Mapping[str, Value], columns: Sequence[str], rows: Sequence[Sequence[str]]
    ) -> str:
        if self.describe is not None:
            return self.describe(**values)
        state = ", ".join(f"{name} = {_text(value)}" for name, value in values.items())
        spans = zip(columns, rows[0], rows[-1], strict=True)
        return f"{state}. " + "; ".join(
            f"{column} {first}" if first == last else f"{column} {first} to {last}"
            for column, first, last in spans
        )

    @cached_property
    def html(self) -> str:
        """The page face: one element that needs no kernel, no network and no other file."""
        html = _page(self)
        if len(html) > LARGEST:
            raise ValueError(
                f"Explorer {self.name!r} takes {len(html) / 1000:.0f} kB; a page can carry"
                f" {LARGEST / 1000:.0f}. Give its knobs fewer values, draw a smaller figure, or"
                f" lower colors from {self.colors} to {self.colors // 2}."
            )
        return html

    def widget(self) -> Any:  # noqa: ANN401 - ipywidgets has no types
        """The live face: ipywidgets that draw anew on release, and take further values."""
        from smallweights.live import widget

        return widget(self)

    def __str__(self) -> str:
        knobs = (
            f"  {k.label or k.name}: {', '.join(k.texts)} {k.unit}".rstrip() for k in self.knobs
        )
        return "\n".join([f"Explorer {self.name}", *knobs])

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> dict[str, object]:
        bundle: dict[str, object] = {"text/plain": str(self), "text/html": self.html}
        # Jupyter tells a kernel which notebook opened it; one that executes for the page is told
        # of none, so what is committed is the page face alone.
        if "JPY_SESSION_NAME" in os.environ or "google.colab" in sys.modules:
            bundle |= self.widget()._repr_mimebundle_()
            bundle["text/html"] = self.html
        return bundle


@dataclass(frozen=True)
class Frame:
    """What an explorer shows at one setting: the picture, its numbers as text, and its words."""

    image: Image.Image
    columns: tuple[str, ...]
    rows: list[list[str]]
    words: str


def _text(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _silent(items: Iterable[Any], **options: object) -> Iterable[Any]:
    return items


def _kind(drawn: object) -> str:
    kinds = [type(part).__name__ for part in drawn] if isinstance(drawn, tuple) else []
    return f"({', '.join(kinds)})" if kinds else type(drawn).__name__


def _is_pair(drawn: object) -> bool:
    return (
        isinstance(drawn, tuple)
        and len(drawn) == 2
        and isinstance(drawn[0], Figure)
        and isinstance(drawn[1], pd.DataFrame)
    )


class Layout:
    """Where the axes of the first figure stand, for all that follow it.

    So they stand still while the figure turns, and only once is there a layout to be found, which
    takes longer than drawing. A figure with another number of axes is laid out by itself.
    """

    def __init__(self) -> None:
        self.places: list[Bbox] = []

    def draw(self, figure: Figure) -> FigureCanvasAgg:
        """Draw the figure; the first one sets the layout."""
        if len(figure.axes) == len(self.places):
            figure.set_layout_engine("none")
            for ax, place in zip(figure.axes, self.places, strict=True):
                ax.set_position(place)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        if not self.places:
            self.places = [ax.get_position(original=True) for ax in figure.axes]
        return canvas


def _pixels(figure: Figure, layout: Layout) -> Image.Image:
    figure.set_dpi(DPI)
    canvas = layout.draw(figure)
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def _cells(table: pd.DataFrame, digits: int) -> tuple[tuple[str, ...], list[list[str]]]:
    if not isinstance(table.index, pd.RangeIndex):
        table = table.reset_index()
    rows = [
        [f"{cell:.{digits}g}" if isinstance(cell, float) else str(cell) for cell in row]
        for row in table.itertuples(index=False)
    ]
    return tuple(str(column) for column in table.columns), rows


# The page face


def _strips(explorer: Explorer) -> Iterator[tuple[str, list[Frame]]]:
    """The frames, drawn and encoded a strip at a time: all of them at once would fill a laptop."""
    names = [knob.name for knob in explorer.knobs]
    states = [
        dict(zip(names, v, strict=True)) for v in product(*(k.values for k in explorer.knobs))
    ]
    layout, frames = Layout(), []
    for at, state in enumerate(states, start=1):
        frames.append(explorer.render(state, layout=layout))
        _require_same_shape(explorer, frames)
        if len(frames) == WIDEST // frames[0].image.width or at == len(states):
            yield _encode([frame.image for frame in frames], explorer.colors), frames
            frames = []


def _require_same_shape(explorer: Explorer, frames: Sequence[Frame]) -> None:
    one, other = frames[0], frames[-1]
    if one.image.size != other.image.size or one.columns != other.columns:
        raise ValueError(
            f"The frames of explorer {explorer.name!r} must be alike: expected"
            f" {one.image.size} pixels and columns {one.columns}, got {other.image.size} and"
            f" {other.columns}."
        )


def _encode(images: Sequence[Image.Image], colors: int) -> str:
    width, height = images[0].size
    strip = Image.new("RGB", (width * len(images), height))
    for at, image in enumerate(images):
        strip.paste(image, (at * width, 0))
    # Of Pillow's methods this one keeps rare colours best: no channel moves by a tenth.
    strip = strip.quantize(colors, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    strip.convert("RGB").save(buffer, "WEBP", lossless=True, quality=80, method=4)
    return base64.b64encode(buffer.getvalue()).decode()


def _page(explorer: Explorer) -> str:
    strips = list(_strips(explorer))
    frames = [frame for _, part in strips for frame in part]
    at = 0
    for knob in explorer.knobs:
        at = at * len(knob.values) + knob.start
    per = len(strips[0][1])
    data = {"strip": per, "alts": [f.words for f in frames], "tables": [f.rows for f in frames]}
    pictures = [_picture(s, len(part), k, at, per, frames) for k, (s, part) in enumerate(strips)]
    width, height = (side // 2 for side in frames[0].image.size)
    name = escape(explorer.name)
    return "\n".join(
        [
            f'<div class="explorer" id="explorer-{name}" data-name="{name}">',
            f"<style>{_file('explore.css')}</style>",
            f'<div class="explorer-frame" style="width:{width}px;aspect-ratio:{width}/{height}">',
            *pictures,
            '</div>\n<div class="explorer-knobs">',
            *(_control(explorer.name, knob) for knob in explorer.knobs),
            '</div>\n<p role="status"></p>',
            _numbers(frames[at]),
            f'<script type="application/json">{_json(data)}</script>',
            f"<script>{_file('explore.js')}</script>\n</div>",
        ]
    )


def _picture(
    strip: str, count: int, number: int, at: int, per: int, frames: Sequence[Frame]
) -> str:
    shown = at // per == number
    words = frames[at if shown else number * per].words
    left = -100 * (at % per) if shown else 0
    return (
        f'<img alt="{escape(words)}" style="width:{100 * count}%;left:{left}%"'
        f'{"" if shown else " hidden"} src="data:image/webp;base64,{strip}">'
    )


def _control(explorer: str, knob: Knob) -> str:
    ident = escape(f"explorer-{explorer}-{knob.name}")
    values, shown = escape(json.dumps(knob.texts)), escape(knob.texts[knob.start])
    label, unit = escape(knob.label or knob.name), escape(knob.unit)
    common = (
        f'id="{ident}" data-knob="{escape(knob.name)}" data-share="{escape(knob.share)}"'
        f' data-unit="{unit}" data-values="{values}" autocomplete="off"'
    )
    head = f'<div class="explorer-knob"><label for="{ident}">{label}</label>'
    if not knob.is_slider:
        shown = f"<option selected>{shown}"
        options = "".join(f"<option>{escape(text)}</option>" for text in knob.texts)
        options = options.replace(shown.replace(" selected", ""), shown, 1)
        return f"{head}<select {common}>{options}</select></div>"
    text = f"{shown} {unit}".strip()
    return (
        f'{head}<span class="explorer-value" aria-hidden="true">{text}</span><input type="range"'
        f' {common} min="0" max="{len(knob.values) - 1}" step="1" value="{knob.start}"'
        f' aria-valuetext="{text}"></div>'
    )


def _numbers(frame: Frame) -> str:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in frame.columns)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in frame.rows
    )
    return (
        "<details><summary>The numbers behind this figure</summary>\n"
        '<div class="explorer-numbers" tabindex="0" role="group" aria-label="Numbers">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>\n"
        '<button type="button" data-csv>Download all frames as CSV</button></details>'
    )


def _json(data: object) -> str:
    """JSON that can stand inside a script element."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _file(name: str) -> str:
    return resources.files("smallweights").joinpath("static", name).read_text("utf-8").strip()
