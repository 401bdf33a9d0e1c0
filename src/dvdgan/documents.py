"""Text, YAML and JSON from outside, read with bounds: no file can hang, fill the memory or surprise its reader."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

MOST_BYTES = 16 << 20
"""Size, in bytes, beyond which a document is refused."""
MOST_DEPTH = 32
"""How deep lists and maps may lie in each other."""
MOST_DIGITS = 40
"""Digits of a whole number."""


class DocumentError(ValueError):
    """A document that is not what it should be; the message is one line that names it and says what is wrong."""


def read_text(path: Path | str, most: int = MOST_BYTES) -> str:
    """The text of a regular file in UTF-8.

    Args:
        path: the file; a pipe or a device is refused.
        most: bytes at most.

    Raises:
        FileNotFoundError: there is no such file.
        DocumentError: it is no regular file, too large, unreadable or not UTF-8.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe without a writer would wait
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise DocumentError(f"{path}: not a regular file")
            if status.st_size > most:
                raise DocumentError(
                    f"{path}: {status.st_size} bytes are more than the {most} that such a file may have"
                )
            return file.read(most).decode("utf-8")
    except FileNotFoundError:
        raise
    except UnicodeDecodeError as error:
        raise DocumentError(f"{path}: not text in UTF-8 ({error})") from None
    except OSError as error:
        raise DocumentError(f"{path}: cannot be read ({error.strerror})") from None


def parse_yaml(text: str, where: str) -> Any:
    """Plain values from YAML: maps, lists, text, numbers, true, false, null.

    Args:
        text: the document.
        where: its name, for messages.

    Raises:
        DocumentError: it is no YAML, lies too deep, or has anchors, tags, a key twice, or values of other types.
    """

    def parse() -> Any:
        depth = 0
        for event in yaml.parse(text, yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
                raise ValueError("anchors and aliases (& and *) are not allowed")
            if getattr(event, "tag", None) is not None:
                raise ValueError(f"tags ({event.tag}) are not allowed")
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > MOST_DEPTH:
                    raise ValueError(f"lists and maps lie more than {MOST_DEPTH} deep")
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
        return yaml.load(text, _Loader)

    return _plain(parse, where, "YAML")


def parse_json(text: str | bytes, where: str) -> Any:
    """Plain values from JSON; NaN and Infinity, which are none, are refused.

    Args:
        text: the document.
        where: its name, for messages.

    Raises:
        DocumentError: it is no JSON, lies too deep, or has a number or text that cannot be.
    """
    return _plain(lambda: json.loads(text, parse_constant=_no_constant, parse_int=_whole), where, "JSON")


class _Loader(yaml.SafeLoader):
    """Without times, and with each key once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        found = super().construct_mapping(node, deep=True)
        if len(found) < len(node.value):
            names = [self.construct_object(key, deep=True) for key, _ in node.value]
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"{twice!r} is there twice")
        return found


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":merge"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _plain(parse: Callable[[], Any], where: str, kind: str) -> Any:
    try:
        tree = parse()
        _check(tree, 0)
    except RecursionError:
        raise DocumentError(f"{where}: lists and maps lie too deep in each other") from None
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise DocumentError(f"{where}: not valid {kind} ({reason[:200]})") from None
    return tree


def _check(value: Any, depth: int) -> None:
    if depth > MOST_DEPTH:
        raise ValueError(f"lists and maps lie more than {MOST_DEPTH} deep")
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, (str, int, float, bool, type(None))):
                raise ValueError("a name must be text")
            _check(key, depth + 1)
            _check(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, depth + 1)
    elif isinstance(value, str):
        value.encode("utf-8")  # a lone surrogate, such as "\ud800", is no text
    elif isinstance(value, int):
        if abs(value) >= 10**MOST_DIGITS:
            raise ValueError(f"a number has more than {MOST_DIGITS} digits")
    elif not isinstance(value, (float, type(None))):
        raise ValueError(f"{type(value).__name__} is no plain value")


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS + 1:
        raise ValueError(f"a number has more than {MOST_DIGITS} digits")
    return int(digits)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")
