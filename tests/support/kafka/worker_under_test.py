"""The command line with faults: what `shoal` does, but that it dies, halts, fails or dawdles at a numbered step.

    SHOAL_TEST_FAULT    `STEP[@PARTITION]:NTH:WHAT`, several with commas between: at the nth time that this process
                        reaches the step, WHAT is done: kill (SIGKILL itself), stop (SIGSTOP itself), raise,
                        sleep:SECONDS (the whole event loop), mark (nothing)
    SHOAL_TEST_MARKS    a file: each fault writes a line there before it happens, so that tests know that it did
    SHOAL_TEST_WITHOUT  defences to leave out and other harm, by the names in `worker_harm` and
                        `worker_trouble`, with commas between

`worker_nursery` runs it. The rule: without these variables it is the worker.
"""

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.kafka import worker_harm, worker_trouble
from worker import cli
from worker.kafka import steps
from worker.kafka.steps import Step

__all__ = ["Injected"]


class Injected(Exception):  # noqa: N818  it is none of the worker's own
    """The failure that a test asked for."""


@dataclass
class Fault:
    """One fault, and how often its step has been reached."""

    step: Step
    partition: int | None
    nth: int
    what: str
    seconds: float = 0.0
    count: int = 0

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """Read `B4@1:3:sleep:2.5`."""
        place, nth, what, *seconds = text.split(":")
        step, _, partition = place.partition("@")
        return cls(
            Step(step), int(partition) if partition else None, int(nth), what, float(seconds[0]) if seconds else 0.0
        )

    def meet(self, step: Step, partition: int) -> None:
        """Do what was asked for, if this is the time."""
        if step != self.step or self.partition not in (None, partition):
            return
        self.count += 1
        if self.count == self.nth:
            mark({"step": step, "partition": partition, "nth": self.nth, "what": self.what})
            self._happen()

    def _happen(self) -> None:
        match self.what:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "raise":
                raise Injected
            case "sleep":
                time.sleep(self.seconds)
            case "mark":
                pass
            case _:
                raise ValueError(f"no fault is called {self.what}")


def mark(line: dict[str, object]) -> None:
    """Write down that something happens now."""
    with Path(os.environ["SHOAL_TEST_MARKS"]).open("a", encoding="utf-8") as marks:
        marks.write(json.dumps({**line, "monotonic": time.monotonic()}) + "\n")


def main() -> None:
    """Arrange the faults and become `shoal`."""
    faults = [Fault.parse(text) for text in os.environ.get("SHOAL_TEST_FAULT", "").split(",") if text]

    def reached(step: Step, partition: int) -> None:
        for fault in faults:
            fault.meet(step, partition)

    steps.reached = reached
    for name in filter(None, os.environ.get("SHOAL_TEST_WITHOUT", "").split(",")):
        {**worker_harm.HARM, **worker_trouble.TROUBLE}[name](mark)
    cli.main()
