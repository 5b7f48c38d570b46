"""A Chromium for the page tests, installed on the spot if need be, and what axe sees in it."""

from __future__ import annotations

import functools
import gzip
import http.server
import io
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import yaml
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Error, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
HTML = ROOT / "_build" / "html"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
# Without a sandbox, which containers refuse, and without calls home.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
COMPRESSED = {".html", ".css", ".js", ".svg", ".json", ".ttf"}
DESK = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True}


def executable() -> str:
    """The path of a Chromium; the first call installs one where there is none."""
    found = installed() or _from_debian() or _from_playwright()
    if not found:
        raise RuntimeError(
            "The page tests need a browser, and none was found or could be installed: install"
            f" Chromium or Chrome under one of the names {', '.join(NAMES)}."
        )
    return found


def installed() -> str | None:
    """The system's Chromium, Chrome or Edge."""
    return next(filter(None, map(shutil.which, [*NAMES, MAC])), None)


def _from_debian() -> str | None:
    if not shutil.which("apt-get") or os.geteuid() != 0:
        return None
    quietly = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=600"]
    for command in (["update"], ["install", "--yes", "--no-install-recommends", "chromium"]):
        subprocess.run([*apt, *command], env=quietly, capture_output=True)
    return installed()


def _from_playwright() -> str | None:
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    subprocess.run(command, capture_output=True)
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


@contextmanager
def browser() -> Iterator[Browser]:
    """A started browser."""
    path = executable()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield started
        started.close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves as the usual hosts of books do: text is compressed."""

    protocol_version = "HTTP/1.1"

    def send_head(self) -> io.BufferedIOBase | None:
        path = Path(self.translate_path(self.path))
        path = path / "index.html" if path.is_dir() else path
        if path.suffix not in COMPRESSED or not path.exists():
            return super().send_head()
        body = _gzipped(path, path.stat().st_mtime_ns)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return io.BytesIO(body)

    def copyfile(self, source: IO[bytes], outputfile: IO[bytes]) -> None:
        with suppress(ConnectionError):  # the page was closed before all of it came
            super().copyfile(source, outputfile)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@functools.lru_cache(maxsize=256)
def _gzipped(path: Path, changed: int) -> bytes:
    return gzip.compress(path.read_bytes(), mtime=0)


@contextmanager
def served(folder: Path = HTML) -> Iterator[str]:
    """The folder on a local server; gives its address."""
    handler = functools.partial(_Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def opened(browser: Browser, address: str, theme: str = "light", **options: object) -> Page:
    """A new page of its own context, loaded and at rest, in the theme that the reader chose."""
    context = browser.new_context(color_scheme=theme, **options)
    page = context.new_page()
    page.seen = Seen(page)
    page.goto(address, wait_until="networkidle")
    return page


class Seen:
    """What a page asked for and complained of while it was open."""

    def __init__(self, page: Page) -> None:
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.sizes: dict[str, int] = {}
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("requestfailed", lambda request: self.problems.append(f"failed: {request.url}"))
        page.on("requestfinished", self._measure)

    def _console(self, message: object) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"{message.text} ({message.location['url']})")

    def _measure(self, request: object) -> None:
        with suppress(Error):  # a request that the closing page took with it
            sizes = request.sizes()
            self.sizes[request.url] = sizes["responseBodySize"] + sizes["responseHeadersSize"]


def pages() -> list[str]:
    """The pages of the contents, and the search, as paths under the site."""
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text())
    return [f"{name}.html" for name in [*_names(contents), "search"]]


def _names(entry: dict) -> Iterator[str]:
    yield from (entry[key] for key in ("root", "file") if key in entry)
    for key in ("parts", "chapters", "sections"):
        for child in entry.get(key, []):
            yield from _names(child)


COLOURS = ["color-contrast", "link-in-text-block"]
# What decides an element's contrast: where it stands, and in which colours and size.
MARK_ONE_TEXT_OF_EACH_LOOK = """() => {
  const looks = new Set();
  const written = node => [...node.childNodes].some(n => n.nodeType == 3 && n.data.trim());
  for (const element of [...document.body.querySelectorAll("*")].filter(written)) {
    const style = getComputedStyle(element);
    const look = [style.color, style.backgroundColor, style.fontSize, style.fontWeight];
    for (let up = element; up; up = up.parentElement) look.push(up.tagName, up.className);
    if (looks.has(look.join())) continue;
    looks.add(look.join());
    element.dataset.look = looks.size;
  }
}"""


PLAIN_CODE = """() => {
  for (const code of document.querySelectorAll(".highlight pre")) code.textContent += "";
}"""


def violations(tab: Page) -> list[str]:
    """What axe complains of."""
    return colour_violations(tab) + other_violations(tab)


def colour_violations(tab: Page) -> list[str]:
    """What axe complains of in the colours, in one text of each look.

    Colours are most of axe's work, and on a long page thousands of texts look alike.
    """
    tab.evaluate(MARK_ONE_TEXT_OF_EACH_LOOK)
    return _axe(tab, "[data-look]", {"runOnly": COLOURS})


def other_violations(tab: Page) -> list[str]:
    """What axe complains of everywhere, but for the colours.

    Most elements of a page are the coloured tokens of code, which have nothing but their colour:
    they become plain text.
    """
    tab.evaluate(PLAIN_CODE)
    return _axe(tab, None, {"rules": {rule: {"enabled": False} for rule in COLOURS}})


def _axe(tab: Page, context: str | None, options: dict) -> list[str]:
    options = {"preload": False, "resultTypes": ["violations"], **options}
    found = Axe().run(tab, context, options).response["violations"]
    return [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in found]
