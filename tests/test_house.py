"""The house: the commands, the pins, the published site, the workflows and the README."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
HTML = ROOT / "_build" / "html"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def run(*command, cwd=ROOT, **environment):
    """The finished command, free of the variables of a `make test` that this test runs in."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    inherited.pop("PYTHON", None)
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=inherited | environment,
        capture_output=True,
        text=True,
    )


def tool(name):
    return Path(sys.executable).parent / name


# The commands

INTERPRETER = """#!/bin/sh
# Plays a Python: -V, the version check (-c), and -m venv, which copies it as .venv's own.
echo "$0 $*" >> calls
case "$1 $2" in
  "-V "*) echo "Python {version}" ;;
  "-c "*) exit {too_old} ;;
  "-m venv") [ {venv} = 0 ] || exit 1; mkdir -p .venv/bin; cp {name} .venv/bin/python ;;
  "-m pip") exit {pip} ;;
esac
"""


@pytest.fixture(params=["checkout", "a checkout with spaces"])
def checkout(request, tmp_path):
    """A folder with the files that the set-up reads."""
    folder = tmp_path / request.param
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "requirements.txt", "requirements-test.txt"):
        shutil.copy(ROOT / name, folder)
    return folder


def interpreter(folder, name="./python", version="3.11.0", too_old=0, venv=0, pip=0):
    script = folder / name
    script.write_text(
        INTERPRETER.format(name=name, version=version, too_old=too_old, venv=venv, pip=pip)
    )
    script.chmod(0o755)
    return f"PYTHON={name}"


def set_up(folder, *arguments):
    return run("make", ".venv/ready", *arguments, cwd=folder)


def calls(folder, start):
    return [c for c in (folder / "calls").read_text().splitlines() if start in c]


def test_make_alone_prints_each_command_in_a_line():
    commands = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    lines = run("make").stdout.splitlines()
    assert {"book", "test", "lab", "notebooks", "clean"} <= set(commands)
    assert [line.split()[1] for line in lines] == commands


def test_a_missing_interpreter_stops_with_what_to_do(checkout):
    result = set_up(checkout, "PYTHON=python9")
    assert result.returncode != 0
    assert "No interpreter 'python9' found: install Python 3.11 or newer" in result.stdout


def test_an_interpreter_that_is_too_old_stops_with_its_version_and_what_to_do(checkout):
    result = set_up(checkout, interpreter(checkout, version="3.9.18", too_old=1))
    assert result.returncode != 0
    assert "'./python' is Python 3.9.18: name a newer one with make PYTHON=" in result.stdout
    assert not (checkout / ".venv").exists()


def test_a_missing_venv_module_stops_with_the_package_to_install(checkout):
    result = set_up(checkout, interpreter(checkout, venv=1))
    assert result.returncode != 0
    assert "Python could not make .venv: install its venv module" in result.stdout


def test_a_failed_install_stops_with_what_to_do_and_is_tried_again(checkout):
    result = set_up(checkout, interpreter(checkout, pip=1))
    assert result.returncode != 0
    assert "The installation failed and pip's reason is above" in result.stdout
    assert not (checkout / ".venv" / "ready").exists()
    assert set_up(checkout, interpreter(checkout)).returncode == 0


def test_a_failed_install_of_new_pins_forgets_the_old_install(checkout):
    good = interpreter(checkout)
    assert set_up(checkout, good).returncode == 0
    os.utime(checkout / "requirements.txt", (2e9, 2e9))
    interpreter(checkout, name=".venv/bin/python", pip=1)
    interpreter(checkout, pip=1)
    assert set_up(checkout, good).returncode != 0
    assert not (checkout / ".venv" / "ready").exists()


def test_a_second_call_installs_nothing(checkout):
    good = interpreter(checkout)
    assert set_up(checkout, good).returncode == 0
    installs = calls(checkout, "-m pip")
    assert installs
    assert set_up(checkout, good).returncode == 0
    assert calls(checkout, "-m pip") == installs


def test_the_tools_of_the_tests_are_installed_by_the_commands_that_use_them(checkout):
    good = interpreter(checkout)
    assert set_up(checkout, good).returncode == 0
    assert calls(checkout, "requirements-test.txt") == []
    assert run("make", ".venv/ready-test", good, cwd=checkout).returncode == 0
    assert len(calls(checkout, "requirements-test.txt")) == 1


def test_another_interpreter_makes_the_environment_anew(checkout):
    assert set_up(checkout, interpreter(checkout)).returncode == 0
    newer = interpreter(checkout, name="./newer", version="3.12.0")
    assert set_up(checkout, newer).returncode == 0
    assert calls(checkout, "./newer -m venv --clear .venv")


def test_ci_runs_the_readme_s_test_command_and_nothing_else():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert lines == ["#!/usr/bin/env bash", 'exec make -C "$(dirname "$0")/.." test']
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


# The pins

READERS = dict(line.split("==") for line in (ROOT / "requirements.txt").read_text().split())
FIRST, *TOOLS = (ROOT / "requirements-test.txt").read_text().splitlines()
PINS = READERS | dict(line.split("==") for line in TOOLS)
RANGES = [
    Requirement(text)
    for texts in [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    for text in texts
]


@pytest.mark.parametrize("wanted", RANGES, ids=lambda wanted: wanted.name)
def test_the_pin_lies_in_the_range(wanted):
    assert wanted.specifier.contains(PINS[wanted.name])


def test_the_tests_add_their_tools_to_what_readers_install():
    assert FIRST == "-r requirements.txt"
    assert {line.split("==")[0] for line in TOOLS} & set(READERS) == set()


def test_readers_install_no_tool_of_the_tests():
    readers = ("full", "book")
    wanted = [Requirement(t).name for e in readers for t in PROJECT["optional-dependencies"][e]]
    assert set(wanted) <= set(READERS)
    assert set(READERS) & {"jax", "keras", "mypy", "optax", "playwright", "ruff"} == set()


def test_torch_is_pinned_to_the_release_whose_digits_are_on_the_pages():
    assert PINS["torch"] == "2.13.0"


def test_importing_the_package_loads_no_tool_of_the_book():
    code = "import smallweights, sys; print(*sys.modules)"
    loaded = set(run(sys.executable, "-c", code).stdout.split())
    assert "smallweights" in loaded
    assert not loaded & {"matplotlib", "ipywidgets", "IPython"}


# The workflows and what describes the repository

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize(
    ("schema", "file"),
    [("github-workflows", path) for path in WORKFLOWS]
    + [
        ("dependabot", ROOT / ".github" / "dependabot.yml"),
        ("citation-file-format", ROOT / "CITATION.cff"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_the_file_follows_its_schema(schema, file):
    result = run(tool("check-jsonschema"), "--builtin-schema", f"vendor.{schema}", file)
    assert result.returncode == 0, result.stdout


def test_the_workflows_are_safe_by_the_linter():
    result = run(tool("zizmor"), "--offline", "--no-progress", "--persona", "pedantic", ".github")
    assert result.returncode == 0, result.stdout


def test_the_pre_commit_configuration_is_valid():
    result = run(tool("pre-commit"), "validate-config", ".pre-commit-config.yaml")
    assert result.returncode == 0, result.stdout


def test_the_versions_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    source = (ROOT / "code" / "smallweights" / "__init__.py").read_text()
    assert citation["version"] == PROJECT["version"]
    assert f'__version__ = "{PROJECT["version"]}"' in source


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_the_files_it_links_to_exist(name):
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / name).read_text())
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (ROOT / link).exists()] == []


# The site

REPOSITORY = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]


def test_the_repository_s_address_stands_in_one_place():
    """It is written from there into the first cells of the notebooks, which tests keep in step."""
    tracked = run("git", "grep", "--count", "--fixed-strings", REPOSITORY).stdout.split()
    elsewhere = [found for found in tracked if not re.fullmatch(r"book/.*\.ipynb:1", found)]
    assert elsewhere == ["_config.yml:1"]


def pages_in(entry):
    yield from ([entry["file"]] if "file" in entry else [])
    for key in ("parts", "chapters", "sections"):
        for child in entry.get(key, []):
            yield from pages_in(child)


def test_the_contents_list_every_page_once():
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text())
    listed = [contents["root"], *pages_in(contents)]
    pages = [p for p in (ROOT / "book").rglob("*") if p.suffix in (".md", ".ipynb")]
    written = [p for p in pages if ".ipynb_checkpoints" not in p.parts]
    assert sorted(listed) == sorted(str(p.relative_to(ROOT).with_suffix("")) for p in written)


class Requests(HTMLParser):
    """Collects the addresses that a browser loads by itself; links to click are none.

    Neither is the page's own address, by which search engines know its copies for one.
    """

    LOADED = ("link", "script", "img", "iframe", "source", "video", "audio", "embed", "object")

    def __init__(self, page):
        super().__init__()
        self.addresses = []
        self.feed(page.read_text())

    def handle_starttag(self, tag, attributes):
        if tag in self.LOADED and ("rel", "canonical") not in attributes:
            self.addresses += [v or "" for k, v in attributes if k in ("src", "href", "data")]


@pytest.fixture(scope="module")
def pages():
    built = sorted(HTML.rglob("*.html"))
    assert built, "There is no built book to check; run make book first."
    return [page for page in built if "_static" not in page.relative_to(HTML).parts]


def test_no_page_makes_a_third_party_request(pages):
    foreign = {
        (page.name, address)
        for page in pages
        for address in Requests(page).addresses
        if re.match(r"(https?:)?//", address)
    }
    assert foreign == set()


def test_no_style_or_script_is_imported_from_elsewhere(pages):
    inside = re.compile(r"""(@import|url\(|import\(|\bfrom) *["'(]*(https?:)?//""")
    sheets = [*pages, *(HTML / "_static").glob("*.css"), *(HTML / "_static").glob("*.js")]
    assert [sheet.name for sheet in sheets if inside.search(sheet.read_text())] == []


def local(page, address):
    """The file; the page for missing ones, shown at any depth, names files from the site's root."""
    _, start, rest = address.rpartition(f"/{REPOSITORY.split('/')[-1]}/")
    return HTML / rest if page.name == "404.html" and start else page.parent / address


def test_every_local_file_a_page_loads_is_there(pages):
    missing = {
        (page.name, address)
        for page in pages
        for address in Requests(page).addresses
        if not re.match(r"(https?:)?//|data:|#|$", address)
        and not local(page, address.split("?")[0].split("#")[0]).exists()
    }
    assert missing == set()


def test_every_image_has_a_text_alternative(pages):
    images = [
        (page.name, tag) for page in pages for tag in re.findall(r"<img\b[^>]*>", page.read_text())
    ]
    assert images
    assert [(name, tag) for name, tag in images if not re.search(r'\balt="[^"]', tag)] == []
