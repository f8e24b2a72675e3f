"""From a version (definitions and model) to the program of the pass and the layout of the rows.

`build` lowers every condition, lays out the columns they ask for, and writes the tables. What a new version no longer
has (segments, campaigns) is kept as retired for one version, so that members leave and pending triggers are cancelled.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from schemas.definitions import Campaign, Definitions, Segment, consented_channels
from schemas.events import KINDS
from schemas.models import Snapshot
from worker.core.campaign_tables import CampaignTables
from worker.core.interning import Asked, Strings
from worker.core.layout import (
    CART_PRODUCTS,
    INTERESTS,
    MESSAGES_REMEMBERED,
    NEVER,
    ORDERS_REMEMBERED,
    RECENT_PRODUCTS,
    Layout,
)
from worker.core.lowering import Lowering, Row
from worker.core.model_tables import ModelTables
from worker.core.retired import Retired, RetiredCampaign
from worker.core.sample_tables import SampleTables
from worker.core.seeds import seed_of
from worker.core.segments import CAUSES, CLUSTERS, RETIRED, RETIRED_CLUSTERS, SEGMENT, TIERS
from worker.core.tables import Program, table
from worker.core.zones import Zones
from worker.language.catalogue import WINDOWS, Feature
from worker.language.clauses import Condition
from worker.language.definitions import Checked

__all__ = ["Version", "build"]

_INTEREST_WEIGHTS = {"view": 1.0, "cart_add": 3.0, "wishlist": 2.0, "order": 5.0}


@dataclass
class Version:
    """Definitions and model in force, ready to run: tables, layout, and the names behind the numbers."""

    number: int
    checked: Checked
    model: Snapshot | None
    layout: Layout
    program: Program
    clause_texts: list[str]
    campaigns: list[Campaign | RetiredCampaign]
    members: list[str]
    observed: list[str]
    retired: Retired
    texts: frozenset[int]

    @property
    def definition(self) -> str:
        """The name of the definitions in outputs."""
        return f"{self.checked.definitions.version}/{self.checked.hash}"


def build(
    checked: Checked,
    model: Snapshot | None,
    strings: Strings,
    zones: Zones,
    *,
    number: int,
    clock: int,
    cause: str,
    retired: Retired,
    braked: frozenset[str],
    hours_max: Callable[[int], int],
) -> Version:
    """Build version `number`, which takes effect at partition clock `clock` (ms) with `cause`.

    `braked` are the campaigns under a pause command; `hours_max` gives this partition's part of a `max_per_hour`.
    """
    return _Builder(checked, model, strings, zones, retired).version(number, clock, cause, braked, hours_max)


class _Builder:
    """Gathers the rows of all tables, columns still by name; `version` lays them out."""

    def __init__(
        self, checked: Checked, model: Snapshot | None, strings: Strings, zones: Zones, retired: Retired
    ) -> None:
        self.checked = checked
        self.model = model
        self.strings = strings = Asked(strings)
        self.zones = zones
        self.retired = retired
        self.definitions: Definitions = checked.definitions
        self.units: list[Row] = []
        self.members: list[Row] = []
        self.member_ids: list[str] = []
        self.segments: dict[str, Row] = {}
        self.lowering = Lowering(strings, list(self.definitions.traits), self.segments)
        self.column = self.lowering.column
        self.scoring = ModelTables(model, self.lowering)
        self.settings: Row = {}

    def version(self, number: int, clock: int, cause: str, braked: frozenset[str],
                hours_max: Callable[[int], int]) -> Version:  # fmt: skip
        """Lower, lay out, fill the tables."""
        self._number_members()
        self._lower_members()
        inputs = self.scoring.inputs(scored=bool(self.definitions.targets))
        self.settings["values_sampled"] = self.scoring.sampled
        sampling = SampleTables(self.checked, self.lowering, self.strings, self.scoring)
        pending, observed = sampling.pending(), sampling.observed()
        self.settings |= sampling.settings(self.model)
        campaigns: list[Campaign | RetiredCampaign] = [*self.definitions.campaigns, *self.retired.campaigns]
        gone = [campaign.id for campaign in self.retired.campaigns]
        sending = CampaignTables(self.definitions, gone, self.lowering, self.strings, self.units, self.segments)
        rows = sending.campaigns(braked, hours_max)
        caps = sending.caps()
        tables = self._state_tables(campaigns)
        self._settings(number, clock, cause, rows)
        layout = Layout.of(self.lowering.wanted)
        lowered = {
            "numbers": self.lowering.numbers, "atoms": self.lowering.atoms, "conditions": self.lowering.conditions,
            "clauses": self.scoring.clauses(), "members": self.members, "units": self.units, "campaigns": rows,
            "variants": sending.variants, "caps": caps, **inputs, "settings": [self.settings],
            "samples": self.scoring.samples(), "pending": pending, "observed": observed, **tables,
        }  # fmt: skip
        program = self._program(layout, lowered, sending.turns())
        return Version(number, self.checked, self.model, layout, program, self.lowering.clause_texts, campaigns,
                       self.member_ids, sampling.names, self.retired, frozenset(self.strings.asked))  # fmt: skip

    # Segments.

    def _number_members(self) -> None:
        """Number units and members in the order of evaluation, so that conditions can name those that come later."""
        for place in self.checked.order:
            segment = self.definitions.segments[place]
            first = len(self.member_ids)
            self.member_ids += segment.member_ids
            unit: Row = {"kind": SEGMENT, "first": first, "last": len(self.member_ids)}
            if segment.clusters:
                unit |= {"kind": CLUSTERS, "column": self.column(f"cluster_of:{segment.id}", "narrow", 1, -1)}
                self.lowering.reads_cluster()
            elif segment.tiers:
                unit["kind"] = TIERS
            self.units.append(unit)
            self.segments[segment.id] = unit
            for offset, name in enumerate(segment.member_ids if segment.tiers else []):
                self.segments[name] = {"first": first + offset, "last": first + offset + 1}

    def _lower_members(self) -> None:
        cluster_units = 0
        for unit, place in zip(self.units, self.checked.order, strict=True):
            segment = self.definitions.segments[place]
            if segment.clusters:
                unit["clusters"] = cluster_units
                cluster_units += 1
                self.members.append(self._member(segment.id, None, None, segment.min_dwell))
                self.members[-1] |= self._cluster_clause()
                continue
            for name, dwell in _dwells(segment):
                enter, leave = self.checked.enter[name], self.checked.exit.get(name)
                self.members.append(self._member(name, enter, leave, dwell))
        for kind, ids in ((RETIRED, self.retired.segments), (RETIRED_CLUSTERS, self.retired.clusters)):
            for name in ids:
                self._retire(kind, name)

    def _cluster_clause(self) -> Row:
        """A cluster's segment gives as its reason the value of `cluster()`."""
        place = self.lowering.cluster_clause()
        return {"enter_clauses_first": place, "enter_clauses_last": place + 1}

    def _retire(self, kind: int, name: str) -> None:
        unit: Row = {"kind": kind, "first": len(self.members), "last": len(self.members) + 1}
        if kind == RETIRED_CLUSTERS:
            unit["column"] = self.column(f"cluster_of:{name}", "narrow", 1, -1)
        # Segments that are gone leave before anything else is evaluated.
        self.units.insert(sum(entry["kind"] in (RETIRED, RETIRED_CLUSTERS) for entry in self.units), unit)
        self.members.append(self._member(name, None, None, 0))
        self.member_ids.append(name)

    def _member(self, name: str, enter: Condition | None, leave: Condition | None, dwell: int) -> Row:
        since = self.column(f"member:{name}", "wide", 1, NEVER)
        row: Row = {"text": self.strings.number(name), "since": since, "dwell": dwell}
        for prefix, condition in (("enter", enter), ("exit", leave)):
            if condition is not None:
                row |= {f"{prefix}_{key}": value for key, value in self.lowering.condition(condition).items()}
        return row

    # Columns that many share.

    def _state_tables(self, campaigns: Sequence[object]) -> dict[str, list[Row]]:
        self._lasting()
        windows, kinds, self._kind_windows = self._windows()
        self._window_places = {row["sum"]: place for place, row in enumerate(windows)}
        traits = [
            {"number": self.column(f"trait:{name}", "real", 1, float("nan")),
             "text": self.column(f"trait_text:{name}", "narrow", 1, -1)}
            for name in self.definitions.traits
        ]  # fmt: skip
        channels = consented_channels(self.definitions)
        self._consents = [self.column(f"consent:{name}", "narrow", 1, -1) for name in channels]
        if campaigns:
            self._trigger_context()
        self.settings["messages"] = self.column("messages", "wide", MESSAGES_REMEMBERED)
        self.settings["orders"] = self.column("orders", "wide", ORDERS_REMEMBERED)
        self.settings["refunds"] = self.column("refunds", "wide", ORDERS_REMEMBERED)
        return {"windows": windows, "kinds": kinds, "traits": traits}

    def _lasting(self) -> None:
        """Ask for what is kept of every user, read or not: times, totals, cart, ratings, interests.

        They cost little, and a later version that reads one of them is right from its first moment; only windows, which
        are large, begin when they are first read.
        """
        for number in range(len(KINDS)):
            self.column(f"since:{number}", "wide", 1, NEVER)
            self.column(f"count:{number}:total", "narrow")
        for kind in ("order", "refund"):
            self.column(f"amount:{KINDS.index(kind)}:total", "wide")
        for name, view in (
            ("cart_items", "real"),
            ("cart_value", "wide"),
            ("rating_sum", "real"),
            ("ratings", "narrow"),
        ):
            self.settings[name] = self.column(name, view)
        self.settings["interest_weights"] = self.column("interest_weights", "real", INTERESTS)
        self.settings["interest_ids"] = self.column("interest_ids", "narrow", INTERESTS, -1)
        self.settings["interest_reference"] = self.column("interest_reference", "wide", 1, NEVER)

    def _trigger_context(self) -> None:
        """Ask for the columns that only triggers carry."""
        self.settings["cart_ids"] = self.column("cart_ids", "narrow", CART_PRODUCTS, -1)
        self.settings["cart_quantities"] = self.column("cart_quantities", "real", CART_PRODUCTS)
        self.settings["cart_truncated"] = self.column("cart_truncated", "narrow")
        self.settings["recent_ids"] = self.column("recent_ids", "narrow", RECENT_PRODUCTS, -1)

    def _windows(self) -> tuple[list[Row], list[Row], list[int]]:
        """Return windows (by width), kinds, and the places of each kind's windows.

        A window has a ring of its own, whatever else is kept of the same kind: a new version may read another one,
        which fills from then on, while this one goes on as it is.
        """
        ordered = sorted(self.lowering.windows, key=lambda w: (WINDOWS[w.window or ""], w.kind, w.measure))
        windows = [self._window(window) for window in ordered]
        kinds: list[Row] = []
        kind_windows: list[int] = []
        for number in range(len(KINDS) + 1):
            first = len(kind_windows)
            kind_windows += [place for place, window in enumerate(ordered) if window.kind == number]
            kinds.append(self._kind(number, first, len(kind_windows)))
        return windows, kinds, kind_windows

    def _window(self, window: Feature) -> Row:
        width, hops = WINDOWS[window.window or ""]
        name = f"{window.measure}:{window.kind}:{window.window}"
        at = self.column(f"ring:{name}", "wide" if window.measure == "amount" else "narrow", hops)
        return {"amount": int(window.measure == "amount"), "width": width, "hops": hops, "at": at, "sum": name}

    def _kind(self, number: int, first: int, last: int) -> Row:
        names = {name for name, *_ in self.lowering.wanted}
        row: Row = {"windows_first": first, "windows_last": last, "interest": 0.0}
        for key, name in (("since", f"since:{number}"), ("count", f"count:{number}:total"),
                          ("amount", f"amount:{number}:total")):  # fmt: skip
            if name in names:
                row[key] = name
        if number < len(KINDS):
            row["interest"] = _INTEREST_WEIGHTS.get(KINDS[number], 0.0)
        return row

    def _settings(self, number: int, clock: int, cause: str, campaigns: list[Row]) -> None:
        names = {name for name, *_ in self.lowering.wanted}
        if "cluster" in names:
            self.settings["cluster"] = "cluster"
        holdout = self.definitions.holdout
        salt = holdout.salt if holdout else ""
        clauses = len(self.lowering.clauses)
        self.settings |= {
            "version": number, "version_clock": clock, "version_cause": CAUSES.index(cause),
            "zone": self.zones.number(self.definitions.timezone),
            "profiling": int(self.definitions.profiling != "opt_in"), "daily": int(bool(self.lowering.samples)),
            "holdout": holdout.share if holdout else 0.0, "holdout_seed": seed_of(salt, "", "holdout"),
            "transitions_most": 2 * len(self.units) + 1, "decisions_most": 3 * len(campaigns) + 1,
            # A unit moves twice at most, and a campaign may fire twice: what was put off, and what happens now.
            "reasons_most": 2 * (clauses + len(self.units)) * (1 + len(campaigns)) + 1,
        }  # fmt: skip

    # The tables.

    def _program(self, layout: Layout, rows: dict[str, list[Row]], order: list[int]) -> Program:
        def resolve(row: Row) -> Row:
            window = row.get("window")
            placed = {key: layout[value] if isinstance(value, str) else value for key, value in row.items()}
            return placed | ({"window": self._window_places[window]} if isinstance(window, str) else {})

        tables = {name: table(name, [resolve(row) for row in entries]) for name, entries in rows.items()}
        widths = [window["width"] for window in rows["windows"]]
        in_order = [self.definitions.segments[place] for place in self.checked.order]
        cluster_units = [segment.id for segment in in_order if segment.clusters]
        return Program(
            **tables, **self.scoring.arrays(self.strings, cluster_units),
            width_windows=np.searchsorted(np.array(widths, np.int64), np.arange(6)).astype(np.int64),
            kind_windows=np.array(self._kind_windows, np.int64),
            turns=np.array(order, np.int64),
            consents=np.array([layout[name] for name in self._consents], np.int64),
        )  # fmt: skip


def _dwells(segment: Segment) -> list[tuple[str, int]]:
    """Return (member's id, its `min_dwell` in ms): a tier without its own has its group's."""
    if not segment.tiers:
        return [(segment.id, segment.min_dwell)]
    return [
        (f"{segment.id}:{tier.id}", segment.min_dwell if tier.min_dwell is None else tier.min_dwell)
        for tier in segment.tiers
    ]
