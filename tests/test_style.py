"""The house rules that a linter does not know: short functions, and docstrings that lead on."""

import ast
import re
from pathlib import Path

import pytest

MODULES = sorted(Path(__file__).parents[1].glob("code/smallweights/**/*.py"))
LONGEST_BODY, LONGEST_LINE = 25, 100
FORMULA = re.compile(r"\bSources?:|``[^`]*[Σ‖√²½·∂λμᵀ][^`]*``")
Function = ast.FunctionDef | ast.AsyncFunctionDef

modules = pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)


def definitions(path):
    """Every function and class of a module, inner ones too."""
    tree = ast.parse(path.read_text())
    return [node for node in ast.walk(tree) if isinstance(node, Function | ast.ClassDef)]


def public(path):
    """The public functions and classes of a module, and the public methods of those, by name."""
    tree = ast.parse(path.read_text())
    found = {}
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            found[node.name] = node
            inner = node.body if isinstance(node, ast.ClassDef) else []
            for method in inner:
                if isinstance(method, Function) and not method.name.startswith("_"):
                    found[f"{node.name}.{method.name}"] = method
    return found


def body_length(function):
    """The lines from the first statement after the docstring to the last."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return function.end_lineno - body[0].lineno + 1 if body else 0


def overridden(path):
    """The methods that a class of the module takes over, with their docstring, from another."""
    classes = {node.name: node for node in definitions(path) if isinstance(node, ast.ClassDef)}
    return {
        f"{name}.{method.name}"
        for name, node in classes.items()
        for base in node.bases
        if isinstance(base, ast.Name) and base.id in classes
        for method in classes[base.id].body
        if isinstance(method, Function) and ast.get_docstring(method)
    }


def test_the_package_is_where_these_tests_look():
    assert {"penalties", "select", "data", "train"} <= {path.stem for path in MODULES}


@modules
def test_function_bodies_are_short(path):
    lengths = {n.name: body_length(n) for n in definitions(path) if isinstance(n, Function)}
    assert {name: n for name, n in lengths.items() if n > LONGEST_BODY} == {}


@modules
def test_lines_are_short(path):
    lines = enumerate(path.read_text().splitlines(), start=1)
    assert [number for number, line in lines if len(line) > LONGEST_LINE] == []


@modules
def test_what_is_public_has_a_docstring(path):
    bare = {name for name, node in public(path).items() if not ast.get_docstring(node)}
    assert bare - overridden(path) == set()


@modules
def test_what_does_mathematics_names_its_section_of_the_book(path):
    tops = {name: ast.get_docstring(n) for name, n in public(path).items() if "." not in name}
    mathematical = {name: doc for name, doc in tops.items() if doc and FORMULA.search(doc)}
    assert [name for name, doc in mathematical.items() if "Book section:" not in doc] == []


@pytest.mark.parametrize(
    ("source", "length"),
    [
        ('def f():\n    """Claim."""\n', 0),
        ('def f():\n    """Claim.\n\n    More.\n    """\n    a = 1\n\n    return a\n', 3),
        ("def f(\n    a,\n    b,\n):\n    return a\n", 1),
        ("def f():\n    def g():\n        return 1\n    return g\n", 3),
    ],
)
def test_body_length_counts_neither_signature_nor_docstring(source, length):
    assert body_length(ast.parse(source).body[0]) == length
