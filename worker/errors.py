"""The two ways a command ends badly, by what the person at the terminal can do about it.

    ShoalError
    ├── WrongUsage   exit status 2: a wrong option, a missing file, a mistake in a configuration; mend it, try again
    └── JobFailed    exit status 1: what was asked for was understood and did not work out

A message is one sentence that says what to do. The command line prints it and nothing else: no traceback.
"""

__all__ = ["JobFailed", "ShoalError", "WrongUsage"]


class ShoalError(Exception):
    """The base of both; raise one of the leaves."""

    exit_status = 1


class WrongUsage(ShoalError):  # noqa: N818  named by whose move it is
    """The command, a path or a configuration is wrong."""

    exit_status = 2


class JobFailed(ShoalError):  # noqa: N818  as above
    """The job was understood and failed."""

    exit_status = 1
