"""Where readers run the book: on Binder, on Colab, on a JupyterHub of their own.

All addresses follow `repository` and `launch_buttons` in `_config.yml`. The theme makes the
buttons for Binder and Colab; a JupyterHub has an address of its own, which the project cannot
know, so that its links lead to the page that asks for it (unless `jupyterhub_url` names one).
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from urllib.parse import urlencode

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

ASKING = "book/reference/hub"
SETTINGS = ("repository_url", "repository_branch", "launch_buttons")
SCRIPT = Path(__file__).with_name("hub.js")
FORM = """<form class="hub" data-repository="{repository}" data-branch="{branch}">
<p><label>Address of your JupyterHub
<input name="hub" type="url" placeholder="https://hub.example.edu" required></label></p>
<p><label>What to open <select name="open">{options}</select></label></p>
<p><button>Open it</button></p>
<p hidden>The link, to copy: <output><a></a></output></p>
</form>
<p>The notebooks need the book’s package on the hub. Ask whoever runs the hub to install it for all,
or have each student type this once in a terminal of the hub:
<code>pip install "./{name}[full]"</code></p>
<script>
{script}</script>"""


def on_binder(config: Config, path: str) -> str:
    """The link that opens a file or folder of the repository in JupyterLab on Binder."""
    options = config.html_theme_options
    owner, name = options["repository_url"].rstrip("/").split("/")[-2:]
    place = f"{owner}/{name}/{options['repository_branch']}"
    return f"{options['launch_buttons']['binderhub_url']}/v2/gh/{place}?urlpath=lab/tree/{path}"


def on_hub(config: Config, path: str) -> str | None:
    """The link by which nbgitpuller opens it on the configured hub, or None without one."""
    options = config.html_theme_options
    hub, repository = options["launch_buttons"].get("jupyterhub_url"), options["repository_url"]
    if not hub:
        return None
    urlpath = f"lab/tree/{_name(repository)}/{path}"
    query = {"repo": repository, "branch": options["repository_branch"], "urlpath": urlpath}
    return f"{hub.rstrip('/')}/hub/user-redirect/git-pull?{urlencode(query, safe='/')}"


def _name(repository: str) -> str:
    return repository.rstrip("/").split("/")[-1]


class Launch(SphinxDirective):
    """The links that open the folder of this page, which is a chapter."""

    def run(self) -> list[nodes.Node]:
        """A paragraph with both links."""
        folder = self.env.docname.rpartition("/")[0]
        asking = self.env.app.builder.get_relative_uri(self.env.docname, ASKING)
        hub = on_hub(self.config, folder) or f"{asking}?open={folder}"
        links = {"on Binder": on_binder(self.config, folder), "on a JupyterHub": hub}
        binder, jupyterhub = (
            nodes.reference("", text, refuri=uri, internal=False) for text, uri in links.items()
        )
        start = "Every notebook of this chapter runs without the others. Open the chapter "
        return [
            nodes.paragraph(
                "",
                "",
                nodes.Text(start),
                binder,
                nodes.Text(" or "),
                jupyterhub,
                nodes.Text("."),
                classes=["launch"],
            )
        ]


class Hub(SphinxDirective):
    """The form that turns the address of a hub into links that open the book there."""

    def run(self) -> list[nodes.Node]:
        """The form, its script and what there is to open."""
        options = self.config.html_theme_options
        choices = (f"<option>{escape(path)}</option>" for path in openable(self.env))
        form = FORM.format(
            repository=escape(options["repository_url"]),
            name=escape(_name(options["repository_url"])),
            branch=escape(options["repository_branch"]),
            options="".join(choices),
            script=SCRIPT.read_text(),
        )
        return [nodes.raw("", form, format="html")]


def openable(env: BuildEnvironment) -> list[str]:
    """The folders of the chapters and their notebooks, as paths in the repository."""
    files = {str(env.doc2path(page, base=False)) for page in env.found_docs}
    notebooks = {path for path in files if path.endswith(".ipynb")}
    return sorted(notebooks | {path.rpartition("/")[0] for path in notebooks})


def add_hub_button(
    app: Sphinx, page: str, template: str, context: dict, document: nodes.document | None
) -> None:
    """Beside the theme's launch buttons of a notebook, the one that asks for a hub."""
    path = str(app.env.doc2path(page, base=False))
    if not path.endswith(".ipynb") or on_hub(app.config, path):
        return
    button = {
        "type": "link",
        "text": "JupyterHub",
        "tooltip": "Launch on JupyterHub",
        "icon": "_static/images/logo_jupyterhub.svg",
        "url": f"{context['pathto'](ASKING)}?open={path}",
    }
    for group in context["header_buttons"]:
        if group["label"] == "launch-buttons":
            group["buttons"].append(button)


def read_anew(app: Sphinx, config: Config) -> None:
    """Have the pages read again, for their directives, where a link changes."""
    config.book_launch = [
        *(repr(config.html_theme_options.get(key)) for key in SETTINGS),
        *(path.read_text() for path in (SCRIPT, Path(__file__))),
    ]


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.add_directive("launch", Launch)
    app.add_directive("hub", Hub)
    app.add_config_value("book_launch", [], "env")
    app.connect("config-inited", read_anew)
    app.connect("html-page-context", add_hub_button, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
