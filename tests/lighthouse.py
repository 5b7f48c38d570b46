"""Run Lighthouse on three pages of the built book; fail when a score is below 95.

It needs npm, which fetches Lighthouse on the first call. Reports go to _build/lighthouse.
"""

import json
import os
import shutil
import subprocess
import sys

from browser import FLAGS, ROOT, executable, pages, served

FOLDER = ROOT / "_build" / "lighthouse"
LIGHTHOUSE = "lighthouse@12.8.2"
LEAST = 95


def report(site: str, page: str) -> dict[str, int]:
    """The scores of a page, by category."""
    path = FOLDER / (page.removesuffix(".html").replace("/", "-") + ".json")
    command = ["npx", "--yes", LIGHTHOUSE, f"{site}/{page}", "--quiet", "--output=json"]
    flags = " ".join(["--headless=new", *FLAGS])
    subprocess.run(
        [*command, f"--output-path={path}", f"--chrome-flags={flags}"],
        env={**os.environ, "CHROME_PATH": executable()},
        check=True,
    )
    categories = json.loads(path.read_text())["categories"]
    return {name: round(100 * found["score"]) for name, found in categories.items()}


def main(*names: str) -> int:
    """Report on the named pages; without names, on the first, a chapter's and a reference page."""
    if not shutil.which("npx"):
        sys.exit("Lighthouse comes through npm: install Node.js 18 or newer.")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with served() as site:
        scores = {page: report(site, page) for page in names or (*pages()[:3:2], pages()[-4])}
    for page, found in scores.items():
        print(page, *(f"{name} {score}" for name, score in found.items()), sep="  ")
    return int(min(min(found.values()) for found in scores.values()) < LEAST)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
