"""The prose of a notebook names the verdict, the numbers and the seeds that its code gives.

A wrong number may happen to stand elsewhere in its notebook, so most are found here, not all.
"""

import json
import re
from functools import cache

import nbformat
import pytest
from sklearn.datasets import load_diabetes, load_digits

import claims
from notebooks import BOOK, SAMPLE, notebooks
from smallweights.statistics import CONFIDENCE


def name_of(path):
    return path.relative_to(BOOK).with_suffix("").as_posix()


PAGES = pytest.mark.parametrize("path", notebooks(), ids=name_of)


def prose(cell):
    """The texts of a cell that a person wrote: sentences, or a figure's caption and alt text."""
    if cell.cell_type == "markdown":
        return [cell.source]
    shown = cell.metadata.get("mystnb", {})
    return [shown.get("figure", {}).get("caption", ""), shown.get("image", {}).get("alt", "")]


def printed(cell):
    """What a code cell shows as text."""
    texts = (o.get("text") or o.get("data", {}).get("text/plain", "") for o in cell.outputs)
    return "\n".join(texts)


@cache
def read(path):
    """The cells of prose, all sources of code and all text that the code shows."""
    cells = nbformat.read(path, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    texts = [text for cell in cells for text in prose(cell)]
    return texts, "\n".join(cell.source for cell in code), "\n".join(map(printed, code))


@pytest.fixture
def liar(tmp_path):
    """The sample with a sentence added that its code does not bear out."""

    def write(sentence):
        notebook = nbformat.read(SAMPLE, as_version=4)
        notebook.cells.append(nbformat.v4.new_markdown_cell(sentence))
        nbformat.write(notebook, tmp_path / "liar.ipynb")
        return tmp_path / "liar.ipynb"

    return write


# Verdicts

KINDS = re.compile(r"\b(does not hold|holds if|holds)\b")


def named_verdicts(path):
    """(claim, verdict named in prose, verdict computed) for each mention, notebook by notebook."""
    records = claims.verdicts([path])
    claim = None
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            outputs = [output.get("data", {}).get(claims.MIME) for output in cell.outputs]
            claim = next((record["claim"] for record in outputs if record), claim)
            continue
        for line in re.split(r"(?<=[.!?])\s", cell.source):
            about = re.findall(r"\b([WNAT]\d+)\b", line) or [claim]
            for kind in KINDS.findall(line):
                for name in about:
                    if name in records:
                        yield name, kind, KINDS.match(records[name]["ruling"]).group()


@PAGES
def test_prose_names_no_other_verdict_than_the_computed(path):
    assert [row for row in named_verdicts(path) if row[1] != row[2]] == []


def test_prose_that_names_another_verdict_is_found(liar):
    path = liar("As you see, W9 does not hold.")
    assert list(named_verdicts(path)) == [("W9", "does not hold", "holds")]


# Numbers

TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
UNITS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
WORDS = {word: number for number, word in enumerate(UNITS.split(), 1)}
WORDS |= {word: number for number, word in zip(range(20, 100, 10), TENS.split(), strict=True)}
NUMERAL = r"(?<![\w.,/#^-])\d[\d,]*(?:\.\d+)?(?![\w/])"
LARGE = "|".join(word for word, number in WORDS.items() if number > 12)  # the others stand anywhere
NUMBER = re.compile(rf"{NUMERAL}|\b(?:{LARGE})\b", re.IGNORECASE)
# A number that ends in a unit of per cent, or is the first of two that do: "12 to 15 %".
PER_CENT = re.compile(r"[\s*]*(%|per cent|pp\b|percentage)|,? (to|and|or|from)\b")
# What speaks of other experiments than the page's own, of places in books, or is code.
NOT_OF_THE_PAGE = re.compile(
    r"^## (?:What to try|An experiment of your own).*?(?=^#|\Z)"
    r"|\]\([^)]*\)|\{cite[^`]*`[^`]*`|\b(?:section|page) \d[\d.]*"
    r"|^```.*?^```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|<[^>]*>",
    re.DOTALL | re.MULTILINE,
)
PATIENTS = load_diabetes()
# What no notebook need show: the book's confidence, and facts of data sets that come with a library
FACTS = {100 * CONFIDENCE, *PATIENTS.data.shape, PATIENTS.target.min(), PATIENTS.target.max()}
FACTS |= {*load_digits().images.shape}
UNSHOWN = {
    "a design that came before, and is not run any more": {
        ("alpha/bias_variance", "300"),
        ("alpha/bias_variance", "500"),
        ("alpha/bias_variance", "1,000"),
        ("large_weights/simpler", "300"),
        ("norms/capacity", "0.01"),
        ("norms/capacity", "128"),
        ("norms/capacity", "150"),
        ("norms/second_term", "300"),
        ("tips/standardize", "0.00003"),
    },
    "a count that the code makes of others: 20 · 10, 13 + 14, 50 − 5, 36 / 2": {
        ("alpha/bias_variance", "200"),
        ("alpha/scale", "27"),
        ("norms/old_friends", "45"),
        ("tips/both_norms", "18"),
    },
    "a height between two lines, as the eye reads it in a figure": {("tips/larger", "50")},
    "an example of the sentence's own": {("tips/standardize", "1800"), ("tips/exercises", "1.80")},
    "the year of a paper": {("large_weights/why_small", "1992")},
    "a limit of the package's, tested there": {("tips/your_data", "5,000")},
}


def value(text):
    """A number and its decimals."""
    if text.lower() in WORDS:
        return float(WORDS[text.lower()]), 0
    digits = text.rstrip(",").replace(",", "")
    return float(digits), len(digits.partition(".")[2])


def numbers_of(text):
    found = re.findall(r"\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?", text.replace("_", ""))
    return FACTS | {float(number.replace(",", "")) for number in found}


def unshown_numbers(path):
    """The numbers of the prose that, rounded as there, stand in no source and no output."""
    texts, *shown = read(path)
    known = numbers_of("\n".join(shown))
    for text in texts:
        left = NOT_OF_THE_PAGE.sub(" ", text)
        for match in NUMBER.finditer(left):
            number, decimals = value(match.group())
            scales = (1, 100) if PER_CENT.match(left, match.end()) else (1,)
            off = min(abs(scale * other - number) for other in known for scale in scales)
            if off > 0.5000001 * 10**-decimals:
                yield match.group().rstrip(",")


@PAGES
def test_every_number_of_the_prose_stands_in_code_or_output(path):
    listed = {
        number for pairs in UNSHOWN.values() for page, number in pairs if page == name_of(path)
    }
    assert set(unshown_numbers(path)) == listed


@pytest.mark.parametrize("lie", ["0.8341", "83 %", "1,234", "nineteen"])
def test_a_number_that_the_notebook_does_not_give_is_found(liar, lie):
    assert list(unshown_numbers(liar(f"The loss was {lie} at first."))) == [lie.split()[0]]


def test_a_number_may_be_rounded_and_a_share_be_told_in_per_cent(liar):
    path = liar("At most 2.1 of 12, in the mean 1.4; an error of 25 % or 50 per cent.")
    assert list(unshown_numbers(path)) == []


# Seeds

SEEDS = re.compile(
    rf"\b(\d+|{'|'.join(WORDS)})\s+(?:(?:other|new|further|of the)\s+)?seeds\b", re.IGNORECASE
)


def counts_of_seeds(path):
    """How many seeds the code of a notebook takes, its output tells, or its large result kept."""
    _, code, output = read(path)
    counts = {int(stop) for stop in re.findall(r"range\((\d+)\)", code)}
    counts |= {int(stop) - int(start) for start, stop in re.findall(r"range\((\d+), (\d+)\)", code)}
    counts |= {int(block) for block in re.findall(r"range\([^()]* \+ (\d+)\)", code)}
    counts |= {len(names.split(",")) for names in re.findall(r"seeds=\[([\d, ]+)\]", code)}
    counts |= {int(n) for n in re.findall(r"\bn = (\d+)", output)}
    kept = BOOK / "results" / f"{path.stem}.json"
    return counts | ({len(json.loads(kept.read_text())["seeds"])} if kept.exists() else set())


def miscounted(path):
    """The counts of seeds that the prose of a notebook names and that are none of its own."""
    named = {number for text in read(path)[0] for number in SEEDS.findall(text)}
    return {number for number in named if value(number)[0] not in counts_of_seeds(path)}


@PAGES
def test_the_prose_counts_seeds_as_the_code_does(path):
    assert miscounted(path) == set()


def test_another_count_of_seeds_is_found(liar):
    path = liar("Over 33 seeds and over seventeen other seeds the loss fell.")
    assert miscounted(path) == {"33", "seventeen"}
