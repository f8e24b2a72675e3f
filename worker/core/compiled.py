"""`compiled`: the decorator of every function of the pass.

The rule: a function of the pass is plain arithmetic over arrays and gives the same bytes compiled or not
(`NUMBA_DISABLE_JIT=1`). Machine code is cached on disk, in a folder named by a digest of the sources and of numba's
version: numba itself notices a change of the file a function is in, but not of the functions that it calls.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.core import config

__all__ = ["compiled", "entry"]

VERSIONS_KEPT = 8

F = TypeVar("F", bound=Callable[..., Any])


def _digest() -> str:
    root = Path(__file__).parents[2]
    folders = ("schemas", "worker/language", "worker/core")  # compiled code holds their constants
    sources = [source for folder in folders for source in sorted((root / folder).glob("*.py"))]
    text = b"\0".join(source.name.encode() + b"\0" + source.read_bytes() for source in sources)
    return hashlib.sha256(numba.__version__.encode() + text).hexdigest()[:16]


def _forget_old(parent: Path) -> None:
    """Keep the folders of the few versions of the sources that were used last."""
    folders = sorted(
        (folder for folder in parent.iterdir() if folder.is_dir()), key=lambda folder: folder.stat().st_mtime
    )
    for folder in folders[:-VERSIONS_KEPT]:
        shutil.rmtree(folder, ignore_errors=True)


def _cache_folder() -> str:
    """Return a folder that this user may write: the home's cache, else the temporary files'."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    for parent in (home / "shoal", Path(tempfile.gettempdir()) / f"shoal-{os.getuid()}"):
        folder = parent / _digest()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            folder.touch()
            _forget_old(parent)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return str(folder)
    return tempfile.mkdtemp(prefix="shoal-")


if config.DISABLE_JIT:
    np.seterr(all="ignore")  # as compiled code: a division by zero gives infinity or NaN, without a word
if "NUMBA_CACHE_DIR" not in os.environ:
    config.CACHE_DIR = _cache_folder()


def compiled(function: F) -> F:
    """Compile `function` with numba (strict floating point: no fast-math, no reassociation)."""
    return cast(
        "F", numba.njit(cache=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
    )


def entry(function: F) -> F:
    """Compile a function that Python calls; the others leave out the wrappers, which would take most of the time."""
    return cast("F", numba.njit(cache=True, error_model="numpy")(function))
