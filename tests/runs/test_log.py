import os

from dvdgan.runs.log import Log


def test_a_resumed_log_is_cut_where_the_checkpoint_was(tmp_path):
    path, said = tmp_path / "log.jsonl", []
    log = Log(path, 0, said.append)
    for step in range(5):
        log.write({"step": step})
    log._file.write(b'{"step": 5, "ha')
    log.close()
    whole = path.read_bytes()
    again = Log(path, 3, said.append)
    again.write({"step": "new"})
    again.close()
    assert path.read_bytes() == b"".join(whole.splitlines(True)[:3]) + b'{"step": "new"}\n'
    assert said == []


def test_missing_lines_are_told(tmp_path):
    path, said = tmp_path / "log.jsonl", []
    path.write_bytes(b'{"step": 1}\n\xff\xfe garbage\n{"ste')
    log = Log(path, 5, said.append)
    assert log.lines == 2
    log.close()
    assert path.read_bytes() == b'{"step": 1}\n\xff\xfe garbage\n'
    assert "3 lines" in said[0]


def test_a_copy_by_hard_links_keeps_what_a_resumed_log_loses(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step": 2}\n')
    os.link(path, tmp_path / "backup")
    Log(path, 1, str).close()
    assert path.read_bytes() == b'{"step": 1}\n'
    assert (tmp_path / "backup").read_bytes() == b'{"step": 1}\n{"step": 2}\n'
