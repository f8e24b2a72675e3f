"""*Models and drift*: how good what is learnt is, what has changed, and which model is live."""

from deploy.dashboards.panels import GREEN, ORANGE, RED, Dashboard, Panel, Query, Row, Variable, at

__all__ = ["MODELS"]

RATE = "[$__rate_interval]"
BY_MODEL = "{{target}} {{model}}"
ALARMS = at("shoal_drift_alarms_total")
LIVE_PRECISION = at("shoal_model_precision", target="~$target", model="live")
LIVE_RECALL = at("shoal_model_recall", target="~$target", model="live")


def measure(name: str) -> tuple[Query]:
    """Return the query of one measure, by target and model."""
    return (Query(f"max by (target, model) ({at(name, target='~$target', model='~$model')})", BY_MODEL),)


GLANCE = Row(100, "Is the learning well?", (
    Panel(1, "Behind", "Records that the trainer has yet to learn from.", (
        Query(f"max({at('shoal_learner_lag_records')})"),
    ), kind="stat", width=4, height=4, steps=((None, GREEN), (10_000, ORANGE)), alerts=("ShoalTrainerNotLearning",)),
    Panel(2, "Age of the model in force", "The partitions' clock, less the time up to which the model has learnt.", (
        Query(f"max(max by (deployment) ({at('shoal_partition_clock_timestamp_seconds')}) - "
              f"min by (deployment) ({at('shoal_model_trained_until_timestamp_seconds')}))"),
    ), unit="s", kind="stat", width=4, height=4, steps=((None, GREEN), (604_800, ORANGE)), alerts=("ShoalModelStale",)),
    Panel(3, "Frozen", "Whether somebody has stopped new models.", (
        Query(f"max({at('shoal_models_frozen')})"),
    ), kind="stat", width=4, height=4, steps=((None, GREEN), (1, ORANGE)), mappings=(("0", "no"), ("1", "frozen"))),
    Panel(4, "Worst calibration", "Of live scores, over all targets: how far probabilities are from frequencies.", (
        Query(f"max({at('shoal_model_calibration_error', model='live')})"),
    ), unit="percentunit", kind="stat", width=4, height=4, steps=((None, GREEN), (0.05, ORANGE), (0.1, RED))),
    Panel(5, "Highest PSI", "Of all features: how differently one is spread than when the reference was taken.", (
        Query(f"max({at('shoal_feature_psi')})"),
    ), kind="stat", width=4, height=4, steps=((None, GREEN), (0.1, ORANGE), (0.2, RED))),
    Panel(6, "Alarms today", "Changes within 24 hours that are no chance.", (
        Query(f"clamp_min(sum({ALARMS}) - (sum({ALARMS} offset 24h) or vector(0)), 0)"),
    ), kind="stat", width=4, height=4, steps=((None, GREEN), (1, ORANGE))),
))  # fmt: skip

QUALITY = Row(101, "How good are the scores?", (
    Panel(10, "AUC", "How well scores tell who will from who won't; 0.5 is chance. `live` is what users were really "
          "scored with.", measure("shoal_model_auc"), unit="percentunit", minimum=None),
    Panel(11, "Log loss", "Mean surprise, in nats. Above the `prior`'s a model is of no use.",
          measure("shoal_model_log_loss")),
    Panel(12, "Calibration error", "How far probabilities are from frequencies. Above 5 % thresholds in definitions "
          "don't mean what they say.", measure("shoal_model_calibration_error"), unit="percentunit",
          steps=((None, GREEN), (0.05, RED))),
    Panel(13, "Brier score", "Mean squared error of the scores.", measure("shoal_model_brier")),
    Panel(14, "Precision at the thresholds", "Share of those called that were right; 0 also where nobody was called.", (
        Query(f"max by (target, threshold) ({LIVE_PRECISION}) or 0 * max by (target, threshold) ({LIVE_RECALL})",
              "{{target}} at {{threshold}}"),
    ), unit="percentunit"),
    Panel(15, "Recall at the thresholds", "Share of those who would that were called.", (
        Query(f"max by (target, threshold) ({LIVE_RECALL})", "{{target}} at {{threshold}}"),
    ), unit="percentunit"),
))  # fmt: skip

DRIFT = Row(102, "What has changed?", (
    Panel(20, "PSI, by feature", "Above 0.2 something upstream has changed.", (
        Query(f"max by (feature) ({at('shoal_feature_psi')})", "{{feature}}"),
    ), width=12, height=9, steps=((None, GREEN), (0.2, RED)), alerts=("ShoalDrift",)),
    Panel(21, "Alarms, by what changed", "So far: a feature's spread (`psi`, `mean`), a target's loss, clusters.", (
        Query(f"sum by (kind, name) ({at('shoal_drift_alarms_total')})", "{{kind}} {{name}}"),
    ), width=12, height=9),
    Panel(22, "Who is live", "1: the model whose scores count. `prior` is the rate of positives.", (
        Query(f"max by (target, model) ({at('shoal_champion', target='~$target', model='~$model')})", BY_MODEL),
    )),
    Panel(23, "Promotions and rollbacks", "So far. A rollback: the live model had become worse than the one before.", (
        Query(f"sum by (target, change) ({at('shoal_champion_changes_total', target='~$target')})",
              "{{target}} {{change}}"),
    ), alerts=("ShoalChampionRolledBack",)),
    Panel(24, "Clusters, by share of users", "A leap comes with an alarm, or with a refit.", (
        Query(f"max by (cluster) ({at('shoal_cluster_share')})", "{{cluster}}"),
    ), unit="percentunit", stacked=True),
))  # fmt: skip

LEARNING = Row(103, "What is it learnt from, and who uses it?", (
    Panel(30, "Samples resolved", "Per second, by target and label, as workers write them.", (
        Query(f"sum by (target, label) (rate({at('shoal_samples_total', target='~$target')}{RATE}))",
              "{{target}} {{label}}"),
    ), unit="cps"),
    Panel(31, "Learnt from", "Records per second, by what became of them.", (
        Query(f"sum by (topic, result) (rate({at('shoal_learner_records_total')}{RATE}))", "{{topic}} {{result}}"),
    ), unit="cps", stacked=True),
    Panel(32, "Evidence", "Samples and positives learnt so far, by target.", (
        Query(f"max by (target, kind) ({at('shoal_model_evidence', target='~$target')})", "{{target}} {{kind}}"),
    )),
    Panel(33, "Models", "Versions in force on the partitions, lowest and highest. Apart for long: refused, or a "
          "partition that doesn't run.", (
        Query(f"min by (deployment) ({at('shoal_model_version')})", "{{deployment}} lowest"),
        Query(f"max by (deployment) ({at('shoal_model_version')})", "{{deployment}} highest"),
    )),
    Panel(34, "Models published, in an hour", "One a minute for long: the learning finds no rest.", (
        Query(f"sum(increase({at('shoal_models_published_total')}[1h]))", "models"),
    )),
    Panel(35, "Models refused, by reason", "So far. `other_schema`: trainer and workers are of different releases.", (
        Query(f"sum by (reason) ({at('shoal_models_refused_total')})", "{{reason}}"),
    ), alerts=("ShoalModelsRefused",)),
    Panel(36, "Calibration, by trait", "Mean score less rate of positives, by a trait's value. Far from 0 for "
          "some only: the model errs about them.", (
        Query(f"max by (target, trait, value) ({at('shoal_trait_calibration', target='~$target')})",
              "{{target}} {{trait}}={{value}}"),
    ), unit="percentunit", width=24, minimum=None),
))  # fmt: skip

MODELS = Dashboard(
    uid="shoal-models",
    title="Shoal: models and drift",
    description="How good what is learnt is, what has changed, and which model is live.",
    variables=(
        Variable("deployment", "Deployment", "shoal_build_info"),
        Variable("target", "Target", "shoal_model_evidence"),
        Variable("model", "Model", "shoal_model_scores"),
    ),
    rows=(GLANCE, QUALITY, DRIFT, LEARNING),
)
