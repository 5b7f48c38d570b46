"""Exercises say right to right answers, and name the slip behind typical wrong ones.

The answers stand in ``answers``, a module for each chapter, written as a reader would write them.
Then come the pages: the notebook of exercises stands there blank, and each question of a self-test
has one right choice.
"""

import re
from html.parser import HTMLParser
from itertools import pairwise

import nbformat
import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

import answers.alpha
import answers.large_weights
import answers.norms
import answers.tips
from notebooks import BOOK
from smallweights import measure
from smallweights.exercises import (
    OPEN,
    RIGHT,
    WRONG,
    Exercise,
    Result,
    alpha,
    gives,
    judge,
    large_weights,
    like,
    norms,
    tips,
)
from smallweights.models import MLP

CHAPTERS = {  # the exercises, and the answers to them
    "large_weights": (large_weights, answers.large_weights),
    "norms": (norms, answers.norms),
    "alpha": (alpha, answers.alpha),
    "tips": (tips, answers.tips),
}
BLANKS = [..., None, (..., 1), [None, ...], lambda *anything: ..., lambda *anything: None]

NAMES = [(chapter, name) for chapter, (kept, _) in CHAPTERS.items() for name in kept.EXERCISES]
RIGHT_CASES = [(*at, answer) for at in NAMES for answer in CHAPTERS[at[0]][1].RIGHT[at[1]]]
WRONG_CASES = [(*at, *case) for at in NAMES for case in CHAPTERS[at[0]][1].WRONG[at[1]]]

every_chapter = pytest.mark.parametrize("chapter", CHAPTERS)
every_exercise = pytest.mark.parametrize(("chapter", "name"), NAMES)


def check(chapter, name, answer):
    return CHAPTERS[chapter][0].check(name, answer)


def misconceptions(chapter, name):
    return CHAPTERS[chapter][0].EXERCISES[name].misconceptions


@pytest.mark.parametrize(("chapter", "name", "answer"), RIGHT_CASES)
def test_a_right_answer_is_right(chapter, name, answer):
    assert check(chapter, name, answer) == Result(name, "right", RIGHT)


@pytest.mark.parametrize(("chapter", "name", "answer", "word"), WRONG_CASES)
def test_a_wrong_answer_is_told_its_misconception(chapter, name, answer, word):
    result = check(chapter, name, answer)
    assert result.state == "wrong"
    assert word in result.message


@every_exercise
def test_a_blank_answer_is_not_answered_yet(chapter, name):
    is_function = bool(CHAPTERS[chapter][0].EXERCISES[name].cases)
    wanted_kind = [blank for blank in BLANKS if callable(blank) == is_function]
    found = [check(chapter, name, blank) for blank in [..., None, *wanted_kind]]
    assert set(found) == {Result(name, "open", OPEN)}


@every_exercise
def test_every_misconception_is_met_by_a_wrong_answer(chapter, name):
    met = {check(chapter, name, answer).message for answer, _ in CHAPTERS[chapter][1].WRONG[name]}
    assert met - {WRONG} == set(misconceptions(chapter, name))
    assert len(met) >= 3


@every_exercise
def test_no_message_gives_the_answer_away(chapter, name):
    given_away = CHAPTERS[chapter][1].GIVEN_AWAY[name]
    sentences = misconceptions(chapter, name)
    assert [s for s in sentences if re.search(given_away, s, re.IGNORECASE)] == []


@every_exercise
def test_a_message_is_one_line_that_ends_as_a_sentence(chapter, name):
    sentences = misconceptions(chapter, name)
    assert [s for s in sentences if not re.fullmatch(r".{10,170}[.?]", s)] == []


@pytest.mark.parametrize(("chapter", "name", "answer"), RIGHT_CASES)
def test_no_right_answer_shows_a_misconception(chapter, name, answer):
    found = CHAPTERS[chapter][0].EXERCISES[name].read(answer)
    shown = [words for words, shows in misconceptions(chapter, name).items() if shows(found)]
    assert shown == []


@every_chapter
def test_each_exercise_has_answers_and_each_answer_an_exercise(chapter):
    kept, tried = CHAPTERS[chapter]
    assert set(kept.EXERCISES) == set(tried.RIGHT) == set(tried.WRONG) == set(tried.GIVEN_AWAY)


# Answers of a kind that was not asked for

SQUARE = Exercise(like([(2,), (3,)], lambda x: x**2), {}, cases=[(2,), (3,)])
PAIR = Exercise(gives([1, 2]), {"they have changed places.": gives([2, 1])}, shape=(2,))
NUMBER = Exercise(gives(3), {})


def fails(x):
    raise ZeroDivisionError("no numbers today")


@pytest.mark.parametrize(
    ("exercise", "answer", "sentence"),
    [
        (SQUARE, 4, "a function is expected, and this is of type int. Hand over the function"),
        (SQUARE, "x**2", "a function is expected, and this is of type str"),
        (SQUARE, fails, "your function raised ZeroDivisionError: no numbers today"),
        (SQUARE, lambda: 4, "your function raised TypeError"),
        (SQUARE, lambda x: "four", "one number is expected, and this is of type str"),
        (SQUARE, lambda x: [x, x], "one number is expected, and this has the shape (2,)"),
        (SQUARE, lambda x: float("nan"), "one number is expected, and this contains nan"),
        (PAIR, lambda: (1, 2), "2 numbers are expected, and this is a function"),
        (PAIR, ([1, 2], 3), "2 numbers are expected, and this is of type tuple"),
        (PAIR, {"logits": 1}, "2 numbers are expected, and this is of type dict"),
        (PAIR, (1, 2, 3), "2 numbers are expected, and this has the shape (3,)"),
        (PAIR, (1, float("inf")), "2 numbers are expected, and this contains inf"),
        (NUMBER, True, "one number is expected, and this is of type bool"),
        (NUMBER, 3j, "one number is expected, and this is of type complex"),
        (PAIR, (torch.ones(1, requires_grad=True), 2), "2 numbers are expected, and this is of"),
        (NUMBER, object(), "one number is expected, and this is of type object"),
    ],
)
def test_an_answer_of_another_kind_gets_a_sentence(exercise, answer, sentence):
    result = judge({"it": exercise}, "it", answer)
    assert result.state == "wrong"
    assert result.message.startswith(sentence)


def test_the_shape_of_a_table_is_told():
    assert large_weights.check("sum", 3).message == (
        "numbers in the shape (2, 3) are expected, and this has the shape ()."
    )


def test_an_answer_that_changes_what_it_is_given_spoils_no_later_check():
    def greedy(model):
        with torch.no_grad():
            for w in model.parameters():
                w.zero_()
        return 0.0

    assert large_weights.check("norm", greedy).state == "wrong"
    assert large_weights.check("norm", answers.large_weights.RIGHT["norm"][0]).state == "right"


def test_of_several_misconceptions_the_first_is_named():
    exercise = Exercise(gives(0), {"first.": gives(1), "second.": gives(1)})
    assert judge({"it": exercise}, "it", 1).message == "first."


def test_a_right_answer_is_right_although_a_misconception_fits_too():
    assert judge({"it": Exercise(gives(1), {"no.": gives(1)})}, "it", 1).state == "right"


def test_the_factors_of_doubled_weights_are_those_of_a_measurement():
    model = MLP((64, 32, 32, 10), bias=False, seed=1, dtype=torch.float64)
    x = torch.as_tensor(np.random.default_rng(1).normal(size=(50, 64)))
    moved, flipped = measure.output_change(model, x, 0.5), measure.flips(model, x, 0.5)
    with torch.no_grad():
        for w in model.parameters():
            w.mul_(2)
    ratios = measure.output_change(model, x, 0.5) / moved, measure.flips(model, x, 0.5) / flipped
    assert large_weights.check("doubled", ratios).state == "right"


def test_the_saturated_share_is_the_one_that_the_book_measures():
    unit = MLP((1, 1, 1), "tanh", bias=False, dtype=torch.float64)
    with torch.no_grad():
        unit.layers[0].weight.fill_(1.0)

    def saturated(h):
        return measure.saturation(unit, torch.as_tensor(np.arctanh(h)).reshape(-1, 1))

    assert large_weights.check("saturation", saturated).state == "right"


def test_the_best_strength_is_where_the_expected_error_of_ridge_regression_is_lowest():
    scales = np.linalg.eigvalsh(np.cov(np.random.default_rng(1).normal(size=(30, 20)).T)) * 30

    def best(noise, weight):
        def error(log_strength):
            strength = np.exp(log_strength)
            left = strength**2 * weight**2 + noise**2 * scales  # squared bias, and variance
            return (left / (scales + strength) ** 2).sum()

        found = minimize_scalar(error, bounds=(-6, 6), method="bounded", options={"xatol": 1e-9})
        return np.exp(found.x)

    assert large_weights.check("strength", best).state == "right"


def test_an_unknown_exercise_raises_with_the_names_there_are():
    with pytest.raises(ValueError, match="No exercise 'nrom'; there are norm, sum, growth"):
        large_weights.check("nrom", ...)


@pytest.mark.parametrize(("error", "agrees"), [(0.5e-4, True), (2e-4, False)])
def test_agreement_is_to_one_in_ten_thousand(error, agrees):
    assert gives(100.0)(np.array(100.0 * (1 + error))) is agrees


# What a result shows


def test_a_result_shows_name_and_message_as_text_and_as_html():
    face = Result("a<b", "wrong", "5 > 4 & more.")._repr_mimebundle_()
    assert face == {
        "text/plain": "a<b: 5 > 4 & more.",
        "text/html": '<div class="check wrong"><p><strong>a&lt;b:</strong> 5 &gt; 4 &amp; more.</p>'
        "</div>",
    }


# The pages


@every_chapter
def test_the_notebook_has_each_exercise_once_and_still_blank(chapter):
    notebook = nbformat.read(BOOK / chapter / "exercises.ipynb", as_version=4)
    shown = [
        output.data["text/plain"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "check(" in cell.source
    ]
    assert shown == [f"{name}: {OPEN}" for name in CHAPTERS[chapter][0].EXERCISES]


@every_chapter
def test_each_exercise_of_the_notebook_has_a_hint(chapter):
    cells = nbformat.read(BOOK / chapter / "exercises.ipynb", as_version=4).cells
    texts = [text for text, code in pairwise(cells) if "check(" in code.source]
    assert [
        t.source.splitlines()[0] for t in texts if "<summary>Hint</summary>" not in t.source
    ] == []


class Choices(HTMLParser):
    """The choices of a self-test: for each question its (class, choice, feedback)."""

    def __init__(self, text):
        super().__init__()
        self.place = None
        self.questions = []
        for question in re.split(r"^## (?!Checklist)", text, flags=re.MULTILINE)[1:]:
            self.questions.append([])
            self.feed(question)

    def handle_starttag(self, tag, attributes):
        if tag == "details":
            self.questions[-1].append([dict(attributes)["class"], "", ""])
            self.place = 2
        self.place = 1 if tag == "summary" else self.place

    def handle_endtag(self, tag):
        self.place = {"summary": 2, "details": None}.get(tag, self.place)

    def handle_data(self, data):
        if self.place:
            self.questions[-1][-1][self.place] += data


SELF_TESTS = sorted(BOOK.glob("*/self_test.md"))
every_self_test = pytest.mark.parametrize("path", SELF_TESTS, ids=lambda path: path.parent.name)


@pytest.fixture
def questions(path):
    return Choices(path.read_text()).questions


@every_self_test
def test_a_self_test_has_ten_questions_of_three_or_four_choices(questions):
    assert len(questions) == 10
    assert {len(choices) for choices in questions} <= {3, 4}


@every_self_test
def test_each_question_has_exactly_one_right_choice(questions):
    right = [sum(kind == "choice right" for kind, _, _ in choices) for choices in questions]
    assert right == [1] * len(questions)


@every_self_test
def test_every_choice_has_feedback_that_says_whether_it_is_right(questions):
    for kind, choice, feedback in (choice for choices in questions for choice in choices):
        opening = "**Right.** " if kind == "choice right" else "**No.** "
        assert feedback.strip().startswith(opening), choice
        assert len(feedback.strip()) > len(opening) + 20, choice


@every_self_test
def test_the_choices_of_a_question_are_lettered_in_order(questions):
    letters = [[choice.strip()[:3] for _, choice, _ in choices] for choices in questions]
    assert letters == [["a) ", "b) ", "c) ", "d) "][: len(row)] for row in letters]


@every_self_test
def test_the_right_choices_are_no_pattern(questions):
    places = [[kind for kind, _, _ in choices].index("choice right") for choices in questions]
    longest = [
        max(range(len(choices)), key=lambda i, row=choices: len(row[i][1])) for choices in questions
    ]
    assert max(map(places.count, set(places))) <= 4
    assert sum(a == b for a, b in zip(places, longest, strict=True)) <= 5


@every_self_test
def test_a_self_test_ends_with_the_checklist_of_the_chapter(path):
    *_, (title, body) = re.findall(
        r"^## (.*)\n(.*(?:\n(?!## ).*)*)", path.read_text(), re.MULTILINE
    )
    assert title == "Checklist"
    assert len(re.findall(r"^- I can ", body, re.MULTILINE)) >= 5
