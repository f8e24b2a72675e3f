"""`shoal trainer`: what it learns from is learnt once, whatever happens to it, and models come of it."""

import pytest

from tests.kafka.learning import DEFINITIONS, LEARNS, evidence, feed, learnt, models, samples, start_trainer
from tests.kafka.working import AGAIN, got, metric, wait_until
from tests.support.kafka import meddling
from tests.support.kafka.broker import Broker
from tests.support.kafka.deployment import Deployment, run
from tests.support.kafka.worker_process import Process
from tests.support.kafka.worker_trouble import BREAKS_THE_LEARNING
from worker.agents.lessons import READINGS
from worker.kafka.merged_input import MergedInput, Offsets
from worker.kafka.steps import Step
from worker.kafka.writing import Written

SIGKILL = -9
TARGET = {"id": "stay", "positive": "silence", "horizon": "30d"}


def records(trainer: Process) -> dict[str, float]:
    """How many samples the trainer has taken, by what became of them."""
    shown = metric(got(trainer.http_port, "/metrics")[1], "shoal_learner_records_total")
    return {labels.split('"')[1]: count for labels, count in shown.items()}


def test_samples_become_a_model(broker: Broker, prefix: str) -> None:
    """Every sample counts once, one that comes again not at all; what is no sample is left out; SIGTERM ends with 0."""
    with Deployment(broker, prefix, definitions=DEFINITIONS) as shop:
        trainer = start_trainer(shop)
        trainer.wait_for(LEARNS)
        made = samples(1, 300)
        feed(shop, [*made, *made[:40], Written(b"u-1", b"no sample"), Written(b"u-2", b"{}")])
        until_all_is_learnt(shop, 300)
        wait_until(lambda: records(trainer) == {"learnt": 301, "known": 40, "refused": 2}, "the records aren't counted")
        assert got(trainer.http_port, "/live")[0] == got(trainer.http_port, "/ready")[0] == 200
        assert trainer.stop() == 0
        published = models(shop)
        assert [model.version for model in published] == list(range(1, len(published) + 1))
        assert all(model.hash == model.content_hash for model in published)


def until_all_is_learnt(shop: Deployment, count: int) -> None:
    """Wait until so many samples are learnt; one more, of a later day, has the trainer publish a model of them all."""
    wait_until(lambda: learnt(shop).samples == count, f"{count} samples aren't learnt")
    feed(shop, samples(99, 1))
    wait_until(lambda: evidence(shop)[-1:] == [{"buy": count + 1}], "no model of all of them")


@pytest.mark.parametrize("step", [step for step in Step if step is not Step.OURS])
def test_a_trainer_may_die_at_every_step(broker: Broker, prefix: str, step: Step) -> None:
    """Killed the first time that it gets there, and so is its successor: nothing is lost, nothing counts twice."""
    with Deployment(broker, prefix, definitions=DEFINITIONS) as shop:
        for seed in (2, 3):
            feed(shop, samples(seed, 700))
            trainer = start_trainer(shop, fault=f"{step}:1:kill")
            assert trainer.wait_until_ended() == SIGKILL
            assert [fault["step"] for fault in trainer.fired] == [step]
        feed(shop, samples(4, 40))
        start_trainer(shop)
        until_all_is_learnt(shop, 1440)
        versions = [model.version for model in models(shop)]
        assert versions == sorted(set(versions))
        assert learnt(shop).version == versions[-1]


def test_a_second_trainer_waits_and_takes_over(broker: Broker, prefix: str) -> None:
    """While one learns the other is ready and does nothing; the first is killed, and the second goes on from there."""
    with Deployment(broker, prefix, definitions=DEFINITIONS) as shop:
        first = start_trainer(shop, "first")
        first.wait_for(LEARNS)
        second = start_trainer(shop, "second")
        wait_until(lambda: got(second.http_port, "/ready")[0] == 200, "the second one isn't ready")
        feed(shop, samples(1, 100))
        until_all_is_learnt(shop, 100)
        assert second.said(LEARNS) == []
        first.kill()
        assert second.wait_for(LEARNS)["samples"] == 101
        feed(shop, samples(100, 1))
        wait_until(lambda: evidence(shop)[-1] == {"buy": 102}, "the second one learns nothing")


def test_a_trainer_that_was_asleep_is_fenced(broker: Broker, prefix: str) -> None:
    """Frozen between its sends and its commit until another has taken over, it finds that it can't commit any more."""
    with Deployment(broker, prefix, definitions=DEFINITIONS) as shop:
        feed(shop, samples(1, 100))
        first = start_trainer(shop, "first", fault="B6:1:stop")
        first.wait_until_fired()
        second = start_trainer(shop, "second")
        second.wait_for(LEARNS)
        until_all_is_learnt(shop, 100)
        first.thaw()
        first.wait_for(AGAIN)
        second.kill()
        assert first.wait_for(LEARNS, 2)["samples"] == 101
        versions = [model.version for model in models(shop)]
        assert versions == sorted(set(versions))


def test_new_definitions_keep_what_was_learnt_of_targets_that_stay(broker: Broker, prefix: str) -> None:
    """A target more: what is known of the old one stays, and samples of the new one are learnt from then on."""
    more = {**DEFINITIONS, "version": 2, "targets": [*DEFINITIONS["targets"], TARGET]}
    with Deployment(broker, prefix, definitions=DEFINITIONS) as shop:
        trainer = start_trainer(shop)
        feed(shop, samples(1, 50))
        until_all_is_learnt(shop, 50)
        shop.publish(more)
        trainer.wait_for("Definitions take effect.")
        feed(shop, samples(100, 7, target="stay", hours=24))
        wait_until(lambda: evidence(shop)[-1] == {"buy": 51, "stay": 7}, "the new target isn't learnt")


def test_a_state_that_is_damaged_is_learnt_anew(broker: Broker, prefix: str) -> None:
    """A part that isn't the one its progress names: the log says so, and the samples are learnt again, each once."""
    with Deployment(broker, prefix, definitions=DEFINITIONS) as shop:
        trainer = start_trainer(shop)
        feed(shop, samples(1, 50))
        until_all_is_learnt(shop, 50)
        assert trainer.stop() == 0
        meddling.write(shop, "learner-state", 0, [(b"part/buy", b"[]")])
        trainer = start_trainer(shop)
        trainer.wait_for("What was learnt can't be used")
        feed(shop, samples(100, 1))
        wait_until(lambda: evidence(shop)[-1] == {"buy": 52}, "it isn't learnt anew")
        versions = [model.version for model in models(shop)]
        assert versions == sorted(set(versions))


def test_a_record_that_breaks_the_learning_is_left_out(broker: Broker, prefix: str) -> None:
    """It fails twice, what was learnt with it is thrown away, and the third time all but it is learnt."""
    with Deployment(broker, prefix, definitions=DEFINITIONS) as shop:
        trainer = start_trainer(shop, without=("marked_users",))
        feed(shop, [*samples(1, 30), *samples(2, 1, user=BREAKS_THE_LEARNING), *samples(3, 30)])
        until_all_is_learnt(shop, 60)
        assert len(trainer.fired) == 2
        assert len(trainer.said("The learning fails over a record")) == 1
        assert records(trainer)["broken"] == 1
        assert BREAKS_THE_LEARNING not in trainer.text


def test_learning_that_always_breaks_stops(broker: Broker, prefix: str) -> None:
    """Three records in a row: then it isn't they, and the trainer stops with a sentence and has committed nothing."""
    with Deployment(broker, prefix, definitions=DEFINITIONS) as shop:
        trainer = start_trainer(shop, without=("marked_users",))
        feed(shop, samples(1, 30, user=BREAKS_THE_LEARNING))
        trainer.wait_for("The learning has failed over 3 records in a row")
        assert learnt(shop).samples == 0
        assert trainer.stop() == 0


def test_a_backlog_is_read_in_the_order_of_time(broker: Broker, prefix: str) -> None:
    """Partitions that hold the same days are merged, whatever lies in which; what is left is read from the offsets."""
    with Deployment(broker, prefix, partitions=3, definitions=DEFINITIONS) as shop:
        feed(shop, samples(1, 4_000, hours=0.1))
        times, offsets = run(read_times(shop, {}, 2_500))
        rest, _ = run(read_times(shop, offsets, 1_500))
        assert len(times) == 2_500
        assert times + rest == sorted(times + rest)
        assert len(times + rest) == 4_000


async def read_times(shop: Deployment, offsets: Offsets, count: int) -> tuple[list[int], Offsets]:
    """Read so many records from offsets on; return their times, and the offsets after them."""
    reading, times = MergedInput(shop.settings, READINGS), list[int]()
    await reading.begin(offsets)
    try:
        while len(times) < count:
            times += [arrived.at_ms for arrived in await reading.read(min(500, count - len(times)))]
        return times, reading.by_topic(await reading.offsets())
    finally:
        await reading.close()
