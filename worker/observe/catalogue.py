"""Every metric there is: the one table from which the families are made and `docs/operating.md` is printed.

The rule: what isn't here isn't shown. A name never changes its meaning; labels are those of `worker/observe/family.py`,
and a user id is never one. `python -m deploy.generate` prints the tables anew.
"""

from collections.abc import Iterator, Mapping
from typing import get_args

from schemas.access import MEASURED_FROM, Role
from schemas.definitions import CAMPAIGNS_MAX, SEGMENTS_MAX, TARGETS_MAX, TRAITS_MAX
from schemas.models import Refusal
from schemas.outputs import Cause, Check, DeadLetterReason, Direction, Outcome
from worker.core.batch import REPAIRS
from worker.language.observed import OBSERVED
from worker.observe.family import Family, Values, of
from worker.observe.health import STATES

__all__ = ["CATALOGUE", "FAMILIES", "RESTART_CAUSES", "families_of", "label_rows", "rows_of"]

# Upper bounds in seconds, closest where the targets are: 100 and 250 ms to a commit, 2 s for a timer, 20 s to restore.
TO_COMMIT = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
LATENESS = (0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
TRANSACTION = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
REQUEST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
RESTORE = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)

RESTART_CAUSES = ("fenced", "engine", "revoked", "in_doubt", "timeout", "kafka", "unexpected")
SEGMENT = Values("segments of the definitions, tiers and clusters counted", SEGMENTS_MAX)
CAMPAIGN = Values("campaigns of the definitions", CAMPAIGNS_MAX)
VARIANT = Values("variants of the campaign, `holdout`, or empty", 16)
TARGET = Values("targets of the definitions", TARGETS_MAX)
PARTITION = Values("partitions of the input that this process owns", 1_000)
MODEL = Values("`prior`, `linear`, `tree`, `live`", 16)
FEATURE = Values("features that are watched", len(OBSERVED))
CLUSTER = Values("clusters of the model", 64)
WATCHED = Values("a feature, a target, a cluster, or `clusters`", len(OBSERVED) + TARGETS_MAX + 65)
THRESHOLD = Values("numbers that definitions compare a target's probability with", 32)
TRAIT = Values("traits that the definitions declare", TRAITS_MAX)
TRAIT_VALUE = Values("the trait's 20 most frequent values, and `other`", 21)
VERSION = Values("of what is in force", 8)
SINK = of("webhook", "audiences")
OWN = Values("the settings", 1)
BUILT = Values("what is installed", 1)
BUILD = {"version": BUILT, "python": BUILT, "numba": BUILT}
EVERY_ROLE: tuple[Role, ...] = ("worker", "trainer", "lift", "sinks")
SINKS: tuple[Role, ...] = ("sinks",)
LIFT: tuple[Role, ...] = ("lift",)
MEASURED = Values("campaigns of the definitions, and `*` for all together", CAMPAIGNS_MAX + 1)
ARM = Values("variants of the campaign, `holdout`, `global_holdout`, or empty", 18)
ARMS = {"campaign": MEASURED, "variant": ARM}
TRAINER: tuple[Role, ...] = ("trainer",)

CATALOGUE: tuple[Family, ...] = (
    Family("shoal_records_total", "counter", "records",
        "What became of each record of the input: `applied`, `duplicate` or `dead_letter`; their sum is what was read",
        "No increase with lag: see `/ready`. Many duplicates: a sender repeats itself, which costs nothing but its "
        "traffic",
        {"result": of("applied", "duplicate", "dead_letter")}),
    Family("shoal_records_read_total", "counter", "records",
        "Records taken from the input, counted where they are read; what became of each is counted by the engine, as "
        "`shoal_records_total`",
        "Other than the sum of `shoal_records_total`: a record was lost or counted twice. Stop, keep the log, and "
        "report it"),
    Family("shoal_dead_letters_total", "counter", "records",
        "Records that could not be understood",
        "Look at them: `shoal dead-letters list`. `key_mismatch`: the topic is keyed otherwise, `shoal rekey`. "
        "`engine_error`: a mistake of Shoal's own, report it",
        {"reason": of(*get_args(DeadLetterReason))}),
    Family("shoal_ignored_records_total", "counter", "records",
        "Of the duplicates, records of erased users: stamped before the erasure, or of suppressed ones",
        "Many for long: a suppressed user goes on, or somebody writes old records again"),
    Family("shoal_forgotten_users_total", "counter", "users",
        "Users who were forgotten: by `erasure`, since they were `idle` for longer than the definitions keep them, or "
        "by the `limit` on users",
        "Many by `limit`: raise `users_max`, or look whether ids change with each visit",
        {"cause": of("erasure", "idle", "limit")}),
    Family("shoal_repaired_total", "counter", "repairs",
        "Details of applied records that were wrong and left out",
        "Tell whoever sends the events; amounts that are left out make spend too small",
        {"reason": of(*REPAIRS)}),
    Family("shoal_transitions_total", "counter", "transitions",
        "Entries and exits: `direction` is `entered` or `exited`, `cause` is `event`, `timer`, `model`, `definition` "
        "or `erasure`",
        "None for long in a busy segment: its condition may never hold, `shoal explain USER` shows why. Many in both "
        "directions: give it an `exit` of its own or a `min_dwell`",
        {"segment": SEGMENT, "direction": of(*get_args(Direction)), "cause": of(*get_args(Cause))}),
    Family("shoal_decisions_total", "counter", "decisions",
        "What was decided about triggers; `blocked_by` is the check that refused, empty where none did",
        "`fired` far from what is usual: `shoal campaigns pause ID`, then look. All `consent`: consents don't arrive",
        {"campaign": CAMPAIGN, "outcome": of(*get_args(Outcome)), "blocked_by": of(*get_args(Check), "")}),
    Family("shoal_conversions_total", "counter", "conversions",
        "Events that count as a campaign's success; `variant` is `holdout` for users held out, empty for campaigns "
        "without variants",
        "None at all: the event named in `conversion` doesn't arrive, or `within` is too short",
        {"campaign": CAMPAIGN, "variant": VARIANT}),
    Family("shoal_samples_total", "counter", "samples",
        "Samples that were resolved and written for the trainer; `label` is 1 for positives",
        "None of a target: nobody has been seen for as long as its horizon, or consents to profiling are missing",
        {"target": TARGET, "label": of("0", "1")}),
    Family("shoal_members", "gauge", "users",
        "Users in the segment",
        "A leap without a new definition: compare `shoal_transitions_total` by cause",
        {"segment": SEGMENT}),
    Family("shoal_segment_last_evaluated_timestamp_seconds", "gauge", "s since 1970",
        "When the segment was last judged for anyone, by the worker's clock",
        "Old while records come in: see `/ready` and the lag",
        {"segment": SEGMENT}),
    Family("shoal_lag_records", "gauge", "records",
        "Records of the input that are yet to be read",
        "Growing: more workers, up to one per partition; or a partition that isn't running",
        {"partition": PARTITION}),
    Family("shoal_lag_seconds", "gauge", "s",
        "How far behind the partition is",
        "As above. What is decided meanwhile is decided in the backlog's own time, only later",
        {"partition": PARTITION}),
    Family("kafka_consumergroup_lag", "gauge", "records",
        "The same as `shoal_lag_records`, under the name that Kafka's exporters use, for dashboards and scalers that "
        "know it",
        "As `shoal_lag_records`",
        {"consumergroup": OWN, "topic": OWN, "partition": PARTITION}),
    Family("kafka_consumergroup_current_offset", "gauge", "offset",
        "The next offset that the group reads, under the name that Kafka's exporters use",
        "Stands still while there is lag: see `/ready`",
        {"consumergroup": OWN, "topic": OWN, "partition": PARTITION}),
    Family("kafka_topic_partition_current_offset", "gauge", "offset",
        "The end of the input's partition, under the name that Kafka's exporters use",
        "Stands still: nobody writes events",
        {"topic": OWN, "partition": PARTITION}),
    Family("shoal_partition_clock_timestamp_seconds", "gauge", "s since 1970",
        "Up to when the partition has let time pass; absent before its first record",
        "Behind the wall by more than the lag: a broker answers slowly. With the event clock it is the events' own "
        "time",
        {"partition": PARTITION}),
    Family("shoal_last_commit_timestamp_seconds", "gauge", "s since 1970",
        "When the partition last committed, by the worker's clock",
        "Old while there is lag: see `/ready`. Without input and timers there is nothing to commit",
        {"partition": PARTITION}),
    Family("shoal_event_to_commit_seconds", "histogram", "s",
        "From a record's arrival on the input to the commit of what it brought about",
        "Slow with little lag: see `shoal_transaction_seconds`. With the event clock it is the age of the events, and "
        "means nothing",
        buckets_seconds=TO_COMMIT),
    Family("shoal_timer_lateness_seconds", "histogram", "s",
        "How long after its instant, beyond the grace, a change that only time brought about was committed; not with "
        "the event clock",
        "Late while many fall due at once: that passes. Late always: too much for the worker, or its clock is behind",
        buckets_seconds=LATENESS),
    Family("shoal_transaction_seconds", "histogram", "s",
        "How long a transaction took, from its begin to its commit",
        "Slow: the brokers are, or the way to them. Near `SHOAL_COMMIT_DEADLINE_MS` transactions are given up and "
        "done again",
        buckets_seconds=TRANSACTION),
    Family("shoal_restore_seconds", "histogram", "s",
        "How long it took to read a partition's state back",
        "Slow: the state topic isn't compacted (`shoal topics check`), or has grown beyond one partition's share: "
        "more users, more partitions",
        roles=EVERY_ROLE, buckets_seconds=RESTORE),
    Family("shoal_task_restarts_total", "counter", "restarts",
        "Times a partition gave up everything and began again; a few come with every rebalance or broker restart",
        "Steady: the log says why, under `The partition starts again`. In a trainer `fenced` comes with every `shoal "
        "models freeze` and `rollback`",
        {"cause": of(*RESTART_CAUSES)}, roles=EVERY_ROLE),
    Family("shoal_rebalances_total", "counter", "rebalances",
        "Assignments that the group has given this process",
        "Steady: workers come and go. Give each a stable `SHOAL_INSTANCE_ID`, look for restarts and for pauses beyond "
        "`SHOAL_SESSION_TIMEOUT_MS`",
        roles=EVERY_ROLE),
    Family("shoal_partitions", "gauge", "partitions",
        "Partitions that this process owns, by how they are",
        "Anything but `running` for long: `/ready` says why. `stopped` needs a person",
        {"state": of(*STATES)}, roles=EVERY_ROLE),
    Family("shoal_input_partitions", "gauge", "partitions",
        "Partitions that the input has; the sum of `shoal_partitions` over all workers should be as many",
        "Fewer are owned: workers are missing, or can't join the group"),
    Family("shoal_definitions_version", "gauge", "1",
        "Version number of the definitions that the partition has in force",
        "Differs between partitions for long: one isn't running, or has yet to work off the version before",
        {"partition": PARTITION}),
    Family("shoal_definitions_info", "info", "1",
        "The definitions in force",
        "More than one for long: as above",
        {"version": VERSION, "hash": VERSION}),
    Family("shoal_model_version", "gauge", "1",
        "Version number of the model that the partition has in force; 0: none",
        "Behind `shoal_model_info` of the trainer: refused (see the next), or the partition isn't running",
        {"partition": PARTITION}),
    Family("shoal_model_trained_until_timestamp_seconds", "gauge", "s since 1970",
        "Event time up to which the model in force has learnt; absent without a model",
        "Far behind `shoal_partition_clock_timestamp_seconds`: the trainer is behind, or its models are refused or "
        "frozen"),
    Family("shoal_models_refused_total", "counter", "models",
        "Published models that this worker can't use; the last good one stays in force. `too_large`, `malformed`, "
        "`not_finite`, `wrong_hash`: damaged, or written by something else than the trainer; `other_schema`: of a "
        "release whose features are others; `older`: not newer than the one before it",
        "Any increase: the log says what is wrong, under `A model is refused`. `other_schema` after an upgrade: "
        "trainer and workers are of different releases",
        {"reason": of(*get_args(Refusal))}),
    Family("shoal_state_users", "gauge", "users",
        "Users in memory",
        "Far more than the shop has: ids change with each visit"),
    Family("shoal_state_bytes", "gauge", "bytes",
        "Memory of their state",
        "Near the memory limit: more workers, or definitions that read fewer windows"),
    Family("shoal_backfill_remaining_users", "gauge", "users",
        "Users that the version in force has yet to judge; 0 but for a while after a publication",
        "Not falling: see `/ready`. Slow: raise `SHOAL_SLICE_USERS_MAX`"),
    Family("shoal_build_info", "info", "1",
        "What runs",
        "More than one version for long: an update got stuck",
        BUILD, roles=EVERY_ROLE),
    Family("shoal_series_left_out", "gauge", "series",
        "Gauges that aren't shown because their family has as many series as it may have",
        "Above 0: definitions compare probabilities with very many thresholds, or declare traits of very many values",
        roles=EVERY_ROLE),
    Family("shoal_http_requests_total", "counter", "requests",
        "Requests that were answered at `/live`, `/ready` and `/metrics`",
        "503 at `/live`: the event loop stands still. 404: somebody looks for what isn't here",
        {"path": of("/live", "/ready", "/metrics", "other"), "status": of("200", "404", "405", "503")},
        roles=EVERY_ROLE),
    Family("shoal_model_info", "info", "1",
        "The latest model that this trainer has published",
        "Old while samples come in: see `shoal_models_frozen`, and whether there is news in the log",
        {"version": VERSION, "hash": VERSION}, roles=TRAINER),
    Family("shoal_models_published_total", "counter", "models",
        "Models published",
        "One a minute for long: the learning finds no rest, see the drift alarms",
        roles=TRAINER),
    Family("shoal_models_frozen", "gauge", "1 or 0",
        "Whether models are frozen, as `shoal models freeze` and `rollback` have it",
        "1 and forgotten: `shoal models freeze --release`",
        roles=TRAINER),
    Family("shoal_model_auc", "gauge", "0 to 1",
        "How well scores tell who will from who won't, over the latest samples, each scored before it was learnt "
        "from; 0.5 is chance",
        "Falling: the shop has changed, or a feature has broken; see `shoal_feature_psi`",
        {"target": TARGET, "model": MODEL}, roles=TRAINER),
    Family("shoal_model_log_loss", "gauge", "nats",
        "Mean surprise over the same samples",
        "Above the `prior`'s: the model is of no use, and isn't live",
        {"target": TARGET, "model": MODEL}, roles=TRAINER),
    Family("shoal_model_calibration_error", "gauge", "0 to 1",
        "How far probabilities are from frequencies, on average",
        "Above 0.05: thresholds in definitions don't mean what they say",
        {"target": TARGET, "model": MODEL}, roles=TRAINER),
    Family("shoal_model_brier", "gauge", "0 to 1",
        "Mean squared difference of score and outcome, over the same samples",
        "As log loss",
        {"target": TARGET, "model": MODEL}, roles=TRAINER),
    Family("shoal_model_scores", "gauge", "samples",
        "How many samples these numbers are over",
        "Few: the numbers say little yet",
        {"target": TARGET, "model": MODEL}, roles=TRAINER),
    Family("shoal_model_precision", "gauge", "0 to 1",
        "Share of positives among those at or above a threshold that definitions compare the probability with",
        "Low: raise the threshold, or accept that many are reached for nothing",
        {"target": TARGET, "model": MODEL, "threshold": THRESHOLD}, roles=TRAINER),
    Family("shoal_model_recall", "gauge", "0 to 1",
        "Share of the positives that is at or above it",
        "Low: lower the threshold, or accept that many are missed",
        {"target": TARGET, "model": MODEL, "threshold": THRESHOLD}, roles=TRAINER),
    Family("shoal_model_f1", "gauge", "0 to 1",
        "Harmonic mean of precision and recall",
        "To compare thresholds",
        {"target": TARGET, "model": MODEL, "threshold": THRESHOLD}, roles=TRAINER),
    Family("shoal_model_accuracy", "gauge", "0 to 1",
        "Share that is on the right side of it",
        "Says little where positives are rare",
        {"target": TARGET, "model": MODEL, "threshold": THRESHOLD}, roles=TRAINER),
    Family("shoal_trait_calibration", "gauge", "-1 to 1",
        "Mean live score less rate of positives, of those whose declared trait has the value; values that few have "
        "are `other`",
        "Far from 0 for some and not for others: the model errs about them; see `shoal models report`",
        {"target": TARGET, "trait": TRAIT, "value": TRAIT_VALUE}, roles=TRAINER),
    Family("shoal_trait_selection_rate", "gauge", "0 to 1",
        "Share of these at or above a threshold",
        "Differs more than the rates of positives do: groups aren't served alike",
        {"target": TARGET, "trait": TRAIT, "value": TRAIT_VALUE, "threshold": THRESHOLD}, roles=TRAINER),
    Family("shoal_trait_precision", "gauge", "0 to 1",
        "Share of positives among those at or above it",
        "Lower for some: the threshold means something else for them",
        {"target": TARGET, "trait": TRAIT, "value": TRAIT_VALUE, "threshold": THRESHOLD}, roles=TRAINER),
    Family("shoal_model_evidence", "gauge", "samples",
        "What was learnt from: `samples`, and the `positives` among them",
        "Not growing: the workers write no samples, see `shoal_samples_total`",
        {"target": TARGET, "kind": of("samples", "positives")}, roles=TRAINER),
    Family("shoal_feature_psi", "gauge", "1",
        "How differently a feature is spread now than when the model was learnt",
        "Above 0.2: something upstream has changed; look at the feature in `shoal explain`",
        {"feature": FEATURE}, roles=TRAINER),
    Family("shoal_cluster_share", "gauge", "0 to 1",
        "Share of the active users that is in a cluster",
        "A leap: see the alarms, and the cluster's card in `shoal models list --json`",
        {"cluster": CLUSTER}, roles=TRAINER),
    Family("shoal_drift_alarms_total", "counter", "alarms",
        "Changes that are no chance, of a feature, a target's loss or a cluster",
        "Look at what is named; the learning reacts by itself, and the log says how",
        {"kind": of("mean", "psi", "centre", "sizes", "loss"), "name": WATCHED}, roles=TRAINER),
    Family("shoal_champion", "gauge", "1 or 0",
        "1 for the model whose scores are live for a target, 0 for the others; `prior` is the rate of positives, and "
        "not published",
        "`prior` for long: nothing learnt is worth more than the average yet",
        {"target": TARGET, "model": MODEL}, roles=TRAINER),
    Family("shoal_champion_changes_total", "counter", "changes",
        "Times another model went live for a target: `promoted` for being better, `rolled_back` to one before it for "
        "having become worse",
        "`rolled_back`: the shop has changed; see the drift alarms and `shoal_model_log_loss`. Many: two models are "
        "as good as each other",
        {"target": TARGET, "change": of("promoted", "rolled_back")}, roles=TRAINER),
    Family("shoal_learner_records_total", "counter", "records",
        "What became of what was read: `learnt`, `known` (came before, or of no target), `refused` (no record that can "
        "be understood) or `broken` (the learning failed over it twice)",
        "`refused`: workers of another release write for it; update both. `broken`: report it with the log",
        {"topic": of("training-samples", "observations"), "result": of("learnt", "known", "refused", "broken")},
        roles=TRAINER),
    Family("shoal_learner_lag_records", "gauge", "records",
        "Records that are yet to be learnt from",
        "Growing: see `/ready` and the log",
        roles=TRAINER),
    Family("shoal_sink_deliveries_total", "counter", "records",
        "What became of the records that a sink takes: `delivered`; `expired`, a trigger whose `expires_at` was over; "
        "`erased`, about a user who was erased since; `dead_letter`, refused or failing for good. `again` counts "
        "requests that are made again",
        "`dead_letter`: `sink-dead-letters` has reason, status and place. `again` without `delivered`: the endpoint is "
        "down. `expired`: it was, for long",
        {"sink": SINK, "result": of("delivered", "expired", "erased", "dead_letter", "again")}, roles=SINKS),
    Family("shoal_sink_delivery_seconds", "histogram", "s",
        "How long a request to an endpoint took, answered or not",
        "Near `SHOAL_SINKS_TIMEOUT_MS`: the endpoint is too slow; it has the trigger perhaps, and gets it again",
        {"sink": SINK}, roles=SINKS, buckets_seconds=REQUEST),
    Family("shoal_sink_lag_seconds", "gauge", "s",
        "How long the oldest record has been waiting that a sink has taken up and not delivered yet",
        "Growing: the endpoint is down or too slow, see the log. Nothing is lost while the topics keep it: triggers "
        "for 7 days, changes for 30",
        {"sink": SINK}, roles=SINKS),
    Family("shoal_verify_users", "gauge", "users",
        "Users of the last `shoal verify`, by what it found: `same`, `different`, or `not_judged`",
        "`different` above 0: the file that it wrote says who and in what; keep the topics as they are, and report it",
        {"result": of("same", "different", "not_judged")}, roles=("auditor",)),
    Family("shoal_verify_timestamp_seconds", "gauge", "s since 1970",
        "When the last `shoal verify` ended",
        "Old: the job doesn't run, or doesn't end",
        roles=("auditor",)),
    Family("shoal_campaign_users", "gauge", "users",
        "Users of an arm in the campaign's present run who got so far, each once: `fired`, `sent`, `clicked`, "
        "`held_out`, `converted`",
        "`sent` far below `fired`: the sender loses messages, or writes no events with `decision_id`",
        {**ARMS, "stage": of("fired", "sent", "clicked", "held_out", "converted")}, roles=LIFT),
    Family("shoal_campaign_revenue", "gauge", "currency",
        "Amounts of conversions within users' windows",
        "Of one arm alone it says nothing: see `shoal lift report`",
        ARMS, roles=LIFT),
    Family("shoal_campaign_cost", "gauge", "currency",
        "What was fired, at `cost_per_trigger`",
        "Above what it brings: see the return in `shoal lift report`",
        ARMS, roles=LIFT),
    Family("shoal_campaign_lift", "gauge", "1",
        "Share of users who converted, less that of the control; `low` and `high` hold however often one looks",
        "`high` below 0: the campaign does harm. Pause it: `shoal campaigns pause`",
        {**ARMS, "bound": of("estimate", "low", "high")}, roles=LIFT),
    Family("shoal_campaign_retention", "gauge", "0 to 1",
        "Share of users observed four weeks after their first decision who were still active",
        "Lower than the holdout's: messages drive users away",
        ARMS, roles=LIFT),
    Family("shoal_campaign_sample_ratio_mismatch", "gauge", "1 or 0",
        "Whether users are in the arms in other shares than planned, which once in 1,000 campaigns is chance; of "
        "campaigns that the newest definitions have",
        "1: don't believe the lift; an earlier design has had its effect on one arm, or decisions of one arm get lost: "
        "see [lift](lift.md)",
        {"campaign": MEASURED}, roles=LIFT),
    Family("shoal_lift_records_total", "counter", "records",
        "What became of the records that lift reads: `taken`, `not_assigned` (refused before the holdout), `outside` "
        "(of no window), `early` (waits for its decision), `rehearsed` (in shadow), `erased`, `unknown_version` or "
        "`refused`",
        "`unknown_version`: the definitions topic has lost a version. `refused`: workers of another release",
        {"topic": of(*MEASURED_FROM),
         "result": of("taken", "not_assigned", "outside", "early", "rehearsed", "erased", "unknown_version",
                      "refused")},
        roles=LIFT),
    Family("shoal_lift_lag_records", "gauge", "records",
        "Records that lift has yet to read",
        "Growing: see `/ready` and the log",
        roles=LIFT),
    Family("shoal_lift_users", "gauge", "users",
        "Users whose part in a campaign is kept",
        "Times 200 bytes, and 90 for each campaign that one is in: the memory of the process, and 200 MB",
        roles=LIFT),
)  # fmt: skip
FAMILIES: Mapping[str, Family] = {family.name: family for family in CATALOGUE}


def families_of(role: Role) -> list[Family]:
    """Return the families that a role shows, in the catalogue's order."""
    return [family for family in CATALOGUE if role in family.roles]


def rows_of(role: Role) -> Iterator[str]:
    """Yield the lines of a role's table in `docs/operating.md`."""
    yield "| metric | type | unit | meaning | when it looks wrong |"
    yield "| --- | --- | --- | --- | --- |"
    for family in families_of(role):
        labels = ",".join(family.labels)
        shown = f"{family.name}{{{labels}}}" if labels else family.name
        kind = "gauge" if family.kind == "info" else family.kind
        yield f"| `{shown}` | {kind} | {family.unit} | {family.meaning} | {family.wrong} |"


def label_rows() -> Iterator[str]:
    """Yield the lines of the table of labels in `docs/operating.md`: each label once for everything it may be."""
    yield "| label | of | values | at most |"
    yield "| --- | --- | --- | --- |"
    where: dict[tuple[str, str, int], list[str]] = {}
    for family in CATALOGUE:
        for label, values in family.labels.items():
            where.setdefault((label, values.source, values.most), []).append(f"`{family.name}`")
    for (label, source, most), names in sorted(where.items()):
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        yield f"| `{label}` | {shown} | {source} | {most:,} |"
