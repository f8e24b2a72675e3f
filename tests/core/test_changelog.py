"""The changelog: whatever is committed when, what is restored goes on as if nothing had happened; or says why not."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from schemas.models import Snapshot
from tests.core.support import ALL, CART, DAY, HOUR, KEYED, Scenario, Story, reminder
from tests.support import random_definitions, streams
from tests.support.pair import MAPPING, WALL_MS, Pair, checked_of
from tests.support.random_definitions import text_of
from tests.support.streams import Record
from worker.core import changelog
from worker.core.changelog import Changelog, Checkpoint, OtherReleaseError, Point, StateRecordError, opened, sealed
from worker.core.engine import Engine
from worker.core.layout import Layout
from worker.core.restoring import Restorer, versions_of
from worker.language.mapping import SHIPPED

MAPPING_TEXT = SHIPPED.read_text(encoding="utf-8")
Records = list[changelog.Record]
BUYER = {"id": "buyer", "enter": "orders_total > 0"}


def version_point(engine: Engine, definitions: dict[str, Any] | None, model: Snapshot | None) -> Point:
    """The point at which the engine's present version took effect."""
    snapshot = model.model_dump_json() if model else None
    if definitions is None:
        return Point("version", 0, engine.clock_ms, model=snapshot)
    named = engine.version.checked.hash
    text = text_of(definitions)
    return Point("version", 0, engine.clock_ms, definitions=text, mapping=MAPPING_TEXT, hash=named, model=snapshot)


def compacted(records: Records, until: int) -> Records:
    """The records as a cleaner leaves them that came to a place: of a key only the latest, where it lies before it."""
    latest = {key: place for place, (key, _) in enumerate(records)}
    return [record for place, record in enumerate(records) if place >= until or latest[record[0]] == place]


def restored(records: Records) -> tuple[Engine, Changelog]:
    """The engine of these records."""
    restorer = Restorer(KEYED)
    for key, value in records:
        restorer.take(key, value)
    found = restorer.finish()
    assert found
    return found


class Logged(Pair):
    """A pair whose engine is committed after everything it does, and restarts from what was committed."""

    def __init__(self, definitions: dict[str, Any], model: dict[str, Any] | None = None, **options: Any) -> None:
        super().__init__(definitions, model, **options)
        self.log = Changelog(self.engine)
        self.log.point(version_point(self.engine, definitions, self.model))
        self.records: Records = []
        self.rng = random.Random(1)
        self.commit()

    def commit(self) -> None:
        """Store what has changed."""
        self.records += self.log.records(next_offset=self.offset, commands_offset=0)

    def step(self, records: Sequence[Record], wall_ms: int = WALL_MS) -> None:
        """As a pair, then committed."""
        super().step(records, wall_ms)
        self.commit()

    def tick(self, until_ms: int) -> None:
        """As a pair, then committed."""
        super().tick(until_ms)
        self.commit()

    def publish(self, definitions: dict[str, Any] | None = None, model: dict[str, Any] | None = None) -> None:
        """As a pair, then committed with the point."""
        super().publish(definitions, model)
        self.log.point(version_point(self.engine, definitions, self.model if model else None))
        self.commit()

    def erase(self, user_id: str, until_ms: int, *, suppress: bool = False) -> None:
        """As a pair, then committed."""
        super().erase(user_id, until_ms, suppress=suppress)
        self.commit()

    def restart(self) -> None:
        """Go on with what the changelog holds, compacted up to somewhere."""
        before = self.engine
        self.engine, self.log = restored(compacted(self.records, self.rng.randrange(len(self.records) + 1)))
        assert self.engine.to_bytes() == before.to_bytes()


def logged(scenario: Scenario) -> Logged:
    """A committed pair at the beginning of a scenario."""
    return Logged(scenario.definitions, scenario.model, clock=scenario.clock, pseudonyms=KEYED)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("clock", ["event", "wall"])
def test_restarts_from_the_changelog_change_nothing(seed: int, clock: str) -> None:
    """Under three versions, restored after every other batch: byte by byte the same engine, and the twin's records."""
    scenario = Scenario(1300 + seed, clock=clock, versions=2, new_reads=True)
    scenario.drive(logged(scenario), 0, restarts=0.5).assert_equal()


@pytest.mark.parametrize("seed", range(4))
def test_who_was_forgotten_stays_forgotten(seed: int) -> None:
    """Users erased, idle or too many, tombstones compacted or not: byte by byte the same engine, the twin's records."""
    retention = {"idle": "1d", "users_max": 4} if seed % 2 else None
    scenario = Scenario(1400 + seed, versions=2, erasures=8, retention=retention, settings=streams.Settings(users=12))
    pair = logged(scenario)
    scenario.drive(pair, 0, restarts=0.5).assert_equal()
    assert [key for key, value in pair.records if value is None and key[:1] == changelog.USER]
    left = compacted(pair.records, len(pair.records))
    gone = {key for key, value in left if value is None}
    assert not gone & {key for key, value in left if value is not None}


def test_a_backfill_goes_on_where_it_was() -> None:
    """A version that reads more, worked off two users at a time with a restart after each: as if at once."""
    scenario = Scenario(21, events=200)
    slices, at_once = logged(scenario), logged(scenario)
    for pair in (slices, at_once):
        scenario.drive(pair, ALL)
    definitions = random_definitions.changed(random.Random(5), scenario.definitions, new_reads=True)
    checked = checked_of(definitions)
    expected = at_once.engine.publish(checked, wall_ms=WALL_MS)
    effects = slices.engine.publish(checked, wall_ms=WALL_MS, at_once=False)
    slices.log.point(version_point(slices.engine, definitions, None))
    slices.commit()
    while slices.engine.backlog:
        effects.add(slices.engine.work(2, wall_ms=WALL_MS))
        slices.commit()
        slices.restart()
    assert effects.transitions == expected.transitions
    assert slices.engine.to_bytes() == at_once.engine.to_bytes()


def test_a_storm_in_slices_is_caught_up_with_after_a_restart() -> None:
    """A tick that may work off one block at a time leaves the rest overdue, which a restored engine knows."""
    story = Story(CART)
    for number in range(3000):
        story.tell(number, "Product Added", user=f"u{number}")
    log = Changelog(story.engine)
    log.point(version_point(story.engine, story.definitions, None))
    until = 1_772_409_600_000 + DAY
    entered = len(story.engine.tick(until, wall_ms=WALL_MS, due_rows_max=1000).transitions)
    story.engine.rows.changed[: story.engine.rows.count] = True
    engine, _ = restored(log.records(0, 0))
    assert 0 < entered < 3000
    assert engine.overdue
    for _ in range(3):
        entered += len(engine.catch_up(1000, wall_ms=WALL_MS).transitions)
    assert entered == 3000


def test_only_what_changed_is_written() -> None:
    """Two users, one record for one of them: her row and the checkpoint; nothing at all: the checkpoint alone."""
    story = Story(CART)
    log = Changelog(story.engine)
    story.tell(0, "Product Viewed", user="a")
    story.tell(0, "Product Viewed", user="b")
    log.records(0, 0)
    story.tell(HOUR, "Product Viewed", user="b")
    assert [key for key, _ in log.records(0, 0)] == [b"ub", b"c"]
    assert [key for key, _ in log.records(0, 0)] == [b"c"]


def test_hourly_limits_are_remembered() -> None:
    """One message an hour: after a restart between two, the second is still refused."""
    story = Story(CART, campaigns=[reminder(max_per_hour=1)])
    log = Changelog(story.engine)
    log.point(version_point(story.engine, story.definitions, None))
    story.tell(0, "Product Added", user="a")
    story.tell(60_000, "Product Added", user="b")
    story.until(30 * 60_000)
    story.engine, _ = restored(log.records(0, 0))
    story.until(31 * 60_000)
    assert [outcome[:2] for outcome in story.outcomes] == [("fired", None), ("suppressed", "rate_limit")]


@pytest.mark.parametrize("user", ["c", "p\x00\x00\x00\x00", "s", "z", "checkpoint"])
def test_no_user_id_poses_as_something_else(user: str) -> None:
    """A user whose id is another record's key has a row like everybody."""
    story = Story(CART)
    log = Changelog(story.engine)
    log.point(version_point(story.engine, story.definitions, None))
    story.tell(0, "Product Added", user=user)
    engine, _ = restored(log.records(0, 0))
    assert engine.users.ids == [user]
    assert engine.to_bytes() == story.engine.to_bytes()


def test_another_layout_of_the_same_version_reads_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release that lays columns out the other way round carries its predecessor's rows over."""
    scenario = Scenario(31)
    pair, lay_out = logged(scenario), Layout.of
    scenario.drive(pair, 0)
    monkeypatch.setattr(Layout, "of", lambda wanted: lay_out(reversed(list(wanted))))
    engine, log = restored(pair.records)
    assert engine.rows.layout.hash != pair.engine.rows.layout.hash
    assert list(engine.memberships()) == list(pair.engine.memberships())
    engine.rows.changed[: engine.rows.count] = True
    assert restored(pair.records + log.records(0, 0))[0].to_bytes() == engine.to_bytes()


# What is no state.


def told() -> Records:
    """A small state."""
    story = Story(CART)
    log = Changelog(story.engine)
    log.point(version_point(story.engine, story.definitions, None))
    for user in ("a", "b", "c"):
        story.tell(0, "Product Added", user=user, product_id=f"p-{user}", zone="Europe/Berlin")
    return log.records(9, 4)


def without(key: bytes) -> Callable[[Records], Records]:
    """The records without those whose key begins so."""
    return lambda records: [record for record in records if not record[0].startswith(key)]


def with_checkpoint(**changes: Any) -> Callable[[Records], Records]:
    """The records with another checkpoint."""

    def change(records: Records) -> Records:
        checkpoint = msgspec.msgpack.decode(opened(*records[-1]), type=Checkpoint)
        packed = msgspec.msgpack.encode(msgspec.structs.replace(checkpoint, **changes))
        return [*records[:-1], (changelog.CHECKPOINT, sealed(changelog.CHECKPOINT, packed))]

    return change


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda records: [(key, value[:-1] + bytes([value[-1] ^ 1])) for key, value in records], "damaged"),
        (lambda records: [(b"ub" if key == b"ua" else key, value) for key, value in records], "damaged"),
        (lambda records: [*records, (b"ux", b"")], "damaged"),
        (lambda records: [*records, (b"hello", b"world")], "damaged, or was not written by Shoal"),
        (lambda records: [*records, (b"!", sealed(b"!", b""))], "unknown type"),
        (lambda records: [*records, (b"ux", sealed(b"ux", b"short"))], "can't be read"),
        (lambda records: [*records, (None, b"x")], "no key"),
        (lambda records: [*records, (b"sa", None)], "deleted"),
        (lambda records: [*records, (b"ua", None)], "counts"),
        (without(b"c"), "checkpoint is missing"),
        (without(b"ub"), "counts 3 users, and there are 2"),
        (without(b"s"), "counts .* texts, and there are 0"),
        (without(b"p"), "counts 1 points"),
        (with_checkpoint(format=99), "format is 99"),
        (with_checkpoint(users=2), "counts 2 users"),
        (with_checkpoint(points=2), "counts 2 points"),
    ],
)  # fmt: skip
def test_what_is_not_the_whole_of_a_state_is_refused(spoil: Callable[[Records], Records], said: str) -> None:
    """Damaged, foreign, of another release, or with a gap: an error that says which, and no engine."""
    with pytest.raises(StateRecordError, match=said):
        restored(spoil(told()))


def test_a_version_that_means_something_else_now_is_refused() -> None:
    """The definitions in the state no longer hash as they did: ids would change, so nothing is restored."""
    (point,) = [value for key, value in told() if key.startswith(changelog.POINT)]
    key = changelog.POINT + changelog.NUMBER.pack(0)
    changed = msgspec.structs.replace(msgspec.msgpack.decode(opened(key, point), type=Point), hash="0" * 64)
    with pytest.raises(StateRecordError, match="mean something else"):
        list(versions_of([changed]))


def test_nothing_at_all_is_no_state_and_no_error() -> None:
    """An empty topic is a beginning."""
    assert Restorer().finish() is None


def test_the_mapping_goes_with_the_definitions() -> None:
    """A version that came with another mapping is restored with it."""
    (version,) = versions_of([version_point(Story(CART).engine, {"version": 7, "segments": [CART]}, None)])
    assert version.mapping.hash == MAPPING.hash
    assert version.checked.hash == checked_of({"version": 7, "segments": [CART]}).hash


def test_many_new_texts_are_several_records() -> None:
    """A batch may bring more new products than fit into a broker's message."""
    story = Story(CART)
    log = Changelog(story.engine)
    log.point(version_point(story.engine, {"version": 7, "segments": [CART]}, None))
    for number in range(2_345):
        story.engine.strings.number(f"product {number}")
    texts = story.engine.strings.texts
    records = log.records(0, 0)
    lengths = [len(msgspec.msgpack.decode(opened(key, value))) for key, value in records if key[:1] == changelog.TEXTS]
    assert lengths == [1_000, 1_000, len(texts) - 2_000]
    engine, _ = restored(records)
    assert engine.strings.texts == texts


def told_under(spoilt: int, *, model: bool, left_over: bool) -> tuple[Records, Story]:
    """A state of three versions, the definitions of one of which (`spoilt`) no release takes any more."""
    story = Story(CART)
    log = Changelog(story.engine)
    versions = [story.definitions, {"version": 8, "segments": [CART, BUYER]}, {"version": 9, "segments": [BUYER]}]
    for number, definitions in enumerate(versions):
        if number:
            story.take(story.engine.publish(checked_of(definitions), wall_ms=WALL_MS, at_once=False))
        point = version_point(story.engine, definitions, None)
        log.point(msgspec.structs.replace(point, definitions="gone: 1") if number == spoilt else point)
        story.tell(number, "Product Added", user=f"u-{number}")
        story.tell(number, "Product Added", user="a")
        story.take(story.engine.work(0 if left_over else ALL, wall_ms=WALL_MS))
    if model:
        snapshot = random_definitions.snapshot(random.Random(1))
        story.engine.publish(model=Snapshot.model_validate(snapshot), wall_ms=WALL_MS)
        log.point(version_point(story.engine, None, story.engine.version.model))
    return log.records(9, 4), story


@pytest.mark.parametrize("model", [False, True])
def test_what_isnt_in_force_any_more_need_not_be_accepted(model: bool) -> None:
    """A release that refuses an older version goes on all the same; hashes and model are what they were."""
    records, story = told_under(spoilt=0, model=model, left_over=False)
    engine, _ = restored(records)
    assert engine.to_bytes() == story.engine.to_bytes()


def test_the_version_before_is_needed_as_long_as_something_is_left_over_from_it() -> None:
    """Whom the new version has yet to judge may be in a segment that only the one before had."""
    records, story = told_under(spoilt=1, model=False, left_over=True)
    assert story.engine.backlog
    with pytest.raises(OtherReleaseError, match="refuses"):
        restored(records)
    engine, _ = restored(told_under(spoilt=1, model=False, left_over=False)[0])
    assert engine.backlog == 0


def test_the_definitions_in_force_have_to_be_accepted() -> None:
    """Nothing is guessed about what a version meant."""
    with pytest.raises(OtherReleaseError, match="refuses the definitions in force"):
        restored(told_under(spoilt=2, model=False, left_over=False)[0])


def test_a_model_that_this_release_cannot_use_is_as_if_there_were_none() -> None:
    """Of other features, say: members stay, nobody is scored until there is another; a replay of the points ends."""
    likely = {"id": "likely", "enter": 'probability("purchase_7d") > 0', "exit": 'probability("purchase_7d") < 0'}
    targets = [{"id": "purchase_7d", "positive": "order", "horizon": "7d"}]
    story = Story(likely, targets=targets)
    log = Changelog(story.engine)
    points = [version_point(story.engine, story.definitions, None)]
    story.tell(0, "Product Viewed")
    model = Snapshot.model_validate(random_definitions.snapshot(random.Random(1)))
    story.take(story.engine.publish(model=model, wall_ms=WALL_MS))
    points.append(version_point(story.engine, None, model.model_copy(update={"feature_schema": "0" * 16})))
    for point in points:
        log.point(point)
    assert story.engine.version.model is not None
    engine, _ = restored(log.records(9, 4))
    assert engine.version.model is None
    assert engine.members() == story.engine.members() == {"likely": 1}
    assert engine.publish(model=model, wall_ms=WALL_MS).transitions == []
    with pytest.raises(OtherReleaseError, match="can't use a model"):
        list(versions_of(points))
