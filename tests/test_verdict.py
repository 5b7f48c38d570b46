"""Verdicts against the rule as it is stated, SciPy's intervals and the readers of records."""

import json
import math
import re
from html.parser import HTMLParser
from itertools import product

import numpy as np
import pytest
from scipy import stats

from smallweights.verdict import MIME, Effect, Identity, Reading, Verdict

PIECES = {
    "supports": Effect([1.0, 1.01, 0.99, 1.0]),
    "opposes": Effect([-1.0, -1.01, -0.99, -1.0]),
    "undecided": Effect([-1.0, 1.0, 0.5, -0.5]),
}
IDENTITIES = {"supports": Identity(1e-13, 1e-12), "opposes": Identity(1e-11, 1e-12)}
LETTERS = "abc"


def verdict(evidence, **options):
    return Verdict("C1", "Small weights are small.", evidence, **options)


def says(piece):
    return verdict({"a": piece}).readings[0].says


COMBINATIONS = [c for n in (1, 2, 3) for c in product(PIECES, repeat=n)]


@pytest.mark.parametrize("combination", COMBINATIONS, ids=" ".join)
def test_the_ruling_is_the_rules(combination):
    found = verdict(dict(zip(LETTERS, [PIECES[kind] for kind in combination], strict=False)))
    assert tuple(reading.says for reading in found.readings) == combination
    where = [c for c, kind in zip(LETTERS, combination, strict=False) if kind == "supports"]
    if not where:
        assert found.ruling == ("does not hold" if "opposes" in combination else "undecided")
    elif len(where) < len(combination):
        assert found.ruling == "holds if: " + "; ".join(where)
    else:
        assert found.ruling == "holds"


@pytest.mark.parametrize("combination", [*product(IDENTITIES, PIECES)], ids=" ".join)
def test_identities_and_effects_are_evidence_alike(combination):
    identity, effect = combination
    found = verdict({"a": IDENTITIES[identity], "b": PIECES[effect]})
    supporting = [c for c, kind in zip("ab", combination, strict=True) if kind == "supports"]
    none = "does not hold" if "opposes" in combination else "undecided"
    expected = {0: none, 1: f"holds if: {''.join(supporting)}", 2: "holds"}
    assert found.ruling == expected[len(supporting)]


# Effects.


@pytest.mark.parametrize("shift", [-2.0, -0.4, 0.0, 0.4, 2.0])
@pytest.mark.parametrize("smallest", [0.0, 0.3, 1.5])
def test_an_effect_says_what_its_whole_interval_says(shift, smallest):
    values = np.random.default_rng(0).normal(shift, 0.3, 12)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    if low > smallest:
        expected = "supports"
    elif high < smallest:
        expected = "opposes"
    else:
        expected = "undecided"
    assert says(Effect(values, smallest=smallest)) == expected


def test_an_interval_that_touches_the_smallest_effect_decides_nothing():
    touching = [0.5] * 3  # an interval without width
    assert says(Effect(touching, smallest=0.5)) == "undecided"
    assert says(Effect(touching, smallest=math.nextafter(0.5, 0))) == "supports"
    assert says(Effect(touching, smallest=math.nextafter(0.5, 1))) == "opposes"


def test_the_smallest_effect_that_matters_is_stated_beside_the_interval():
    (reading,) = verdict({"a": Effect([2.0, 2.0], "pp", smallest=1)}).readings
    assert reading.measured == "+2.0 [+2.0, +2.0] pp (matters from 1)"


def test_no_effect_at_all_decides_nothing():
    assert says(Effect([0.0, 0.0, 0.0])) == "undecided"


@pytest.mark.parametrize("effects", [1, 2, 3, 5])
@pytest.mark.parametrize("identities", [0, 2])
def test_intervals_widen_with_the_number_of_effects_alone(effects, identities):
    values = [1.0, 3.0, 2.0, 2.5]
    evidence = {f"effect {i}": Effect(values) for i in range(effects)}
    evidence |= {f"identity {i}": Identity(0.0, 1e-12) for i in range(identities)}
    low, high = stats.ttest_1samp(values, 0).confidence_interval(1 - 0.05 / effects)
    shown = f"{np.mean(values):+.1f} [{low:+.1f}, {high:+.1f}]"
    measured = [reading.measured for reading in verdict(evidence).readings]
    assert measured[:effects] == [shown] * effects


def test_what_supports_a_claim_alone_may_not_among_many():
    values = [1.0, 3.0, 2.0, 2.5]
    assert says(Effect(values)) == "supports"
    many = verdict({str(i): Effect(values) for i in range(20)})
    assert {reading.says for reading in many.readings} == {"undecided"}


def test_a_reading_carries_interval_unit_and_n():
    (reading,) = verdict({"width 8": Effect([1.0, 1.0, 1.0], unit="% error")}).readings
    assert reading == Reading("width 8", "+1.0 [+1.0, +1.0] % error", 3, "supports")


def test_without_a_unit_nothing_trails_the_interval():
    (reading,) = verdict({"a": Effect([1.0, 1.0])}).readings
    assert reading.measured == "+1.0 [+1.0, +1.0]"


@pytest.mark.parametrize("smallest", [-0.1, math.nan, math.inf])
def test_a_smallest_effect_that_is_no_size_is_refused(smallest):
    expected = f"smallest must be a finite number >= 0; got {smallest}."
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        Effect([1.0, 2.0], smallest=smallest)


@pytest.mark.parametrize(
    ("values", "message"),
    [([1.0, math.nan], "1 of 2 values are not finite"), ([1.0], "at least 2 seeds; got 1")],
)
def test_values_without_an_interval_have_no_verdict(values, message):
    with pytest.raises(ValueError, match=message):
        verdict({"a": Effect(values)})


# Identities.


@pytest.mark.parametrize(
    ("deviation", "measured", "expected"),
    [
        (0.0, "deviation ≤ 1e-12", "supports"),
        (1e-12, "deviation ≤ 1e-12", "supports"),  # exactly the tolerance
        (math.nextafter(1e-12, 1), "deviation > 1e-12", "opposes"),
        (1.0, "deviation > 1e-12", "opposes"),
        (math.inf, "deviation > 1e-12", "opposes"),
    ],
)
def test_an_identity_holds_within_its_tolerance(deviation, measured, expected):
    (reading,) = verdict({"a": Identity(deviation, 1e-12, n=7)}).readings
    assert reading == Reading("a", measured, 7, expected)


def test_a_tolerance_is_stated_with_all_its_digits():
    (reading,) = verdict({"a": Identity(1.15e-6, 1.2e-6)}).readings
    assert reading.measured == "deviation ≤ 1.2e-06"


def test_an_identity_is_about_one_case_unless_told_otherwise():
    assert verdict({"a": Identity(0.0, 1e-12)}).readings[0].n == 1


@pytest.mark.parametrize(
    ("deviation", "tolerance", "n"),
    [
        (math.nan, 1e-12, 1),
        (-1e-15, 1e-12, 1),
        (0.0, 0.0, 1),
        (0.0, -1.0, 1),
        (0.0, math.nan, 1),
        (0.0, math.inf, 1),
        (0.0, 1e-12, 0),
    ],
)
def test_an_identity_that_cannot_be_judged_is_refused(deviation, tolerance, n):
    expected = (
        "An identity needs a deviation >= 0, a finite tolerance > 0 and n >= 1; got"
        f" {deviation}, {tolerance} and {n}."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        Identity(deviation, tolerance, n)


@pytest.mark.parametrize(
    ("evidence", "designs"), [({}, 1), ({"a": PIECES["supports"]}, 0), ({}, -1)]
)
def test_a_verdict_without_evidence_or_design_is_refused(evidence, designs):
    expected = (
        f"Verdict C1 needs evidence and designs >= 1; got {len(evidence)} pieces"
        f" and designs={designs}."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        verdict(evidence, designs=designs)


# Faces.

MIXED = Verdict(
    "N7",
    "L1 & L2 < exponential.",
    {
        "tanh <8>": Effect([1.0, 1.0, 1.0], unit="% error"),
        "relu": PIECES["opposes"],
        "any": Identity(0.0, 1e-9, n=40),
    },
    designs=3,
)


def test_the_text_states_claim_ruling_designs_and_evidence():
    low, high = stats.ttest_1samp([-1.0, -1.01, -0.99, -1.0], 0).confidence_interval(0.975)
    assert str(MIXED) == (
        "N7 holds if: tanh <8>; any (designs tried: 3)\n"
        "  L1 & L2 < exponential.\n"
        "  supports  tanh <8>: +1.0 [+1.0, +1.0] % error (n = 3)\n"
        f"  opposes   relu: -1.000 [{low:+.3f}, {high:+.3f}] (n = 4)\n"
        "  supports  any: deviation ≤ 1e-09 (n = 40)"
    )


def test_one_design_is_counted_unless_told_otherwise():
    assert verdict({"a": PIECES["supports"]}).designs == 1


def test_the_table_has_a_row_a_piece_of_evidence():
    table = MIXED.table
    assert list(table.columns) == ["condition", "effect [together 95 %]", "n", "the evidence"]
    assert list(table.condition) == ["tanh <8>", "relu", "any"]
    assert list(table.n) == [3, 4, 40]
    assert list(table["the evidence"]) == ["supports", "opposes", "supports"]
    measured = [reading.measured for reading in MIXED.readings]
    assert list(table["effect [together 95 %]"]) == measured


def test_the_record_is_plain_data_that_survives_json():
    record = MIXED.record()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record == {
        "claim": "N7",
        "statement": "L1 & L2 < exponential.",
        "ruling": "holds if: tanh <8>; any",
        "designs": 3,
        "evidence": [vars(reading) for reading in MIXED.readings],
    }


class Page(HTMLParser):
    """What a browser would see: the text of each cell, paragraph and heading, and attributes."""

    def __init__(self, html):
        super().__init__()
        self.texts, self.attributes, self.open = [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        self.attributes += [(tag, name, value) for name, value in attributes]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self.open[-1], data))


def test_the_html_shows_what_the_text_says_with_special_characters_escaped():
    page = Page(MIXED._repr_mimebundle_()["text/html"])
    cells = [text for tag, text in page.texts if tag == "td"]
    assert cells == [str(v) for r in MIXED.readings for v in (r.condition, r.measured, r.n, r.says)]
    assert [text for tag, text in page.texts if tag == "th"] == list(MIXED.table.columns)
    assert [text for tag, text in page.texts if tag in ("strong", "p")] == [
        "N7 holds if …",
        f" it held under 2 of these {len(MIXED.readings)} conditions, those marked ",
        "L1 & L2 < exponential.",
        "The intervals cover all rows at once. Designs tried: 3.",
    ]
    assert page.open == []


def test_a_heading_names_the_only_condition():
    found = verdict({"tanh <8>": PIECES["supports"], "any": PIECES["opposes"]})
    page = Page(found._repr_mimebundle_()["text/html"])
    assert ("strong", "C1 holds if: tanh <8>") in page.texts


def test_claims_and_conditions_cannot_add_markup():
    evil = "\"><script>alert('x')</script>&"
    found = Verdict(evil, evil, {evil: Effect([1.0, 1.0], unit=evil)})
    page = Page(found._repr_mimebundle_()["text/html"])
    assert {tag for tag, _ in page.texts} == {"strong", "p", "th", "td"}
    assert ("div", "id", f"verdict-{evil.lower()}") in page.attributes


@pytest.mark.parametrize(
    ("kinds", "css"),
    [
        (["supports"], "holds"),
        (["supports", "opposes"], "holds-if"),
        (["opposes"], "does-not-hold"),
        (["undecided"], "undecided"),
    ],
)
def test_the_html_names_ruling_and_readings_for_the_style_sheet(kinds, css):
    found = verdict(dict(zip("ab", [PIECES[kind] for kind in kinds], strict=False)))
    page = Page(found._repr_mimebundle_()["text/html"])
    assert ("div", "class", f"verdict {css}") in page.attributes
    assert ("div", "id", "verdict-c1") in page.attributes
    assert [value for tag, _, value in page.attributes if tag == "tr"] == kinds


def test_a_notebook_gets_text_html_and_record():
    bundle = MIXED._repr_mimebundle_(include=None, exclude=None)
    assert list(bundle) == ["text/plain", "text/html", MIME]
    assert bundle["text/plain"] == str(MIXED)
    assert bundle[MIME] == MIXED.record()
    assert MIME == "application/vnd.smallweights.verdict+json"
