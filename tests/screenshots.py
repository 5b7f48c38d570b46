"""Photograph every page, wide and on a phone, in light and in dark, into _build/screenshots."""

import sys

from browser import DESK, PHONE, ROOT, browser, opened, pages, served

FOLDER = ROOT / "_build" / "screenshots"


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
                    tab.screenshot(path=FOLDER / f"{name}-{device}-{theme}.png", full_page=True)
                    tab.context.close()
    print(f"The pictures are in {FOLDER}")


if __name__ == "__main__":
    main(*sys.argv[1:])
