"""The tests in a definitions file: each a story of one user told to a fresh engine, and how it must end.

A story begins on Monday, 5 January 2026, at noon UTC, so that hours and weekdays mean the same every time. Chance is
out of it: nobody is held out, and campaigns run whatever their `starts` and `ends`. All else is as in production.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from schemas.definitions import Campaign, Definitions, Given, Test
from worker.core.engine import Engine
from worker.core.records import Decision
from worker.files.explanation import TRUTHS, shown
from worker.language.definitions import Checked
from worker.language.mapping import Mapping

__all__ = ["Verdict", "run"]

START_MS = 1_767_614_400_000  # 2026-01-05T12:00:00Z
USER = "somebody"


@dataclass(frozen=True)
class Verdict:
    """How a test ended: its failures, each a sentence with what was expected and why it isn't so; none: it passed."""

    name: str
    failures: list[str]

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.failures


def run(checked: Checked, mapping: Mapping) -> Iterator[Verdict]:
    """Run every test of the definitions, in the file's order."""
    certain = dataclasses.replace(checked, definitions=without_chance(checked.definitions))
    for number, test in enumerate(checked.definitions.tests, start=1):
        yield Verdict(test.name or f"test {number}", list(_failures(test, certain, mapping)))


def without_chance(definitions: Definitions) -> Definitions:
    """The same definitions with nobody held out and every campaign within its time."""

    def certain(campaign: Campaign) -> Campaign:
        return campaign.model_copy(update={"holdout": 0.0, "starts": None, "ends": None})

    return definitions.model_copy(
        update={"holdout": None, "campaigns": [certain(campaign) for campaign in definitions.campaigns]}
    )


def _failures(test: Test, checked: Checked, mapping: Mapping) -> Iterator[str]:
    expect = test.expect
    engine = Engine(checked, mapping, clock="event")
    effects = [
        engine.step([_payload(given) for given in test.given], range(len(test.given)), wall_ms=START_MS),
        engine.tick(START_MS + expect.at, wall_ms=START_MS),
    ]
    for letter in (letter for effect in effects for letter in effect.dead_letters):
        yield f"what is given as number {letter.offset + 1} can't be read: {letter.reason}."
    segments = _segments(engine, test)
    yield from _wrong_memberships(test, segments)
    decisions = [decision for effect in effects for decision in effect.decisions]
    yield from _wrong_triggers(test, decisions)


def _payload(given: Given) -> bytes:
    """The short form spelt out as a Segment record."""
    record: dict[str, Any] = {"userId": USER, "timestamp": START_MS + given.at, "context": given.context}
    if given.identify is not None:
        return msgspec.json.encode({**record, "type": "identify", "traits": given.identify})
    return msgspec.json.encode({**record, "type": "track", "event": given.event, "properties": given.properties})


def _segments(engine: Engine, test: Test) -> dict[str, dict[str, Any]]:
    """What the engine says about each segment, by id; about none if the story has no record."""
    if not test.given:
        return {}
    explanation = engine.explain(USER)
    return {segment["id"]: segment for segment in explanation["segments"]} if explanation else {}


def _wrong_memberships(test: Test, segments: dict[str, dict[str, Any]]) -> Iterator[str]:
    when = _span(test.expect.at)
    for wanted, names in ((True, test.expect.in_), (False, test.expect.not_in)):
        for name in names:
            meant = [segment for key, segment in segments.items() if key == name or key.startswith(f"{name}:")]
            if any(segment["member"] for segment in meant) is not wanted:
                expected = "in" if wanted else "not in"
                yield f"expected {expected} {name} at {when}: {_why(meant) or 'nothing is known of her'}"


def _why(segments: list[dict[str, Any]]) -> str:
    """The clauses of the conditions with their values, as they are at the end of the story."""
    said = []
    for segment in segments:
        for role in ("enter", "exit"):
            for clause in segment[role] or ():
                truth = TRUTHS[clause["truth"]]
                said.append(f"{segment['id']} {role}: {clause['clause']} is {truth} ({shown(clause['value'])})")
    return "; ".join(said)


def _wrong_triggers(test: Test, decisions: list[Decision]) -> Iterator[str]:
    when = _span(test.expect.at)
    fired = {decision.campaign for decision in decisions if decision.outcome == "fired"}
    for wanted, names in ((True, test.expect.triggers), (False, test.expect.not_triggers)):
        for name in names:
            if (name in fired) is not wanted:
                expected = "a trigger" if wanted else "no trigger"
                yield f"expected {expected} of {name} by {when}: {_decided(name, decisions)}"


def _decided(campaign: str, decisions: list[Decision]) -> str:
    said = [
        f"{decision.outcome} at {decision.decided_at}"
        + (f" (blocked by {decision.blocked_by})" if decision.blocked_by else "")
        for decision in decisions
        if decision.campaign == campaign
    ]
    return "; ".join(said) or "nothing was decided about it"


def _span(milliseconds: int) -> str:
    """A duration the way a definitions file writes it."""
    for unit, length in (("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000)):
        if milliseconds and milliseconds % length == 0:
            return f"{milliseconds // length}{unit}"
    return f"{milliseconds / 1000:g}s"
