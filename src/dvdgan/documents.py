"""Text, YAML and JSON from outside, read with bounds: no file can hang, fill the memory or surprise its reader."""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import yaml

MOST_BYTES = 16 << 20
"""Size, in bytes, beyond which a document is refused."""
MOST_TABLE_BYTES = 256 << 20
"""The same of a list of clips or of the index of a store: some million clips."""
MOST_YAML = 256 << 10
"""Characters of a YAML document, which takes long to parse."""
MOST_LINE = 4 << 20
"""Bytes of a line of a log."""
MOST_VALUES = 32 << 20
"""Values of a JSON document, which take more memory than their text; a list or map counts as 16."""
MOST_DEPTH = 32
"""How deep lists and maps may lie in each other."""
MOST_DIGITS = 40
"""Digits of a whole number."""
MOST_QUOTED = 200
"""Characters of a document that a message quotes."""


class DocumentError(ValueError):
    """A document that is not what it should be; the message is one line that names it and says what is wrong.

    Attributes:
        reason: the message without the name.
    """

    def __init__(self, where: Path | str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.reason = reason


def open_regular(path: Path | str) -> IO[bytes]:
    """A regular file, opened for reading; a pipe or a device, which could keep its reader for ever, is refused.

    Raises:
        FileNotFoundError: there is no such file.
        DocumentError: it is no regular file, or cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe without a writer would wait
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise DocumentError(path, f"cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if not regular:
        os.close(descriptor)
        raise DocumentError(path, "not a regular file")
    return open(descriptor, "rb")


def read_bytes(path: Path | str, most: int = MOST_BYTES) -> bytes:
    """What a regular file of at most so many bytes holds.

    Raises:
        FileNotFoundError: there is no such file.
        DocumentError: it is no regular file, too large or unreadable.
    """
    with open_regular(path) as file:
        try:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                raise DocumentError(path, f"{size} bytes are more than the {most} that such a file may have")
            return file.read(most)
        except OSError as error:
            raise DocumentError(path, f"cannot be read ({error.strerror})") from None


def read_text(path: Path | str, most: int = MOST_BYTES) -> str:
    """The text of a regular file in UTF-8.

    Raises:
        FileNotFoundError: there is no such file.
        DocumentError: it is no regular file, too large, unreadable or not UTF-8.
    """
    try:
        return read_bytes(path, most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DocumentError(path, f"not text in UTF-8 ({error})") from None


def read_lines(path: Path | str) -> Iterator[bytes]:
    """The lines of a regular file, each with its end.

    Raises:
        FileNotFoundError: there is no such file.
        DocumentError: it is no regular file, unreadable, or a line is longer than `MOST_LINE`.
    """
    number = 0
    with open_regular(path) as file:
        try:
            while line := file.readline(MOST_LINE):
                number += 1
                if len(line) == MOST_LINE:
                    raise DocumentError(path, f"line {number} is longer than {MOST_LINE} bytes; remove it")
                yield line
        except OSError as error:
            raise DocumentError(path, f"cannot be read ({error.strerror})") from None


def read_json(path: Path | str, most: int = MOST_BYTES, finite: bool = True) -> Any:
    """`parse_json` of `read_text`."""
    return parse_json(read_text(path, most), str(path), finite)


def parse_yaml(text: str, where: str) -> Any:
    """Plain values from YAML: maps, lists, text, numbers, true, false, null.

    Args:
        text: the document.
        where: its name, for messages.

    Raises:
        DocumentError: it is no YAML, too long, lies too deep, or has anchors, tags, a key twice, or values of other
            types.
    """

    def parse() -> Any:
        if len(text) > MOST_YAML:
            raise ValueError(f"{len(text)} characters are more than {MOST_YAML}")
        return yaml.load(text, _Loader)

    return _plain(parse, where, "YAML", finite=False)


def parse_json(text: str | bytes, where: str, finite: bool = True) -> Any:
    """Plain values from JSON.

    Args:
        text: the document.
        where: its name, for messages.
        finite: refuse NaN and infinite numbers; a log may have them.

    Raises:
        DocumentError: it is no JSON, lies too deep, or has a number or text that cannot be.
    """
    constant = _no_constant if finite else float

    def parse() -> Any:
        plain = text if isinstance(text, str) else text.decode("utf-8")
        if plain.count(",") + 16 * (plain.count("[") + plain.count("{")) > MOST_VALUES:
            raise ValueError("it has too many values")
        return json.loads(plain, parse_constant=constant, parse_int=_whole)

    return _plain(parse, where, "JSON", finite)


class _Loader(yaml.SafeLoader):
    """Without anchors, tags and times, and with each key once."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise ValueError("anchors and aliases (& and *) are not allowed")
        if event.tag is not None:
            raise ValueError(f"tags ({event.tag}) are not allowed")
        self._depth += 1
        if self._depth > MOST_DEPTH + 1:
            raise ValueError(f"lists and maps lie more than {MOST_DEPTH} deep")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        found = super().construct_mapping(node, deep=True)
        if len(found) < len(node.value):
            seen = set()
            for key, _ in node.value:
                name = self.construct_object(key, deep=True)
                if name in seen:
                    raise ValueError(f"{name!r} is there twice")
                seen.add(name)
        return found

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        return super().construct_yaml_int(_bounded(node))

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        return super().construct_yaml_float(_bounded(node))


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":merge"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _bounded(node: yaml.ScalarNode) -> yaml.ScalarNode:
    if len(node.value) > 4 * MOST_DIGITS:  # in base 2, or with separators
        raise ValueError(f"a number has more than {MOST_DIGITS} digits")
    return node


def _plain(parse: Callable[[], Any], where: str, kind: str, finite: bool) -> Any:
    try:
        tree = parse()
        _check(tree, 0, finite)
    except RecursionError:
        raise DocumentError(where, "lists and maps lie too deep in each other") from None
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise DocumentError(where, f"not valid {kind} ({shortened(str(error))})") from None
    return tree


def shortened(text: str) -> str:
    """What a message quotes of a document: one line of at most `MOST_QUOTED` characters."""
    text = " ".join(text.split())
    return text if len(text) <= MOST_QUOTED else f"{text[: MOST_QUOTED - 1]}…"


def _check(value: Any, depth: int, finite: bool) -> None:
    if depth > MOST_DEPTH:
        raise ValueError(f"lists and maps lie more than {MOST_DEPTH} deep")
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, (str, int, float, bool, type(None))):
                raise ValueError("a name must be text")
        _check_alike(list(value), finite, depth)
        _check_alike(list(value.values()), finite, depth)
    elif isinstance(value, list):
        _check_alike(value, finite, depth)
    else:
        _check_alike([value], finite, depth)


def _check_alike(values: list, finite: bool, depth: int) -> None:
    """Check values, those of each type at once: a store's index has millions."""
    for kind in set(map(type, values)):
        some: list[Any] = [value for value in values if type(value) is kind]
        if kind in (dict, list):
            for inner in some:
                _check(inner, depth + 1, finite)
        elif kind is str:
            "".join(some).encode("utf-8")  # a lone surrogate, such as "\ud800", is no text
        elif kind is int:
            if max(map(abs, some)) >= 10**MOST_DIGITS:
                raise ValueError(f"a number has more than {MOST_DIGITS} digits")
        elif kind is float:
            if finite and not all(map(math.isfinite, some)):
                raise ValueError("a number is not finite")
        elif kind not in (bool, type(None)):
            raise ValueError(f"{kind.__name__} is no plain value")


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS + 1:
        raise ValueError(f"a number has more than {MOST_DIGITS} digits")
    return int(digits)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")
