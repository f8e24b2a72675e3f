"""What the README and the docs say, and what DESIGN says of the code's shape, held to the code.

The arrows: `cli -> {kafka, agents, files, simulate, observe, bench} -> {core, learning} -> language -> schemas`;
nothing points back. A banned call comes with its cure.
"""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from worker import topology
from worker.cli import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SOURCES = sorted(path for folder in ("schemas", "worker") for path in (ROOT / folder).rglob("*.py"))

# A package may import itself and those on its right. The longest name that fits a module decides.
PURE = {"schemas", "worker.language", "worker.core"}
SHELLS = {"schemas", "worker.files", "worker.simulate"}
SET = {"worker.settings", "worker.errors"}
ALLOWED = {
    "schemas": {"schemas"},
    "worker.errors": set(),
    "worker.topology": set(),
    "worker.language": {"worker.language", "schemas"},
    "worker.core": PURE,
    "worker.naive": {"worker.naive", "worker.language", "schemas"},
    "worker.learning": {"worker.learning", "worker.language", "schemas"},
    "worker.lift": {"worker.lift"} | PURE,
    "worker.simulate": {"worker.simulate", "worker.errors"} | PURE,
    "worker.files": {"worker.files", "worker.simulate", "worker.learning", "worker.lift", "worker.errors"} | PURE,
    "worker.settings": {"worker.errors", "schemas"},
    "worker.observe": {"worker.observe"} | PURE | SET,
    "worker.kafka": {"worker.kafka", "worker.observe"} | PURE | SET,
    "worker.operations": {"worker.operations", "worker.kafka", "worker.files", "worker.naive"} | PURE | SET,
    "worker.sinks": {"worker.sinks", "worker.observe"} | PURE | SET,
    "worker.agents": {
        "worker.agents",
        "worker.kafka",
        "worker.sinks",
        "worker.observe",
        "worker.learning",
        "worker.lift",
    }
    | PURE
    | SET,
    "worker.bench": {
        "worker.bench",
        "worker.operations",
        "worker.kafka",
        "worker.files",
        "worker.simulate",
        "worker.learning",
        "worker.lift",
        "worker.naive",
    }
    | PURE
    | SET,
    "worker.cli": {"worker.cli", "worker.bench", "worker.agents", "worker.operations", "worker.kafka", "worker.observe"}
    | SHELLS
    | SET,
    "worker.__main__": {"worker.cli"},
    "worker": set(),
}

ANYWHERE = {
    "eval": "parse it: worker/language/rules.py",
    "exec": "write the function out",
    "hash": "it is salted per process: hashlib.blake2b",
    "pickle": "it runs what it reads: msgspec, or plain arrays",
    "breakpoint": "take it out",
}
IN_CORE = {
    "time": "the core has no clock: take wall_ms as an argument",
    "datetime.now": "the core has no clock: take wall_ms as an argument",
    "datetime.utcnow": "the core has no clock: take wall_ms as an argument",
    "random": "the core has no chance: splitmix64 of the user's and the purpose's hash",
    "np.random": "the core has no chance: splitmix64 of the user's and the purpose's hash",
    "logging": "effects are data: put it into Effects",
    "asyncio": "the core doesn't wait: shells do",
    "open": "the core has no IO: shells read and write",
    "np.dot": "BLAS gives other bits at other sizes: add up in a loop, left to right",
    "np.matmul": "BLAS gives other bits at other sizes: add up in a loop, left to right",
    "np.einsum": "BLAS gives other bits at other sizes: add up in a loop, left to right",
    "np.linalg": "BLAS gives other bits at other sizes: add up in a loop, left to right",
    "@": "BLAS gives other bits at other sizes: add up in a loop, left to right",
    "axis=": "a reduction along an axis adds in an order of its own: loop, left to right",
}
# Reads the shipped mapping file, and finds the folder for machine code: neither is on the way of a record.
MAY_OPEN = {"worker/language/mapping.py", "worker/core/compiled.py"}
PRINTS = {"worker/topology.py", *(path.relative_to(ROOT).as_posix() for path in (ROOT / "worker" / "cli").iterdir())}


def module_of(path: Path) -> str:
    """The dotted name of a source file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def package_of(module: str) -> str:
    """The longest name in `ALLOWED` that the module is, or is in."""
    fitting = [name for name in ALLOWED if module == name or module.startswith(f"{name}.")]
    return max(fitting, key=len, default="")


def imports_of(path: Path) -> Iterator[str]:
    """Every module of ours that a file imports, also inside functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in {"schemas", "worker"})
        elif (
            isinstance(node, ast.ImportFrom)
            and node.level == 0
            and (node.module or "").split(".")[0] in {"schemas", "worker"}
        ):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = (ROOT / inner.replace(".", "/")).with_suffix(".py").exists() or (
                    ROOT / inner.replace(".", "/")
                ).is_dir()
                yield inner if is_module else str(node.module)


def used_in(source: str) -> Iterator[tuple[int, str]]:
    """Every name called or imported, dotted as written, with its line; `@` and `axis=` where they occur."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or ""
        elif isinstance(node, ast.Call | ast.Attribute):
            yield node.lineno, ast.unparse(node.func if isinstance(node, ast.Call) else node)
            for keyword in node.keywords if isinstance(node, ast.Call) else ():
                yield node.lineno, f"{keyword.arg}="
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.MatMult):
            yield node.lineno, "@"


def banned_in(source: str, banned: dict[str, str]) -> list[str]:
    """Each banned use with its line and cure."""
    return sorted({
        f"line {line}: {name} ({banned[name]})"
        for line, used in used_in(source)
        for name in banned
        if used == name or used.startswith(f"{name}.")
    })  # fmt: skip


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_imports_follow_the_arrows(path: Path) -> None:
    """`cli -> shells -> core -> schemas`, and nothing points back."""
    package = package_of(module_of(path))
    assert package, f"{module_of(path)} has no place in ALLOWED: say what it may import"
    wrong = {name for name in imports_of(path) if package_of(name) not in ALLOWED[package] | {package}}
    assert not wrong, f"{package} may import {sorted(ALLOWED[package])} and nothing else of ours"


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_nothing_banned_is_called(path: Path) -> None:
    """Each banned name comes with what to do instead; the core has a longer list."""
    name = path.relative_to(ROOT).as_posix()
    banned = dict(ANYWHERE)
    if name.startswith(("worker/core/", "worker/language/")):
        banned |= {key: cure for key, cure in IN_CORE.items() if not (key == "open" and name in MAY_OPEN)}
    if name not in PRINTS:
        banned["print"] = "the command line prints: return it"
    assert banned_in(path.read_text(encoding="utf-8"), banned) == []


@pytest.mark.parametrize(
    "source",
    ["hash(x)", "import pickle", "from random import choice", "eval('1')", "a @ b", "a.sum(axis=1)", "np.dot(a, b)",
     "import time", "datetime.now()", "datetime.now(UTC).date()", "np.random.default_rng()", "open('x')"],
)  # fmt: skip
def test_the_ban_would_be_noticed(source: str) -> None:
    """The test above can fail: each way of writing a banned thing is found."""
    assert banned_in(source, ANYWHERE | IN_CORE)


def test_the_readme_shows_the_flow_as_the_table_has_it() -> None:
    """The diagram is `python -m worker.topology`, word for word."""
    (shown,) = re.findall(r"```text\n(.*?)\n```", README, re.DOTALL)
    assert shown == topology.diagram()


def test_every_output_of_a_replay_is_in_the_picture_or_the_docs() -> None:
    """The picture names topics that exist, and docs/files.md names every file that is written."""
    from worker.files.sinks import TOPICS

    drawn = {step.name for step in topology.FLOW if step.column == topology.OUTPUTS}
    assert drawn <= set(TOPICS.values())
    files = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
    assert [topic for topic in TOPICS.values() if f"`{topic}.jsonl`" not in files] == []


def test_the_readme_names_every_command() -> None:
    """Each command of the command line is in the README's table, and the table names none that isn't there."""
    table = README.partition("## Commands")[2]
    named = {match.strip() for match in re.findall(r"`shoal ([a-z-]+(?: [a-z]+)?)", table)}
    group = typer.main.get_command(app)
    commands = set()
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        inside = {f"{name} {inner}" for inner in getattr(command, "commands", {})}
        commands |= inside | ({name} if not inside or command.invoke_without_command else set())
    assert named == commands


def test_docs_name_every_option_of_replay() -> None:
    """The table in docs/files.md has a row for each option, and no other."""
    text = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
    replay = typer.main.get_command(app).commands["replay"]  # type: ignore[attr-defined]
    options = {option for parameter in replay.params for option in parameter.opts if option.startswith("--")}
    assert set(re.findall(r"^\| `(--[a-z]+)", text, re.MULTILINE)) == options - {"--help"}


def test_docs_name_every_field_of_the_json_summary() -> None:
    """What --json prints is what docs/files.md says it prints."""
    from collections import Counter

    from worker.files.summary import Summary, Tally

    paragraph = (ROOT / "docs" / "files.md").read_text(encoding="utf-8").partition("`--json` prints")[2]
    said = Summary(Tally(), 0, {}, 0.0, 0.0, 0, Counter()).as_json()
    assert [name for name in said if f"`{name}`" not in paragraph] == []


def test_links_lead_somewhere() -> None:
    """Every relative link in the README and in docs is a file or folder."""
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert "://" in target or (page.parent / target).exists(), f"{page.name}: {target}"


def test_make_targets_the_readme_names_are_there() -> None:
    """`make demo`, `make test` and the rest exist, and each sets itself up first."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)`", README, re.MULTILINE))
    targets = {first or second for first, second in named}
    assert targets >= {"demo", "test", "check", "bench", "lock"}
    assert [target for target in targets if not re.search(rf"^{target}: \$\(STAMP\)", makefile, re.MULTILINE)] == []


def test_the_lock_has_every_dependency_with_hashes_and_no_host() -> None:
    """Each direct dependency is locked, each lock has a hash, and nothing says where it came from."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.split(r"[<>=\[]", line)[0].replace(".", "-") for line in wanted}
    locked = set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE))
    assert names - locked == set()
    assert len(re.findall(r"==[^\n]*\\\n    --hash=sha256:", lock)) == len(
        re.findall(r"^[a-z0-9-]+==", lock, re.MULTILINE)
    )
    assert "://" not in lock
    assert "--index-url" not in lock


def test_the_top_level_is_what_was_agreed() -> None:
    """Nothing else is tracked at the top: a new file there needs a place in this list, and a reason."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S607
    top = {name.split("/")[0] for name in tracked.splitlines()}
    agreed = {
        ".ci", ".dockerignore", ".editorconfig", ".gitignore", "LICENSE", "Makefile", "README.md", "deploy",
        "docker-compose.yml", "docs", "pyproject.toml", "requirements.lock", "schemas", "tests", "worker",
    }  # fmt: skip
    assert {"README.md", "worker"} <= top <= agreed
