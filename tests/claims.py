"""Write what pages tell of verdicts from the verdicts that the notebooks print.

    python tests/claims.py      write book/reference/claims.md and the page to keep

The claims are listed in ``book/reference/claims.yml``; a claim that no notebook has a verdict on
shows as open. On the page to keep, a verdict is a link after a claim's number, as in
``**T3** [holds](standardize.ipynb)``, and the table of tips stands between two comments.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
import yaml

from notebooks import BOOK, notebooks
from smallweights.verdict import MIME

PAGE = BOOK / "reference" / "claims.md"
SHEET = BOOK / "tips" / "one_page.md"
STAMP = re.compile(r"\*\*([A-Z]\d+)\*\* \[[^]]*\]\([^)]*\)")
TABLE = re.compile(r"(?<=% the tips\n).*?(?=% end of the tips)", re.DOTALL)
HEAD = """# All claims and their verdicts

This table is made from the notebooks: each verdict stands in the output of the cell that measured
it, and every run of the tests recomputes it. *Open* is a claim that no experiment of this book has
tested yet. The intervals of one claim cover together with 95 % confidence; ✓ supports the claim,
✗ opposes it, ? decides nothing. How a verdict follows from the measurements is told in
[](verdicts.md).
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
    ).replace("|", r"\|")  # as in Σ|w|, which would end the cell
    counts = ", ".join(map(str, sorted({piece["n"] for piece in record["evidence"]})))
    return f"| {text} | {_link(record, PAGE)} | {effects} | {counts} |"


def _link(record: dict | None, on: Path) -> str:
    """The ruling in a word or two, as a link to the page that has the verdict."""
    if record is None:
        return "[open](../reference/claims.md)"
    ruling = record["ruling"].replace(":", " …").partition("… ")
    page = os.path.relpath(PAGE.parent / record["page"], on.parent).replace(os.sep, "/")
    return f"[{''.join(ruling[:2]).strip()}]({page})"


def sheet(text: str, tips: dict[str, list], found: dict[str, dict]) -> str:
    """The page to keep, with its verdicts and its table of tips as they are now."""
    text = STAMP.sub(lambda hit: f"**{hit[1]}** {_link(found.get(hit[1]), SHEET)}", text)
    rows = [_tip(claim, statement, found.get(claim)) for claim, (statement, _) in tips.items()]
    head = "| tip | verdict | for it | not for it |\n|---|---|---|---|"
    return TABLE.sub(lambda _: "\n".join(["", head, *rows, "", ""]), text)


def _tip(claim: str, statement: str, record: dict | None) -> str:
    """A tip's row: the first evidence that supports it, and the first that does not."""
    first, pieces = {}, record["evidence"] if record else []
    for piece in pieces:
        text = f"{piece['condition']}: {piece['measured']}"
        first.setdefault(piece["says"] == "supports", re.sub(r" \(matters from .*\)", "", text))
    cells = [first.get(says, "–") for says in (True, False)]
    rows = f"{sum(p['says'] == 'supports' for p in pieces)} of {len(pieces)} rows"
    return f"| **{claim}** {statement} | {_link(record, SHEET)} {rows} | {' | '.join(cells)} |"


def current() -> dict[Path, str]:
    """The index and the page to keep as the notebooks have them now."""
    claims = yaml.safe_load((BOOK / "reference" / "claims.yml").read_text())
    found = verdicts(notebooks())
    return {PAGE: page(claims, found), SHEET: sheet(SHEET.read_text(), claims["Tips"], found)}


if __name__ == "__main__":
    for path, text in current().items():
        path.write_text(text)
