"""Exercises that answer back: right, or which misconception a wrong answer comes from.

Each chapter has a module here: a mapping from names to ``Exercise``, and a function
``check(name, answer)`` that hands the two to ``judge``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor

Array = npt.NDArray[np.float64]
Test = Callable[[Array], bool]
Case = tuple[Any, ...]  # the arguments of one call

OPEN = "not answered yet."
RIGHT = "right."
WRONG = "not yet. This is none of the slips that the check knows: the hint may help."


class AnswerError(Exception):
    """Why an answer cannot be judged, as a sentence to its author."""


@dataclass(frozen=True)
class Exercise:
    """A test that right answers pass, and the misconceptions that wrong ones come from.

    Tests see an answer as finite numbers in the given ``shape``. Where ``cases`` lists the
    arguments of calls, the answer is a function, and tests see what it gives for all cases:
    (cases, *shape). ``misconceptions`` maps sentences to tests; of those that pass, the first
    tells the reader what went wrong. A sentence names the mistake and keeps the answer to itself.
    """

    right: Test
    misconceptions: Mapping[str, Test]
    shape: tuple[int, ...] = ()
    cases: Sequence[Case] = ()

    def read(self, answer: object) -> Array | None:
        """The numbers that the tests see; None for an answer that is still blank.

        Raises ``AnswerError`` for an answer of another kind.
        """
        values = self._call(answer) if self.cases and not _is_blank(answer) else [answer]
        if any(_is_blank(value) for value in values):
            return None
        numbers = [_numbers(value, self.shape) for value in values]
        return np.array(numbers) if self.cases else numbers[0]

    def _call(self, answer: object) -> list[object]:
        if not callable(answer):
            raise AnswerError(
                f"a function is expected, and this is {_kind(answer)}. Hand over the function"
                " itself, without calling it."
            )
        try:
            return [answer(*copy.deepcopy(case)) for case in self.cases]
        except Exception as error:
            raise AnswerError(f"your function raised {type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class Result:
    """What a check says of an answer; show it as a cell's last expression."""

    exercise: str
    state: Literal["open", "right", "wrong"]
    message: str

    def __str__(self) -> str:
        return f"{self.exercise}: {self.message}"

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> dict[str, object]:
        name, message = escape(self.exercise), escape(self.message)
        html = f'<div class="check {self.state}"><p><strong>{name}:</strong> {message}</p></div>'
        return {"text/plain": str(self), "text/html": html}


def judge(exercises: Mapping[str, Exercise], name: str, answer: object) -> Result:
    """Whether the answer to the exercise of this name is right, and if not, what went wrong.

    Whatever the answer is, a ``Result`` comes back. Raises ``ValueError`` for a name that is none
    of an exercise.
    """
    if name not in exercises:
        raise ValueError(f"No exercise {name!r}; there are {', '.join(exercises)}.")
    exercise = exercises[name]
    try:
        found = exercise.read(answer)
    except AnswerError as problem:
        return Result(name, "wrong", str(problem))
    if found is None:
        return Result(name, "open", OPEN)
    if exercise.right(found):
        return Result(name, "right", RIGHT)
    sentences = (words for words, shows in exercise.misconceptions.items() if shows(found))
    return Result(name, "wrong", next(sentences, WRONG))


def gives(expected: npt.ArrayLike, part: int | None = None) -> Test:
    """The test that an answer, or one ``part`` of each of its results, is as expected.

    Agreement is to 1 in 10,000, so that neither rounding nor float32 fails an answer.
    """

    def test(found: Array) -> bool:
        seen = found if part is None else found[..., part]
        return bool(np.allclose(seen, np.asarray(expected, float), rtol=1e-4, atol=1e-7))

    return test


def like(cases: Sequence[Case], *functions: Callable[..., Any], part: int | None = None) -> Test:
    """The test that an answer gives what one of these functions gives for all cases."""
    tests = [gives([function(*case) for case in cases], part) for function in functions]
    return lambda found: any(test(found) for test in tests)


def _is_blank(value: object) -> bool:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return any(_is_blank(item) for item in value)
    return value is None or value is ...


def _numbers(value: object, shape: tuple[int, ...]) -> Array:
    value = value.detach().cpu() if isinstance(value, Tensor) else value
    expected = f"{_size(shape)} expected"
    try:
        raw = np.asarray(value)
        if raw.dtype.kind not in "iuf":
            raise TypeError
    except (TypeError, ValueError, RuntimeError) as error:
        raise AnswerError(f"{expected}, and this is {_kind(value)}.") from error
    if raw.shape != shape:
        raise AnswerError(f"{expected}, and this has the shape {raw.shape}.")
    if not np.isfinite(raw).all():
        raise AnswerError(f"{expected}, and this contains {raw[~np.isfinite(raw)].flat[0]}.")
    return raw.astype(float)


def _size(shape: tuple[int, ...]) -> str:
    match shape:
        case ():
            return "one number is"
        case (n,):
            return f"{n} numbers are"
    return f"numbers in the shape {shape} are"


def _kind(value: object) -> str:
    return "a function" if callable(value) else f"of type {type(value).__name__}"
