import io
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvdgan.cli import main
from dvdgan.console import printable

PRESETS = [sys.executable, "-c", "import sys; from dvdgan.cli import main; main(sys.argv[1:])", "presets"]


@given(st.text())
def test_printable_text_moves_no_cursor_and_always_encodes(text):
    shown = printable(text)
    shown.encode("utf-8")
    assert not any((ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160 or c in "\u202e\u2028" for c in shown)


def test_names_stay_readable():
    assert printable("Wörter 日本 👩\u200d🚀\n") == "Wörter 日本 👩\u200d🚀\n"
    assert printable("a\x1b[2Jb\udc80") == r"a\x1b[2Jb\udc80"


def test_a_console_that_lacks_a_character_gets_it_escaped(tmp_path, monkeypatch):
    name = "日本-\x1b[31m.mp4"
    (tmp_path / "clips" / "a").mkdir(parents=True)
    (tmp_path / "clips" / "a" / name).write_text("no clip")
    written = io.BytesIO()
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, io.TextIOWrapper(written, "cp1252", write_through=True))
    with pytest.raises(SystemExit) as ended:
        main(["data", "inspect", "--data", str(tmp_path / "clips"), "workers=1"])
    assert ended.value.code in (0, 2)  # no internal error
    assert b"\x1b" not in written.getvalue()
    assert rb"\u65e5\u672c" in written.getvalue()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_or_closed_stdout_ends_nothing():
    with open("/dev/full", "w") as full:
        assert subprocess.run(PRESETS, stdout=full, stderr=subprocess.PIPE, timeout=120).returncode == 0
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(PRESETS, stdout=write, stderr=subprocess.PIPE, timeout=120)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (0, b"")
