"""What is generated for operators is what the code would write now."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy import generate

ROOT = Path(__file__).parents[2]
# Grafana's source of Prometheus reads these, and they aren't in the types of a dashboard.
BEYOND_THE_TYPES = (".list[].step", ".list[].titleFormat", ".list[].textFormat", ".list[].definition")


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


@pytest.mark.parametrize(
    "file", sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json")), ids=lambda f: f.stem
)
def test_grafana_s_own_types_read_a_dashboard_and_write_it_back(file: Path) -> None:
    """Nothing is lost on the way: no option is misspelt, or of another kind of panel."""
    register_default_plugins()
    content = json.loads(file.read_text(encoding="utf-8"))
    back = json.loads(JSONEncoder().encode(Dashboard.from_json(content)))
    assert {path for path in lost(content, back) if not path.endswith(BEYOND_THE_TYPES)} == set()


def lost(given: Any, back: Any, path: str = "") -> Iterator[str]:
    """The paths in an object that another one hasn't, or has otherwise."""
    if isinstance(given, dict) and isinstance(back, dict):
        for name, value in given.items():
            yield from lost(value, back[name], f"{path}.{name}") if name in back else [f"{path}.{name}"]
    elif isinstance(given, list) and isinstance(back, list) and len(given) == len(back):
        for one, other in zip(given, back, strict=True):
            yield from lost(one, other, f"{path}[]")
    elif given != back:
        yield path
