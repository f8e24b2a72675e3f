"""`__all__` is true: it lists what other modules take from a module, all of it and nothing else."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
PATHS = sorted(path for folder in ("deploy", "schemas", "worker", "tests") for path in (ROOT / folder).rglob("*.py"))
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in PATHS}


def taken_from(path: Path) -> dict[str, set[str]]:
    """What a file takes from each module: names it imports, and attributes of the modules it imports."""
    tree, aliases = ast.parse(path.read_text(encoding="utf-8")), {}
    taken: dict[str, set[str]] = defaultdict(set)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                module = f"{node.module}.{name.name}"
                if module in MODULES:
                    aliases[name.asname or name.name] = module
                else:
                    taken[node.module].add(name.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            taken[aliases[node.value.id]].add(node.attr)
    return taken


def listed(path: Path) -> set[str]:
    """The names in a module's `__all__`."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def test_every_module_lists_what_others_take_from_it() -> None:
    """A name that is taken and not listed is private; one that is listed and not taken is dead, or not tested."""
    taken: dict[str, set[str]] = defaultdict(set)
    for path in PATHS:
        for module, names in taken_from(path).items():
            taken[module] |= {name for name in names if not name.startswith("_")}
    product = {name: path for name, path in MODULES.items() if not name.startswith("tests") and path.stem[0] != "_"}
    wrong = {name: listed(path) ^ taken[name] for name, path in product.items() if listed(path) != taken[name]}
    assert wrong == {}
