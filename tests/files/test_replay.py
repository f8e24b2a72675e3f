"""The replay job: what it writes, what it counts, and that neither depends on how the records are cut into batches."""

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.files.support import MINUTE_MS, RETAIL_HEADER, START_MS, event, records, shop, write_definitions
from worker.errors import JobFailed, WrongUsage
from worker.files import configuration
from worker.files.replay import Request, replay
from worker.files.sinks import TOPICS
from worker.files.summary import Summary


def run(folder: Path, lines: list[bytes], batch: int = 100, until_ms: int | None = None) -> tuple[Summary, Path]:
    """Replay some lines under the tests' definitions; the summary and the output folder."""
    file = folder / "events.jsonl"
    file.write_bytes(b"\n".join(lines))
    out = folder / f"out-{batch}"
    request = Request([file], out, until_ms, batch)
    return replay(configuration.load(write_definitions(folder)), request), out


def without_wall(path: Path) -> list[dict[str, Any]]:
    """Records but for `emitted_at`."""
    return [{name: value for name, value in record.items() if name != "emitted_at"} for record in records(path)]


def test_every_file_is_written_empty_or_not(tmp_path: Path) -> None:
    """A run over nothing but a blank line still leaves all eight files, the state and the texts it belongs to."""
    _, out = run(tmp_path, [b"", b""])
    expected = {*(f"{topic}.jsonl" for topic in TOPICS.values()), "state.shoal", "definitions.yaml", "mapping.yaml"}
    assert {path.name for path in out.iterdir()} == expected
    assert records(out / "segment-changes.jsonl") == []


def test_what_is_read_is_conserved_and_counted(tmp_path: Path) -> None:
    """What is read is applied, a duplicate or a dead letter, and the counts are those of the files."""
    lines = [*shop(4), event("u-0", "Order Completed", 91, order_id="o-0", total=10)]
    summary, out = run(tmp_path, lines)
    said = summary.as_json()
    assert (said["read"], said["applied"], said["duplicates"], said["dead_letters"]) == (
        len(lines),
        len(lines) - 2,
        1,
        1,
    )
    assert said["transitions"] == len(records(out / "segment-changes.jsonl"))
    assert sum(said["decisions"].values()) == len(records(out / "campaign-decisions.jsonl"))
    assert said["triggers"] == len(records(out / "campaign-triggers.jsonl"))
    assert said["members"] == {"buyer": 2, "cart_abandoner": 2}


def test_passing_time_enters_at_the_very_millisecond(tmp_path: Path) -> None:
    """Who left her cart alone enters half an hour after filling it, by the timer; who bought in time doesn't."""
    _, out = run(tmp_path, shop(2))
    found = [
        (change["user_id"], change["occurred_at"], change["cause"])
        for change in records(out / "segment-changes.jsonl")
        if change["segment"] == "cart_abandoner"
    ]
    assert found == [("u-1", "2026-01-05T12:30:06.000Z", "timer")]


def test_a_dead_letter_names_its_line(tmp_path: Path) -> None:
    """The offset is the line's number from 0, and a blank line is a letter too."""
    _, out = run(tmp_path, [event("u-1", "Product Viewed"), b"", b"[]", event("u-1", "Product Viewed", 1)])
    letters = [(letter["offset"], letter["reason"]) for letter in records(out / "dead-letters.jsonl")]
    assert letters == [(1, "not_json"), (2, "not_an_object")]


def test_time_ends_at_the_largest_event_time_or_runs_on(tmp_path: Path) -> None:
    """The last event's own time is reached without grace; with `until` so is a later one, to the millisecond."""
    lines = [event("u-1", "Product Added", price=1), event("u-2", "Product Viewed", 30)]
    assert run(tmp_path, lines)[0].members["cart_abandoner"] == 1
    assert run(tmp_path, lines[:1])[0].members["cart_abandoner"] == 0
    assert run(tmp_path, lines[:1], until_ms=START_MS + 30 * MINUTE_MS - 1)[0].members["cart_abandoner"] == 0
    assert run(tmp_path, lines[:1], until_ms=START_MS + 30 * MINUTE_MS)[0].members["cart_abandoner"] == 1


def test_batch_size_changes_nothing(tmp_path: Path) -> None:
    """At 1, 3 and 100 records per step every file and the state are the same, but for when they were written."""
    outs = [run(tmp_path, shop(9), batch)[1] for batch in (1, 3, 100)]
    for topic in TOPICS.values():
        first, *others = [without_wall(out / f"{topic}.jsonl") for out in outs]
        assert all(other == first for other in others), topic


def test_memberships_are_one_record_per_user_with_a_transition(tmp_path: Path) -> None:
    """At the end each such user's segments with since when; who never had a transition isn't there."""
    _, out = run(tmp_path, [*shop(2), event("u-9", "Product Viewed", 91)])
    found = {record["user_id"]: record["segments"] for record in records(out / "memberships.jsonl")}
    assert found == {
        "u-0": [{"id": "buyer", "since": "2026-01-05T12:10:00.000Z"}],
        "u-1": [{"id": "cart_abandoner", "since": "2026-01-05T12:30:06.000Z"}],
    }


def test_a_table_is_replayed_through_its_mapping(tmp_path: Path) -> None:
    """Invoice lines become orders; lines left out are in the summary beside the lines read, and not in `read`."""
    table = tmp_path / "retail.csv"
    lines = [
        "1,A,X,2,2010-12-01 08:26:00,2.5,7,UK",
        "1,B,X,1,2010-12-01 08:26:00,1,7,UK",
        "2,A,X,1,2010-12-01 08:27:00,1,,UK",
    ]
    table.write_text("\n".join([RETAIL_HEADER, *lines]))
    under = configuration.load(write_definitions(tmp_path), "online_retail")
    said = replay(under, Request([table], tmp_path / "out")).as_json()
    assert (said["read"], said["lines"], said["left_out_by_reason"], said["repaired"]) == (1, 4, {"no_customer": 1}, 0)
    assert said["members"]["buyer"] == 1


def test_a_folder_that_cannot_be_written_is_wrong_usage(tmp_path: Path) -> None:
    """The output folder's name is that of a file: nothing is run, and the sentence says what to choose."""
    (tmp_path / "out-100").write_text("a file")
    with pytest.raises(WrongUsage, match="choose another --out"):
        run(tmp_path, shop())


def test_an_earlier_run_is_replaced_whole(tmp_path: Path) -> None:
    """A second run into the same folder leaves nothing of the first."""
    run(tmp_path, shop(9))
    summary, out = run(tmp_path, [event("u-1", "Product Viewed")])
    assert summary.tally.read == 1
    assert records(out / "segment-changes.jsonl") == records(out / "dead-letters.jsonl") == []


@pytest.mark.parametrize("read", ["dead-letters.jsonl", "definitions.yaml", "mapping.yaml"])
@pytest.mark.parametrize("link", [None, "symlink", "hardlink"])
def test_a_job_does_not_write_over_what_it_reads(tmp_path: Path, read: str, link: str | None) -> None:
    """Events, definitions and mapping, by whatever name they go: nothing is touched, and the sentence names both."""
    _, out = run(tmp_path, shop(2))
    mine = out / read
    if link is not None:
        mine = tmp_path / "mine"
        mine.symlink_to(out / read) if link == "symlink" else mine.hardlink_to(out / read)
    before = {path: path.read_bytes() for path in out.iterdir()}
    under = configuration.load(
        mine if read == "definitions.yaml" else None, str(mine) if read == "mapping.yaml" else None
    )
    files = [mine if read == "dead-letters.jsonl" else tmp_path / "events.jsonl"]
    with pytest.raises(WrongUsage, match=f"^{mine} is read, and {out / read} would be written over it: choose"):
        replay(under, Request(files, out))
    assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_a_file_and_its_outputs_may_share_a_folder(tmp_path: Path) -> None:
    """Only the very files count: what is read beside them is as it was."""
    lines = tmp_path / "events.jsonl"
    lines.write_bytes(b"\n".join(shop(2)))
    for _ in range(2):
        replay(configuration.load(), Request([lines], tmp_path))
    assert lines.read_bytes() == b"\n".join(shop(2))


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /dev/full")
@pytest.mark.parametrize("name", ["dead-letters.jsonl", "mapping.yaml"])
def test_a_full_disk_is_a_failed_job_that_names_the_file(tmp_path: Path, name: str) -> None:
    """Be it noticed while writing, or not before the last of it goes to the disk."""
    out = tmp_path / "out-100"
    out.mkdir()
    (out / name).symlink_to("/dev/full")
    with pytest.raises(JobFailed, match="failed: No space left on device; make room"):
        run(tmp_path, shop(2))
