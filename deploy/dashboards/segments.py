"""*Segments and campaigns*: who is in what, who comes and goes and why, and what was decided about writing to them."""

from deploy.dashboards.panels import GREEN, ORANGE, RED, Dashboard, Panel, Query, Row, Variable, at

__all__ = ["SEGMENTS"]

FIRED = at("shoal_decisions_total", campaign="~$campaign", outcome="fired")
DECISIONS = at("shoal_decisions_total", campaign="~$campaign")
ENTERED = at("shoal_transitions_total", segment="~$segment", direction="entered")
EXITED = at("shoal_transitions_total", segment="~$segment", direction="exited")
REVENUE = at("shoal_campaign_revenue", campaign="~$campaign", variant="!~.*holdout")
COST = at("shoal_campaign_cost", campaign="~$campaign")
REFUSED = at("shoal_decisions_total", campaign="~$campaign", blocked_by="~.+")
EVALUATED = at("shoal_segment_last_evaluated_timestamp_seconds", segment="~$segment")
MEMBERS = at("shoal_members", segment="~$segment")
FIRED_BY_HOUR = at("shoal:campaign_fired:rate1h", campaign="~$campaign")
BY_SEGMENT, BY_CAMPAIGN = "{{segment}}", "{{campaign}}"
RATE = "[$__rate_interval]"

GLANCE = Row(100, "In the last hour", (
    Panel(1, "Users known", "In memory, in all deployments chosen.", (
        Query(f"sum({at('shoal_state_users')})"),
    ), kind="stat", width=4, height=4),
    Panel(2, "Entries", "Into the segments chosen.", (
        Query(f"sum(increase({ENTERED}[1h]))"),
    ), kind="stat", width=4, height=4),
    Panel(3, "Exits", "Out of the segments chosen.", (
        Query(f"sum(increase({EXITED}[1h]))"),
    ), kind="stat", width=4, height=4),
    Panel(4, "Messages fired", "By the campaigns chosen; on their way to whoever sends them.", (
        Query(f"sum(increase({FIRED}[1h]))"),
    ), kind="stat", width=4, height=4),
    Panel(5, "Decided against", "Share of decisions by which nobody was written to.", (
        Query(f"1 - sum(increase({FIRED}[1h])) / clamp_min(sum(increase({DECISIONS}[1h])), 1)"),
    ), unit="percentunit", kind="stat", width=4, height=4),
    Panel(6, "Conversions", "Successes of the campaigns chosen, those of users held out included.", (
        Query(f"sum(increase({at('shoal_conversions_total', campaign='~$campaign')}[1h])) or vector(0)"),
    ), kind="stat", width=4, height=4),
))  # fmt: skip

SIZES = Row(101, "Segments", (
    Panel(10, "Size, by segment", "Users in it now.", (
        Query(f"sum by (segment) ({MEMBERS})", BY_SEGMENT),
    ), width=12, height=9, alerts=("ShoalAudienceSizeJump",)),
    Panel(11, "Change within an hour, by segment", "Users more or fewer than an hour ago, or than at the first "
          "reading. A leap without a publication: look at the flows by cause.", (
        Query(f"sum by (segment) ({MEMBERS}) - (sum by (segment) ({MEMBERS} offset 1h) or "
              f"sum by (segment) (min_over_time({MEMBERS}[1h])))", BY_SEGMENT),
    ), width=12, height=9, minimum=None),
    Panel(12, "Entries, by cause", "Per second. `event`: something users did; `timer`: time alone; `model` and "
          "`definition`: everybody judged anew.", (
        Query(f"sum by (cause) (rate({ENTERED}{RATE}))", "{{cause}}"),
    ), unit="cps", stacked=True),
    Panel(13, "Exits, by cause", "Per second, as entries.", (
        Query(f"sum by (cause) (rate({EXITED}{RATE}))", "{{cause}}"),
    ), unit="cps", stacked=True),
    Panel(14, "Users that a version has yet to see", "After a publication sizes settle when this is 0.", (
        Query(f"sum({at('shoal_backfill_remaining_users')})", "users"),
    )),
    Panel(15, "Entries, by segment", "Per second.", (
        Query(f"sum by (segment) (rate({ENTERED}{RATE}))", BY_SEGMENT),
    ), unit="cps"),
    Panel(16, "Exits, by segment", "Per second. As many as entries in a segment that hardly grows: users go to and "
          "fro; give it an `exit` of its own or a `min_dwell`.", (
        Query(f"sum by (segment) (rate({EXITED}{RATE}))", BY_SEGMENT),
    ), unit="cps"),
    Panel(17, "Since it was judged, by segment", "Rises while nothing comes in; while something does it must not.", (
        Query(f"time() - max by (segment) ({EVALUATED})", BY_SEGMENT),
    ), unit="s", steps=((None, GREEN), (900, RED))),
))  # fmt: skip

DECIDED = Row(102, "Campaigns", (
    Panel(20, "Decisions, by outcome", "Per second.", (
        Query(f"sum by (outcome) (rate({DECISIONS}{RATE}))", "{{outcome}}"),
    ), unit="cps", stacked=True),
    Panel(21, "Why nobody was written to", "Decisions per second by the first check that refused. All `consent`: "
          "consents don't arrive.", (
        Query(f"sum by (blocked_by) (rate({REFUSED}{RATE}))", "{{blocked_by}}"),
    ), unit="cps", stacked=True),
    Panel(22, "Fired, by campaign", "Messages per second, over an hour.", (
        Query(f"sum by (campaign) ({FIRED_BY_HOUR})", BY_CAMPAIGN),
    ), unit="cps", alerts=("ShoalTriggerRateUnusual",)),
    Panel(23, "How unusual the rate is, by campaign", "Distance of the last hour's rate from its mean over a week, in "
          "standard deviations. Beyond 4 it alerts.", (
        Query(f"sum by (campaign) (({FIRED_BY_HOUR} - avg_over_time({FIRED_BY_HOUR}[7d])) / "
              f"clamp_min(stddev_over_time({FIRED_BY_HOUR}[7d]), 1e-9))", BY_CAMPAIGN),
    ), minimum=None, steps=((None, ORANGE), (-4, GREEN), (4, ORANGE))),
    Panel(24, "Decisions, by campaign", "In the last hour.", (
        Query(f"sum by (campaign) (increase({DECISIONS}[1h]))", BY_CAMPAIGN),
    ), kind="bargauge"),
    Panel(25, "Conversions, by variant", "In the last hour; `holdout` are successes of users who weren't written to.", (
        Query(f"sum by (variant) (increase({at('shoal_conversions_total', campaign='~$campaign')}[1h])) or vector(0)",
              "{{variant}}"),
    ), kind="bargauge"),
))  # fmt: skip

LIFT = Row(104, "What campaigns bring", (
    Panel(40, "From fired to converted", "Users so far, of the campaigns chosen: those fired at, those a message was "
          "sent to and who clicked it, those held out, and who converted, held out or not.", (
        Query(f"sum by (stage) ({at('shoal_campaign_users', campaign='~$campaign')})", "{{stage}}"),
    ), kind="bargauge", alerts=("ShoalFiredNotSent",)),
    Panel(41, "Lift, with its bounds", "Share of users who converted, less that of the users held out. The "
          "bounds hold however often one looks: both above 0, and the campaign brings something.", (
        Query(f"max by (campaign, variant, bound) ({at('shoal_campaign_lift', campaign='~$campaign')})",
              "{{campaign}} {{variant}} {{bound}}"),
    ), unit="percentunit", minimum=None, width=16),
    Panel(42, "Revenue, less cost", "Of users who were written to, so far, in the definitions' currency.", (
        Query(f"sum by (campaign) ({REVENUE}) - sum by (campaign) ({COST})", BY_CAMPAIGN),
    ), minimum=None),
    Panel(43, "Retention, by variant", "Share of users who were still active four weeks after their first decision; 0 "
          "before anybody could be.", (
        Query(f"max by (campaign, variant) ({at('shoal_campaign_retention', campaign='~$campaign')}) or vector(0)",
              "{{campaign}} {{variant}}"),
    ), unit="percentunit"),
    Panel(44, "Sample-ratio mismatch", "1: variants have other shares than they should, and lift says nothing.", (
        Query(f"max by (campaign) ({at('shoal_campaign_sample_ratio_mismatch', campaign='~$campaign')}) or vector(0)",
              BY_CAMPAIGN),
    ), steps=((None, GREEN), (1, RED)), alerts=("ShoalSampleRatioMismatch",)),
))  # fmt: skip

DELIVERED = Row(103, "Sinks", (
    Panel(30, "Deliveries, by what became of them", "Per second. `again` are requests made again; `dead_letter` and "
          "`expired` never arrived.", (
        Query(f"sum by (sink, result) (rate({at('shoal_sink_deliveries_total')}{RATE}))", "{{sink}} {{result}}"),
    ), unit="cps", alerts=("ShoalSinkDeadLetters",)),
    Panel(31, "How long the oldest waits, by sink", "Grows while the endpoint is down or too slow. Nothing is lost "
          "meanwhile but what expires.", (
        Query(f"max by (deployment, sink) ({at('shoal_sink_lag_seconds')})", "{{deployment}} {{sink}}"),
    ), unit="s", steps=((None, GREEN), (600, RED)), alerts=("ShoalSinkBehind",)),
    Panel(32, "Requests", "How long an endpoint takes to answer.", (
        Query("histogram_quantile(0.99, sum by (sink, le) (rate("
              f"{at('shoal_sink_delivery_seconds_bucket')}[5m])))", "{{sink}} p99"),
        Query("histogram_quantile(0.5, sum by (sink, le) (rate("
              f"{at('shoal_sink_delivery_seconds_bucket')}[5m])))", "{{sink}} p50"),
    ), unit="s"),
))  # fmt: skip

SEGMENTS = Dashboard(
    uid="shoal-segments",
    title="Shoal: segments and campaigns",
    description="Who is in what, who comes and goes and why, and what was decided about writing to them.",
    variables=(
        Variable("deployment", "Deployment", "shoal_build_info"),
        Variable("segment", "Segment", "shoal_members"),
        Variable("campaign", "Campaign", "shoal_decisions_total"),
    ),
    rows=(GLANCE, SIZES, DECIDED, LIFT, DELIVERED),
)
