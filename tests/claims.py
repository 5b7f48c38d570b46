"""Write the book's index of claims from the verdicts that its notebooks print.

    python tests/claims.py      write book/reference/claims.md

The claims are listed in ``book/reference/claims.yml``; a claim that no notebook has a verdict on
shows as open.
"""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import yaml

from notebooks import BOOK, notebooks
from smallweights.verdict import MIME

PAGE = BOOK / "reference" / "claims.md"
HEAD = """# All claims and their verdicts

This table is made from the notebooks: each verdict stands in the output of the cell that measured
it, and CI recomputes it. *Open* is a claim that no experiment of this book has tested yet. The
intervals of one claim cover together with 95 % confidence; ✓ supports the claim, ✗ opposes it,
? decides nothing. How a verdict follows from the measurements is told in [](verdicts.md).
"""


def verdicts(paths: list[Path]) -> dict[str, dict]:
    """The verdict of each claim, from the outputs of the notebooks, with the page it stands on."""
    found: dict[str, dict] = {}
    for path in paths:
        for cell in nbformat.read(path, as_version=4).cells:
            for output in cell.get("outputs", []):
                record = output.get("data", {}).get(MIME)
                if not record:
                    continue
                claim = record["claim"]
                if claim in found:
                    raise ValueError(f"{claim} has a verdict in {found[claim]['page']} and {path}.")
                page = os.path.relpath(path, PAGE.parent).replace(os.sep, "/")
                found[claim] = record | {"page": page}
    return found


def page(claims: dict[str, dict[str, list]], found: dict[str, dict]) -> str:
    """The index as Markdown. Raises ``ValueError`` for a verdict on an unlisted claim."""
    listed = {claim for chapter in claims.values() for claim in chapter}
    if strangers := sorted(set(found) - listed):
        raise ValueError(f"Verdicts on claims that claims.yml does not list: {strangers}.")
    parts = [HEAD]
    for chapter, rows in claims.items():
        parts.append(f"## {chapter}\n")
        parts.append("| claim | verdict | effect [together 95 %] | n |\n|---|---|---|---|")
        parts += [_row(claim, *row, found.get(claim)) for claim, row in rows.items()]
        parts.append("")
    return "\n".join(parts)


def _row(claim: str, statement: str, sources: list[str], record: dict | None) -> str:
    cited = f" {{cite}}`{','.join(sources)}`" if sources else ""
    text = f"**{claim}** {statement}{cited}"
    if record is None:
        return f"| {text} | open | | |"
    says = {"supports": "✓", "opposes": "✗", "undecided": "?"}
    effects = "<br>".join(
        f"{says[piece['says']]} {piece['condition']}: {piece['measured']}"
        for piece in record["evidence"]
    )
    counts = ", ".join(sorted({str(piece["n"]) for piece in record["evidence"]}))
    ruling = record["ruling"].replace(":", " …").partition("… ")
    ruling = "".join(ruling[:2]).strip()
    return f"| {text} | [{ruling}]({record['page']}) | {effects} | {counts} |"


def current() -> str:
    """The index as the notebooks have it now."""
    claims = yaml.safe_load((BOOK / "reference" / "claims.yml").read_text())
    return page(claims, verdicts(notebooks()))


if __name__ == "__main__":
    PAGE.write_text(current())
