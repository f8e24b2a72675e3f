"""What processes of this machine use, as Linux counts it: CPU time, and which process listens on a port."""

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["cpu_seconds", "is_local", "listener"]

TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
LISTENING: Final = "0A"


def cpu_seconds(pid: int) -> float:
    """Return the s of CPU that a process and the children it has waited for took, in user and system mode.

    Raises FileNotFoundError if there is no such process, or no /proc.
    """
    # The command's name stands in parentheses and may hold anything, also parentheses and blanks.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS_PER_SECOND


def is_local(host: str) -> bool:
    """Whether a host is this machine: whether something here could listen at an address of its."""
    with suppress(OSError):
        for family, kind, _, _, address in socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM):
            with suppress(OSError), socket.socket(family, kind) as trying:
                trying.bind(address)
                return True
    return False


def listener(port: int) -> int | None:
    """Return the id of the process that listens on a TCP port of this machine; None if none does that may be seen."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(descriptor.readlink()) in sockets:
                return int(descriptor.parts[2])
        except OSError:  # closed meanwhile, or another user's
            continue
    return None


def _listening_inodes(port: int) -> set[str]:
    """The sockets' numbers, from the kernel's tables: local address in the 2nd column, state in the 4th."""
    inodes = set()
    for name in ("tcp", "tcp6"):
        table = Path("/proc/net", name)
        for line in table.read_text(encoding="ascii").splitlines()[1:] if table.exists() else ():
            fields = line.split()
            if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(fields[9])
    return inodes
