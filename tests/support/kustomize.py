"""What `kubectl kustomize` makes of a folder.

Debian 12's kubectl (1.20) has a kustomize of 2019 in it. For that the same is said in the words of its time: bases for
folders among the resources, patchesStrategicMerge for patches.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.support.packages import need_programs, run_quietly

__all__ = ["rendered"]

MODERN = (1, 21)


def rendered(root: Path, folder: str, scratch: Path) -> list[dict[str, Any]]:
    """Return the objects of an overlay among the folders in `root`; `scratch` is an empty folder."""
    need_programs(kubectl="kubernetes-client")
    copy = scratch / "kubernetes"
    shutil.copytree(root, copy)
    if _version() < MODERN:
        for path in copy.rglob("kustomization.yaml"):
            _in_old_words(path)
    text = run_quietly("kubectl", "kustomize", str(copy / folder))
    return [found for found in YAML(typ="safe").load_all(text) if found]


def _version() -> tuple[int, int]:
    told = subprocess.run(
        ["kubectl", "version", "--client", "-o", "json"],  # noqa: S607
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    client = json.loads(told.stdout)["clientVersion"]
    return int(client["major"]), int(client["minor"].rstrip("+"))


def _in_old_words(path: Path) -> None:
    yaml = YAML(typ="safe")
    said = yaml.load(path)
    every = said.pop("resources", [])
    said["resources"] = [name for name in every if (path.parent / name).is_file()]
    said["bases"] = [name for name in every if (path.parent / name).is_dir()]
    said["patchesStrategicMerge"] = [patch["path"] for patch in said.pop("patches", [])]
    with path.open("w", encoding="utf-8") as file:
        yaml.dump({name: value for name, value in said.items() if value}, file)
