"""Commands, fields and snippets of README.md and docs/ are those that there are."""

import argparse
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
import typer

from dvdgan.cli import app
from dvdgan.cli.data import pack_settings
from dvdgan.config import Config
from dvdgan.config.data import RenderSettings
from dvdgan.config.files import field_paths, load_config, override
from dvdgan.evaluation.settings import ClassifierSettings, EvaluationSettings, parse_settings

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = typer.main.get_command(app)
OPEN = re.compile(r"…|[A-Z]{3,}=VALUE|\b(?:PRESET|[A-Z])\b")  # what a reader fills in


def lines_of(page):
    """Lines of the code blocks, continued ones joined, and code in prose; and whether each is of a block."""
    text = page.read_text()
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)
    blocks = [block for language, block in fenced if language in ("bash", "")]
    blocks += re.findall(r"^ {4}(\S.*)", text, re.M)
    for line in "\n".join(blocks).replace("\\\n", " ").splitlines():
        yield line, True
    for code in re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)):
        yield " ".join(code.split()), False


def commands(pattern):
    """Those of the pages that begin with what is sought, as lists of words, and whether they are whole."""
    found = []
    for page in PAGES:
        for line, whole in lines_of(page):
            match = re.search(rf"(?<![\w/.'-]){pattern}", line)
            if match and not OPEN.search(match[0]):
                words = shlex.split(match[0].strip().removesuffix("'"), comments=True)
                found.append(pytest.param(words, whole, id=f"{page.name}: {' '.join(words)[:80]}"))
    return found


@pytest.mark.parametrize(("words", "whole"), commands("dvdgan .*"))
def test_commands_of_dvdgan(words, whole):
    command, (name, *words) = COMMAND, words
    while words and hasattr(command, "commands"):
        name, *words = words
        command = command.commands[name]
    try:
        given = command.make_context(name, words).params
    except Exception as error:  # the parser's, whose classes have had several homes
        if whole or type(error).__name__ not in ("MissingParameter", "NoArgsIsHelpError", "Exit"):
            raise
        return
    fields = given.get("fields") or []
    if name in ("train", "plan") and given["preset"] is not None:
        load_config(given["preset"], fields)
    elif name in ("evaluate", "train-classifier"):
        settings = EvaluationSettings if name == "evaluate" else ClassifierSettings
        override(Config(), parse_settings(settings(), fields)[1])
    elif name in ("pack", "inspect"):
        pack_settings(given["data"], fields)
    elif name == "render":
        assert not parse_settings(RenderSettings(), fields)[1]


class Parsed(Exception):
    """Raised in place of the work."""


@pytest.mark.parametrize(("words", "whole"), commands(r"python (?:-m dvdgan\.|bench/|scripts/)[\w/.]+(?: .*)?"))
def test_commands_of_scripts(words, whole, monkeypatch):
    parse = argparse.ArgumentParser.parse_args

    def parse_and_end(parser, arguments=None, namespace=None):
        parse(parser, arguments, namespace)
        raise Parsed

    _, *words = words
    if module := words[0] == "-m":
        del words[0]
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_and_end)
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    run, where = (runpy.run_module, words[0]) if module else (runpy.run_path, str(ROOT / words[0]))
    with pytest.raises(Parsed):
        run(where, run_name="__main__")


FIELD = re.compile(r"\b((?:network|training|data)(?:\.[a-z_0-9]+)+)(?![\w/(*-])(?!\.\*)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_fields_that_are_named(page):
    known = field_paths()
    sections = {path.rsplit(".", depth)[0] for path in known for depth in range(1, path.count(".") + 1)}
    named = {path for line, _ in lines_of(page) for path in FIELD.findall(line)}
    assert named <= known.keys() | sections | {"data.field", "data.md"}
