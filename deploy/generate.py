"""Writes what is generated for operators: `python -m deploy.generate [--check]`.

Grafana's dashboards, Prometheus' rules (also for its operator on Kubernetes), and the tables of metrics in
`docs/operating.md`, between its markers. All of it is a pure function of the code, so that `--check` (and a test) can
hold the files to it.
"""

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from deploy.alerts import DASHBOARDS, rules, rules_for_the_operator
from deploy.dashboards.panels import json_of
from schemas.access import Role
from worker.observe.catalogue import label_rows, rows_of

__all__ = ["main", "outdated"]

ROOT = Path(__file__).resolve().parent.parent
PAGE = "docs/operating.md"
RULES, RULES_FOR_THE_OPERATOR = "deploy/prometheus/rules.yml", "deploy/kubernetes/monitoring/rules.yaml"
ROLES: tuple[Role, ...] = ("worker", "trainer", "lift", "sinks", "auditor")


def files() -> dict[str, str]:
    """Return what every generated file has to hold, by its path from the root."""
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    tables: dict[str, Iterable[str]] = {role: rows_of(role) for role in ROLES}
    for name, rows in (tables | {"labels": label_rows()}).items():
        page = _between(page, name, rows)
    dashboards = {f"deploy/grafana/dashboards/{one.uid}.json": json_of(one, DASHBOARDS) for one in DASHBOARDS}
    alerts = {RULES: rules(), RULES_FOR_THE_OPERATOR: rules_for_the_operator()}
    return {PAGE: page, **alerts, **dashboards}


def _between(page: str, name: str, rows: Iterable[str]) -> str:
    """Return the page with the lines between a name's markers replaced. Raises ValueError if it has no such markers."""
    begin, end = f"<!-- metrics: {name} -->\n", "<!-- end -->"
    pattern = re.compile(f"({re.escape(begin)}).*?({re.escape(end)})", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"{PAGE} has no lines {begin.strip()} and {end} to write between.")
    return pattern.sub(lambda found: found[1] + "\n".join(rows) + "\n" + found[2], page)


def outdated() -> list[str]:
    """Return the generated files that differ from what the code would write."""
    return [path for path, text in files().items() if not _is(ROOT / path, text)]


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or with --check say which differ; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deploy.generate", description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if something would be written")
    differing = outdated()
    if parser.parse_args(arguments).check:
        sys.stdout.writelines(f"{path} is out of date: python -m deploy.generate\n" for path in differing)
        return 1 if differing else 0
    for path, text in files().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
