"""Generated files are what the code says."""

from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from schemas import generate
from schemas.examples import EXAMPLES
from schemas.topics import TOPICS, schema_file

FILES = generate.files()
SCHEMAS = generate.schemas()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_generated_file_is_what_the_code_says(path: Path, golden: Callable[[Path, str], None]) -> None:
    """Each JSON Schema, the AsyncAPI document and the page of topics equal what is generated now."""
    golden(path, FILES[path])


def test_no_schema_lies_about_that_nothing_generates() -> None:
    """The folder of schemas holds generated files and no others."""
    assert set((generate.ROOT / "schemas" / "json").iterdir()) == {path for path in FILES if path.parent.name == "json"}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_published_schema_is_a_valid_json_schema(name: str) -> None:
    """Each schema obeys draft 2020-12, the dialect it names."""
    assert SCHEMAS[name]["$schema"] == generate.DIALECT
    Draft202012Validator.check_schema(SCHEMAS[name])


@pytest.mark.parametrize("name", [name for name, schema in SCHEMAS.items() if "examples" in schema])
def test_a_published_schema_accepts_its_examples_and_refuses_nothing_at_all(name: str) -> None:
    """A reader with only the JSON Schema accepts the examples, and refuses an empty object."""
    validator = Draft202012Validator(SCHEMAS[name])
    assert [error.message for example in SCHEMAS[name]["examples"] for error in validator.iter_errors(example)] == []
    assert not validator.is_valid({})


@pytest.mark.parametrize("record", EXAMPLES)
def test_a_published_schema_of_ours_refuses_a_stranger(record: str) -> None:
    """Records we write have no members but those listed."""
    validator = Draft202012Validator(SCHEMAS[schema_file(record)])
    assert not validator.is_valid({**EXAMPLES[record], "surprise": 1})


def test_the_check_names_an_outdated_file_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """`--check` returns 1 and names the file until the files are written."""
    (tmp_path / "schemas" / "json").mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    assert generate.main(["--check"]) == 1
    assert "schemas/json/conversion.schema.json is outdated" in capsys.readouterr().err
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0


def test_writing_removes_a_schema_whose_model_is_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file that nothing generates any more is outdated, and is taken away."""
    stray = tmp_path / "schemas" / "json" / "gone.schema.json"
    stray.parent.mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    stray.write_text("{}", "utf-8")
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    assert stray in generate.outdated()
    generate.main([])
    assert not stray.exists()


def test_every_record_of_the_table_has_an_example() -> None:
    """Readers find an example of each record, but for files that document themselves."""
    named = {topic.value.__name__ for topic in TOPICS if topic.value is not None}
    assert named - set(EXAMPLES) == {"Snapshot"}
