"""When are two figures the same? A stated tolerance on their pixels."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

# A pixel differs when a colour channel moves by more than a tenth of its range; figures may differ
# in one pixel of 50,000. A data point that moves by its own width changes several times as many;
# another processor's rounding moves none by that much.
CHANNEL = 0.1
SHARE = 1 / 50_000


def difference(expected: str, received: str) -> str | None:
    """How two base64 PNG or JPEG images differ, in words; None when they are the same figure."""
    one, other = _pixels(expected), _pixels(received)
    if one.shape != other.shape:
        sizes = [f"{image.shape[1]} × {image.shape[0]}" for image in (one, other)]
        return f"size: expected {sizes[0]} pixels, received {sizes[1]}"
    moved = np.abs(one - other).max(axis=2) > CHANNEL
    if moved.mean() <= SHARE:
        return None
    rows, columns = np.nonzero(moved)
    return (
        f"{moved.sum()} of {moved.size} pixels differ by more than {CHANNEL:.0%} (allowed:"
        f" {int(SHARE * moved.size)}), between x = {columns.min()}…{columns.max()} and"
        f" y = {rows.min()}…{rows.max()}"
    )


def _pixels(encoded: str) -> np.ndarray:
    image = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGBA")
    page = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(page, image).convert("RGB"), dtype=float) / 255
