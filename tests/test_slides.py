"""The slides: made from the notebooks, readable, with notes, and served without another host."""

import re
from types import SimpleNamespace

import pytest
from bs4 import BeautifulSoup

import make_slides
from browser import ROOT, opened, served

ROOM = {"viewport": {"width": 1280, "height": 720}}
chapters = pytest.mark.parametrize("chapter", make_slides.CHOSEN)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The decks of all chapters, written once."""
    made = tmp_path_factory.mktemp("slides")
    make_slides.write(made, *make_slides.CHOSEN)
    return made


@pytest.fixture(scope="module")
def decks(folder):
    texts = {chapter: (folder / f"{chapter}.html").read_text() for chapter in make_slides.CHOSEN}
    return {chapter: BeautifulSoup(text, "html.parser") for chapter, text in texts.items()}


@pytest.fixture(scope="module")
def shown(folder, chromium):
    """Each deck in a browser, in a room's projector."""
    with served(folder) as site:
        tabs = {
            chapter: opened(chromium, f"{site}/{chapter}.html", **ROOM)
            for chapter in make_slides.CHOSEN
        }
        yield SimpleNamespace(site=site, tabs=tabs)


def slides(deck):
    return deck.select(".slides > section > section")


def pages(chapter):
    """The chapter's notebooks in the order of the contents, without the exercises."""
    listed = re.findall(rf"book/{chapter}/(\w+)$", (ROOT / "_toc.yml").read_text(), re.MULTILINE)
    notebooks = [n for n in listed if (ROOT / "book" / chapter / f"{n}.ipynb").exists()]
    return [name for name in notebooks if name != "exercises"]


@chapters
def test_the_slides_follow_the_chapter_page_by_page(chapter):
    assert list(make_slides.CHOSEN[chapter]) == pages(chapter)


@chapters
def test_a_chapter_has_twelve_to_eighteen_slides(decks, chapter):
    assert 12 <= len(slides(decks[chapter])) <= 18


@chapters
def test_every_slide_has_a_headline_and_notes(decks, chapter):
    for slide in slides(decks[chapter]):
        assert slide.h2.get_text(strip=True)
        assert len(slide.select_one("aside.notes").get_text()) > 100


@chapters
def test_a_deck_shows_figures_and_explorers(decks, chapter):
    kinds = [bool(slide.select_one(".explorer")) for slide in slides(decks[chapter])]
    figures = decks[chapter].select(".jp-OutputArea-output > img")
    assert sum(kinds) >= 3
    assert len(figures) >= 3


@chapters
def test_every_picture_has_a_text_alternative(decks, chapter):
    assert [i.parent for i in decks[chapter].select("img") if not i.get("alt", "").strip()] == []


@chapters
def test_the_text_is_free_of_markup(decks, chapter):
    for slide in slides(decks[chapter]):
        text = slide.get_text()  # of neither scripts nor styles
        assert re.findall(r"\{\w+(?::\w)?\}`|\$\\?\w|\]\(|\*\*|<details", text) == []


def test_a_name_that_no_page_has_fails_with_those_it_has():
    page = make_slides.Page("large_weights", "growing")
    with pytest.raises(KeyError, match=r"growing has no 'fig-gone'; it has .*W1, W2, fig-growing"):
        page.find("fig-gone")


def test_an_explorer_keeps_the_shape_of_its_frames():
    html = '<div style="width:504px;aspect-ratio:504/252">'
    assert 'style="width:800px;aspect-ratio:504/252"' in make_slides._enlarged(html, 400)


@chapters
def test_a_deck_asks_nothing_of_another_host_and_complains_of_nothing(shown, chapter):
    seen = shown.tabs[chapter].seen
    assert [r for r in seen.requests if not r.startswith((shown.site, "data:"))] == []
    assert seen.problems == []


CUT_OFF = """() => Reveal.getSlides().flatMap((slide, at) => {
  Reveal.slide(at, 0, 9);
  const shown = "h2, p:not([role]), img:not(.explorer img), .explorer-frame, input, select, td";
  const boxes = [...slide.querySelectorAll(`:is(${shown}):not(aside *, details *)`)]
    .map((element) => [element, element.getBoundingClientRect()]);
  const knobs = boxes.filter(([e]) => e.matches("input, select")).map(([, box]) => box.bottom);
  const ruling = boxes.find(([e]) => e.matches(".ruling"))?.[1].top ?? innerHeight;
  return [
    ...boxes.filter(([, b]) => b.bottom > innerHeight - 20 || b.right > innerWidth || !b.height),
    ...knobs.filter((bottom) => bottom > ruling + 1),
  ].map((found) => `${at + 1}: ${found[0]?.outerHTML?.slice(0, 80) ?? "knob under the verdict"}`);
})"""


@chapters
def test_nothing_on_a_slide_is_cut_off_or_covered(shown, chapter):
    assert shown.tabs[chapter].evaluate(CUT_OFF) == []


def at_explorer(tab, kind):
    """The tab at the first slide with a knob of the kind, which has the focus."""
    at = tab.evaluate(
        f"""[...document.querySelectorAll(".slides > section")]
            .findIndex((slide) => slide.querySelector(".explorer {kind}"))"""
    )
    tab.evaluate(f"Reveal.slide({at})")
    knob = tab.locator(f"section.present section.present .explorer {kind}").first
    knob.focus()
    return at, knob


def where(tab):
    return tab.evaluate("Reveal.getIndices().h")


@pytest.mark.parametrize(("kind", "key"), [("input", "ArrowRight"), ("select", "ArrowDown")])
def test_an_explorer_turns_by_keyboard_and_the_slide_stays(shown, kind, key):
    tab = shown.tabs["norms"]
    at, knob = at_explorer(tab, kind)
    picture = "section.present section.present .explorer-frame img:not([hidden])"
    before = tab.get_attribute(picture, "alt")
    knob.press(key)
    assert tab.get_attribute(picture, "alt") != before
    assert where(tab) == at


def test_a_clicker_moves_on_though_a_knob_has_the_focus(shown):
    tab = shown.tabs["norms"]
    at, knob = at_explorer(tab, "input")
    tab.evaluate("Reveal.slide(Reveal.getIndices().h, 0, 9)")
    knob.press("PageDown")
    assert where(tab) == at + 1


def test_the_speaker_s_window_shows_the_slide_s_notes(shown):
    tab = shown.tabs["alpha"]
    tab.evaluate("Reveal.slide(1)")
    with tab.expect_popup() as window:
        tab.keyboard.press("s")
    notes = window.value.locator(".speaker-controls-notes .value")
    notes.filter(has_text="The answer").wait_for(timeout=20_000)
    window.value.close()


def test_a_cell_in_front_of_a_page_leaves_its_slides_as_they_are(monkeypatch):
    """Such as one that installs the package where a notebook runs on another's machine."""
    before = make_slides.Page("norms", "zeros").slide("fig-zeros-sizes + N3")
    read = make_slides.nbformat.read

    def with_a_cell_in_front(*arguments, **options):
        notebook = read(*arguments, **options)
        notebook.cells.insert(0, make_slides.new_code_cell("# install"))
        return notebook

    monkeypatch.setattr(make_slides.nbformat, "read", with_a_cell_in_front)
    after = make_slides.Page("norms", "zeros").slide("fig-zeros-sizes + N3")
    assert [cell.source for cell in after] == [cell.source for cell in before]
