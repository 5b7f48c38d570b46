"""The package by itself: builds, a clean environment, its report, and what readers are asked."""

import getpass
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from email.parser import HeaderParser
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import licences
import smallweights
from smallweights.environment import PACKAGES, environment, environment_report

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FOLDERS, FILES = ("code", "tests"), ("README.md", "LICENSE", "pyproject.toml", "MANIFEST.in")
PAGE = licences.PAGE.read_text()
TEN_LINES = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]


def run(*command, cwd=ROOT, **environment):
    """The finished command's output; it has to succeed."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=inherited | environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


# The builds


@pytest.fixture(scope="module")
def builds(tmp_path_factory):
    """The folder with wheel and source distribution, built from a copy without a trace here."""
    folder = tmp_path_factory.mktemp("builds")
    for name in FOLDERS:
        trace = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, folder / name, ignore=trace)
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    out = folder / "dist"
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, cwd=folder)
    return out


@pytest.fixture(scope="module")
def wheel(builds):
    (path,) = builds.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_the_index_would_take_the_builds(builds):
    run(sys.executable, "-m", "twine", "--no-color", "check", "--strict", *builds.iterdir())


def test_the_wheel_has_every_file_of_the_package_and_no_other(wheel):
    package = ROOT / "code" / "smallweights"
    files = [p for p in package.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    expected = {str(p.relative_to(package.parent)) for p in files}
    assert {"smallweights/py.typed", "smallweights/static/playground.js"} <= expected
    found = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert found == expected


def test_the_source_distribution_has_the_package_and_neither_tests_nor_book(builds):
    (path,) = builds.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        folders = {name.split("/")[1] for name in archive.getnames() if name.count("/") > 1}
    assert folders == {"code"}


def test_the_wheel_asks_for_six_light_packages_alone(wheel):
    (name,) = [name for name in wheel.namelist() if name.endswith("METADATA")]
    metadata = HeaderParser().parsestr(wheel.read(name).decode())
    wanted = [Requirement(text) for text in metadata.get_all("Requires-Dist")]
    alone = {wanted.name for wanted in wanted if "extra" not in str(wanted.marker)}
    assert alone == {"numpy", "scipy", "torch", "scikit-learn", "pandas", "joblib"}


# A clean environment


def needed(names):
    """The distributions of these names and of all that they need here, by name."""
    found, left = {}, list(names)
    while left:
        name = left.pop()
        if name not in found:
            found[name] = distribution(name)
            wanted = [Requirement(text) for text in found[name].requires or []]
            left += [w.name for w in wanted if not w.marker or w.marker.evaluate({"extra": ""})]
    return found


@pytest.fixture(scope="module")
def clean(builds, tmp_path_factory):
    """The interpreter of an environment with the wheel and what it asks for, and nothing else."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    (site,) = folder.glob("lib/python*/site-packages")
    for found in needed(Requirement(text).name for text in PROJECT["dependencies"]).values():
        for top in {file.parts[0] for file in found.files} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(found.locate_file(top))
    (path,) = builds.glob("*.whl")
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    run(*pip, "install", "--no-index", "--no-deps", path)
    run(*pip, "check")
    return python


def test_the_readme_s_ten_lines_run_alone_and_show_every_strength(clean, tmp_path):
    assert len([line for line in TEN_LINES.splitlines() if line.strip()]) == 10
    printed = run(clean, "-W", "error", "-c", TEN_LINES, cwd=tmp_path, OMP_NUM_THREADS="1")
    strengths = re.findall(r"^(0\.\d+) +\d", printed, re.MULTILINE)
    assert strengths == ["0.000", "0.001", "0.010", "0.100"]


def test_the_clean_environment_has_no_tool_of_the_book(clean, tmp_path):
    code = "import importlib.util as i, sys; print([n for n in sys.argv[1:] if i.find_spec(n)])"
    tools = ("matplotlib", "ipywidgets", "pytest", "sphinx", "jax")
    assert run(clean, "-c", code, *tools, cwd=tmp_path) == "[]\n"


# The report


def test_the_report_says_what_is_installed_and_what_is_not(clean, tmp_path):
    lines = run(clean, "-m", "smallweights", "report", cwd=tmp_path).splitlines()
    facts = dict(line.removeprefix("- ").split(": ", 1) for line in lines)
    assert facts["smallweights"] == smallweights.__version__
    assert facts["torch"].split("+")[0] == distribution("torch").version.split("+")[0]
    assert [name for name in PACKAGES if facts[name] == "not installed"] == ["matplotlib"]


def test_the_report_tells_no_user_no_host_and_no_path():
    report = environment_report()
    assert [w for w in (getpass.getuser(), socket.gethostname(), sys.prefix) if w in report] == []
    assert re.findall(r"(?:^|\s)(?:[/~\\]|\w:\\).*", report) == []


def test_the_report_names_the_processor_s_model(tmp_path, monkeypatch):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: A Processor: fast\nprocessor\t: 1\n")
    monkeypatch.setattr("smallweights.environment.CPUINFO", cpuinfo)
    assert environment()["processor"] == "A Processor: fast"


# The version and the dependencies


def test_the_version_is_semantic_and_heads_the_changelog():
    assert re.fullmatch(r"\d+\.\d+\.\d+", PROJECT["version"])
    newest = re.findall(r"^## \[.*", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0]
    assert PROJECT["version"] in newest


def reasons(kind):
    return re.findall(rf"^\| `?([^|`]+)`? \| {kind} \| .+ \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("kind", ["package", *PROJECT["optional-dependencies"]])
def test_each_dependency_has_a_reason(kind):
    wanted = PROJECT["optional-dependencies"].get(kind, PROJECT["dependencies"])
    assert sorted(reasons(kind)) == sorted(Requirement(text).name for text in wanted)


def test_each_action_that_a_workflow_runs_has_a_reason():
    flows = "".join(p.read_text() for p in (ROOT / ".github" / "workflows").glob("*.yml"))
    assert {
        name for name in re.findall(r"uses: \S+/(\S+)@", flows) if f"`{name}`" not in PAGE
    } == set()


def test_the_licence_of_each_pinned_package_is_listed():
    assert licences.current() == PAGE, "run python tests/licences.py"


# What readers are asked

FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[0-9]*.yml"))


@pytest.mark.parametrize(
    ("schema", "files"),
    [("forms", FORMS), ("config", [ROOT / ".github" / "ISSUE_TEMPLATE" / "config.yml"])],
    ids=["forms", "config"],
)
def test_the_issue_templates_follow_their_schema(schema, files):
    check = Path(sys.executable).with_name("check-jsonschema")
    run(check, "--builtin-schema", f"vendor.github-issue-{schema}", *files)


def test_there_is_a_form_for_each_of_the_three_things_a_reader_may_have():
    names = [yaml.safe_load(form.read_text())["name"] for form in FORMS]
    assert names == ["I don't understand", "I found an error", "My result differs"]


def test_a_result_that_differs_comes_with_the_environment():
    (form,) = (yaml.safe_load(p.read_text()) for p in FORMS if "differs" in p.name)
    (field,) = (field for field in form["body"] if field.get("id") == "environment")
    assert field["validations"]["required"]
    assert "python -m smallweights report" in field["attributes"]["description"]
