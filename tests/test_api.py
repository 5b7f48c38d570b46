"""The page of names is what the docstrings say, and the examples on it print what they promise."""

import doctest
import importlib
import re

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
import yaml

import api
import smallweights
from notebooks import BOOK

CONTENTS = yaml.safe_load((BOOK / "reference" / "api.yml").read_text())
HOMES = [api.definition(name)[0] for names in CONTENTS.values() for name in names]
MODULES = sorted({home.rpartition(".")[0] for home in HOMES})
# What these return is best seen in the example of the function that makes it.
SHOWN_ELSEWHERE = {"table.Table", "advice.Advice", "text_file.TableError"}


def documented(home):
    module, _, name = home.rpartition(".")
    found = getattr(importlib.import_module(f"smallweights.{module}"), name)
    return found if callable(found) else None


def test_the_page_is_what_the_docstrings_say():
    assert api.PAGE.read_text() == api.current(), "run python tests/api.py"


def test_the_page_has_every_name_that_the_package_exports():
    exported = {api.definition(name)[0] for name in smallweights.__all__}
    assert exported - set(HOMES) == set()


def test_the_page_has_every_name_that_a_notebook_uses():
    assert set(api.uses()) - set(HOMES) == set()


def test_each_entry_links_to_the_section_that_uses_it():
    entries = {home: api.entry(home, {}, api.uses()) for home in HOMES}
    alone = [home for home, entry in entries.items() if not re.search(r"\]\(\S+\.", entry)]
    assert alone == ["environment.environment", "environment.environment_report"]


def test_each_docstring_has_an_example():
    bare = {home for home in HOMES if (found := documented(home)) and ">>> " not in found.__doc__}
    assert bare == SHOWN_ELSEWHERE


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_print_what_they_promise(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write a file
    names = {}
    exec(f"{api.IMPORTS}from smallweights.{module} import *", names)
    tested = importlib.import_module(f"smallweights.{module}")
    with mpl.rc_context({"backend": "agg"}):
        result = doctest.testmod(tested, globs=names, optionflags=doctest.ELLIPSIS)
    plt.close("all")
    assert result.failed == 0


def test_an_import_in_another_name_is_found(tmp_path):
    notebook = tmp_path / "notebook.ipynb"
    lines = (
        "import smallweights as sw\\nfrom smallweights import measure, search as find\\n"
        "sw.L2(0.1).value(w)\\nfind()\\nmeasure.norm(model)\\nsw.data.Dataset\\nprint(norms)"
    )
    notebook.write_text(f'{{"cells": [{{"cell_type": "code", "source": ["{lines}"]}}]}}')
    assert api._used(notebook) == {"L2", "search", "measure.norm", "data.Dataset"}


def test_a_name_that_is_not_there_is_reported():
    with pytest.raises(ValueError, match=re.escape("no 'nrom' in measure.py")):
        api.definition("measure.nrom")
