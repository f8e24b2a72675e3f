"""*Operations*: is it keeping up, is it correct, what restarts. The top row tells at a glance whether it is healthy."""

from deploy.dashboards.panels import GREEN, ORANGE, RED, Dashboard, Panel, Query, Row, Variable, at, or_zero

__all__ = ["OPERATIONS"]

OF_WORKERS = "and on (job, instance) shoal_input_partitions"
RATE = "[$__rate_interval]"
NONE_MAY = ((None, GREEN), (1, RED))


def quantile(share: float, histogram: str, window: str = RATE) -> Query:
    """Return the query of a quantile over all workers."""
    rate = f"rate({at(histogram + '_bucket')}{window})"
    return Query(f"histogram_quantile({share}, sum by (le) ({rate}))", f"p{share * 100:g}")


def by_partition(metric: str, before: str = "") -> Query:
    """Return the query of a gauge of partitions, with what is to stand before it."""
    chosen = at(metric, partition="~$partition")
    return Query(f"{before}max by (deployment, partition) ({chosen})", "{{deployment}} {{partition}}")


HEALTH = Row(100, "Is it healthy?", (
    Panel(1, "Pages", "Alerts that fire and should wake somebody. Any: follow its runbook.", (
        Query(or_zero(f"count({at('ALERTS', alertstate='firing', severity='page')})")),
    ), kind="stat", width=3, height=4, steps=NONE_MAY),
    Panel(2, "Tickets", "Alerts that fire and can wait for working hours.", (
        Query(or_zero(f"count({at('ALERTS', alertstate='firing', severity='ticket')})")),
    ), kind="stat", width=3, height=4, steps=((None, GREEN), (1, ORANGE))),
    Panel(3, "Partitions unattended", "Partitions of the input that no worker runs now. More than 0 for minutes: "
          "segments of their users stand still.", (
        Query(f"sum(max by (deployment) ({at('shoal_input_partitions')})) - "
              f"sum({at('shoal_partitions', state='running')} {OF_WORKERS})"),
    ), kind="stat", width=3, height=4, steps=NONE_MAY,
        alerts=("ShoalPartitionsUnattended", "ShoalNoWorker", "ShoalPartitionStopped")),
    Panel(4, "Behind", "The most that any partition is behind its input. Campaigns are as late as this.", (
        Query(f"max({at('shoal_lag_seconds')})"),
    ), unit="s", kind="stat", width=3, height=4, steps=((None, GREEN), (10, ORANGE), (60, RED))),
    Panel(5, "Events", "Records of the input that are read per second. 0: nobody writes, or nobody reads.", (
        Query(f"sum(rate({at('shoal_records_read_total')}{RATE}))"),
    ), unit="reqps", kind="stat", width=3, height=4, steps=((None, RED), (0.001, GREEN))),
    Panel(6, "Event to commit, p99", "From a record's arrival to the commit of all it brought about. With the event "
          "clock it is the age of the events.", (quantile(0.99, "shoal_event_to_commit_seconds", "[5m]"),),
          unit="s", kind="stat", width=3, height=4, steps=((None, GREEN), (0.25, ORANGE), (5, RED))),
    Panel(7, "Dead letters", "Share of what is read that nobody could understand.", (
        Query(f"sum(rate({at('shoal_records_total', result='dead_letter')}{RATE})) / "
              f"clamp_min(sum(rate({at('shoal_records_total')}{RATE})), 1e-9)"),
    ), unit="percentunit", kind="stat", width=3, height=4, steps=((None, GREEN), (0.01, ORANGE), (0.1, RED))),
    Panel(8, "Unaccounted", "Records read, less those applied, known or refused: both sides are counted apart. Must "
          "be 0 at any moment.", (
        Query(f"sum(abs(sum by (job, instance) ({at('shoal_records_read_total')}) - "
              f"sum by (job, instance) ({at('shoal_records_total')})))"),
    ), kind="stat", width=3, height=4, steps=NONE_MAY),
))  # fmt: skip

KEEPING_UP = Row(101, "Is it keeping up?", (
    Panel(10, "Records by what became of them", "Applied, duplicate or dead letter, per second.", (
        Query(f"sum by (result) (rate({at('shoal_records_total')}{RATE}))", "{{result}}"),
    ), unit="reqps", stacked=True, alerts=("ShoalNoInput",)),
    Panel(11, "Behind, by partition", "Seconds since all of a partition was read. Rising in all: too much input or "
          "slow brokers. Rising in one: that partition doesn't run, or has a user too many.", (
        by_partition("shoal_lag_seconds"),
    ), unit="s", steps=((None, GREEN), (60, RED)), alerts=("ShoalLagGrowing",)),
    Panel(12, "Unread records, by partition", "The same in records, as Kafka's exporters show it.", (
        by_partition("kafka_consumergroup_lag"),
    )),
    Panel(13, "Event to commit", "How long a record takes to what it brings about.", (
        *(quantile(share, "shoal_event_to_commit_seconds") for share in (0.5, 0.95, 0.99)),
    ), unit="s", steps=((None, GREEN), (0.25, RED))),
    Panel(14, "Timers, beyond the grace", "How late the changes are committed that only time brings about. Nothing to "
          "see with the event clock.", (
        *(quantile(share, "shoal_timer_lateness_seconds") for share in (0.5, 0.99)),
    ), unit="s", steps=((None, GREEN), (2, RED)), alerts=("ShoalTimersLate",)),
    Panel(15, "Transactions", "From begin to commit. Near the deadline of 10 s they are given up and done again.", (
        *(quantile(share, "shoal_transaction_seconds") for share in (0.5, 0.99)),
    ), unit="s", steps=((None, GREEN), (5, RED))),
    Panel(16, "Since the last commit", "By partition. Grows when there is nothing to commit, too.", (
        by_partition("shoal_last_commit_timestamp_seconds", "time() - "),
    ), unit="s"),
    Panel(17, "The partitions' clocks, behind the wall", "Up to when a partition has let time pass. With the event "
          "clock it is how old the events are.", (
        by_partition("shoal_partition_clock_timestamp_seconds", "time() - "),
    ), unit="s", minimum=None),
    Panel(18, "Users a version has yet to see", "After a publication everybody is judged anew, between the events.", (
        Query(f"sum({at('shoal_backfill_remaining_users')})", "users"),
    )),
))  # fmt: skip

CORRECT = Row(102, "Is it correct?", (
    Panel(20, "Records read and not accounted for", "By process: read less applied, duplicate and dead. Other than 0 "
          "is a mistake of Shoal's own.", (
        Query(f"sum by (instance) ({at('shoal_records_read_total')}) - "
              f"sum by (instance) ({at('shoal_records_total')})", "{{instance}}"),
    ), minimum=None, steps=NONE_MAY, alerts=("ShoalConservationBroken",)),
    Panel(21, "Dead letters, by reason", "Refused records per second; `shoal dead-letters list` shows them.", (
        Query(f"sum by (reason) (rate({at('shoal_dead_letters_total')}{RATE}))", "{{reason}}"),
    ), unit="reqps", alerts=("ShoalDeadLetterRate", "ShoalEngineErrors")),
    Panel(22, "Repairs, by reason", "Wrong details that were left out of records that were applied, per second.", (
        Query(f"sum by (reason) (rate({at('shoal_repaired_total')}{RATE}))", "{{reason}}"),
    ), unit="reqps", alerts=("ShoalRepairRate",)),
    Panel(23, "Since a segment was judged", "The segment that has waited longest.", (
        Query(f"time() - min(max by (segment) ({at('shoal_segment_last_evaluated_timestamp_seconds')}))", "longest"),
    ), unit="s", steps=((None, GREEN), (900, RED)), alerts=("ShoalSegmentNotEvaluated",)),
    Panel(24, "Definitions in force", "Version by partition; all should agree within minutes of a publication.", (
        by_partition("shoal_definitions_version"),
    ), alerts=("ShoalDefinitionsDiffer",)),
    Panel(25, "Records that came twice", "Share of what is read; a sender that repeats itself.", (
        Query(f"sum(rate({at('shoal_records_total', result='duplicate')}{RATE})) / "
              f"clamp_min(sum(rate({at('shoal_records_total')}{RATE})), 1e-9)", "duplicates"),
    ), unit="percentunit"),
    Panel(28, "Records of erased users", "Per second: they are left out, and count as duplicates.", (
        Query(f"sum(rate({at('shoal_ignored_records_total')}{RATE}))", "ignored"),
    ), unit="reqps"),
    Panel(26, "Users that `shoal verify` compared", "Of its last run, by what it found. Other than 0 `different`: "
          "live state isn't what the log says.", (
        Query(or_zero(f"sum by (result) ({at('shoal_verify_users')})"), "{{result}}"),
    ), alerts=("ShoalVerifyDifferent",)),
    Panel(27, "Since `shoal verify` ran", "0 where it never has.", (
        Query(or_zero(f"time() - max by (deployment) ({at('shoal_verify_timestamp_seconds')})"), "{{deployment}}"),
    ), unit="s", alerts=("ShoalVerifyOverdue",)),
))  # fmt: skip

RESTARTS = Row(103, "What restarts?", (
    Panel(30, "Partitions, by state", "Of the workers. Only `running` counts.", (
        Query(f"sum by (state) ({at('shoal_partitions')} {OF_WORKERS})", "{{state}}"),
    ), stacked=True),
    Panel(31, "Restarts, by cause", "Partitions that gave up everything and began again, in five minutes. `fenced` "
          "over and over: two owners fight; `engine`: a record breaks it.", (
        Query(f"sum by (cause) (increase({at('shoal_task_restarts_total')}[5m]))", "{{cause}}"),
    ), alerts=("ShoalRestartLoop", "ShoalFencingPingPong")),
    Panel(32, "Rebalances", "Assignments that the groups have given, in five minutes.", (
        Query(f"sum by (job) (increase({at('shoal_rebalances_total')}[5m]))", "{{job}}"),
    )),
    Panel(33, "Up", "Whether Prometheus can read each process.", (
        Query(at("up", job="~shoal.*"), "{{job}} {{instance}}"),
    ), alerts=("ShoalTargetDown",)),
    Panel(34, "Since the process began", "A saw is a process that dies over and over.", (
        Query(f"time() - {at('process_start_time_seconds', job='~shoal.*')}", "{{job}} {{instance}}"),
    ), unit="s"),
    Panel(35, "Restoring a partition", "Mean time to read its state back, of all restores since the processes began.", (
        Query(f"sum by (job) ({at('shoal_restore_seconds_sum')}) / "
              f"clamp_min(sum by (job) ({at('shoal_restore_seconds_count')}), 1)", "{{job}}"),
    ), unit="s", steps=((None, GREEN), (20, RED))),
))  # fmt: skip

RESOURCES = Row(104, "What does it use?", (
    Panel(40, "Processors", "Cores in use, by process. A worker uses one at most.", (
        Query(f"rate({at('process_cpu_seconds_total', job='~shoal.*')}{RATE})", "{{job}} {{instance}}"),
    ), steps=((None, GREEN), (0.9, RED))),
    Panel(41, "Memory", "Resident, by process; and the rows of users in it.", (
        Query(at("process_resident_memory_bytes", job="~shoal.*"), "{{job}} {{instance}}"),
        Query(f"sum({at('shoal_state_bytes')})", "rows of all users"),
    ), unit="bytes"),
    Panel(42, "Users in memory", "Of all workers. Growing without end: ids change with every visit.", (
        Query(f"sum({at('shoal_state_users')})", "users"),
    )),
    Panel(46, "Users forgotten, by why", "In an hour: erased on request, idle for too long, or beyond the limit on "
          "users.", (
        Query(f"sum by (cause) (increase({at('shoal_forgotten_users_total')}[1h]))", "{{cause}}"),
    )),
    Panel(43, "Open files", "Share of what the process may have open.", (
        Query(f"{at('process_open_fds', job='~shoal.*')} / {at('process_max_fds', job='~shoal.*')}",
              "{{job}} {{instance}}"),
    ), unit="percentunit"),
    Panel(44, "Requests to the endpoints", "By path and status, per second; 503 at /live is an event loop that stands "
          "still.", (
        Query(f"sum by (path, status) (rate({at('shoal_http_requests_total')}{RATE}))", "{{path}} {{status}}"),
    ), unit="reqps"),
    Panel(45, "Releases", "Which releases run, and on how many processes.", (
        Query(f"count by (version) ({at('shoal_build_info')})", "{{version}}"),
    )),
))  # fmt: skip

OPERATIONS = Dashboard(
    uid="shoal-operations",
    title="Shoal: operations",
    description="Is it keeping up, is it correct, what restarts.",
    variables=(
        Variable("deployment", "Deployment", "shoal_build_info"),
        Variable("partition", "Partition", "shoal_lag_seconds"),
    ),
    rows=(HEALTH, KEEPING_UP, CORRECT, RESTARTS, RESOURCES),
)
