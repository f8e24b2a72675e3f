"""The demo: 60 days of a simulated shop through the engine, its shoppers reacting to what the campaigns send.

1. An hour of the shop's events goes through the engine, as a replay would take it.
2. The triggers that come out are given back to the shop, and some shoppers who got one buy.
3. What the users teach is learnt, and a model takes effect at a midnight when there is news.
4. What the campaigns brought is measured, with no knowledge of the truth about the shop.
5. Everything is written into a folder: the outputs, the state, the events themselves, the truth, the lift report.

So a replay of the folder's events gives the same transitions and decisions, id by id.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from worker.core.records import Effects
from worker.core.warming import warm_up
from worker.files import configuration, lift_report
from worker.files.replay import Job, lessons
from worker.files.sinks import Folder
from worker.files.summary import Summary
from worker.simulate.shop import Incident, Reaction, Settings
from worker.simulate.stream import Batch, Simulation

__all__ = ["EVENTS", "REPORT", "SHOP", "Moment", "demo"]

EVENTS = "events.jsonl"
TRUTH = "truth.json"
REPORT = "lift.html"

SHOP = Settings(
    users=1_500,
    days=60,
    seed=7,
    incidents=(Incident(kind="spike", day=20.75), Incident(kind="outage", day=40.5)),
    reaction=Reaction(effect=0.08, effects={"cart_reminder:discount": 0.25, "welcome": 0.03}),
)


@dataclass
class Moment:
    """Where the demo stands after an hour of the shop: what the view shows."""

    job: Job
    settings: Settings
    now_ms: int
    effects: Effects


Show = Callable[[Moment], None]


def demo(out: Path, settings: Settings = SHOP, show: Show | None = None) -> Summary:
    """Run the demo, calling `show` after every hour of the shop.

    Raises:
        WrongUsage: the folder can't be written.
        JobFailed: the disk refuses later on.
    """
    under = configuration.load()
    warm_up()
    simulation = Simulation(settings)
    started, cpu_started = time.monotonic(), time.process_time()
    with Folder(out, more=[EVENTS]) as folder:
        job = Job(under, folder, lessons=lessons(under.checked))
        for batch in simulation.batches():
            effects = _hour(job, batch)
            simulation.react(msgspec.to_builtins(effects.triggers))
            if show:
                show(Moment(job, settings, batch.until_ms, effects))
        job.pass_time()
        folder.write_text(TRUTH, json.dumps(simulation.truth(), indent=1) + "\n")
        results = job.measures.results(job.engine.clock_ms)
        folder.write_text(REPORT, lift_report.page(results))
        job.finish()
    seconds, cpu_seconds = time.monotonic() - started, time.process_time() - cpu_started
    engine = job.engine
    return Summary(job.tally, len(engine.users), engine.members(), seconds, cpu_seconds, job.tally.read)


def _hour(job: Job, batch: Batch) -> Effects:
    """Take an hour's events, and keep them for whoever wants to replay them; offsets are lines of the file."""
    job.folder.write_lines(EVENTS, batch.payloads)
    first = job.tally.read
    return job.feed(batch.payloads, range(first, first + len(batch.payloads)))
