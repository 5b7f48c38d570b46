"""Execute the book's notebooks and keep them in one normal form, so that a diff shows a change.

    python tests/notebooks.py execute [NOTEBOOK ...]   run, and write outputs and normal form
    python tests/notebooks.py check [NOTEBOOK ...]     fail on a notebook not in normal form

The normal form: no execution counts, no timestamps, no widget state, cell ids ``cell-00``,
``cell-01``, … , keys sorted, and in each code cell's metadata a digest of the source that its
outputs were made from. Without notebooks named, all of the book's are taken, and the
tests' own sample.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

BOOK = Path(__file__).resolve().parent.parent / "book"
SAMPLE = Path(__file__).resolve().with_name("sample.ipynb")
DIGEST = "source_digest"


def notebooks() -> list[Path]:
    """All notebooks of the book."""
    return sorted(p for p in BOOK.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)


def digest(cell: NotebookNode) -> str:
    """A short digest of a cell's source."""
    return hashlib.sha256(cell.source.encode()).hexdigest()[:12]


def is_stale(cell: NotebookNode) -> bool:
    """Whether a code cell was never run, or changed since it was."""
    return bool(cell.source.strip()) and cell.metadata.get(DIGEST) != digest(cell)


def execute(path: Path) -> None:
    """Run a notebook in its own folder and write it back in normal form, outputs and all."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.metadata[DIGEST] = digest(cell)
    path.write_text(normal_form(notebook))


def normal_form(notebook: NotebookNode) -> str:
    """The notebook's text in normal form."""
    notebook = nbformat.from_dict(notebook)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = [_normal_output(output) for output in _joined(cell.outputs)]
            cell.metadata.pop("execution", None)
        cell.metadata.pop("collapsed", None)
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def _normal_output(output: NotebookNode) -> NotebookNode:
    if output.output_type == "execute_result":
        output.execution_count = None
    for mime, content in output.get("data", {}).items():
        if mime.startswith("image/") and isinstance(content, str):
            output.data[mime] = content.strip()
    return output


def _joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Neighbouring pieces of one stream as one piece: how they are cut depends on the timing."""
    joined: list[NotebookNode] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last and output.output_type == last.output_type == "stream" and last.name == output.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


def problems(path: Path) -> list[str]:
    """What keeps a notebook from being in normal form, a sentence each."""
    text = path.read_text()
    notebook = nbformat.reads(text, as_version=4)
    codes = [cell for cell in notebook.cells if cell.cell_type == "code"]
    found = [
        f"code cell {number} was never run, or changed since: {cell.source.splitlines()[0]!r}"
        for number, cell in enumerate(codes)
        if is_stale(cell)
    ]
    if normal_form(notebook) != text:
        found.append("is not in normal form")
    return [f"{path.name}: {problem}; run 'make notebooks'." for problem in found]


def main(command: str, *names: str) -> int:
    """Run one of the two commands; the exit status tells whether all is well."""
    paths = [Path(name).resolve() for name in names] or [*notebooks(), SAMPLE]
    if command == "execute":
        for path in paths:
            print(f"executing {path.name}", flush=True)
            execute(path)
        return 0
    if command != "check":
        sys.exit(__doc__)
    found = [problem for path in paths for problem in problems(path)]
    print("\n".join(found) or f"{len(paths)} notebooks in normal form")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:] or ["help"]))
