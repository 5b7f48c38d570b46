"""Tell each edition of the book that a site holds of all the others, for the switch on its pages.

    python book/_theme/editions.py SITE

SITE is the folder of the newest edition; its subfolders v1.0.0, v1.1.0, … hold the released ones.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from book_site import pages_address
from packaging.version import Version

CONFIG = Path(__file__).resolve().parents[2] / "_config.yml"
LIST = "versions.json"


def main(site: str) -> None:
    """Write the list into each edition; its own entry in it is called ``here``."""
    repository = yaml.safe_load(CONFIG.read_text())["repository"]["url"]
    root = urlsplit(pages_address(repository)).path
    released = [path.parent.name for path in Path(site).glob(f"v*/{LIST}")]
    names = ["newest", *sorted(released, key=Version, reverse=True)]
    folders = {name: "" if name == "newest" else f"{name}/" for name in names}
    for own in names:
        entries = [
            {"name": name, "version": "here" if name == own else name, "url": root + folder}
            for name, folder in folders.items()
        ]
        Path(site, folders[own], LIST).write_text(json.dumps(entries, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
