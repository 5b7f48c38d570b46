"""Write the licence of every pinned package into DEPENDENCIES.md.

    python tests/licences.py

A package's own metadata says which it is; it has to be installed.
"""

from __future__ import annotations

from importlib.metadata import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "DEPENDENCIES.md"
HEAD = "| Package | Licence |\n|---|---|\n"
LONGEST = 60  # characters: what is longer is the licence's text
# Their metadata names none; this is what the licence file in them says.
READ = {"axe-playwright-python": "MIT", "namex": "Apache-2.0"}


def pins() -> dict[str, str]:
    """The version of every pinned package, by name."""
    files = (ROOT / "requirements.txt", ROOT / "requirements-test.txt")
    lines = [line for path in files for line in path.read_text().splitlines()]
    return dict(line.split("==") for line in lines if "==" in line)


def licence(name: str) -> str:
    """What an installed package says of its licence: an expression, a few words or its classes."""
    told = metadata(name)
    words = told.get("License-Expression") or told.get("License") or ""
    if words and "\n" not in words.strip() and len(words) <= LONGEST:
        return words.strip()
    classes = [c for c in told.get_all("Classifier") or [] if c.startswith("License ::")]
    return ", ".join(c.split(" :: ")[-1] for c in classes) or words.strip() or READ[name]


def current() -> str:
    """DEPENDENCIES.md with the list as it is now."""
    kept = PAGE.read_text().partition(HEAD)[0]
    return kept + HEAD + "".join(f"| {name} | {licence(name)} |\n" for name in sorted(pins()))


if __name__ == "__main__":
    PAGE.write_text(current())
