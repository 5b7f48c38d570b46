"""The runner of the notebooks catches every way in which a page could differ from its code.

``sample.ipynb`` has one output of each kind. Copies of it are corrupted, one way each, and run in
one go by the very runner that runs the book; ``canary.ipynb`` is broken for good.
"""

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
import torch
import yaml
from IPython.core.inputtransformer2 import TransformerManager
from PIL import Image, ImageDraw

import claims
from figures import difference
from frames import STRIP, split_frames
from last_bits import shake
from matrix import LAST_BITS
from notebooks import (
    BOOK,
    SAMPLE,
    digest,
    execute,
    normal_form,
    notebooks,
    problems,
    with_first_cell,
)
from smallweights.explore import _encode
from smallweights.verdict import MIME

TESTS = Path(__file__).parent
PRINTED, TABLE, FIGURE, EXPLORER, VERDICT = range(1, 6)  # the sample's code cells


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def edit_text(number, mime, old, new):
    def corrupt(notebook):
        data = code_cells(notebook)[number].outputs[0].data
        assert old in data[mime]
        data[mime] = data[mime].replace(old, new)

    return corrupt


def edit_printed_digit(notebook):
    output = code_cells(notebook)[PRINTED].outputs[0]
    assert "0.5" in output.text
    output.text = output.text.replace("0.5", "0.6")


def figure_of(notebook):
    return code_cells(notebook)[FIGURE].outputs[0].data


def decoded(content):
    return Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB")


def encoded(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def replace_figure(notebook):
    other = nbformat.read(BOOK / "large_weights" / "growing.ipynb", as_version=4)
    figure = next(
        output.data["image/png"]
        for cell in code_cells(other)
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    )
    figure_of(notebook)["image/png"] = figure


def move_one_point(notebook):
    """Paint the first data point white, and draw it again by its own width to the right."""
    image = decoded(figure_of(notebook)["image/png"])
    blue = [
        (x, y)
        for x in range(image.width)
        for y in range(image.height)
        if image.getpixel((x, y)) == (0, 0x72, 0xB2)
    ]
    left = min(x for x, _ in blue)
    point = [(x, y) for x, y in blue if x < left + 12]
    draw = ImageDraw.Draw(image)
    draw.point(point, "white")
    draw.point([(x + 12, y) for x, y in point], (0, 0x72, 0xB2))
    figure_of(notebook)["image/png"] = encoded(image)


def explorer_of(notebook):
    return code_cells(notebook)[EXPLORER].outputs[0].data


def swap_frames(notebook):
    """The strip anew, encoded as the explorer does, with its first two frames exchanged."""
    html = explorer_of(notebook)["text/html"]
    _, frames = split_frames(html)
    images = [decoded(frame) for frame in frames]
    (_, strip), *_ = STRIP.findall(html)
    swapped = _encode([images[1], images[0], *images[2:]], 64)
    explorer_of(notebook)["text/html"] = html.replace(strip, swapped)


def delete_output(notebook):
    code_cells(notebook)[TABLE].outputs = []


def delete_figure(notebook):
    code_cells(notebook)[FIGURE].outputs = []


def change_source(notebook):
    cell = code_cells(notebook)[PRINTED]
    cell.source = cell.source.replace('"mean"', '"average"')


def never_run(notebook):
    cell = code_cells(notebook)[VERDICT]
    cell.metadata.pop("source_digest")


def exempt_a_cell(notebook):
    code_cells(notebook)[PRINTED].metadata["tags"] = ["nbval-ignore-output"]


def edit_evidence(notebook):
    verdict = code_cells(notebook)[VERDICT].outputs[0].data[MIME]
    verdict["evidence"][0]["measured"] = "+9.99 nats"


# Each way is tried in a cell of its own; the ways of one copy hit different cells.
COPIES: list[dict[str, tuple[Callable, int, str]]] = [
    {
        "printed_digit": (edit_printed_digit, PRINTED, "0.6"),
        "table_cell": (edit_text(TABLE, "text/html", "0.25", "0.26"), TABLE, "0.26"),
        "replaced_figure": (replace_figure, FIGURE, "expected .* pixels, received|pixels differ"),
        "swapped_frames": (swap_frames, EXPLORER, "pixels differ"),
        "flipped_verdict": (
            edit_text(VERDICT, "text/plain", "W9 holds", "W9 does not hold"),
            VERDICT,
            "W9 does not hold",
        ),
    },
    {
        "deleted_output": (delete_output, TABLE, "[Uu]nexpected output"),
        "moved_point": (move_one_point, FIGURE, "pixels differ"),
        "changed_source": (change_source, PRINTED, "its source changed"),
        "never_run": (never_run, VERDICT, "never run"),
    },
    {
        "deleted_figure": (delete_figure, FIGURE, "[Uu]nexpected output|expected none, received"),
        "explorer_number": (
            edit_text(EXPLORER, "text/html", "<td>0.25</td>", "<td>0.26</td>"),
            EXPLORER,
            "0.26",
        ),
        "verdict_number": (edit_evidence, VERDICT, "9.99"),
        "exempted_cell": (exempt_a_cell, PRINTED, "no output of the book is exempt"),
    },
]
CORRUPTIONS = [
    pytest.param(f"copy{k}", way, id=name)
    for k, copy in enumerate(COPIES)
    for name, way in copy.items()
]


def run_notebooks(folder):
    shutil.copy(BOOK / "conftest.py", folder)
    command = [sys.executable, "-m", "pytest", "-q", "--color=no", "--tb=short", "-p", "no:xdist"]
    command += ["-c", str(TESTS.parent / "pyproject.toml"), "--rootdir", str(TESTS.parent)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    return subprocess.run(
        [*command, str(folder)], capture_output=True, text=True, env=environment, cwd=folder
    )


@pytest.fixture(scope="module")
def corrupted_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corrupted")
    shutil.copy(SAMPLE, folder / "intact.ipynb")
    for number, copy in enumerate(COPIES):
        notebook = nbformat.read(SAMPLE, as_version=4)
        for corrupt, _, _ in copy.values():
            corrupt(notebook)
        nbformat.write(notebook, folder / f"copy{number}.ipynb")
    return run_notebooks(folder).stdout


def failures(output, name):
    return re.findall(rf"^FAILED \S*\b{name}\.ipynb::(Cell \d+|budget)", output, flags=re.M)


@pytest.mark.parametrize(("name", "way"), CORRUPTIONS)
def test_corruption_is_caught_in_its_cell(corrupted_run, name, way):
    assert f"Cell {way[1]}" in failures(corrupted_run, name)


@pytest.mark.parametrize(("name", "way"), CORRUPTIONS)
def test_message_names_notebook_cell_and_difference(corrupted_run, name, way):
    _, cell, difference = way
    report = corrupted_run.split(f"{name}.ipynb, Cell {cell}:", 1)
    assert len(report) == 2
    assert re.search(difference, report[1].split(".ipynb, Cell ")[0])


@pytest.mark.parametrize("number", range(len(COPIES)))
def test_untouched_cells_pass(corrupted_run, number):
    touched = {f"Cell {cell}" for _, cell, _ in COPIES[number].values()}
    assert set(failures(corrupted_run, f"copy{number}")) == touched


def test_intact_notebook_passes(corrupted_run):
    assert failures(corrupted_run, "intact") == []


def test_budget_report_lists_each_notebook(corrupted_run):
    assert re.search(r"^intact\.ipynb +\d+\.\d s +\d+ MB$", corrupted_run, flags=re.M)


def test_canary_notebook_fails(tmp_path):
    shutil.copy(TESTS / "canary.ipynb", tmp_path)
    result = run_notebooks(tmp_path)
    assert result.returncode == 1
    assert failures(result.stdout, "canary") == ["Cell 0"]


def test_budget_fails_a_notebook_over_its_memory(tmp_path):
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("a = b'1' * 1_200_000_000")]
    )
    notebook.cells[0].metadata["source_digest"] = digest(notebook.cells[0])
    nbformat.write(notebook, tmp_path / "large.ipynb")
    result = run_notebooks(tmp_path)
    assert failures(result.stdout, "large") == ["budget"]
    assert "a notebook has" in result.stdout


# What starts or goes at random in scikit-learn, with its arguments; its Lasso asks for no number.
AT_RANDOM = re.compile(
    r"\b(?:(?:MLP|SGD|RandomForest)(?:Regressor|Classifier)|train_test_split)"
    r"\(((?:[^()]|\([^()]*\))*)\)"
)


def calls_without_seed(code):
    """The arguments of each call that draws at random and is given no ``random_state``."""
    for arguments in AT_RANDOM.findall(code):
        names = "|".join(re.findall(r"\*\*(\w+)", arguments)) or "$"
        given = [arguments, *re.findall(rf"^(?:{names}) \|?= .*", code, flags=re.MULTILINE)]
        if not any("random_state" in text for text in given):
            yield arguments


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_what_draws_at_random_is_given_a_seed(path):
    code = "\n".join(cell.source for cell in code_cells(nbformat.read(path, as_version=4)))
    assert list(calls_without_seed(code)) == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("MLPRegressor((), alpha=0.1)", ["(), alpha=0.1"]),
        ("A = {'tol': 0}\nMLPRegressor(**A)", ["**A"]),
        ("A = {'tol': 0}\nA |= {'random_state': 0}\nMLPRegressor(**A)", []),
        ("SGDClassifier(random_state=0)", []),
    ],
)
def test_a_call_without_a_seed_is_found(code, found):
    assert list(calls_without_seed(code)) == found


@pytest.mark.parametrize("path", [*notebooks(), SAMPLE], ids=lambda path: path.stem)
def test_notebook_is_in_normal_form(path):
    assert problems(path) == []


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda nb: code_cells(nb)[1].update(execution_count=7), "normal form"),
        (lambda nb: nb.cells[0].update(id="f00"), "normal form"),
        (lambda nb: nb.metadata.update(widgets={}), "normal form"),
        (lambda nb: code_cells(nb)[1].metadata.update(execution={"iopub": "now"}), "normal form"),
        (change_source, "changed since"),
    ],
    ids=["execution count", "cell id", "widget state", "timestamp", "source"],
)
def test_check_refuses_what_is_not_normal(tmp_path, spoil, says):
    notebook = nbformat.read(SAMPLE, as_version=4)
    spoil(notebook)
    path = tmp_path / "spoiled.ipynb"
    nbformat.write(notebook, path)
    assert any(says in problem for problem in problems(path))


def test_executing_again_changes_no_byte(tmp_path, monkeypatch):
    copy = tmp_path / "again.ipynb"
    shutil.copy(SAMPLE, copy)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    execute(copy)
    assert copy.read_bytes() == SAMPLE.read_bytes()


def test_a_figure_that_differs_less_than_the_tests_can_tell_keeps_its_bytes(tmp_path):
    notebook = nbformat.read(SAMPLE, as_version=4)
    figure = figure_of(notebook)
    image = decoded(figure["image/png"])
    image.putpixel((0, 0), (254, 255, 255))
    figure["image/png"] = kept = encoded(image)
    copy = tmp_path / "nearly.ipynb"
    nbformat.write(notebook, copy)
    execute(copy)
    assert figure_of(nbformat.read(copy, as_version=4))["image/png"].strip() == kept


# The cell for Colab


@pytest.fixture
def page():
    """A notebook of the book that has no cell for Colab yet, and the path that it goes to."""
    return BOOK / "norms" / "sample.ipynb", nbformat.read(SAMPLE, as_version=4)


def test_a_notebook_of_the_book_gets_a_first_cell_and_keeps_the_others(page):
    path, notebook = page
    before, after = normal_form(notebook), normal_form(with_first_cell(path, notebook))
    first, *rest = json.loads(after)["cells"]
    assert (first["id"], first["metadata"]["tags"]) == ("colab", ["remove-cell"])
    assert rest == json.loads(before)["cells"]


def test_writing_the_first_cell_again_changes_nothing(page):
    path, notebook = page
    once = with_first_cell(path, notebook)
    assert normal_form(with_first_cell(path, once)) == normal_form(once)


def test_check_refuses_a_first_cell_of_another_version(tmp_path, monkeypatch, page):
    path = tmp_path / "book" / "sample.ipynb"
    path.parent.mkdir()
    monkeypatch.setattr("notebooks.BOOK", path.parent)
    monkeypatch.setattr("notebooks._released", lambda: {"repository": "here", "version": "1.0"})
    path.write_text(normal_form(with_first_cell(path, page[1])))
    assert problems(path) == []
    path.write_text(path.read_text().replace("v1.0", "v0.9"))
    assert any("does not start with the cell for Colab" in found for found in problems(path))


def commands_of_first_cell(page, modules):
    """What the first cell has IPython do where these modules are loaded."""
    path, notebook = page
    source = with_first_cell(path, notebook).cells[0].source
    asked = []

    class Shell:
        def system(self, command):
            asked.append("!" + " ".join(command.split()))

        def run_line_magic(self, name, line):
            asked.append(f"%{name} {line}")

    names = {"get_ipython": Shell}
    plain = TransformerManager().transform_cell(source).replace("import sys", "")
    exec(plain, names | {"sys": SimpleNamespace(modules=modules)})
    return asked


def test_the_first_cell_does_nothing_outside_colab(page):
    assert commands_of_first_cell(page, sys.modules) == []


def test_the_first_cell_fetches_the_tagged_files_and_installs_the_package_without_torch(page):
    clone, install, change = commands_of_first_cell(page, {"google.colab": None})
    settings = yaml.safe_load((BOOK.parent / "_config.yml").read_text())
    project = tomllib.loads((BOOK.parent / "pyproject.toml").read_text())["project"]
    address, tag = settings["repository"]["url"], f"v{project['version']}"
    assert clone.endswith(f"git clone -q --depth 1 --branch {tag} {address} /content/book")
    assert install == "%pip install --quiet --no-deps /content/book skorch"
    assert change == "%cd -q /content/book/book/norms"


# Other last bits

TRAINS = """
from smallweights import L2, MLP, Training, fit, fit_many, load, split
digits, start = split(load("digits"), train=100), lambda seed: MLP((64, 10), seed=seed)
norm = fit(start(0), digits, L2(0.1), Training(steps=100)).history.norm.iloc[-1]
many = fit_many(start, digits, [L2(0.1)], Training(steps=100), seeds=range(3)).final.norm
norms = [float(norm), *many]
"""


def test_a_kernel_of_other_last_bits_trains_to_others_and_no_more(tmp_path, monkeypatch):
    cell = nbformat.v4.new_code_cell(TRAINS + "print(norms)")
    path = tmp_path / "trains.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    monkeypatch.setenv("PYTHONSTARTUP", LAST_BITS["PYTHONSTARTUP"])
    execute(path)
    (output,) = nbformat.read(path, as_version=4).cells[0].outputs
    exec(TRAINS, here := {})
    away = np.abs(np.array(json.loads(output.text)) / here["norms"] - 1)
    one, many = away[0], away[1:].max()
    assert 0 < one < 1e-5
    assert 0 < many < 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_another_last_bit_is_a_neighbour_of_the_number(dtype):
    before = torch.randn(1000, dtype=dtype, generator=torch.Generator().manual_seed(0))
    after = before.clone()
    shake(after)
    limits = np.array([np.inf, -np.inf], after.numpy().dtype)
    up, down = (np.nextafter(before.numpy(), limit) for limit in limits)
    moved = [after.numpy() == other for other in (up, down, before.numpy())]
    assert np.sum(moved, 0).tolist() == [1] * 1000
    assert np.sum(moved, 1).min() > 250


def test_zeros_and_what_is_not_finite_keep_their_bits():
    kept = torch.tensor([0.0, -0.0, torch.inf, -torch.inf, torch.nan])
    after = kept.clone()
    shake(after)
    assert after.view(torch.int32).tolist() == kept.view(torch.int32).tolist()


def test_a_changed_sentence_changes_one_line():
    notebook = nbformat.read(SAMPLE, as_version=4)
    before = normal_form(notebook).splitlines()
    notebook.cells[0].source = notebook.cells[0].source.replace("every kind", "each kind")
    after = normal_form(notebook).splitlines()
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1


def test_same_figure_within_tolerance():
    image = Image.new("RGB", (400, 300), "white")
    nudged = image.copy()
    nudged.putpixel((5, 5), (230, 230, 230))
    assert difference(encoded(image), encoded(nudged)) is None


def test_frames_of_another_palette_are_within_tolerance():
    _, frames = split_frames(explorer_of(nbformat.read(SAMPLE, as_version=4))["text/html"])
    strip = _encode([decoded(frame) for frame in frames], 50)
    _, others = split_frames(f'style="width:300%;" src="data:image/webp;base64,{strip}"')
    found = [difference(one, other) for one, other in zip(frames, others, strict=True)]
    assert found == [None, None, None]


@pytest.mark.parametrize("page", [claims.PAGE, claims.SHEET], ids=lambda page: page.stem)
def test_what_pages_tell_of_verdicts_is_in_step_with_the_notebooks(page):
    assert page.read_text() == claims.current()[page]


def test_the_page_to_keep_gets_each_verdict_and_a_row_for_each_tip():
    piece = {"condition": "here", "measured": "+2 [+1, +3] pp (matters from 1)"}
    evidence = [piece | {"says": "supports"}, piece | {"says": "opposes", "condition": "there"}]
    record = {"ruling": "holds if: here", "page": "../tips/a.ipynb", "evidence": evidence}
    text = "Scale, **T3** [open](x.md).\n% the tips\nold\n% end of the tips\n"
    assert claims.sheet(text, {"T3": ["Scale.", []]}, {"T3": record}) == (
        "Scale, **T3** [holds if …](a.ipynb).\n% the tips\n\n"
        "| tip | verdict | for it | not for it |\n|---|---|---|---|\n"
        "| **T3** Scale. | [holds if …](a.ipynb) 1 of 2 rows | here: +2 [+1, +3] pp"
        " | there: +2 [+1, +3] pp |\n\n% end of the tips\n"
    )


@pytest.mark.parametrize("page", [claims.PAGE, claims.SHEET], ids=lambda page: page.stem)
def test_every_row_of_verdicts_has_as_many_cells_as_its_table(page):
    rows = [line for line in page.read_text().splitlines() if line.startswith("| **")]
    assert rows
    assert [row for row in rows if len(re.findall(r"(?<!\\)\|", row)) != 5] == []


def test_index_refuses_a_claim_it_does_not_list():
    with pytest.raises(ValueError, match="does not list: \\['X1'\\]"):
        claims.page({"Chapter": {}}, {"X1": {}})


def test_claim_without_experiment_shows_as_open():
    text = claims.page({"Chapter": {"N1": ["A statement.", []]}}, {})
    assert "| **N1** A statement. | open | | |" in text
