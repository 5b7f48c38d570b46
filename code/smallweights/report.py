"""The advice on a table as one HTML file: no script, no request, nothing to load.

The figure is drawn into the page. The page also forbids the browser to fetch anything.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from html import escape
from os import PathLike
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from smallweights.advice import Advice
from smallweights.plots import STYLE

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'"/>
<title>{title}</title>
<style>
:root {{ color-scheme: light; }}
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto;
 padding: 0 1rem; color: #1a1a1a; background: #fff; }}
h1, h2 {{ line-height: 1.2; overflow-wrap: anywhere; }}
figure {{ margin: 0; }}
svg {{ width: 100%; height: auto; }}
table {{ border-collapse: collapse; }}
th, td {{ padding: 0.2rem 0.5rem; border-bottom: 1px solid #ccc; text-align: right; }}
th:first-child {{ text-align: left; }}
pre {{ background: #f4f4f4; padding: 0.8rem; overflow-x: auto; font-size: 0.875rem; }}
p, li {{ overflow-wrap: anywhere; }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
{answer}
<h2>The curve</h2>
<figure>
<div role="img" aria-label="{words}">
{figure}
</div>
<figcaption>{caption}</figcaption>
</figure>
<h2>The numbers</h2>
{numbers}
<h2>What was done to the data</h2>
<ul>
{notes}
</ul>
<h2>To paste</h2>
{lines}
</main>
</body>
</html>
"""


def write_report(advice: Advice, path: str | PathLike[str]) -> Path:
    """Write the advice to one HTML file: the curve, the numbers, what was done, what to paste.

    Needs the extra ``smallweights[full]``. Raises ``OSError`` where the file cannot be written.

    >>> from smallweights.advice import advise
    >>> from smallweights.table import read_table
    >>> x = np.linspace(-1, 1, 60)
    >>> pd.DataFrame({"x": x, "y": np.sin(3 * x)}).to_csv("sine.csv", index=False)
    >>> table = read_table("sine.csv", target="y")
    >>> advice = advise(table, width=4, folds=3, training=Training(steps=20), alphas=[0.1, 1])
    >>> write_report(advice, "report.html").name
    'report.html'
    """
    path = Path(path)
    path.write_text(make_report(advice), encoding="utf-8", errors="replace")
    return path


def make_report(advice: Advice) -> str:
    """The report as HTML, the same each time for the same advice."""
    table = advice.table
    *found, recommendation = advice.sentences()
    title = f"How strong a penalty for {table.target!r} of {Path(table.path).name!r}?"
    return PAGE.format(
        title=escape(title),
        answer=f"<p><strong>{escape(recommendation)}</strong></p>\n{_each('p', found)}",
        words=escape(describe_figure(advice)),
        figure=_draw(advice),
        caption=escape(_caption(advice)),
        numbers=_tabulate(advice),
        notes=_each("li", table.notes),
        lines="\n".join(
            f"<h3>{escape(library)}</h3>\n<pre tabindex='0'><code>{escape(code)}</code></pre>"
            for library, code in advice.lines().items()
        ),
    )


def describe_figure(advice: Advice) -> str:
    """What the figure shows, in words, for those who do not see it."""
    numbers = advice.numbers()["mean"]
    first, last = advice.found.candidates.alpha.iloc[[0, -1]]
    low = numbers[f"alpha = {advice.found.best:g}"]
    rivals = [str(name) for name in advice.rivals if name in numbers]
    lines = "; ".join(f"{name}: {numbers[name]:.3g}" for name in rivals)
    return (
        f"Held-out {advice.found.measure} against alpha on a log axis. From"
        f" {numbers.iloc[0]:.3g} at alpha = {first:g} the curve comes to its lowest point,"
        f" {low:.3g}, at {advice.found.best:g}, and ends with"
        f" {numbers[f'alpha = {last:g}']:.3g} at {last:g}. Lines across: {lines}."
    )


def _caption(advice: Advice) -> str:
    starts = advice.found.scores.seed.nunique()
    networks = len(advice.found.scores) + len(advice.rivals) * starts
    return (
        f"Held-out loss of networks with {advice.width} hidden units after"
        f" {advice.training.steps} steps: mean and standard error over {len(advice.rivals)} folds,"
        f" {starts} start{'s' if starts > 1 else ''} on each, {networks} networks in all. The"
        " grey band holds 95 % of the alphas that would be lowest on other folds and starts."
    )


def _draw(advice: Advice) -> str:
    """The figure as SVG: letters drawn as shapes, no date, the same bytes each time."""
    sheet = io.StringIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": "smallweights", "svg.fonttype": "path"}):
        figure = Figure(figsize=(7.2, 4.2))
        advice.plot(figure.add_subplot())
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(sheet, format="svg", metadata=nothing)
    drawn = sheet.getvalue()
    return drawn[drawn.index("<svg") :]


def _tabulate(advice: Advice) -> str:
    head = ["network", "held-out loss", "95 % interval", "folds"]
    rows = [
        f"<tr><th scope='row'>{escape(str(name))}</th><td>{row['mean']:.4f}</td>"
        f"<td>{row.low:.4f} to {row.high:.4f}</td><td>{row.n:.0f}</td></tr>"
        for name, row in advice.numbers().iterrows()
    ]
    names = "".join(f"<th scope='col'>{name}</th>" for name in head)
    body = "\n".join(rows)
    return (
        f"<table>\n<caption>Held-out {escape(advice.found.measure)}</caption>\n"
        f"<thead><tr>{names}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    )


def _each(tag: str, sentences: Iterable[str]) -> str:
    return "\n".join(f"<{tag}>{escape(sentence)}</{tag}>" for sentence in sentences)
