"""Prometheus' alerts, each with what it says to whom it wakes, and the panel that shows it.

The rule: page for what users or marketing would notice, ticket for causes. Every expression keeps the label
`deployment`, so that one Prometheus may watch several; every alert has a runbook entry, a panel and two tests.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from typing import Any, Literal

from ruamel.yaml import YAML

from deploy.dashboards.models import MODELS
from deploy.dashboards.operations import OPERATIONS
from deploy.dashboards.panels import RUNBOOK
from deploy.dashboards.segments import SEGMENTS

__all__ = ["ALERTS", "DASHBOARDS", "GRAFANA", "RECORDED", "Alert", "panel_of", "rules", "rules_for_the_operator"]

GRAFANA = "http://localhost:3000"  # where people open the dashboards
DASHBOARDS = (OPERATIONS, SEGMENTS, MODELS)
OPENING = """# Generated from deploy/alerts.py by `python -m deploy.generate`; change it there.
# The addresses of the runbook and of Grafana are examples: put in your own.
"""


@dataclass(frozen=True)
class Alert:
    """An alert that fires once `expression` has had series `for_` so long."""

    name: str
    severity: Literal["page", "ticket"]
    for_: str
    expression: str
    summary: str
    description: str


RECORDED: Mapping[str, str] = {
    "shoal:members:sum": "sum by (deployment, segment) (shoal_members)",
    "shoal:campaign_fired:rate1h": 'sum by (deployment, campaign) (rate(shoal_decisions_total{outcome="fired"}[1h]))',
}


def _lately(counter: str, by: str) -> str:
    """Return what finds a counter that has grown within an hour, or has begun above 0: its process is as young."""
    begun = f"sum by ({by}) ({counter} unless {counter} offset 1h) > 0"
    return f"sum by ({by}) (increase({counter}[1h])) > 0 or {begun}"


OF_WORKERS = "and on (job, instance) shoal_input_partitions"
ALERTS: tuple[Alert, ...] = (
    # Does anything arrive, and is it worked on?
    Alert("ShoalNoWorker", "page", "2m",
        'count by (deployment, job) (up{job=~"shoal-(worker|sinks)"}) unless '
        'count by (deployment, job) (up{job=~"shoal-(worker|sinks)"} == 1)',
        "No {{ $labels.job }} of {{ $labels.deployment }} is up",
        "Prometheus can read none of {{ $value }}: segments stand still, or what campaigns decide reaches nobody."),
    Alert("ShoalPartitionsUnattended", "page", "10m",
        "max by (deployment) (shoal_input_partitions) - "
        f'sum by (deployment) (shoal_partitions{{state="running"}} {OF_WORKERS}) > 0',
        "{{ $value }} partitions of {{ $labels.deployment }} aren't worked on",
        "No worker runs them: their users' segments stand still, and their reminders don't go out."),
    Alert("ShoalPartitionStopped", "page", "1m",
        'sum by (deployment, job, instance) (shoal_partitions{state="stopped", job!="shoal-trainer"}) > 0',
        "{{ $value }} partitions of {{ $labels.job }} at {{ $labels.instance }} have stopped and need a person",
        "They could only go on by a guess. /ready and the log say why, in one sentence."),
    Alert("ShoalNoInput", "page", "5m",
        "sum by (deployment) (rate(shoal_records_read_total[15m])) == 0 and on (deployment) "
        "sum by (deployment) (shoal_lag_records) == 0 and on (deployment) "
        "sum by (deployment) (rate(shoal_records_read_total[1h] offset 20m)) > 0.05",
        "No event has arrived for {{ $labels.deployment }} in 15 minutes",
        "Nothing is unread, and in the hour before there were events: whoever writes them has stopped."),
    Alert("ShoalLagGrowing", "page", "10m",
        "max by (deployment, partition) (shoal_lag_seconds) > 60 and "
        "max by (deployment, partition) (deriv(shoal_lag_seconds[10m])) > -0.1",
        "Partition {{ $labels.partition }} of {{ $labels.deployment }} is {{ $value | humanizeDuration }} behind",
        "It doesn't catch up. What is decided is decided right, but that much too late."),
    Alert("ShoalTimersLate", "ticket", "15m",
        "histogram_quantile(0.99, sum by (deployment, le) (rate(shoal_timer_lateness_seconds_bucket[10m]))) > 2",
        "Timers of {{ $labels.deployment }} are late",
        "Of the changes that only time brings about one in a hundred is {{ $value | humanizeDuration }} late or more."),
    Alert("ShoalSegmentNotEvaluated", "ticket", "5m",
        "time() - max by (deployment, segment) (shoal_segment_last_evaluated_timestamp_seconds) > 900 and "
        'on (deployment) sum by (deployment) (rate(shoal_records_total{result="applied"}[15m])) > 0',
        "{{ $labels.segment }} of {{ $labels.deployment }} hasn't been judged for {{ $value | humanizeDuration }}",
        "Events are applied, and yet it is judged for nobody."),

    # Is it right?
    Alert("ShoalConservationBroken", "page", "1m",
        "abs(sum by (deployment, instance) (shoal_records_read_total) - "
        "sum by (deployment, instance) (shoal_records_total)) > 0",
        "{{ $value }} records of {{ $labels.instance }} aren't accounted for",
        "What was read isn't what was applied, known or refused: a mistake of Shoal's own."),
    Alert("ShoalDeadLetterRate", "ticket", "10m",
        'sum by (deployment) (rate(shoal_records_total{result="dead_letter"}[10m])) / '
        "sum by (deployment) (rate(shoal_records_total[10m])) > 0.01",
        "{{ $value | humanizePercentage }} of the events of {{ $labels.deployment }} can't be understood",
        "They became dead letters, and their users' segments are without them."),
    Alert("ShoalEngineErrors", "ticket", "0m",
        _lately('shoal_dead_letters_total{reason="engine_error"}', "deployment"),
        "The engine has failed over {{ $value | humanize }} records of {{ $labels.deployment }}",
        "Each was refused alone, and the rest went on: a mistake of Shoal's own."),
    Alert("ShoalRepairRate", "ticket", "30m",
        "sum by (deployment) (rate(shoal_repaired_total[10m])) / "
        'sum by (deployment) (rate(shoal_records_total{result="applied"}[10m])) > 0.05',
        "{{ $value | humanizePercentage }} of the events of {{ $labels.deployment }} need repair",
        "Details that were wrong are left out of them, such as amounts in unknown currencies."),
    Alert("ShoalAudienceSizeJump", "ticket", "10m",
        "abs(shoal:members:sum - shoal:members:sum offset 1h) > 100 + 0.3 * shoal:members:sum offset 1h unless on "
        "(deployment) changes(max by (deployment) (shoal_definitions_version)[2h:1m]) > 0",
        "{{ $labels.segment }} of {{ $labels.deployment }} has changed by {{ $value | humanize }} users in an hour",
        "More than 30 %, and no definitions were published."),
    Alert("ShoalDefinitionsDiffer", "ticket", "30m",
        "max by (deployment) (shoal_definitions_version) - min by (deployment) (shoal_definitions_version) > 0",
        "Partitions of {{ $labels.deployment }} have different definitions in force",
        "For half an hour, some have been {{ $value }} versions behind."),
    Alert("ShoalVerifyDifferent", "page", "0m",
        'max by (deployment) (shoal_verify_users{result="different"}) > 0',
        "{{ $value }} users of {{ $labels.deployment }} are other than the log says",
        "`shoal verify` has computed a sample of users anew, and live state differs."),
    Alert("ShoalVerifyOverdue", "ticket", "1h",
        "time() - max by (deployment) (shoal_verify_timestamp_seconds) > 691200",
        "`shoal verify` of {{ $labels.deployment }} ran {{ $value | humanizeDuration }} ago",
        "The job that runs it doesn't, or doesn't end."),

    # What restarts?
    Alert("ShoalTargetDown", "ticket", "5m", 'up{job=~"shoal-.*"} == 0',
        "{{ $labels.job }} at {{ $labels.instance }} can't be read",
        "It is down, or its endpoint can't be reached. Others take its partitions over."),
    Alert("ShoalRestartLoop", "ticket", "5m",
        'sum by (deployment, job) (increase(shoal_task_restarts_total{cause!~"fenced|revoked"}[15m])) > 5 or '
        'sum by (deployment, job) (changes(process_start_time_seconds{job=~"shoal-.*"}[15m])) > 2',
        "{{ $labels.job }} of {{ $labels.deployment }} begins again over and over",
        "{{ $value | humanize }} times in 15 minutes: partitions or whole processes."),
    Alert("ShoalFencingPingPong", "page", "1m",
        f'sum by (deployment) (increase(shoal_task_restarts_total{{cause="fenced"}}[10m]) {OF_WORKERS}) > 5',
        "Two owners fight over partitions of {{ $labels.deployment }}",
        "{{ $value | humanize }} fencings in ten minutes: two deployments, or two workers, under the same names."),

    # Is the learning well?
    Alert("ShoalTrainerNotLearning", "ticket", "30m",
        "max by (deployment) (shoal_learner_lag_records) > 0 and on (deployment) "
        "sum by (deployment) (increase(shoal_learner_records_total[30m])) == 0 or "
        'sum by (deployment) (shoal_partitions{state="stopped", job="shoal-trainer"}) > 0',
        "The trainer of {{ $labels.deployment }} learns nothing",
        "Samples wait, and in half an hour none was taken; or it has stopped, and /ready says why."),
    Alert("ShoalModelStale", "ticket", "1h",
        "max by (deployment) (shoal_partition_clock_timestamp_seconds) - "
        "min by (deployment) (shoal_model_trained_until_timestamp_seconds) > 604800",
        "The model of {{ $labels.deployment }} is {{ $value | humanizeDuration }} old",
        "Scores are still given, by what was true then."),
    Alert("ShoalModelsRefused", "ticket", "0m",
        "sum by (deployment, reason) (increase(shoal_models_refused_total[1h])) > 0",
        "Workers of {{ $labels.deployment }} refuse models: {{ $labels.reason }}",
        "They stay with the last good one."),
    Alert("ShoalDrift", "ticket", "0m",
        "sum by (deployment, kind, name) (increase(shoal_drift_alarms_total[1h])) > 0 or "
        "(sum by (deployment, kind, name) (shoal_drift_alarms_total) > 0 unless "
        "sum by (deployment, kind, name) (shoal_drift_alarms_total offset 1h)) and on (deployment) "
        "max by (deployment) (shoal_models_frozen offset 1h) or "
        'max by (deployment, kind, name) (label_replace(label_replace(min_over_time(shoal_feature_psi[1h]) > 0.2, '
        '"name", "$1", "feature", "(.*)"), "kind", "psi", "", ""))',
        "{{ $labels.name }} of {{ $labels.deployment }} has changed ({{ $labels.kind }})",
        "The learning reacts by itself; somebody should know whether the change was meant."),
    Alert("ShoalChampionRolledBack", "ticket", "0m",
        _lately('shoal_champion_changes_total{change="rolled_back"}', "deployment, target"),
        "The live model of {{ $labels.target }} of {{ $labels.deployment }} was rolled back",
        "It had become worse than the one before it, which is live again."),

    # Do campaigns do what they should?
    Alert("ShoalTriggerRateUnusual", "ticket", "15m",
        "abs(shoal:campaign_fired:rate1h - avg_over_time(shoal:campaign_fired:rate1h[7d] offset 1h)) > "
        "4 * stddev_over_time(shoal:campaign_fired:rate1h[7d] offset 1h) + 0.01 and "
        "count_over_time(shoal:campaign_fired:rate1h[7d]) > 720",
        "{{ $labels.campaign }} of {{ $labels.deployment }} fires unusually often or seldom",
        "Its hourly rate is {{ $value | humanize }} a second away from the week's mean."),
    Alert("ShoalFiredNotSent", "page", "30m",
        'sum by (deployment, campaign) (delta(shoal_campaign_users{stage="fired", campaign!="*"}[2h])) > 20 and '
        'sum by (deployment, campaign) (delta(shoal_campaign_users{stage="sent"}[2h])) == 0 and on (deployment) '
        'sum by (deployment) (shoal_campaign_users{stage="sent"}) > 0',
        "{{ $labels.campaign }} of {{ $labels.deployment }} fires, and nothing is sent",
        "{{ $value | humanize }} users were to be written to in two hours, and no message is reported as sent."),
    Alert("ShoalSampleRatioMismatch", "ticket", "1h",
        "max by (deployment, campaign) (shoal_campaign_sample_ratio_mismatch) == 1",
        "Variants of {{ $labels.campaign }} of {{ $labels.deployment }} have other shares than they should",
        "By more than chance: what they are compared by can't be trusted."),
    Alert("ShoalSinkBehind", "page", "10m",
        "max by (deployment, sink) (shoal_sink_lag_seconds) > 600",
        "{{ $labels.sink }} of {{ $labels.deployment }} is {{ $value | humanizeDuration }} behind",
        "Its endpoint is down or too slow: what campaigns decided reaches nobody."),
    Alert("ShoalSinkDeadLetters", "ticket", "0m",
        _lately('shoal_sink_deliveries_total{result=~"dead_letter|expired"}', "deployment, sink, result"),
        "{{ $value | humanize }} records for {{ $labels.sink }} of {{ $labels.deployment }}: {{ $labels.result }}",
        "They were refused for good, or came too late to be sent."),
)  # fmt: skip


def panel_of(alert: Alert) -> tuple[str, int]:
    """Return the uid of the dashboard and the id of the panel that show what an alert is about. Raises ValueError."""
    for dashboard in DASHBOARDS:
        for panel in dashboard.panels:
            if alert.name in panel.alerts:
                return dashboard.uid, panel.id
    raise ValueError(f"No panel is about {alert.name}: name it in the `alerts` of one.")


def rules() -> str:
    """Return the file of rules: what is recorded for other rules, and the alerts."""
    return _yaml(_groups())


def rules_for_the_operator() -> str:
    """Return the same rules as the Prometheus operator takes them on Kubernetes."""
    metadata = {"name": "shoal", "labels": {"app.kubernetes.io/name": "shoal"}}
    kind = {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule"}
    return _yaml({**kind, "metadata": metadata, "spec": _groups()})


def _groups() -> dict[str, Any]:
    recorded = [{"record": name, "expr": expression} for name, expression in RECORDED.items()]
    groups = [{"name": "shoal-recorded", "interval": "1m", "rules": recorded},
              {"name": "shoal-alerts", "rules": list(map(_rule, ALERTS))}]  # fmt: skip
    return {"groups": groups}


def _rule(alert: Alert) -> dict[str, Any]:
    uid, panel = panel_of(alert)
    return {
        "alert": alert.name, "expr": alert.expression, "for": alert.for_, "labels": {"severity": alert.severity},
        "annotations": {
            "summary": alert.summary, "description": alert.description,
            "runbook_url": f"{RUNBOOK}#{alert.name.lower()}",
            "dashboard": f"{GRAFANA}/d/{uid}?viewPanel={panel}&var-deployment={{{{ $labels.deployment }}}}",
        },
    }  # fmt: skip


def _yaml(content: Any) -> str:
    written, yaml = StringIO(), YAML()
    yaml.width = 10_000
    yaml.dump(content, written)
    return OPENING + written.getvalue()
