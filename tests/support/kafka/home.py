"""Where a broker's files lie: in memory if there is room, on a small disk if a test wants it to fill up.

The rule: nothing outlives the test run. A guard, which notices when this process ends however it ends, kills the broker
and removes the files.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from worker.errors import WrongUsage

__all__ = ["Home"]

MEMORY = Path("/dev/shm")  # noqa: S108
MEMORY_FREE_BYTES_MIN = 2**30

# Reads the broker's process id at each start; at the end of the input (ours, or of this process) it clears up.
GUARD = """
while read -r read; do pid=$read; done
[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null
umount -l "$1/data" 2>/dev/null
rm -rf "$1"
"""


class Home:
    """A new `folder`, with `data` in it; if `disk_bytes` is given, that is a disk of its own, which needs root."""

    def __init__(self, disk_bytes: int | None = None) -> None:
        roomy = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= MEMORY_FREE_BYTES_MIN
        self.folder = Path(tempfile.mkdtemp(prefix="shoal-kafka-", dir=MEMORY if roomy else None))
        self.data = self.folder / "data"
        self.data.mkdir()
        shell = ["/bin/sh", "-c", GUARD, "guard", str(self.folder)]
        self.guard = subprocess.Popen(shell, stdin=subprocess.PIPE, start_new_session=True)
        if disk_bytes is not None:
            self._mount(disk_bytes)

    def _mount(self, size_bytes: int) -> None:
        command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "shoal", str(self.data)]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            self.close()
            said = made.stderr.strip()
            raise WrongUsage(f"A small disk takes root and the right to mount ({said}): run this as root.")

    def watch(self, pid: int | None) -> None:
        """Tell the guard which process it has to kill; None: none, as it has ended."""
        assert self.guard.stdin is not None
        self.guard.stdin.write(f"{pid or ''}\n".encode())
        self.guard.stdin.flush()

    def fill_disk(self) -> None:
        """Leave no byte of the small disk free."""
        assert self.data.is_mount()
        with (self.data / "filler").open("ab", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(2**16))
            except OSError:
                return

    def free_disk(self) -> None:
        """Give back what `fill_disk` took."""
        (self.data / "filler").unlink()

    def close(self) -> None:
        """Kill the broker if it runs, and remove all."""
        assert self.guard.stdin is not None
        self.guard.stdin.close()
        self.guard.wait()
