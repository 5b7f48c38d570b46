"""The day of each page's last edit, from git: for the foot of the page and the map of the site.

A copy without git, or without the history, has no such days and leaves them out. (The usual
extension deletes what the launch buttons need when git has nothing to say, and they then fail.)
"""

from __future__ import annotations

import subprocess
from datetime import date

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment


def last_edits(folder: str) -> dict[str, date]:
    """The day of the newest commit of each file in the folder, by path."""
    if _git(folder, "rev-parse", "--is-shallow-repository").strip() != "false":
        return {}
    log = _git(folder, "log", "--format=%x00%cs", "--name-only", "--relative", "--no-renames")
    edits: dict[str, date] = {}
    for commit in log.split("\0")[1:]:
        day, *paths = commit.split("\n")
        edits = dict.fromkeys(filter(None, paths), date.fromisoformat(day)) | edits
    return edits


def _git(folder: str, *arguments: str) -> str:
    command = ["git", "-c", "core.quotePath=off", *arguments]
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True).stdout
    except FileNotFoundError:
        return ""


def find_edits(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Ask git once for all pages, and have those written anew whose day is another one."""
    before, env.page_edits = getattr(env, "page_edits", {}), last_edits(app.srcdir)
    return [page for page in env.found_docs if before.get(source(env, page)) != edit(env, page)]


def source(env: BuildEnvironment, page: str) -> str:
    """The file of a page, as a path in the repository."""
    return str(env.doc2path(page, base=False))


def edit(env: BuildEnvironment, page: str) -> date | None:
    """The day of the last edit of a page."""
    return env.page_edits.get(source(env, page))


def add_edit(
    app: Sphinx, page: str, template: str, context: dict, document: nodes.document | None
) -> None:
    """Tell the template of the page when it was last edited."""
    context["edited"] = edit(app.env, page)


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.connect("env-updated", find_edits)
    app.connect("html-page-context", add_edit)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
