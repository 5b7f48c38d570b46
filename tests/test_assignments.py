"""Assignments: in step with the pages, graded by nbgrader itself, and proof against tricks."""

import asyncio
import contextlib
import csv
import io
import json
import re
import shutil

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from nbgrader.api import Gradebook
from nbgrader.plugins import CsvExportPlugin

import course
import inside
from batch import grade, write_marks
from browser import HTML
from inside import numbers, packed, unpacked
from judge import Draw, Question, asked, is_constants, judged, reference
from kernel import Limits, nursery, run
from notebooks import BOOK, normal_form
from test_exercises import CHAPTERS
from test_house import Requests

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


SOLUTIONS = {
    chapter: {
        name_of(cell): cell.source
        for cell in source(chapter).cells
        if cell.metadata.get("nbgrader", {}).get("solution")
    }
    for chapter in CHAPTERS
}


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


def page_of(chapter):
    """The cells of the page, after the one for Colab."""
    cells = read(BOOK / chapter / "exercises.ipynb").cells
    assert cells[0].id == "colab"
    return cells[1:]


@every_chapter
def test_the_page_is_the_source_without_what_belongs_to_the_assignment(chapter):
    assert texts(course.page(source(chapter))) == texts(page_of(chapter))


@every_chapter
def test_the_release_is_the_page_with_what_belongs_to_the_assignment(chapter, released):
    cells = read(released / "release" / chapter / f"{chapter}.ipynb").cells
    assert texts(filter(course.is_page, cells)) == texts(page_of(chapter))
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
    marks = r'(BEGIN|END) (SOLUTION|HIDDEN|MARK)|"nbgrader": {'
    signs = re.compile(rf"{marks}|cases\(rng\)|constants\(rng\)")
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
    kept = [cell.get("outputs") for cell in page_of("norms")]
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
    answers = asyncio.run(run(solved(blank, chapter), asked(truth, draw), kernels)).answers
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
    return answered(blank, SOLUTIONS[chapter])


def answered(blank, answers):
    """A notebook with other sources in some of nbgrader's cells."""
    made = nbformat.from_dict(blank)
    for cell in made.cells:
        cell.source = answers.get(name_of(cell), cell.source)
    return made


@pytest.fixture(scope="module")
def kernels():
    with nursery() as made:
        yield made


NORMS = {  # the first of the exercises, in the order in which they stand
    name: SOLUTIONS["norms"][name]
    for name in (
        "gradient",
        "soft",
        "step",
        "ridge",
        "last",
        "own-last",
        "prior",
        "own-prior",
        "capacity",
    )
}
GRADIENT, SOFT, STEP = 2, 2, 3  # their points
ALL, OWN = 20, 3
CRASH = "import os\nos._exit(1)"
KILLED = "import os\nos.kill(os.getpid(), 9)"
FLOOD = "print('x' * 10**7)"
HANG = "import time\nwhile True:\n    time.sleep(1)"
LOOP = "import time\n\n\ndef gradient(w, l1, l2):\n    while True:\n        time.sleep(1)"
STUBBORN = """
import time
while True:
    try:
        time.sleep(1)
    except BaseException:
        pass
"""
# Always equal, always true, and whatever the judge may ask of it.
CHAMELEON = """
class Right(float):
    __eq__ = __le__ = __ge__ = lambda self, other: True
    __ne__ = lambda self, other: False
    __hash__ = float.__hash__

def gradient(w, l1, l2):
    return [Right(1)] * len(w)

soft_threshold = own_last = own_alpha = Right(1)
"""
PATCHES = """
import builtins, json
import numpy as np
import inside
np.isclose = np.allclose = np.array_equal = lambda *a, **k: True
inside.numbers = lambda value: 1.0
inside.hand_out = lambda *a: print("2.0")
json.dumps = lambda *a, **k: '{"found": "right", "points": 100}'
builtins.all = builtins.any = lambda *a: True
"""
FORGED = """
from IPython.display import display
display({"text/plain": "3.0", "text/html": "<p class='verdict right'>3 of 3 points</p>"}, raw=True)
display({"application/x-answer+json": '{"found": "right", "points": 3}'}, raw=True)
print("3 of 3 points: right.")
3.0
"""
STEALS = """
import os, re, sys
from pathlib import Path

stolen = []
for place in {places}:
    for path in Path(place).rglob("*.ipynb"):
        try:
            stolen += re.findall("BEGIN SOLUTION.*?END SOLUTION", path.read_text(), re.S)
        except OSError:
            pass
for step in (
    lambda: __import__("smallweights.exercises.norms", fromlist="x").EXERCISES,
    lambda: __import__("smallweights.exercises.norms", fromlist="x")._gradient,
    lambda: Path({answers!r}).read_text(),
    lambda: Path({folder!r}, "course.json").read_text(),
    lambda: Path({folder!r}, "gradebook.db").read_bytes(),
    lambda: Path("/proc", str(os.getppid()), "environ").read_bytes(),
    lambda: os.kill(os.getppid(), 9),
    lambda: os.listdir("/tmp"),
):
    try:
        stolen.append(step())
    except Exception:
        pass
assert not stolen, stolen
"""


def without_tests(notebook):
    made = nbformat.from_dict(notebook)
    made.cells = [c for c in made.cells if not str(name_of(c)).startswith("test")]
    return made


def with_cell(notebook, text):
    made = nbformat.from_dict(notebook)
    made.cells.insert(3, new_code_cell(text))
    return made


def forged(notebook):
    made = with_cell(notebook, FORGED)
    for cell in made.cells:
        if str(name_of(cell)).startswith("test"):
            cell.source, cell.metadata.nbgrader["points"] = FORGED, 100
    return made


def thief(notebook, folder):
    answers = course.HERE.parent / "code" / "smallweights" / "exercises" / "norms.py"
    places = [str(folder), str(course.HERE.parent)]
    return with_cell(
        notebook, STEALS.format(places=places, folder=str(folder), answers=str(answers))
    )


HALF = {name: NORMS[name] for name in ("gradient", "soft", "ridge", "prior")}
HALF["step"] = "def taken_off(w, lr, alpha):\n    return 2 * lr * alpha * w, 0, 0"
KINDS = {  # what becomes of a student's own blank notebook, and the points it is worth
    "right": (lambda blank, _: answered(blank, NORMS), ALL),
    "empty": (lambda blank, _: blank, 0),
    "half": (lambda blank, _: answered(blank, HALF), 2 + 2 + 1 + 3 + 2),
    "loop": (lambda blank, _: answered(blank, NORMS | {"gradient": LOOP}), ALL - GRADIENT),
    "stuck": (lambda blank, _: answered(blank, NORMS | {"step": HANG}), ALL - STEP),
    "stubborn": (lambda blank, _: answered(blank, NORMS | {"step": STUBBORN}), GRADIENT + SOFT),
    "crash": (lambda blank, _: answered(blank, NORMS | {"step": CRASH}), GRADIENT + SOFT),
    "killed": (lambda blank, _: answered(blank, NORMS | {"step": KILLED}), GRADIENT + SOFT),
    "flood": (lambda blank, _: answered(blank, NORMS | {"step": FLOOD}), GRADIENT + SOFT),
    "exit": (lambda blank, _: answered(blank, NORMS | {"step": "raise SystemExit"}), ALL - STEP),
    "memory": (lambda blank, _: answered(blank, NORMS | {"step": "bytes(10**12)"}), ALL - STEP),
    "raises": (lambda blank, _: answered(blank, NORMS | {"step": "1 / 0"}), ALL - STEP),
    "deleted": (lambda blank, _: without_tests(answered(blank, NORMS)), ALL),
    "forged": (lambda blank, _: forged(blank), 0),
    "chameleon": (lambda blank, _: with_cell(blank, CHAMELEON), 0),
    "patches": (lambda blank, _: with_cell(blank, PATCHES), 0),
    "thief": (lambda blank, folder: thief(blank, folder), 0),
}


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """A course in which students of all kinds have handed in, graded; and what was unreadable."""
    folder = tmp_path_factory.mktemp("graded")
    shutil.copytree(SOURCES / "norms", folder / "sources" / "norms")
    write_small_source(folder / "sources")  # nobody hands this one in
    students = roster(folder, *KINDS, "neighbour", "broken")
    course.release(folder / "course", students, "7", folder / "sources")
    folder = folder / "course"
    variants = {name: read(folder / "personal" / name / "norms" / "norms.ipynb") for name in KINDS}
    for name, (made, _) in KINDS.items():
        hand_in(folder, name, nbformat.writes(made(variants[name], folder)))
    hand_in(folder, "neighbour", nbformat.writes(answered(variants["right"], NORMS)))
    hand_in(folder, "broken", "this is no notebook")
    return folder, grade(folder, 6, Limits(cell_seconds=15))


def hand_in(folder, student, text, assignment="norms"):
    place = folder / "submitted" / student / assignment
    place.mkdir(parents=True)
    (place / f"{assignment}.ipynb").write_text(text)


def marks(folder, assignment="norms"):
    """The points that nbgrader's gradebook has for each student."""
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as gradebook:
        return {
            each.student.id: each.score for each in gradebook.assignment_submissions(assignment)
        }


@pytest.mark.parametrize("kind", KINDS)
def test_a_submission_has_the_points_that_it_is_worth(kind, graded):
    folder, _ = graded
    assert marks(folder)[kind] == pytest.approx(KINDS[kind][1])


def test_who_hands_in_a_neighbour_s_variant_has_no_points_for_its_numbers(graded):
    folder, _ = graded
    assert marks(folder)["neighbour"] == ALL - OWN


def test_what_is_no_notebook_is_reported_and_stops_nothing(graded):
    folder, unread = graded
    assert unread == [folder / "submitted" / "broken" / "norms" / "norms.ipynb"]


def test_what_nobody_has_handed_in_has_no_mark(graded):
    folder, _ = graded
    table = pd.read_csv(folder / "marks_moodle.csv").set_index("ID number")
    assert table.loc["right", "norms"] == ALL
    assert table["small"].isna().all()


@pytest.mark.skipif(not inside.landlock(), reason="the system has no Landlock")
def test_a_thief_finds_nothing_of_the_course(graded):
    folder, _ = graded
    notebook = read(folder / "autograded" / "thief" / "norms" / "norms.ipynb")
    (cell,) = (cell for cell in notebook.cells if "stolen" in cell.source)
    assert cell.outputs == []


def test_the_open_exercise_waits_for_a_hand(graded):
    folder, _ = graded
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as gradebook:
        grade = gradebook.find_grade("experiment", "norms", "norms", "right")
        assert (grade.needs_manual_grade, grade.max_score) == (True, 6)


def test_feedback_tells_points_and_reasons_for_each_exercise(graded):
    folder, _ = graded
    page = (folder / "feedback" / "half" / "norms" / "norms.html").read_text()
    table = pd.read_html(io.StringIO(page))[0]
    assert table["Points"].tolist()[:4] == ["2 of 2", "2 of 2", "1 of 3", "3 of 3"]
    assert table["What the grader says"][2].startswith(
        "1 of 3 parts right, and not part 2, 3: right"
    )
    assert re.search("NameError|not answered yet", table["What the grader says"][5])


def test_feedback_shows_no_hidden_test_and_asks_no_other_server(graded):
    folder, _ = graded
    for page in folder.glob("feedback/*/norms/norms.html"):
        assert "def cases" not in page.read_text()
        assert [a for a in Requests(page).addresses if re.match("(https?:)?//", a)] == []


# A hundred


RIGHT = "def double(x):\n    return 2 * x"
SMALL = f"""def double(x):
    return ...

# BEGIN SOLUTION
{RIGHT}
# END SOLUTION"""
HIDDEN = """double
# BEGIN HIDDEN TESTS
def cases(rng):
    return rng.uniform(size=(3, 1))
# END HIDDEN TESTS"""
CELL = {"schema_version": 3, "task": False, "solution": False, "grade": False, "locked": False}
IDS = [f"s{number:03}" for number in range(100)]


def write_small_source(sources):
    """A source whose only exercise is to double a number."""
    answer = CELL | {"grade_id": "double", "solution": True}
    test = CELL | {"grade_id": "test", "grade": True, "locked": True, "points": 5}
    cells = [
        new_code_cell(SMALL, metadata={"nbgrader": answer}),
        new_code_cell(HIDDEN, metadata={"nbgrader": test}),
    ]
    (sources / "small").mkdir(parents=True)
    nbformat.write(new_notebook(cells=cells), sources / "small" / "small.ipynb")


@pytest.fixture(scope="module")
def hundred(tmp_path_factory):
    """A hundred submissions, every third right and one a crash, and what the bars have shown."""
    folder = tmp_path_factory.mktemp("hundred")
    write_small_source(folder / "sources")
    course.release(folder / "course", roster(folder, *IDS), "7", folder / "sources")
    folder = folder / "course"
    for number, student in enumerate(IDS):
        blank = read(folder / "personal" / student / "small" / "small.ipynb")
        text = RIGHT if number % 3 == 0 else CRASH if number == 50 else "double = 2"
        hand_in(folder, student, nbformat.writes(answered(blank, {"double": text})), "small")
    with contextlib.redirect_stderr(io.StringIO()) as bars:
        assert grade(folder) == []
    return folder, bars.getvalue()


def test_a_hundred_submissions_are_graded_in_one_run(hundred):
    folder, _ = hundred
    expected = {student: 5 * (number % 3 == 0) for number, student in enumerate(IDS)}
    assert marks(folder, "small") == expected


@pytest.mark.parametrize("step", ["run", "judge", "feedback"])
def test_a_bar_shows_how_far_the_grading_is(step, hundred):
    _, bars = hundred
    assert f"small: {step}: 100%" in bars
    assert "100/100" in bars


@pytest.mark.parametrize(
    ("system", "known_by", "column"),
    [
        ("moodle", "ID number", "small"),
        ("canvas", "SIS Login ID", "small"),
        ("blackboard", "Username", "small"),
    ],
)
def test_the_marks_for_a_course_system_are_those_that_nbgrader_exports(
    system, known_by, column, hundred, tmp_path
):
    folder, _ = hundred
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as gradebook:
        CsvExportPlugin(to=str(tmp_path / "theirs.csv")).export(gradebook)
    theirs = pd.read_csv(tmp_path / "theirs.csv").set_index("student_id").score
    ours = pd.read_csv(folder / f"marks_{system}.csv").set_index(known_by)[column]
    assert ours.drop(index=np.nan, errors="ignore").to_dict() == theirs.to_dict()


def test_no_name_in_the_marks_is_a_formula(tmp_path):
    database = f"sqlite:///{tmp_path / 'gradebook.db'}"
    with Gradebook(database) as gradebook:
        gradebook.add_student("ada", first_name="=1+1", last_name="@x", email="Zoë,\n+1@x")
        write_marks(gradebook, tmp_path / "marks.csv", "moodle")
    with (tmp_path / "marks.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file))[1] == ["ada", "'=1+1", "'@x", "Zoë,\n+1@x"]
