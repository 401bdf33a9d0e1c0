from dvdgan.training.journal import Journal


def test_a_resumed_log_is_cut_where_the_checkpoint_was(tmp_path):
    path, said = tmp_path / "log.jsonl", []
    journal = Journal(path, 0, said.append)
    for step in range(5):
        journal.write({"step": step})
    journal._file.write(b'{"step": 5, "ha')
    journal.close()
    whole = path.read_bytes()
    again = Journal(path, 3, said.append)
    again.write({"step": "new"})
    again.close()
    assert path.read_bytes() == b"".join(whole.splitlines(True)[:3]) + b'{"step": "new"}\n'
    assert said == []


def test_missing_lines_are_told(tmp_path):
    path, said = tmp_path / "log.jsonl", []
    path.write_bytes(b'{"step": 1}\n\xff\xfe garbage\n{"ste')
    journal = Journal(path, 5, said.append)
    assert journal.lines == 2
    journal.close()
    assert path.read_bytes() == b'{"step": 1}\n\xff\xfe garbage\n'
    assert "3 lines" in said[0]
