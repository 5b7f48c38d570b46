"""Assignments: in step with the pages, graded by nbgrader itself, and proof against tricks."""

import csv
import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from nbgrader.api import Gradebook
from nbgrader.plugins import CsvExportPlugin

import course
from batch import grade
from browser import HTML
from inside import numbers, packed, unpacked
from judge import Draw, Question, asked, is_constants, judged, reference
from kernel import Limits, nursery, run
from notebooks import BOOK, normal_form
from test_exercises import CHAPTERS

SOURCES = course.HERE / "source"
every_chapter = pytest.mark.parametrize("chapter", CHAPTERS)


def read(path):
    return nbformat.read(path, as_version=4)


def source(chapter):
    return read(SOURCES / chapter / f"{chapter}.ipynb")


def texts(cells):
    return [(cell.cell_type, cell.source) for cell in cells]


def name_of(cell):
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def roster(folder, *ids):
    path = folder / "roster.csv"
    path.write_text("id,first_name,last_name,email\n" + "".join(f"{i},A,B,{i}@x\n" for i in ids))
    return path


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """The course that `make assignments STUDENTS=… SEED=…` writes, for two students."""
    folder = tmp_path_factory.mktemp("released")
    students = ["--students", str(roster(folder, "ada", "bob")), "--seed", "7"]
    assert course.main(["release", *students, "--out", str(folder / "course")]) == 0
    return folder / "course"


# Page, release and source are in step


@every_chapter
def test_the_page_is_the_source_without_what_belongs_to_the_assignment(chapter):
    assert texts(course.page(source(chapter))) == texts(
        read(BOOK / chapter / "exercises.ipynb").cells
    )


@every_chapter
def test_the_release_is_the_page_with_what_belongs_to_the_assignment(chapter, released):
    cells = read(released / "release" / chapter / f"{chapter}.ipynb").cells
    page = read(BOOK / chapter / "exercises.ipynb").cells
    assert texts(filter(course.is_page, cells)) == texts(page)
    assert len(cells) == len(source(chapter).cells)


@every_chapter
def test_a_variant_is_the_release_with_other_constants(chapter, released):
    release = read(released / "release" / chapter / f"{chapter}.ipynb").cells
    ada, bob = (
        read(released / "personal" / student / chapter / f"{chapter}.ipynb").cells
        for student in ("ada", "bob")
    )
    triples = list(zip(release, ada, bob, strict=True))
    changed = [cell for cell, a, b in triples if len({cell.source, a.source, b.source}) == 3]
    assert changed == [cell for cell in release if is_constants(cell)]
    assert [c for c, a, b in triples if c.source == a.source != b.source] == []
    assert len(changed) >= 2


@every_chapter
def test_no_solution_and_no_hidden_test_is_handed_out(chapter, released):
    cells = read(released / "release" / chapter / f"{chapter}.ipynb").cells
    handed_out = {line for cell in cells for line in cell.source.splitlines()}
    whole = "\n".join(cell.source for cell in source(chapter).cells)
    regions = re.findall(r"(?s)BEGIN [A-Z ]+\n(.*?)# END", whole)
    hidden = {line for region in regions for line in region.splitlines() if len(line) > 5}
    assert len(hidden) > 40
    assert [line for line in hidden & handed_out if not line.startswith("def ")] == []
    assert [
        line for line in handed_out if re.search("BEGIN|END|def cases|def constants", line)
    ] == []


def test_nothing_of_an_assignment_is_published():
    pages = [page for page in HTML.rglob("*") if page.suffix in (".html", ".ipynb", ".txt", ".js")]
    assert pages, "There is no built book to check; run make book first."
    signs = re.compile(r"(BEGIN|END) (SOLUTION|HIDDEN|MARK)|cases\(rng\)|constants\(rng\)|nbgrader")
    assert [page.name for page in pages if signs.search(page.read_text(errors="replace"))] == []


@every_chapter
def test_a_source_is_in_normal_form_and_without_outputs(chapter):
    path = SOURCES / chapter / f"{chapter}.ipynb"
    assert path.read_text() == normal_form(read(path))
    assert [cell for cell in read(path).cells if cell.get("outputs")] == []


@every_chapter
def test_each_exercise_is_graded_and_the_open_one_by_hand(chapter):
    cells = source(chapter).cells
    graded = {name_of(cell) for cell in cells if cell.metadata.get("nbgrader", {}).get("grade")}
    asked_for = {
        name
        for name in CHAPTERS[chapter][0].EXERCISES
        if {f"test-{name}", f"test-own-{name}"} & graded
    }
    assert asked_for == set(CHAPTERS[chapter][0].EXERCISES)
    assert [name_of(c) for c in cells if c.metadata.get("nbgrader", {}).get("task")] == [
        "experiment"
    ]


def test_the_pages_are_written_from_the_sources(tmp_path):
    target = tmp_path / "page.ipynb"
    stale = read(BOOK / "norms" / "exercises.ipynb")
    stale.cells[2].source = "of an old source"
    nbformat.write(stale, target)
    course.write_page(SOURCES / "norms" / "norms.ipynb", target)
    assert texts(read(target).cells) == texts(course.page(source("norms")))
    kept = [cell.get("outputs") for cell in read(BOOK / "norms" / "exercises.ipynb").cells]
    assert [cell.get("outputs") for cell in read(target).cells] == kept


# The judge


def question(released, chapter, name):
    truth = reference(released / "source" / chapter / f"{chapter}.ipynb")
    asked_for = truth.questions[f"test-{name}"]
    drawn = Draw("7", "ada", chapter)(asked_for)
    return asked_for, truth.expected(asked_for, drawn), drawn


def points(asked_for, expected, drawn, answer):
    """The share of the points for a function, as a kernel hands out what it gives."""
    found = [numbers(answer(*unpacked(packed(case)))) for case in drawn]
    return judged(asked_for, expected, drawn, {"found": found}).points / asked_for.points


FUNCTIONS = [
    (chapter, name)
    for chapter, (kept, _) in CHAPTERS.items()
    for name, exercise in kept.EXERCISES.items()
    if exercise.cases
]
every_function = pytest.mark.parametrize(("chapter", "name"), FUNCTIONS)


@every_function
def test_right_answers_by_any_means_have_all_points(chapter, name, released):
    asked_for = question(released, chapter, name)
    right = CHAPTERS[chapter][1].RIGHT[name]
    assert [points(*asked_for, answer) for answer in right] == [1] * len(right)


@every_function
def test_no_wrong_answer_has_all_points(chapter, name, released):
    asked_for = question(released, chapter, name)
    wrong = [answer for answer, _ in CHAPTERS[chapter][1].WRONG[name]]
    assert [points(*asked_for, answer) for answer in wrong if points(*asked_for, answer) == 1] == []


@every_chapter
def test_the_numbers_of_one_s_own_differ_from_student_to_student(chapter, released):
    truth = reference(released / "source" / chapter / f"{chapter}.ipynb")
    own = [each for each in truth.questions.values() if each.constants]
    answers = [
        [truth.expected(each, Draw("7", student, chapter)(each)).tolist() for each in own]
        for student in ("ada", "bob")
    ]
    assert len(own) >= 2
    assert [each.name for each, a, b in zip(own, *answers, strict=True) if a == b] == []


@every_chapter
def test_the_solutions_have_all_points_in_a_kernel(chapter, released, kernels):
    truth, draw = (
        reference(released / "source" / chapter / f"{chapter}.ipynb"),
        Draw("7", "ada", chapter),
    )
    blank = read(released / "personal" / "ada" / chapter / f"{chapter}.ipynb")
    answers = run(solved(blank, chapter), asked(truth, draw), kernels).answers
    verdicts = {
        each.name: judged(each, truth.expected(each, draw(each)), draw(each), answers[each.name])
        for each in truth.questions.values()
    }
    assert {name: v for name, v in verdicts.items() if v.sentence != "right."} == {}


def test_a_draw_belongs_to_its_seed_student_and_question():
    first = Question("a", 1, "f", cases=lambda rng: rng.uniform(size=3))
    second = Question("b", 1, "f", cases=lambda rng: rng.uniform(size=3))
    draws = [
        Draw(seed, student, assignment)(each)
        for seed in ("1", "2")
        for student in ("ada", "bob")
        for assignment in ("x", "y")
        for each in (first, second)
    ]
    assert len({tuple(drawn) for drawn in draws}) == len(draws)
    assert Draw("1", "ada", "x")(first) == draws[0]


def test_without_variants_all_have_the_constants_of_the_source():
    asked_for = Question("a", 1, "x", constants=lambda rng: {"n": 1})
    assert Draw("1", "ada", "x", personal=False)(asked_for) == {}


PAIR = Question("pair", 3, "x", parts=True)
SQUARE = Question("square", 2, "f", cases=lambda rng: [[2], [3]])


@pytest.mark.parametrize(
    ("asked_for", "reply", "points", "sentence"),
    [
        (PAIR, {"found": [1, 2]}, 3, "right."),
        (
            PAIR,
            {"found": [1, 3]},
            1.5,
            "1 of 2 parts right, and not part 2: not the answer for n = 5.",
        ),
        (PAIR, {"found": [3, 3]}, 0, "not the answer for n = 5."),
        (PAIR, {"found": [1, None]}, 0, "not answered yet, or not a number."),
        (PAIR, {"found": None}, 0, "not answered yet, or not a number."),
        (PAIR, {"found": [1, float("nan")]}, 0, "not answered yet, or not a number."),
        (PAIR, {"found": [1, [2, 3]]}, 0, "numbers are expected, in a regular shape."),
        (PAIR, {"found": "right"}, 0, "numbers are expected, in a regular shape."),
        (PAIR, {"found": {"points": 3}}, 0, "numbers are expected, in a regular shape."),
        (PAIR, {"found": [1, 2, 3]}, 0, "the shape expected is (2,), and this has (3,)."),
        (PAIR, {"error": "NameError: x"}, 0, "NameError: x."),
        (PAIR, {}, 0, "not answered yet, or not a number."),
        (SQUARE, {"found": [4, 9]}, 2, "right."),
        (SQUARE, {"found": [4, 6]}, 0, "right in 1 of 2 cases. For [3] your answer is 6.0."),
        (SQUARE, {"found": [4]}, 0, "the shape expected is (2,), and this has (1,)."),
        (SQUARE, {"found": [4.001, 9]}, 0, "right in 1 of 2 cases. For [2] your answer is 4.001."),
    ],
)
def test_a_verdict_has_points_and_a_sentence(asked_for, reply, points, sentence):
    expected, drawn = ([4, 9], [[2], [3]]) if asked_for.cases else ([1, 2], {"n": 5})
    verdict = judged(asked_for, np.array(expected, float), drawn, reply)
    assert (verdict.points, verdict.sentence) == (points, sentence)


def test_arguments_travel_to_the_kernel_unchanged():
    table = pd.DataFrame({"a": [1.5, 2.0], "b": [3, 4]}, index=[7, 2])
    there = unpacked(json.loads(json.dumps(packed((table, np.eye(2), 3, np.float64(0.1))))))
    pd.testing.assert_frame_equal(there[0], table)
    np.testing.assert_array_equal(there[1], np.eye(2))
    assert there[2:] == [3, 0.1]


# The roster


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "name\nAda\n",
            "a column 'id' and a row for each student is expected; this has the columns",
        ),
        ("id\n", "this has the columns of no row"),
        ("id\nada\nada\n", "row 2: an id of its own is expected"),
        ("id\n../ada\n", "this one is '../ada'. Mend the row."),
        ("id\n=1+1\n", "row 1: an id of its own is expected"),
        ("id,first_name\n,Ada\n", "this one is ''"),
    ],
)
def test_a_roster_that_cannot_be_used_is_refused_with_the_reason(text, says, tmp_path):
    path = tmp_path / "roster.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(says)):
        course.students(path)


# What students hand in


def solved(blank, chapter):
    """A notebook with the answers of the source."""
    answers = {name_of(cell): cell.source for cell in source(chapter).cells}
    return answered(blank, answers, only=lambda cell: cell.metadata.nbgrader["solution"])


def answered(blank, answers, only=lambda cell: True):
    """A notebook with other sources in some of nbgrader's cells."""
    made = nbformat.from_dict(blank)
    for cell in made.cells:
        if name_of(cell) in answers and only(cell):
            cell.source = answers[name_of(cell)]
    return made


@pytest.fixture(scope="module")
def kernels():
    with nursery() as made:
        yield made
