"""What is generated for operators is what the code would write now."""

import pytest

from deploy import generate


def test_generated_files_are_up_to_date() -> None:
    """If not: `python -m deploy.generate`."""
    assert generate.outdated() == []


def test_an_outdated_file_is_found_and_written(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """`--check` names it and writes nothing; without, it is as it should be afterwards."""
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "files", lambda: {"a/b.json": "{}\n"})
    assert generate.main(["--check"]) == 1
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
