"""Write the page of the package's names from their docstrings.

    python tests/api.py      write book/reference/api.md

``book/reference/api.yml`` lists the names by subject. Signatures and docstrings are read from the
source, so that nothing is imported; where a name is used, from the code of the notebooks.
"""

from __future__ import annotations

import ast
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from inspect import cleandoc
from pathlib import Path

import yaml

from notebooks import BOOK

PACKAGE = BOOK.parent / "code" / "smallweights"
PAGE = BOOK / "reference" / "api.md"
WIDEST = 60  # characters of a signature on one line
SECTION = re.compile(r"\s*Book section: ([a-z ]+)\.")
SECTIONS = {
    "large weights": "[Large weights](../large_weights/index.md)",
    "norms": "[The norms](../norms/index.md)",
    "alpha": "[Alpha](../alpha/index.md)",
    "tips": "[The tips](../tips/index.md)",
    "how verdicts are reached": "[How verdicts are reached](verdicts.md)",
    "playground": "[Playground](../playground.ipynb)",
}
MANY = 4  # notebooks that a line has room for
IMPORTS = """\
import numpy as np
import pandas as pd
import torch
from smallweights import *
"""
HEAD = f"""# The package, name by name

This page is made from the docstrings of `smallweights`, and each example on it is run by the
tests. Names alone come from the package itself, as in `from smallweights import L2`; names with a
module from that module, as in `from smallweights.measure import norm`. The examples follow on

```python
{IMPORTS}from smallweights.measure import *  # the module of the name, where it has one
```

What stands here keeps its meaning from one version to the next, or `CHANGELOG.md` says how it
changed; names that are not here may change at any time.
"""

Node = ast.FunctionDef | ast.ClassDef | ast.Assign


def module_path(module: str) -> Path:
    """The file of a module of the package, "" being the package itself."""
    path = PACKAGE.joinpath(*module.split(".")) if module else PACKAGE
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def module_names(module: str) -> dict[str, ast.stmt]:
    """What the names of a module are bound to: a definition or an import."""
    tree = ast.parse(module_path(module).read_text())
    return {name: node for node in tree.body for name in _bound(node)}


def definition(name: str) -> tuple[str, Node, str]:
    """A name's home, such as ``penalties.L2``, where it is defined, and the source of that file."""
    module, _, short = name.rpartition(".")
    node = module_names(module).get(short)
    if node is None:
        raise ValueError(f"There is no {short!r} in {module_path(module).name}; see api.yml.")
    if isinstance(node, ast.ImportFrom):
        return definition(f"{node.module.removeprefix('smallweights').lstrip('.')}.{short}")
    return name, node, module_path(module).read_text()


def _bound(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


# Where a name is used


@cache
def uses() -> dict[str, list[str]]:
    """For the home of each name, the notebooks whose code uses it, in the book's order."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in _pages(yaml.safe_load((BOOK.parent / "_toc.yml").read_text())):
        if path.exists():  # a page in Markdown uses no name
            for home in sorted({definition(name)[0] for name in _used(path)}):
                found[home].append(_link(path))
    return found


def _pages(entry: dict) -> Iterator[Path]:
    for key in ("parts", "chapters", "sections"):
        for child in entry.get(key, []):
            if "file" in child:
                yield BOOK.parent / f"{child['file']}.ipynb"
            yield from _pages(child)


def _used(path: Path) -> set[str]:
    """The package's names that a notebook's code uses, as ``L2`` or ``measure.norm``."""
    nodes = [node for source in _sources(path, "code") for node in ast.walk(ast.parse(source))]
    imported = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            imported |= {a.asname: [] for a in node.names if a.name == "smallweights"}
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "smallweights":
            module = node.module.split(".")[1:]
            imported |= {a.asname or a.name: [*module, a.name] for a in node.names}
    parts = [ast.unparse(n).split(".") for n in nodes if isinstance(n, ast.Attribute | ast.Name)]
    names = {".".join([*imported[p[0]], *p[1:]]) for p in parts if p[0] in imported}
    return {name for name in names if _is_defined(name)}


def _is_defined(name: str) -> bool:
    module, _, short = name.rpartition(".")
    return module_path(module).exists() and short in module_names(module)


@cache
def _sources(path: Path, kind: str) -> list[str]:
    """The sources of a notebook's cells, but the one for Colab, which is not plain Python.

    To check the notebook's form, as nbformat does, would take longer.
    """
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell.get("id") != "colab"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == kind]


def _link(path: Path) -> str:
    title = _sources(path, "markdown")[0].splitlines()[0].lstrip("# ")
    return f"[{title}](../{path.relative_to(BOOK)})"


# An entry


def signature(node: Node, source: str, name: str) -> str:
    """The call as the source writes it, on several lines where one is too long."""
    if isinstance(node, ast.Assign):
        return ast.get_source_segment(source, node)
    method = next((n for n in node.body if getattr(n, "name", "") == "__init__"), None)
    function = method if isinstance(node, ast.ClassDef) else node
    if function is None and not _fields(node, source):
        return ""  # an abstract class, an error: nothing that a reader would call
    parts = _fields(node, source) if function is None else _arguments(function, source)
    returns = getattr(function, "returns", None) if function is node else None
    end = f" -> {ast.get_source_segment(source, returns)}" if returns else ""
    line = f"{name}({', '.join(parts)}){end}"
    if len(line) <= WIDEST:
        return line
    return "\n".join([f"{name}(", *(f"    {part}," for part in parts), f"){end}"])


def _given(node: Node) -> set[str]:
    """The arguments and fields that a docstring may speak of by a name that others have too."""
    parts = list(ast.walk(node))
    fields = {ast.unparse(part.target) for part in parts if isinstance(part, ast.AnnAssign)}
    return fields | {part.arg for part in parts if isinstance(part, ast.arg)}


def _fields(node: ast.ClassDef, source: str) -> list[str]:
    """The fields of a dataclass; of another class there is nothing to call."""
    lines = [ast.get_source_segment(source, f) for f in node.body if isinstance(f, ast.AnnAssign)]
    given = [line for line in lines if "init=False" not in line and "ClassVar" not in line]
    return [re.sub(r"= field\(default_factory=lambda: (.*)\)$", r"= \1", line) for line in given]


def _arguments(function: ast.FunctionDef, source: str) -> list[str]:
    wanted = function.args
    names = [a for a in [*wanted.posonlyargs, *wanted.args] if a.arg != "self"]
    defaults = dict(zip([a.arg for a in names][::-1], wanted.defaults[::-1], strict=False))
    defaults |= {a.arg: d for a, d in zip(wanted.kwonlyargs, wanted.kw_defaults, strict=True) if d}
    star = ["*"] if wanted.kwonlyargs and not wanted.vararg else []
    every = [*names, *star, *wanted.kwonlyargs]
    every += [a for a in (wanted.vararg, wanted.kwarg) if a]
    return [
        a
        if a == "*"
        else ("**" if a is wanted.kwarg else "")
        + ast.get_source_segment(source, a)
        + (f" = {ast.get_source_segment(source, defaults[a.arg])}" if a.arg in defaults else "")
        for a in every
    ]


def _docstring(node: ast.AST, links: Mapping[str, str]) -> str:
    """A docstring as Markdown: examples in a block, other names of the page as links."""
    text = SECTION.sub("", cleandoc(ast.get_docstring(node) or ""))
    prose, start, examples = text.partition(">>> ")
    prose = re.sub(r"``(\w+)``", lambda hit: links.get(hit[1], hit[0]), prose).strip()
    block = f"```pycon\n{start}{examples}\n```" if start else ""
    return "\n\n".join(filter(None, [prose, block]))


def _methods(node: ast.ClassDef, source: str, links: Mapping[str, str]) -> list[str]:
    lines = []
    for method in node.body:
        if not isinstance(method, ast.FunctionDef) or method.name.startswith("_"):
            continue
        if not (text := _docstring(method, links)):
            continue
        kinds = {getattr(decorator, "id", "") for decorator in method.decorator_list}
        call = signature(method, source, f".{method.name}").replace("\n    ", " ")
        call = re.sub(r"\( ?(.*?),?\n?\)", r"(\1)", call, count=1, flags=re.DOTALL)
        call = f".{method.name}" if kinds & {"property", "cached_property"} else call
        lines.append(f"- `{call}`: " + text.replace("\n", "\n  "))
    return lines


def anchor(name: str, node: Node) -> str:
    """The id of an entry; classes and functions of one name differ."""
    kind = "-class" if isinstance(node, ast.ClassDef) else ""
    return f"api-{name.replace('.', '-').replace('_', '-').lower()}{kind}"


def entry(name: str, links: Mapping[str, str], used: Mapping[str, list[str]]) -> str:
    """The part of the page on one name."""
    home, node, source = definition(name)
    short = name.rpartition(".")[2]
    own = {short} | _given(node)
    others = {other: link for other, link in links.items() if other not in own}
    parts = [f"({anchor(name, node)})=\n### `{name}`"]
    if call := signature(node, source, short):
        parts.append(f"```python\n{call}\n```")
    if not isinstance(node, ast.Assign):
        parts.append(_docstring(node, others))
    if isinstance(node, ast.ClassDef) and (methods := _methods(node, source, others)):
        parts.append("\n".join(methods))
    parts += _places(SECTION.search(ast.get_source_segment(source, node)), used.get(home, []))
    return "\n\n".join(filter(None, parts))


def _places(section: re.Match[str] | None, used: list[str]) -> list[str]:
    chapter = f"Book section: {SECTIONS[section[1]]}." if section else ""
    if len(used) > MANY:
        title = f"Used in {len(used)} notebooks"
        links = "\n".join(f"- {link}" for link in used)
        return [chapter, f":::{{dropdown}} {title}\n{links}\n:::"]
    return [" ".join(filter(None, [chapter, f"Used in {', '.join(used)}." if used else ""]))]


def page(contents: Mapping[str, list[str]]) -> str:
    """The whole page, from the names by subject."""
    names = [name for listed in contents.values() for name in listed]
    nodes = {name: definition(name)[1] for name in names}
    links = {
        name.rpartition(".")[2]: f"[`{name}`](#{anchor(name, node)})"
        for name, node in nodes.items()
        if name.rpartition(".")[2] not in ("check", "table")
    }
    used = uses()
    parts = [HEAD]
    for title, listed in contents.items():
        parts += [f"## {title}\n", *(f"{entry(name, links, used)}\n" for name in listed)]
    return "\n".join(parts)


def current() -> str:
    """The page as the package and the notebooks have it now."""
    return page(yaml.safe_load((BOOK / "reference" / "api.yml").read_text()))


if __name__ == "__main__":
    PAGE.write_text(current())
