"""The instructors' page: its times are the chapters', its quotations the checks' own words."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "book" / "reference" / "instructors.md").read_text()
CHAPTERS = ("large_weights", "norms", "alpha", "tips")
TIMED = re.compile(r"\| \[\]\((\w+\.\w+)\) \|.*?\| (\d+) minutes \|")
LINK = re.compile(r"\[\]\(\.\./(\w+/\w+\.\w+)\)")
EXERCISES = sorted((ROOT / "code" / "smallweights" / "exercises").glob("*.py"))
SELF_TESTS = sorted((ROOT / "book").glob("*/self_test.md"))


def minutes(chapter):
    """The reading times of a chapter's pages, as its first page states them."""
    rows = TIMED.findall((ROOT / "book" / chapter / "index.md").read_text())
    return {f"{chapter}/{page}": int(time) for page, time in rows}


TIMES = {page: time for chapter in CHAPTERS for page, time in minutes(chapter).items()}
PLANS = [row for row in PAGE.splitlines() if row.startswith("|") and " minutes |" in row]


@pytest.mark.parametrize("row", PLANS, ids=lambda row: row.split("|")[1].strip())
def test_a_row_of_a_plan_takes_as_long_as_its_pages(row):
    pages = LINK.findall(row)
    stated = int(re.search(r"\| (\d+) minutes \|", row)[1])
    assert pages
    assert stated == sum(TIMES[page] for page in pages)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_takes_as_long_as_its_pages(chapter):
    times = minutes(chapter)
    test = times.pop(f"{chapter}/self_test.md")
    section = PAGE.split(f"### [](../{chapter}/index.md)")[1]
    stated = re.search(r"Reading: (\d+) minutes. Self-test: (\d+) minutes.", section)
    assert [int(time) for time in stated.groups()] == [sum(times.values()), test]


def sentences():
    """All that a check or a self-test answers, in one text without line breaks."""
    strings = [
        node.value
        for path in EXERCISES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return " ".join(" ".join([*strings, *(path.read_text() for path in SELF_TESTS)]).split())


def test_a_quotation_is_what_a_check_or_a_self_test_says():
    quoted, said = re.findall("“(.*?)”", PAGE), sentences()
    assert quoted
    assert [quotation for quotation in quoted if quotation not in said] == []
