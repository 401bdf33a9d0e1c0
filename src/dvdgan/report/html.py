"""Pages as single HTML files: templates filled in, with Plotly and the charts inside, written whole or not at all."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from dvdgan import __version__
from dvdgan.atomic import atomic_path
from dvdgan.documents import DocumentError, open_regular
from dvdgan.report import words
from dvdgan.wording import counted

if TYPE_CHECKING:
    from dvdgan.report.charts import Chart

_GENERATOR = b'<meta name="generator" content="dvdgan '  # as base.html.j2 has it
_FILTERS = ("number", "percent", "share", "share_interval", "moment", "setting")


class ReportError(ValueError):
    """A page that cannot be made; the message is one line that names the path and the mend."""


def plotly_js(page: Path) -> str:
    """The code of Plotly's charts, some 5 MB.

    Args:
        page: the page that needs it, for the error.

    Raises:
        ReportError: Plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise ReportError(f"{page}: its charts need {error.name or 'plotly'}; pip install 'dvdgan[report]'") from None
    return str(get_plotlyjs())


def check_path(out: Path) -> None:
    """Refuse a place where something else than a page of this program is.

    Raises:
        ReportError: it is a directory, or a file of another kind.
    """
    if out.is_dir():
        raise ReportError(f"{out}: is a directory; name a file, such as {out / 'report.html'}")
    if not out.exists():
        return
    try:
        with open_regular(out) as file:
            head = file.read(2048)
    except DocumentError as error:
        raise ReportError(f"{error}; name another file") from None
    if head and _GENERATOR not in head:
        raise ReportError(f"{out}: exists and is no page of dvdgan; name another file")


def write_page(out: Path, template: str, charts: Sequence[Chart], **values: Any) -> Path:
    """Fill in a template and write the page; folders on the way are made.

    Args:
        out: the file to write.
        template: the template's name, such as ``run.html.j2``.
        charts: what the template shows in ``div`` elements with their keys.
        values: what the template uses.

    Raises:
        OSError: the file cannot be written.
    """
    figures = [{"key": chart.key, "figure": json.loads(chart.figure.to_json())} for chart in charts]
    page_template = _templates().get_template(template)
    page = page_template.render(
        charts=charts,
        version=__version__,
        figures=htmlsafe_json_dumps(figures, separators=(",", ":"), allow_nan=False),
        plotly=Markup(plotly_js(out)) if charts else "",
        **values,
    )
    try:
        with atomic_path(out) as temporary:
            temporary.write_text(page, encoding="utf-8")
    except OSError as error:
        raise OSError(f"{out}: cannot be written ({error.strerror}); name another file") from None
    return out


@functools.cache
def _templates() -> Environment:
    """Which are compiled once."""
    environment = Environment(
        loader=PackageLoader("dvdgan.report", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {name: getattr(words, name) for name in _FILTERS}
    environment.filters |= {"grouped": "{:,}".format, "counted": counted}
    return environment
