"""What the theme makes of a page's tables, formulas and words, before a browser sees them."""

import re
import sys
from types import SimpleNamespace

import pandas as pd
import pytest

from browser import ROOT

sys.path.insert(0, str(ROOT / "book" / "_theme"))

from book_theme import finish_page, mathml

FLAT = pd.Index([1, 2], name="width")
DEEP = pd.MultiIndex.from_tuples([("clean", 1), ("wrong", 2)], names=["labels", "width"])


def finished(body):
    context = {"body": body}
    finish_page(SimpleNamespace(), "page", "page.html", context, None)
    return context["body"]


def header(table):
    head = finished(table.to_html()).split("<tbody>")[0]
    rows = re.findall(r"<tr.*?</tr>", head, re.DOTALL)
    return [re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", row) for row in rows]


@pytest.mark.parametrize(
    ("index", "names"), [(FLAT, ["width"]), (DEEP, ["labels", "width"])], ids=["flat", "deep"]
)
def test_an_index_is_named_in_the_row_of_the_columns(index, names):
    table = pd.DataFrame({"error": [1, 2], "norm": [3, 4]}, index=index)
    assert header(table) == [[*names, "error", "norm"]]


def test_an_index_without_a_name_leaves_its_corner_blank():
    assert header(pd.DataFrame({"error": [1, 2]})) == [["", "error"]]


@pytest.mark.parametrize(
    "columns",
    [pd.Index(["error", "norm"], name="measure"), pd.MultiIndex.from_product([["a"], ["b", "c"]])],
    ids=["named", "deep"],
)
def test_columns_with_a_name_or_levels_keep_their_rows(columns):
    table = pd.DataFrame([[1, 2], [3, 4]], index=FLAT, columns=columns)
    assert len(header(table)) == 1 + max(columns.nlevels, 1)


@pytest.mark.parametrize(
    ("words", "joined"),
    [
        ("a mean of 20 % of seeds", "a mean of 20\u00a0% of seeds"),
        ("+1.2 [+0.3, +2.1] pp", "+1.2 [+0.3,\u00a0+2.1] pp"),
        ("under 30 s", "under 30\u00a0s"),
        ("10 seeds", "10 seeds"),
        ("[1, 2]", "[1, 2]"),
    ],
)
def test_a_number_stays_with_its_unit_and_a_bound_with_the_other(words, joined):
    assert finished(f"<p>{words}</p>") == f"<p>{joined}</p>"


@pytest.mark.parametrize(
    "data",
    [
        '<script type="application/json">["20 % wrong [+1, +2]"]</script>',
        '<select><option value="20 %">20 %</option></select>',
        "<pre>20 %</pre>",
        '<img alt="20 % wrong"/>',
    ],
    ids=["script", "select", "code", "attribute"],
)
def test_data_stay_as_they_are(data):
    assert finished(data) == data


def test_punctuation_stays_in_the_line_of_its_formula():
    formula = mathml("w")
    assert finished(f"(the {formula}).") == f'(the <span class="joined">{formula}).</span>'


def test_the_bars_of_a_norm_with_an_index_are_of_one_height():
    bars = re.findall(r"<mo([^>]*)>&#x02016;", mathml(r"\lVert w \rVert_1"))
    assert len(bars) == 2
    assert all('stretchy="false"' in bar for bar in bars)


def test_bars_that_are_asked_to_stretch_do():
    assert 'stretchy="false"' not in mathml(r"\left| \frac{a}{b} \right|")


@pytest.mark.parametrize("formula", [r"\bar{y}", r"\overline{(x - y)^2}"])
def test_a_line_above_a_term_grows_with_it(formula):
    assert '<mo stretchy="true">&#x0203E;</mo></mover>' in mathml(formula)
