"""A reader of the HTML pages."""

import base64
import json
from html.parser import HTMLParser

import numpy as np
import plotly.offline

EVIL = [
    "<img src=x onerror=alert(1)>",
    'a "quoted" & <b>bold</b> name',
    "</script><script>alert(2)</script>",
    "{{ 7*7 }} %{x}'",
]
"""Names that look like code."""

_VOID = {"meta", "img", "br", "input", "link", "hr"}


class Page(HTMLParser):
    """A page's elements, text and figures; refuses elements that are not closed in order."""

    def __init__(self, path):
        super().__init__()
        self.source = path.read_text(encoding="utf-8").replace(plotly.offline.get_plotlyjs(), "/* plotly.js */")
        self.elements, self.text, self.scripts, self._open = [], "", [], []
        self.feed(self.source)
        assert self._open == []
        self.ids = {attributes["id"] for _, attributes in self.elements if "id" in attributes}
        self.charts = {}
        for attributes, script in self.scripts:
            if attributes.get("id") == "figures":
                self.charts = {entry["key"]: entry["figure"] for entry in json.loads(script)}
        assert {place["data-chart"] for place in self.all("div") if "data-chart" in place} == self.charts.keys()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_data(self, data):
        if self._open and self._open[-1] == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        elif self._open and self._open[-1] != "style":
            self.text += data

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def data(self, uri_start):
        """Bytes of the data URIs of a kind."""
        uris = [a["src"] for _, a in self.elements if a.get("src", "").startswith(uri_start)]
        return [base64.b64decode(uri.partition("base64,")[2]) for uri in uris]

    def names(self, chart):
        return [trace.get("name") for trace in self.charts[chart]["data"] if trace.get("yaxis") != "y2"]


def loads_nothing(page):
    """Whether all that a page shows is in it."""
    named = ("src", "href", "poster", "srcset", "data", "action")
    links = [value for _, found in page.elements for name, value in found.items() if name in named]
    code = [script for attributes, script in page.scripts if "id" not in attributes]
    asks = ("http:", "https:", "@import", "url(", "fetch(", "import(", "//cdn")
    inside = all(value.startswith(("data:", "#")) for value in links)
    policy = [attributes for attributes in page.all("meta") if "default-src 'none'" in attributes.get("content", "")]
    styles = page.source.partition("</style>")[0]
    return inside and bool(policy) and not any(ask in text for ask in asks for text in (styles, *code))


def shows_names_only(page):
    """Whether no name from the data became an element, an attribute or code."""
    attributes = [name for _, found in page.elements for name in found if name.startswith("on")]
    code = [script for found, script in page.scripts if "id" not in found]
    return not (page.all("img") or page.all("b onerror") or attributes or any("alert(" in text for text in code))


def values(array):
    """A figure's numbers, from a list or from bytes."""
    if isinstance(array, dict):
        return np.frombuffer(base64.b64decode(array["bdata"]), array["dtype"])
    return np.array(array)


def strings(tree):
    """All texts in a figure."""
    if isinstance(tree, str):
        return [tree]
    parts = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return [text for part in parts for text in strings(part)]
