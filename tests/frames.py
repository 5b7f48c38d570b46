"""Take the frames out of an explorer's page face, so that they are compared as figures are."""

from __future__ import annotations

import base64
import io
import re

from PIL import Image

STRIP = re.compile(r'style="width:(\d+)00%;[^>]*src="data:image/webp;base64,([^"]*)"')


def split_frames(html: str) -> tuple[str, list[str]]:
    """The text with each strip's data taken out, and each frame as a base64 PNG, in order."""
    frames = [frame for count, strip in STRIP.findall(html) for frame in _cut(strip, int(count))]
    return re.sub(r"(data:image/webp;base64,)[^\"]*", r"\1…", html), frames


def _cut(strip: str, count: int) -> list[str]:
    image = Image.open(io.BytesIO(base64.b64decode(strip)))
    width = image.width // count
    boxes = [(at * width, 0, (at + 1) * width, image.height) for at in range(count)]
    return [_png(image.crop(box)) for box in boxes]


def _png(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return base64.b64encode(buffer.getvalue()).decode()
