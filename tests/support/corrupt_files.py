"""Corrupt documents, for property tests: trees with another value somewhere, and text with a piece put in."""

import copy

from hypothesis import strategies as st

ODD = st.sampled_from(
    [
        *(float("nan"), float("inf"), -1, 0, 0.5, 10**30, 2**63, True, None, "", "x" * 300, "\ud800", "\x00", "a\nb"),
        *([], {}, [[]], [None], {"": {}}, {"a": [1]}, [0] * 1000, "1e400", "é" * 200, -(2**70), 1e308),
    ]
)
PIECES = [
    "!!bool x",
    "&a [*a]",
    "[" * 3000,
    "{",
    "}",
    ":",
    "\x00",
    "\ufeff",
    "9" * 5000,
    "NaN",
    "1" + ":59" * 500,
    "\n",
]


@st.composite
def damaged(draw, tree):
    """A copy of a tree of plain values in which one value is another, is missing, or has another name."""
    tree = copy.deepcopy(tree)
    places = []

    def walk(node):
        for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.append((node, key))
            walk(node[key])

    walk(tree)
    node, key = draw(st.sampled_from(places))
    kind = draw(st.sampled_from(["value", "value", "gone", "name"]))
    if kind == "value":
        node[key] = draw(ODD)
    else:
        value = node.pop(key)
        if kind == "name" and isinstance(node, dict):
            node[draw(st.text(max_size=5))] = value
    return tree


@st.composite
def spoiled(draw, text):
    """A text that ends early, or with a piece put in."""
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(st.sampled_from(["", *(piece + text[at:] for piece in PIECES)]))


def in_one_line(error, path):
    """Whether an error is one line that names the file, or the folder that it is in."""
    said = str(error)
    return "\n" not in said and said.startswith(str(path))
