"""Command lines in files: whether `shoal` would take them, without running them."""

from collections.abc import Sequence
from typing import Any

import typer.main

from worker.cli import app

__all__ = ["parsed"]


def parsed(arguments: Sequence[str]) -> list[str]:
    """The names of the command and the groups it is in. Raises TyperException for one that is none."""
    command: Any = typer.main.get_command(app)
    context, name, rest, names = None, "shoal", arguments, list[str]()
    while True:
        context = command.make_context(name, list(rest), parent=context)
        names.append(name)
        left = [*getattr(context, "_protected_args", ()), *context.args]
        if not hasattr(command, "resolve_command") or (not left and command.invoke_without_command):
            return names
        name, command, rest = command.resolve_command(context, left)
