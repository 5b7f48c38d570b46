"""The rows of a text file: which encoding, which separator, and a sample where there are too many.

What is found out about the file is said, a sentence each. What cannot be read is a ``TableError``
that says what to do.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}
CELLS = 2_000_000  # read at a time
SHOWN = 10  # names in a sentence


class TableError(ValueError):
    """A file that cannot be used as it is; the message says why, and what to do."""


def find_options(path: Path, target: str, notes: list[str]) -> tuple[dict[str, Any], list[str]]:
    """How ``pandas.read_csv`` is to read the file, and the names of its columns."""
    if not path.is_file():
        here = [p.name for p in path.parent.glob("*.csv")] if path.parent.is_dir() else []
        near = get_close_matches(path.name, here, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise TableError(f"There is no file {str(path)!r}.{hint}")
    encoding = _find_encoding(path, notes)
    with path.open(encoding=encoding, errors="replace", newline="") as file:
        lines = [line for line in (file.readline(1_000_000) for _ in range(20)) if line.strip()]
    if not lines:
        raise TableError(f"The file {str(path)!r} is empty: it needs a line of names, then rows.")
    headers = {sep: _split_header(lines, sep) for sep in SEPARATORS}
    sep = max(headers, key=lambda sep: _plausibility(headers[sep], sep, target))
    if sep != ",":
        notes.append(f"The columns are separated by {SEPARATORS[sep]}, not by commas.")
    names = _distinct(headers[sep], target, notes)
    options: dict[str, Any] = {"sep": r"\s+" if sep == " " else sep, "encoding": encoding}
    options["skipinitialspace"] = True
    if names != headers[sep]:
        options |= {"names": names, "header": 0}
    return options, names


def _find_encoding(path: Path, notes: list[str]) -> str:
    """UTF-8, or what a byte order mark says, or else the one of old Windows programs."""
    with path.open("rb") as file:
        start = file.read(1 << 16)
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        if start.startswith(b"PK\x03\x04") or b"\0" in start:
            raise TableError(
                f"{str(path)!r} is not a text file. If it is a spreadsheet or an archive, save the"
                " table as CSV (UTF-8) first."
            )
        encoding = "utf-8-sig" if start.startswith(codecs.BOM_UTF8) else "utf-8"
        decoder = codecs.getincrementaldecoder(encoding)()
        try:
            while start:
                decoder.decode(start)
                start = file.read(1 << 20)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            notes.append(
                "The file is not in UTF-8; it was read as Windows-1252. If letters with accents"
                " look wrong, save it as UTF-8."
            )
            return "cp1252"
    return encoding


def _split_header(lines: Sequence[str], sep: str) -> list[str]:
    """The names in the first line; a name in quotes may hold the separator or a line's end."""
    try:
        header = next(csv.reader(lines, delimiter=sep, skipinitialspace=True))
    except (csv.Error, StopIteration):
        return []
    return [name for name in header if name or sep != " "]


def _plausibility(header: Sequence[str], sep: str, target: str) -> tuple[bool, int]:
    """A separator is the more plausible if it sets the target free, then the more names it does."""
    return target in [name.strip() for name in header], 0 if sep == " " else len(header)


def _distinct(header: Sequence[str], target: str, notes: list[str]) -> list[str]:
    """The names, each once: what comes again is numbered, what has none gets one."""
    names: list[str] = []
    for place, name in enumerate(header):
        new = name.strip() or f"column {place + 1}"
        while new in names:
            new += " again"
        names.append(new)
    bare = [name.strip() for name in header]
    twice = [name for name, new in zip(bare, names, strict=True) if name and name != new]
    if target in twice:
        raise TableError(
            f"{bare.count(target)} columns are called {target!r}, and one of them is the target:"
            " give them different names."
        )
    if twice:
        renamed = [new for name, new in zip(bare, names, strict=True) if name and name != new]
        notes.append(f"Columns named as an earlier one were renamed: {list_values(renamed)}.")
    return names


def check_column(name: str, columns: Sequence[str]) -> None:
    """Raise ``TableError`` unless there is such a column: with those there are, and a guess."""
    if name in columns:
        return
    near = [c for c in columns if c.casefold() == name.casefold()]
    near = near or get_close_matches(name, columns, 1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    first = pd.Series([column.split(" ")[0] for column in columns], dtype=object)
    if pd.to_numeric(first, errors="coerce").notna().all():
        hint = " The first line holds numbers: is the line with the names missing?"
    elif len(columns) == 1:
        hint = f" Columns must be separated by {join(list(SEPARATORS.values()))}."
    found = list_values(columns, 40)
    raise TableError(f"There is no column {name!r}.{hint} The columns are: {found}.")


def load_rows(
    path: Path,
    options: dict[str, Any],
    names: Sequence[str],
    target: str,
    rows: int,
    notes: list[str],
) -> tuple[pd.DataFrame, int]:
    """The rows with a target as text, a sample of them if there are more than ``rows``.

    Each row draws a number and those with the least are kept: a fair sample in one pass, of which
    no more than one piece of the file is in memory.
    """
    rng, read, count = np.random.default_rng(0), 0, 0
    kept, drawn = pd.DataFrame(columns=list(names)), pd.Series(dtype=float)
    for piece in _pieces(path, options, len(names)):
        read += len(piece)
        piece = piece[piece[target].str.strip().fillna("") != ""]
        count += len(piece)
        numbers = pd.Series(rng.random(len(piece)), index=piece.index)
        drawn = (pd.concat([drawn, numbers]) if len(drawn) else numbers).nsmallest(rows)
        kept = (pd.concat([kept, piece]) if len(kept) else piece).loc[drawn.index]
    if read > count:
        notes.append(f"Left out for want of a target: {count_rows(read - count)} of {read:,}.")
    if count > rows:
        notes.append(
            f"Of {count:,} rows with a target a random {rows:,} were used, the same each time"
            " (change this with rows)."
        )
    if twins := int(kept.duplicated().sum()):
        notes.append(
            f"{count_rows(twins)} agree with an earlier one in every column. If they are copies,"
            " remove them: what was trained on is no test."
        )
    kept = kept.sort_index().apply(lambda column: column.astype(object).str.strip())
    return kept.replace("", np.nan), count


def _pieces(path: Path, options: dict[str, Any], fields: int) -> Iterator[pd.DataFrame]:
    """The file as tables of text, a piece at a time, or a sentence on the line that is wrong."""
    size, how = max(1000, CELLS // fields), options | {"encoding_errors": "replace"}
    try:
        with pd.read_csv(path, dtype=str, chunksize=size, **how) as pieces:
            for piece in pieces:
                if not isinstance(piece.index, pd.RangeIndex):
                    raise pd.errors.ParserError("the first rows have more")
                yield piece
    except pd.errors.ParserError as error:
        reason = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        raise TableError(
            f"Not every line has the {fields} fields of the first one ({reason})."
            " Put text that holds a separator or a quotation mark into quotation marks."
        ) from error


def count_rows(rows: int) -> str:
    """So many rows, in words."""
    return f"{rows:,} row{'' if rows == 1 else 's'}"


def show(value: object) -> str:
    """A value in quotes if it is text; odd characters are written as escapes."""
    value = value.item() if isinstance(value, np.generic) else value
    return f"{value:g}" if isinstance(value, float) else repr(value)


def list_values(values: Iterable[object], most: int = SHOWN) -> str:
    """The first values, and how many more there are."""
    return join([show(value) for value in values], most)


def join(words: Sequence[str], most: int = SHOWN) -> str:
    """The first words with commas, and how many more there are."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more
