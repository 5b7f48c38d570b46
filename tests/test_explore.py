"""Explorers: one object from a drawing and knobs, with a page face that needs nothing else."""

import base64
import html.parser
import io
import itertools
import json
import re
import threading

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from ipywidgets import Widget
from matplotlib.figure import Figure
from PIL import Image

from figures import difference
from frames import split_frames
from smallweights import plots
from smallweights.explore import Explorer, Knob
from smallweights.live import Live

ALPHAS = (0.0001, 0.001, 0.01)


def figure_of(height, size=(1.5, 1.0)):
    figure = Figure(figsize=size)
    figure.add_axes((0, 0, 1, 1)).bar([0], [height], color="#0072B2")
    figure.axes[0].set(ylim=(0, 4), xlim=(-1, 1))
    figure.axes[0].axis("off")
    return figure


def draw(alpha, norm):
    height = -np.log10(alpha) * (0.5 if norm == "L1" else 1)
    return figure_of(height), pd.DataFrame({"step": [0, 10], "height": [0.5, height]})


def explorer(name="demo", drawing=draw, **options):
    knobs = [Knob("alpha", ALPHAS, unit="per w²"), Knob("norm", ["L1", "L2"])]
    return Explorer(name, drawing, knobs, **options)


@pytest.fixture(scope="module")
def page():
    return explorer().html


# The page face


def test_every_frame_shows_the_drawing_at_its_values(page):
    _, frames = split_frames(page)
    heights = []
    for frame in frames:
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(frame))).convert("RGB"))
        column = pixels[:, pixels.shape[1] // 2].astype(int)
        heights.append((column[:, 0] < 128).mean() * 4)
    states = itertools.product(ALPHAS, ("L1", "L2"))
    expected = [-np.log10(alpha) * (0.5 if norm == "L1" else 1) for alpha, norm in states]
    assert heights == pytest.approx(expected, abs=0.05)


def test_a_frame_is_the_drawing_within_the_tolerance_of_figures(page):
    wanted = explorer().frame(alpha=0.001, norm="L2").image
    buffer = io.BytesIO()
    wanted.save(buffer, "PNG")
    png = base64.b64encode(buffer.getvalue()).decode()
    frames = split_frames(page)[1]
    assert [difference(png, frame) is None for frame in frames] == [k == 3 for k in range(6)]


def ground_of(frame):
    """The columns of the picture between which the axes stand: their ground is blue."""
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(frame))).convert("RGB"))
    blue = (pixels == (0, 0, 255)).all(-1).any(0).nonzero()[0]
    return blue.min(), blue.max()


def grounds(limits, counts=(1,)):
    """Where the axes stand in each frame of an explorer of these figures."""

    def ground(limit, count):
        figure = Figure(figsize=(3, 2), layout="constrained")
        for ax in figure.subplots(1, count, squeeze=False)[0]:
            ax.set(facecolor="blue", ylim=(0, limit), ylabel="height")
        return figure, pd.DataFrame({"limit": [limit]})

    knobs = [Knob("limit", limits), Knob("count", counts)]
    return [ground_of(frame) for frame in split_frames(Explorer("ground", ground, knobs).html)[1]]


def test_the_axes_stand_still_while_the_figure_turns():
    assert grounds([1, 10_000]) == grounds([1]) * 2
    assert grounds([1]) != grounds([10_000])


def test_a_figure_with_another_number_of_axes_has_its_own_layout():
    assert grounds([1], [1, 2]) == grounds([1], [1]) + grounds([1], [2])
    assert grounds([1], [1]) != grounds([1], [2])


def test_white_stays_white(page):
    frame = Image.open(io.BytesIO(base64.b64decode(split_frames(page)[1][0]))).convert("RGB")
    assert frame.getpixel((0, 0)) == (255, 255, 255)


def test_the_bytes_are_the_same_in_every_run(page):
    assert explorer().html == page


def test_the_middle_frame_is_the_one_visible_without_a_script(page):
    (visible,) = [tag for tag in re.findall("<img[^>]*>", page) if " hidden" not in tag]
    assert 'alt="alpha = 0.001, norm = L2. ' in visible
    assert "left:-300%" in visible  # frame 3 of the six


def test_the_words_of_a_frame_give_its_knobs_and_its_numbers():
    words = explorer().frame(alpha=0.01, norm="L1").words
    assert words == "alpha = 0.01, norm = L1. step 0 to 10; height 0.5 to 1"


def test_described_frames_carry_the_author_s_words():
    page = explorer(describe=lambda alpha, norm: f"{norm} at {alpha}").html
    assert 'alt="L2 at 0.001"' in page


def test_a_slider_reads_its_value_out_with_the_unit(page):
    (slider,) = re.findall('<input type="range"[^>]*>', page)
    assert 'aria-valuetext="0.001 per w²"' in slider
    assert 'min="0" max="2" step="1" value="1"' in slider


def test_a_knob_that_is_no_number_is_a_menu(page):
    assert re.findall("<option[^>]*>[^<]*", page) == ["<option>L1", "<option selected>L2"]


class Elements(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.references, self.ids, self.labels = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.found.append(tag)
        self.references += [values[k] for k in ("src", "href", "data") if values.get(k)]
        self.ids += [values["id"]] if "id" in values else []
        self.labels += [values["for"]] if "for" in values else []


def test_the_page_face_asks_for_nothing_outside_itself(page):
    assert all(r.startswith("data:image/webp;base64,") for r in Elements(page).references)
    assert not re.search(r"https?:|url\(|@import|import\(", page)


def test_every_control_has_a_label_and_a_fixed_id(page):
    elements = Elements(page)
    assert elements.labels == ["explorer-demo-alpha", "explorer-demo-norm"]
    assert set(elements.labels) < set(elements.ids)


def test_text_cannot_become_markup():
    evil = "</script><img src=x onerror=alert(1)>\"'&"

    def drawing(kind):
        return (figure_of(1), pd.DataFrame({evil: [evil]}))

    knob = Knob("kind", [evil, "b"], label=evil, unit=evil, share=evil)
    page = Explorer("evil", drawing, [knob], describe=lambda kind: evil).html
    elements = Elements(page)
    assert elements.found.count("img") == 1
    assert elements.found.count("script") == 2
    stored = re.search('<script type="application/json">(.*?)</script>', page).group(1)
    assert json.loads(stored)["tables"][0] == [[evil]]


def curves(alpha, norm):
    """What a chapter's explorer looks like: two panels, bands, a legend."""
    plots.use_style()
    figure, (left, right) = plt.subplots(1, 2, figsize=(6, 2.8))
    x, k = np.arange(0, 400, 10), np.log10(alpha) + 4
    for index in range(2):
        y = np.exp(-x / (100 + 10 * k)) * (index + 1) + k / 150 * np.log1p(x) * (1 + len(norm) / 9)
        left.plot(x, y, label=f"case {index}")
        left.fill_between(x, y * 0.9, y * 1.1, alpha=0.2, lw=0)
    left.set(xlabel="training step", ylabel="held-out loss (nats)", ylim=(0, 4))
    left.legend()
    right.plot(x, np.cos(x / 100))
    right.plot(k * 80, np.cos(k * 0.8), "o")
    right.set(xlabel="norm of the weights", ylabel="slope")
    return figure, pd.DataFrame({"step": x[::4], "loss": y[::4]})


def test_an_explorer_of_a_chapter_takes_ten_kilobytes_a_frame_at_most():
    alphas = np.logspace(-4, 0, 9)
    with plt.rc_context():
        page = Explorer("size", curves, [Knob("alpha", alphas.tolist()), Knob("norm", ["L1"])]).html
    assert len(split_frames(page)[1]) == 9
    # Nine frames pay for a whole strip's shared part; sixty are cheaper each.
    assert len(page) - 20_000 <= 9 * 10_000


def test_no_drawn_figure_stays_open():
    plt.close("all")

    def drawing(alpha):
        return (plt.subplots(figsize=(1, 1))[0], pd.DataFrame({"a": [1]}))

    assert Explorer("open", drawing, [Knob("alpha", [1, 2])]).html
    assert plt.get_fignums() == []


# The object


def test_a_kernel_that_executes_for_the_page_shows_the_page_face_alone(monkeypatch, page):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    bundle = explorer()._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert bundle["text/html"] == page
    assert bundle["text/plain"].splitlines() == [
        "Explorer demo",
        "  alpha: 0.0001, 0.001, 0.01 per w²",
        "  norm: L1, L2",
    ]


def test_a_notebook_that_a_reader_opened_shows_the_live_face_too(monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "chapter.ipynb")
    bundle = explorer()._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/html"].startswith('<div class="explorer"')


def test_numbers_are_shown_as_precisely_as_asked():
    def drawing(alpha):
        return (figure_of(1), pd.DataFrame({"x": [1 / 3], "n": [7]}, index=["row"]))

    frame = Explorer("d", drawing, [Knob("alpha", [1])], digits=5).frame(alpha=1)
    assert frame.columns == ("index", "x", "n")
    assert frame.rows == [["row", "0.33333", "7"]]


# What it refuses


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Knob("alpha", []), "Knob 'alpha' has no values"),
        (lambda: Knob("my alpha", [1]), "argument of the drawing; got 'my alpha'"),
        (lambda: Knob("alpha", [0.1, 0.1]), "shows a value twice: 0.1, 0.1"),
        (lambda: Knob("norm", ["L1"]).with_value(1.0), "'norm' takes no further value 1.0"),
        (lambda: Knob("alpha", [1.0]).with_value(float("nan")), "no further value nan"),
        (lambda: Explorer("a b", draw, [Knob("alpha", [1])]), "letters, digits and -; got 'a b'"),
        (lambda: Explorer("a", draw, []), "needs knobs of different names"),
        (lambda: Explorer("a", draw, [Knob("x", [1]), Knob("x", [2])]), "different names"),
        (lambda: Explorer("a", draw, [Knob("x", range(201))]), "201 frames; at most 200"),
        (lambda: explorer().frame(alpha=5.0, norm="L1"), "takes one of 0.0001, 0.001, 0.01; got"),
        (lambda: explorer().frame(alpha=0.01), "Knob 'norm' of explorer 'demo' takes one of"),
    ],
)
def test_the_error_says_what_was_expected(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


@pytest.mark.parametrize(
    ("drawn", "kind"),
    [(None, "NoneType"), (Figure(), "Figure"), ((Figure(), 3), "(Figure, int)")],
)
def test_a_drawing_that_returns_something_else_is_named(drawn, kind):
    with pytest.raises(TypeError, match=re.escape(f"pandas DataFrame; got {kind}.")):
        explorer(drawing=lambda **values: drawn).frame(alpha=0.01, norm="L1")


def test_an_empty_table_is_refused():
    with pytest.raises(ValueError, match="without rows"):
        explorer(drawing=lambda **v: (figure_of(1), pd.DataFrame())).frame(alpha=0.01, norm="L1")


def test_frames_of_different_sizes_are_refused():
    def drawing(k):
        return (figure_of(1, size=(1, k)), pd.DataFrame({"a": [1]}))

    with pytest.raises(ValueError, match="must be alike: expected \\(200, 200\\) pixels"):
        _ = Explorer("a", drawing, [Knob("k", [1, 2])]).html


def test_an_explorer_too_heavy_for_a_page_says_what_to_change(monkeypatch):
    monkeypatch.setattr("smallweights.explore.LARGEST", 5000)
    with pytest.raises(ValueError, match="lower colors from 64 to 32"):
        _ = explorer().html


# The live face


class Gate:
    """A drawing that waits within its loop until the test lets it go on."""

    def __init__(self):
        self.entered, self.go, self.drawn = threading.Event(), threading.Event(), []

    def draw(self, alpha, norm, progress):
        for _ in progress(range(2)):
            if alpha == 0.01:
                self.entered.set()
                assert self.go.wait(20)
        self.drawn.append(alpha)
        return draw(alpha, norm)


@pytest.fixture
def close_widgets():
    yield
    Widget.close_all()


@pytest.mark.usefixtures("close_widgets")
def test_letting_go_of_a_live_slider_draws_anew():
    live = Live(explorer())
    before = live.image.value
    live.controls["alpha"].value = 0.01
    live.thread.join(20)
    assert live.image.value != before
    assert live.status.value == "alpha = 0.01, norm = L2. step 0 to 10; height 0.5 to 2"
    assert live.cancel.disabled


@pytest.mark.usefixtures("close_widgets")
def test_live_sliders_wait_for_the_release():
    assert Live(explorer()).controls["alpha"].continuous_update is False


@pytest.mark.usefixtures("close_widgets")
def test_a_typed_value_widens_the_range_and_is_drawn():
    live = Live(explorer())
    live._widen("alpha", "0.5")
    live.thread.join(20)
    assert [v for _, v in live.controls["alpha"].options] == [*ALPHAS, 0.5]
    assert live.values["alpha"] == 0.5
    assert live.status.value.startswith("alpha = 0.5, ")


@pytest.mark.usefixtures("close_widgets")
@pytest.mark.parametrize("typed", ["many", "nan", "inf"])
def test_what_is_no_number_widens_nothing(typed):
    live = Live(explorer())
    live._widen("alpha", typed)
    assert typed in live.status.value
    assert len(live.controls["alpha"].options) == 3


@pytest.mark.usefixtures("close_widgets")
def test_cancel_keeps_the_figure_and_stops_the_drawing():
    gate = Gate()
    live = Live(explorer(drawing=gate.draw))
    before = live.image.value
    live.controls["alpha"].value = 0.01
    assert gate.entered.wait(20)
    assert not live.cancel.disabled
    live.cancel.click()
    gate.go.set()
    live.thread.join(20)
    assert gate.drawn == [0.001]
    assert live.image.value == before
    assert live.status.value.startswith("cancelled")


@pytest.mark.usefixtures("close_widgets")
def test_a_second_release_replaces_the_first():
    gate = Gate()
    live = Live(explorer(drawing=gate.draw))
    live.controls["alpha"].value = 0.01
    assert gate.entered.wait(20)
    live.controls["alpha"].value = 0.0001
    gate.go.set()
    live.thread.join(20)
    assert gate.drawn == [0.001, 0.0001]
    assert live.status.value.startswith("alpha = 0.0001, ")


@pytest.mark.usefixtures("close_widgets")
def test_what_a_live_drawing_raises_is_shown():
    def drawing(alpha, norm):
        if alpha == 0.01:
            raise ArithmeticError("diverged <here>")
        return draw(alpha, norm)

    live = Live(explorer(drawing=drawing))
    live.controls["alpha"].value = 0.01
    live.thread.join(20)
    assert live.status.value == "ArithmeticError: diverged &lt;here&gt;"
    assert live.cancel.disabled
