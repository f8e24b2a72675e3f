"""The command line, `shoal`: what a person types, turned into a call of one of the jobs, and its result into words.

Exit status: 0 done, 1 the job failed, 2 wrong usage or configuration. What goes wrong is told on stderr in one sentence
that says what to do (mistakes in a definitions file, a line each before it); a traceback only with SHOAL_DEBUG=1.
Long work shows progress on a terminal and is quiet in a pipe. No job prints: each returns what there is to say.
"""

import os
import sys
from typing import NoReturn

from typer.exceptions import TyperException

from worker.cli import (  # noqa: F401  they declare their commands
    asking,
    benching,
    feeding,
    inspecting,
    lifting,
    models,
    offline,
    operating,
    privacy,
    repairing,
    roles,
    simulating,
    status,
    topics,
    verifying,
)
from worker.cli.shared import app
from worker.errors import ShoalError

__all__ = ["app", "main"]


def main() -> NoReturn:
    """Run the command line and exit. Every way out of the program is here."""
    try:
        ended = app(prog_name="shoal", standalone_mode=False)
        sys.stdout.flush()
    except ShoalError as error:
        _fail(str(error), error.exit_status)
    except TyperException as error:
        _fail(f"{error.format_message().rstrip('.')}; shoal --help says what there is.", error.exit_code)
    except KeyboardInterrupt:
        _fail("Stopped: what was written so far is incomplete, run it again.", 1)
    except BrokenPipeError:
        # The reader has seen enough (`| head`). Python flushes at exit, and must find something that takes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if os.environ.get("SHOAL_DEBUG"):
            raise
        _fail(f"A mistake of Shoal's own ({type(error).__name__}: {error}): SHOAL_DEBUG=1 shows where; report it.", 1)
    sys.exit(ended if isinstance(ended, int) else 0)


def _fail(message: str, exit_status: int) -> NoReturn:
    print(f"shoal: {message}" if "\n" not in message else message, file=sys.stderr)
    sys.exit(exit_status)
