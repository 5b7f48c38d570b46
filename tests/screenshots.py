"""Photograph every page, wide and on a phone, in light and in dark, into _build/screenshots."""

import sys
from pathlib import Path

from playwright.sync_api import Page

from browser import DESK, PHONE, ROOT, browser, opened, pages, served

FOLDER = ROOT / "_build" / "screenshots"
TALLEST = 8_000  # Chromium draws 16,384 pixels at most, and a phone has two to one of the layout


def photograph(tab: Page, path: Path) -> None:
    """The whole page, in as many pictures as it takes: -0, -1, … from the top."""
    tab.wait_for_timeout(500)  # the sidebars slide in
    width, height = tab.evaluate(
        "[document.documentElement.clientWidth, document.documentElement.scrollHeight]"
    )
    for number, top in enumerate(range(0, height, TALLEST)):
        clip = {"x": 0, "y": top, "width": width, "height": min(TALLEST, height - top)}
        tab.screenshot(path=path.with_name(f"{path.name}-{number}.png"), full_page=True, clip=clip)


def main(*names: str) -> None:
    """Photograph the pages whose path contains one of the names; without names, all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with browser() as chromium, served() as site:
        for page in pages():
            if names and not any(name in page for name in names):
                continue
            for theme in ("light", "dark"):
                for device, options in {"wide": DESK, "phone": PHONE}.items():
                    tab = opened(chromium, f"{site}/{page}", theme, **options)
                    name = page.removesuffix(".html").replace("/", "-")
                    photograph(tab, FOLDER / f"{name}-{device}-{theme}")
                    tab.context.close()
    print(f"The pictures are in {FOLDER}")


if __name__ == "__main__":
    main(*sys.argv[1:])
