"""The book on the web: where its pages launch, what they tell a search, a sharer and a browser."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit
from xml.etree import ElementTree

import pytest
import yaml
from playwright.sync_api import expect

from browser import DESK, HTML, PHONE, ROOT, Seen, pages, served, violations
from notebooks import notebooks

sys.path.insert(0, str(ROOT / "book" / "_theme"))

import editions
from book_edits import last_edits
from book_policy import policy, with_policy

CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
REPOSITORY, BRANCH = CONFIG["repository"]["url"], CONFIG["repository"]["branch"]
EDITS = {path: str(day) for path, day in last_edits(str(ROOT)).items()}
OWNER, NAME = REPOSITORY.split("/")[-2:]
SITE = f"https://{OWNER}.github.io/{NAME}/"
CHAPTERS = sorted(path.parent.name for path in ROOT.glob("book/*/exercises.ipynb"))
WRITTEN = [page for page in pages() if page != "search.html"]


def edited(page: str) -> str | None:
    """The day of the last edit of a page's source: a table beside it may bear the same name."""
    sources = (str(Path(page).with_suffix(end)) for end in (".md", ".ipynb"))
    return EDITS.get(next(source for source in sources if (ROOT / source).exists()))


@pytest.fixture(scope="module")
def html():
    """The text of every page of the built book, by its path."""
    assert HTML.exists(), "There is no built book to check; run make book first."
    found = {str(path.relative_to(HTML)): path.read_text() for path in HTML.rglob("*.html")}
    return {path: text for path, text in found.items() if "_static" not in path}


def tags(text):
    """The names and contents of a page's meta tags."""
    found = re.findall(r'<meta (?:name|property|http-equiv)="([^"]+)" content="([^"]*)"', text)
    return {name: unescape(content) for name, content in found}


def launches(text):
    """The addresses that a page can launch, by the name of the button."""
    buttons = re.findall(
        r'<a href="([^"]+)"[^>]*class="btn[^>]*title="Launch on ([^"]+)"', text, re.DOTALL
    )
    return {name: unescape(address) for address, name in buttons}


# Launching


@pytest.mark.parametrize("path", [str(p.relative_to(ROOT)) for p in notebooks()])
def test_the_buttons_open_this_very_notebook(html, path):
    page = path.replace(".ipynb", ".html")
    assert {name: urljoin(page, link) for name, link in launches(html[page]).items()} == {
        "Binder": f"https://mybinder.org/v2/gh/{OWNER}/{NAME}/{BRANCH}?urlpath=lab/tree/{path}",
        "Colab": f"https://colab.research.google.com/github/{OWNER}/{NAME}/blob/{BRANCH}/{path}",
        "JupyterHub": f"book/reference/hub.html?open={path}",
    }


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_opens_alone_on_binder_and_on_a_hub(html, chapter):
    (line,) = re.findall(r'<p class="launch">(.*?)</p>', html[f"book/{chapter}/index.html"])
    assert re.findall(r'href="([^"]+)"', line) == [
        f"https://mybinder.org/v2/gh/{OWNER}/{NAME}/{BRANCH}?urlpath=lab/tree/book/{chapter}",
        f"../reference/hub.html?open=book/{chapter}",
    ]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_s_notebooks_read_no_file_of_another_chapter(chapter):
    for path in (ROOT / "book" / chapter).glob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        code = "".join(line for c in cells if c["cell_type"] == "code" for line in c["source"])
        places = re.findall(r"""["'](\.\./[^"']*)["']""", code)
        assert [place for place in places if not place.startswith("../results/")] == []


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_links_to_what_it_presupposes(chapter):
    text = (ROOT / "book" / chapter / "index.md").read_text()
    (needed,) = re.findall(r"^\*\*You need\*\*.*", text, re.MULTILINE)
    assert re.search(r"\]\(\.\./[a-z_]+/[a-z_]+\.(md|ipynb)\)", needed)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """Three pages of the book, built from a copy that has another address and no git."""
    copy = tmp_path_factory.mktemp("copy")
    files = ["book/index.md", "book/norms/index.md", "book/norms/zeros.ipynb"]
    files += ["book/reference/hub.md", "book/references.bib"]
    for name in files:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    for name in ("book/_assets", "book/_theme"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    toc = {"format": "jb-book", "root": "book/index"}
    sections = [{"file": name.rpartition(".")[0]} for name in files[1:4]]
    (copy / "_toc.yml").write_text(yaml.safe_dump(toc | {"chapters": sections}))
    settings = (ROOT / "_config.yml").read_text()
    (copy / "_config.yml").write_text(settings.replace(REPOSITORY, "https://github.com/else/where"))
    command = [Path(sys.executable).with_name("jupyter-book"), "build", ".", "--quiet"]
    result = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    built = copy / "_build" / "html"
    assert result.returncode == 0, result.stderr
    return {str(path.relative_to(built)): path.read_text() for path in built.rglob("*.*ml")}


def test_another_repository_changes_every_link(elsewhere):
    assert [page for page, text in elsewhere.items() if f"/{NAME}" in text] == []
    assert elsewhere["book/norms/zeros.html"].count("else/where") >= 5
    assert "https://else.github.io/where/book/index.html" in elsewhere["sitemap.xml"]


def test_a_copy_without_git_is_built_without_days(elsewhere):
    assert "Tell us" in elsewhere["book/norms/zeros.html"]
    assert [page for page, text in elsewhere.items() if "Edited on" in text] == []


# What a search, a sharer and a reader see


def test_each_page_has_a_description_of_its_own(html):
    found = {page: tags(text).get("description", "") for page, text in html.items()}
    assert {page: text for page, text in found.items() if not 20 < len(text) <= 160} == {}
    assert [text for text, count in Counter(found.values()).items() if count > 1] == []


def test_each_page_has_a_card_whose_picture_is_there(html):
    cards = {page: tags(text) for page, text in html.items()}
    assert all(card["og:title"] and card["og:image:alt"] for card in cards.values())
    pictures = {card["og:image"] for card in cards.values()}
    assert len(pictures) > len(CHAPTERS)
    assert [url for url in pictures if not (HTML / url.removeprefix(SITE)).is_file()] == []


def test_the_map_lists_every_page_and_the_day_of_its_last_edit():
    entries = ElementTree.parse(HTML / "sitemap.xml").getroot()
    days = {entry[0].text: entry[1].text for entry in entries if len(entry) > 1}
    assert {entry[0].text for entry in entries} == {SITE + page for page in WRITTEN}
    assert days == {SITE + page: edited(page) for page in WRITTEN if edited(page)}


@pytest.fixture
def history(tmp_path):
    """A repository with a folder of two files, the second one edited on a later day."""

    def git(*arguments, day="2026-03-01"):
        when = {f"GIT_{who}_DATE": f"{day}T12:00:00Z" for who in ("AUTHOR", "COMMITTER")}
        name = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        command = ["git", *name, *arguments]
        subprocess.run(command, cwd=tmp_path / "all", env=os.environ | when, check=True)

    (tmp_path / "all" / "book").mkdir(parents=True)
    git("init", "--quiet")
    for day, names in (("2026-03-01", ["one", "tëo"]), ("2026-04-02", ["tëo"])):
        for name in names:
            (tmp_path / "all" / "book" / name).write_text(day)
        git("add", ".")
        git("commit", "--quiet", "--message=x", day=day)
    return tmp_path


def test_the_last_edit_of_a_file_is_its_newest_commit(history):
    days = {name: str(day) for name, day in last_edits(str(history / "all")).items()}
    assert days == {"book/one": "2026-03-01", "book/tëo": "2026-04-02"}


def test_a_clone_without_history_tells_no_days(history):
    source, clone = f"file://{history / 'all'}", str(history / "shallow")
    subprocess.run(["git", "clone", "--quiet", "--depth=1", source, clone], check=True)
    assert last_edits(clone) == {}


@pytest.mark.parametrize("page", WRITTEN)
def test_the_foot_of_a_page_tells_its_age_and_takes_complaints(html, page):
    (foot,) = re.findall(r'<p class="page-end">(.*?)</p>', html[page], re.DOTALL)
    links = [unescape(link) for link in re.findall(r'href="([^"]+)"', foot)]
    assert {link.partition("?")[0] for link in links} == {f"{REPOSITORY}/issues/new"}
    asked = [parse_qs(urlsplit(link).query) for link in links]
    assert {title for ask in asked for title in ask["title"]} == {tags(html[page])["og:title"]}
    forms = [ROOT / ".github" / "ISSUE_TEMPLATE" / ask["template"][0] for ask in asked]
    assert len(forms) == 2
    assert all(form.exists() for form in forms)
    day = re.search(r'datetime="([^"]+)"', foot)
    assert (day and day[1]) == edited(page)


# What a browser may run


def test_every_page_has_a_policy_that_names_what_may_run(html):
    for page, text in html.items():
        found = tags(text)["Content-Security-Policy"]
        assert text.index("Content-Security-Policy") < text.index("<title>"), page
        rules = {rule.split()[0]: rule.split()[1:] for rule in found.split("; ")}
        assert rules["default-src"] == ["'none'"]
        assert not {"'unsafe-inline'", "'unsafe-eval'", "data:", "*"} & {*rules["script-src"]}
        hosts = [source for source in found.split() if "://" in source]
        assert hosts == []


def test_the_policy_has_the_digest_of_each_script_in_the_page():
    """The digest is the one in the example of the standard's section on hashes."""
    rules = policy("<script>alert('Hello, world.');</script><script src=a.js></script>", set())
    assert "script-src 'self' 'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='" in rules


def test_a_page_that_is_given_its_policy_again_stays_as_it_is():
    once = with_policy('<meta charset="utf-8"/><script>x</script>', {"y()"})
    assert "unsafe-hashes" in once
    assert with_policy(once, {"y()"}) == once


@pytest.fixture(scope="module")
def visit(chromium):
    """Opens an address of a site that is served under its own path, as Pages serves it."""
    with served() as host, contextlib.ExitStack() as stack:

        def visited(path, instead=("", ""), **options):
            context = chromium.new_context(**(options or DESK))
            stack.callback(context.close)

            def answer(route):
                asked = route.request.url.removeprefix(host).removeprefix(f"/{NAME}")
                if instead[0] and instead[0] in asked:
                    return route.fulfill(body=instead[1])
                missing = not (HTML / asked.partition("?")[0].lstrip("/")).is_file()
                if missing and route.request.is_navigation_request():
                    return route.fulfill(status=404, path=HTML / "404.html")
                return route.continue_(url=host + asked)

            tab = context.new_page()
            tab.seen = Seen(tab)
            tab.route("**/*", answer)
            tab.goto(f"{host}/{NAME}/{path}", wait_until="networkidle")
            return tab

        yield visited


@pytest.fixture(scope="module")
def first(visit):
    return visit("book/index.html")


INJECTED = """how => new Promise(resolve => {
  document.addEventListener("securitypolicyviolation", event => resolve(event.blockedURI));
  document.body.append(document.createRange().createContextualFragment(how));
  setTimeout(() => resolve("nothing was refused"), 2000);
})"""


@pytest.mark.parametrize(
    ("injected", "refused"),
    [
        ("<script>document.title = 'mine'</script>", "inline"),
        ("<p onclick='document.title = 1'>", "inline"),
        ("<script src='https://example.org/a.js'></script>", "https://example.org/a.js"),
        ("<img src='https://example.org/a.png'>", "https://example.org/a.png"),
        ("<iframe src='https://example.org/'></iframe>", "https://example.org"),
    ],
)
def test_a_page_refuses_what_was_slipped_into_it(first, injected, refused):
    assert first.evaluate(INJECTED, injected) == refused


def test_the_handlers_of_the_theme_still_run(first):
    first.evaluate("window.print = () => (window.printed = true)")
    first.evaluate("document.querySelector('[onclick=\"window.print()\"]').click()")
    assert first.evaluate("window.printed")


# The pages that stand by themselves


@pytest.mark.parametrize("device", [DESK, PHONE], ids=["desk", "phone"])
def test_a_missing_page_at_any_depth_shows_the_way_back(visit, device):
    tab = visit("no/such/page.html", **device)
    assert tab.locator("h1").last.inner_text() == "No such page"
    assert [p for p in tab.seen.problems if "status of 404" not in p] == []
    assert violations(tab) == []
    tab.evaluate("document.querySelector('nav a[href$=\"alpha/dial.html\"]').click()")
    tab.wait_for_url(f"**/{NAME}/book/alpha/dial.html")


def test_the_bare_address_leads_to_the_first_page(visit):
    tab = visit("index.html")
    tab.wait_for_url(f"**/{NAME}/book/index.html")
    assert tab.seen.problems == []


def test_one_edition_shows_no_switch(first):
    assert first.locator(".version-switcher__menu a").count() == 1
    assert not first.locator(".version-switcher__button").is_visible()


def test_two_editions_show_a_switch_that_leads_to_the_same_page(visit, tmp_path):
    for folder in ("v0.9.0", "v0.10.0", "."):
        (tmp_path / folder).mkdir(exist_ok=True)
        shutil.copy(HTML / "versions.json", tmp_path / folder)
    editions.main(str(tmp_path))
    tab = visit("book/alpha/dial.html", ("versions.json", (tmp_path / "versions.json").read_text()))
    assert tab.locator(".version-switcher__button").inner_text().strip() == "newest"
    tab.locator(".version-switcher__button").click()
    links = tab.locator(".version-switcher__menu a")
    assert links.all_inner_texts() == ["newest", "v0.10.0", "v0.9.0"]
    assert links.nth(1).get_attribute("href") == f"/{NAME}/v0.10.0/book/alpha/dial.html"
    assert violations(tab) == tab.seen.problems == []


def test_an_older_edition_knows_which_one_it_is(tmp_path):
    for folder in ("v0.9.0", "."):
        (tmp_path / folder).mkdir(exist_ok=True)
        shutil.copy(HTML / "versions.json", tmp_path / folder)
    editions.main(str(tmp_path))
    entries = json.loads((tmp_path / "v0.9.0" / "versions.json").read_text())
    assert [entry["name"] for entry in entries if entry["version"] == "here"] == ["v0.9.0"]


def test_the_form_makes_the_link_that_nbgitpuller_documents(visit):
    """The shape is that of the link generator in nbgitpuller's documentation."""
    tab = visit("book/reference/hub.html?open=book/norms", **PHONE)
    tab.get_by_label("Address of your JupyterHub").fill("https://hub.example.edu/")
    link = urlsplit(tab.locator("form.hub output a").get_attribute("href"))
    assert link.netloc + link.path == "hub.example.edu/hub/user-redirect/git-pull"
    assert parse_qs(link.query) == {
        "repo": [REPOSITORY],
        "branch": [BRANCH],
        "urlpath": [f"lab/tree/{NAME}/book/norms"],
    }
    assert tab.evaluate("document.documentElement.scrollWidth") == PHONE["viewport"]["width"]
    assert violations(tab) == tab.seen.problems == []


def test_the_form_opens_the_hub_and_remembers_it(visit):
    tab = visit("book/reference/hub.html", ("/git-pull", "the hub"))
    tab.get_by_label("Address of your JupyterHub").fill("http://localhost:9")
    tab.get_by_role("button", name="Open it").click()
    tab.wait_for_url("http://localhost:9/hub/user-redirect/git-pull?*")
    tab.go_back()
    expect(tab.get_by_label("Address of your JupyterHub")).to_have_value("http://localhost:9")
