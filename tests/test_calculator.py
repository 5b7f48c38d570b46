"""The calculator in a page: its answers are those of convert, and its form helps."""

import re
from importlib.resources import files
from itertools import product

import pytest

from browser import DESK, PHONE, opened, served, violations
from smallweights.calculator import Calculator
from smallweights.convert import DECOUPLED, SETTINGS, convert

PAGE = (
    '<!doctype html><html lang="en" data-theme="light"><head><title>Calculator</title>'
    '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    '<link rel="icon" href="data:,"></head><body><main><h1>Calculator</h1>{}</main></body></html>'
)
SCRIPT = files("smallweights") / "static" / "calculator.js"
LIBRARIES = [*SETTINGS, *DECOUPLED]
STATES = [
    {"n": 442, "batch": 32, "reduction": "mean"},
    {"n": 50, "batch": 50, "reduction": "half mean"},
    {"n": 1000, "batch": 7, "reduction": "sum"},
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calculator")
    (folder / "index.html").write_text(PAGE.format(Calculator()._repr_mimebundle_()["text/html"]))
    (folder / "calculator.js").write_text(SCRIPT.read_text())
    with served(folder) as address:
        yield address


@pytest.fixture(scope="module")
def answers(chromium, site):
    """What the page's script answers, for cases of a state."""
    tab = opened(chromium, f"{site}/index.html", **DESK)
    yield lambda cases, state: tab.evaluate(IN_THE_PAGE, [f"{site}/calculator.js", cases, state])
    tab.context.close()


@pytest.fixture
def page(chromium, site):
    tab = opened(chromium, f"{site}/index.html", **DESK)
    yield tab
    problems = tab.seen.problems
    tab.context.close()
    assert problems == []


@pytest.mark.parametrize("n", [0, 2.5])
def test_a_number_of_examples_that_is_no_count_is_refused(n):
    with pytest.raises(ValueError, match=f"^n must be a number of training examples .*; got {n}.$"):
        Calculator(n=n)


def given(source, value):
    """Strengths of the library, of this value where they are not a share."""
    names = SETTINGS[source].form.names if source in SETTINGS else (DECOUPLED[source][0],)
    return {name: 0.3 if name == "l1_ratio" else value for name in names}


def expected(source, value, target, state):
    try:
        return list(convert(source, given(source, value), target, **state).values())
    except ValueError:
        return None


IN_THE_PAGE = """async ([script, cases, state]) => {
  const { convert } = await import(script);
  const data = document.querySelector("[type='application/json']").text;
  const { libraries } = JSON.parse(data);
  return cases.map(([from, strengths, to]) =>
    convert(libraries[from], strengths, libraries[to], state));
}"""


@pytest.mark.parametrize("state", STATES, ids=lambda state: state["reduction"])
@pytest.mark.parametrize("source", LIBRARIES)
def test_the_page_answers_as_the_package_does(answers, source, state):
    pairs = list(product((0.0123, 4.0), LIBRARIES))
    cases = [[source, list(given(source, value).values()), target] for value, target in pairs]
    for (value, target), answer in zip(pairs, answers(cases, state), strict=True):
        wanted = expected(source, value, target, state)
        if wanted is None:
            assert answer.startswith("none: "), target
        else:
            assert answer == pytest.approx(wanted, rel=1e-12), target


def setting(page, library):
    """What the table says of this library."""
    name = page.get_by_role("rowheader", name=library, exact=True)
    return page.locator(".sw-calculator tr", has=name).locator("td").text_content()


def test_the_table_of_the_start_is_the_package_s_own(page):
    rows = page.locator(".sw-calculator tbody tr").all()
    shown = {r.locator("th").text_content(): r.locator("td").text_content() for r in rows}
    assert shown == Calculator().answers()


def test_a_number_that_is_typed_changes_the_table(page):
    page.get_by_label("weight_decay").fill("0.2")
    assert setting(page, "keras.regularizers.L2") == "l2 = 0.1"


def test_the_number_of_examples_counts_beside_a_sum_only(page):
    page.get_by_label("training examples").fill("50")
    assert setting(page, "sklearn.linear_model.Ridge") == "alpha = 0.25"
    assert setting(page, "keras.regularizers.L2") == "l2 = 0.005"


def test_a_step_sees_all_examples_until_the_reader_says_otherwise(page):
    page.get_by_label("training examples").fill("50")
    assert page.get_by_label("examples in a step").input_value() == "50"
    page.get_by_label("examples in a step").fill("10")
    page.get_by_label("training examples").fill("80")
    assert page.get_by_label("examples in a step").input_value() == "10"
    assert setting(page, "sklearn.neural_network.MLPClassifier") == "alpha = 0.1"


def test_the_reduction_of_the_readers_own_loss_counts(page):
    page.get_by_label("a loss that you write").select_option("half mean")
    assert setting(page, "keras.regularizers.L2") == "l2 = 0.005"
    assert setting(page, "smallweights.ElasticNet") == "l1 = 0, l2 = 0.01"


def test_another_library_asks_for_its_own_strengths(page):
    page.get_by_label("you have").select_option("sklearn.linear_model.LogisticRegression")
    page.get_by_label("C", exact=True).fill("10")
    page.get_by_label("l1_ratio").fill("1")
    assert setting(page, "keras.regularizers.L1") == "l1 = 0.0001"
    assert setting(page, "sklearn.linear_model.Lasso") == "none: another loss"
    assert setting(page, "torch.optim.SGD") == "none: it has no such term"


def test_a_decay_has_a_setting_in_another_decay_alone(page):
    page.get_by_label("you have").select_option("torch.optim.AdamW")
    assert setting(page, "optax.adamw") == "weight_decay = 0.01"
    assert setting(page, "torch.optim.Adam") == "none: a decay is no penalty"


@pytest.mark.parametrize(
    ("label", "typed", "sentence"),
    [
        ("weight_decay", "", "weight_decay is a number from 0 up."),
        ("weight_decay", "-1", "weight_decay is a number from 0 up."),
        ("weight_decay", "0,01", "weight_decay is a number from 0 up."),
        ("training examples", "0", "The training examples are a whole number from 1 up."),
        ("training examples", "1e3", "The training examples are a whole number from 1 up."),
        ("examples in a step", "2000", "A step cannot see more examples than there are."),
    ],
)
def test_a_slip_gets_a_sentence_and_no_number(page, label, typed, sentence):
    page.get_by_label(label).fill(typed)
    assert page.get_by_role("status").text_content() == sentence
    assert not page.locator(".sw-calculator table").is_visible()


@pytest.mark.parametrize(("name", "typed"), [("C", "0"), ("l1_ratio", "1.5")])
def test_a_slip_in_an_inverse_or_a_share_says_what_it_is(page, name, typed):
    page.get_by_label("you have").select_option("sklearn.linear_model.LogisticRegression")
    page.get_by_label(name, exact=True).fill(typed)
    assert page.get_by_role("status").text_content().startswith(f"{name} is ")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_violation_in_the_calculator(page, theme):
    ground, ink = ("#121212", "#ced6dd") if theme == "dark" else ("#ffffff", "#222222")
    page.evaluate(f"document.body.style.cssText = 'background: {ground}; color: {ink}'")
    assert violations(page) == []


def test_the_calculator_fits_a_phone(chromium, site):
    tab = opened(chromium, f"{site}/index.html", **PHONE)
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    tab.context.close()


def test_without_a_script_the_table_of_the_start_stays(chromium, site):
    context = chromium.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(f"{site}/index.html")
    assert setting(tab, "keras.regularizers.L2") == "l2 = 0.005"
    assert tab.locator("input").count() == 0
    context.close()


def test_a_start_that_cannot_be_stated_is_refused():
    with pytest.raises(ValueError, match="is set by weight_decay; got alpha"):
        Calculator("torch.optim.SGD", {"alpha": 0.1})


def test_as_text_it_lists_every_library():
    text = str(Calculator("sklearn.linear_model.Ridge", {"alpha": 3.0}, n=100))
    assert text.splitlines()[0].endswith("Ridge with alpha = 3, for 100 examples")
    assert all(library in text for library in LIBRARIES)
    assert re.search(rf"{re.escape('torch.optim.SGD')} +weight_decay = 0\.06$", text, re.M)
