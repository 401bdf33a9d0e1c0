import json
import os
import re
import string

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dvdgan.documents import DocumentError, parse_json, parse_yaml, read_text
from support.errors import refused

FLOATS = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)  # trainings flush subnormals to zero
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | FLOATS | TEXT,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(string.ascii_letters, min_size=1), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(PLAIN)
def test_plain_values_come_back(tree):
    assert parse_json(json.dumps(tree), "x") == tree
    assert parse_yaml(yaml.safe_dump(tree, allow_unicode=True), "x") == tree


@given(st.text(max_size=60) | st.text("[]{}&*!|>-: \n\"'\\0123456789.einfNaN~?#%@`", max_size=60))
def test_any_text_is_parsed_or_refused_in_a_line(text):
    for parse in (parse_yaml, parse_json):
        try:
            json.dumps(parse(text, "file"))
            said = "file: "
        except DocumentError as error:
            said = str(error)
        assert said.startswith("file: ")
        assert "\n" not in said


LAUGHS = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefghij", "bcdefghijk"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LAUGHS, "anchors"),
        ("!!bool x", "tags"),
        ("!!timestamp x", "tags"),
        ('!!int ""', "tags"),
        ("!!python/object:os.system x", "tags"),
        ("[" * 5000, "deep"),
        ("a: 1\nb: 2\na: 3", "'a'"),
        ("9" * 5000, "digits"),
        ("{[1, 2]: 3}", "YAML"),
        ("a: [1", "YAML"),
    ],
)
def test_what_yaml_can_do_to_a_reader(text, reason):
    with pytest.raises(DocumentError, match=reason):
        parse_yaml(text, "file")


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a": NaN}', "[Infinity]", '"\\ud800"', "9" * 5000, "1" * 41, "{", "", "[1] 2"]
)
def test_what_json_can_do_to_a_reader(text):
    with pytest.raises(DocumentError, match=r"^file: "):
        parse_json(text, "file")


def test_dates_and_merges_are_text():
    assert parse_yaml("a: 2001-01-01\n<<: 1", "file") == {"a": "2001-01-01", "<<": 1}


def test_only_regular_files_of_bounded_size_in_utf8_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"x" * 100)
    (tmp_path / "latin").write_bytes(b"\xe9")
    for name, reason in (
        ("pipe", "regular"),
        ("large", "100 bytes"),
        ("latin", "UTF-8"),
        (".", ""),
    ):
        with refused(DocumentError, f"^{re.escape(str(tmp_path / name))}: .*{reason}"):
            read_text(tmp_path / name, most=99)
    if os.path.exists("/dev/zero"):
        with pytest.raises(DocumentError, match=r"^/dev/zero: "):
            read_text("/dev/zero")
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "nowhere")
    assert read_text(tmp_path / "large") == "x" * 100
