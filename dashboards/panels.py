"""What the dashboards show: rows of panels, each with its expressions. How Grafana wants it written is in build.py."""

from __future__ import annotations

from dataclasses import dataclass, field

SELECTED = 'cluster=~"$cluster",interface=~"$interface",vrid=~"$vrid"'
AGENTS = 'cluster=~"$cluster"'
UNWARRANTED = 'warranted="no"'
ROUTER = "cluster, interface, vrid, family"


def flaps(window: str, selected: str = SELECTED, only: str = "") -> str:
    """Flaps in a window by router that lost, cause and warranted: the recording rule of the same meaning, for any window.

    ``only`` is a further matcher for those counted; whose word counts is decided by all.
    """
    lost = f"{ROUTER}, router"

    def counted(matcher: str = "") -> str:
        matchers = ",".join(part for part in (selected, matcher) if part)
        series = f"vrrp_router_flaps_total{{{matchers}}}" if matchers else "vrrp_router_flaps_total"
        return f"round(sum by ({lost}, instance) (increase({series}[{window}])))"

    local = f"vrrp_router_local{{{selected}}}" if selected else "vrrp_router_local"
    explained, known = counted('cause!="unexplained"'), counted('warranted!="unknown"')
    score = f"1e6 * {counted()} + 1e4 * {explained} + 1e2 * {known} + max by ({lost}, instance) ({local})"
    by_cause = counted(only).replace(f"sum by ({lost}, instance)", f"sum by ({lost}, instance, cause, warranted)")
    return f"sum by ({lost}, cause, warranted) ({by_cause} and on ({lost}, instance) topk by ({lost}) (1, {score}))"


@dataclass(frozen=True)
class Query:
    """An expression and how its series are called; ``once`` for its value at the end of the time range."""

    expr: str
    legend: str = ""
    once: bool = False
    exemplar: bool = False


@dataclass(frozen=True)
class Panel:
    """A panel as far as it differs from others of its kind."""

    kind: str
    title: str
    about: str
    queries: tuple[Query, ...]
    width: int = 12
    unit: str = "none"
    decimals: int | None = None
    words: dict[str, tuple[str, str]] = field(default_factory=dict)
    """What values are called, and their colours."""
    colours: dict[str, str] = field(default_factory=dict)
    """Colours of series, by a pattern of their name."""
    columns: tuple[str, ...] = ()
    """Of a table, the labels shown; the value comes last."""
    value: str = ""
    """Of a table, the title of the value."""
    thresholds: tuple[tuple[float, str], ...] = ()
    draw: str = "line"


WHO = {"0": ("Backup", "rgba(128,128,128,0.25)"), "1": ("Active", "green")}
HELD = {"0": ("none", "rgba(128,128,128,0.25)")}
COST = {"/reset/": "red", "/refused/": "orange", "/left/": "purple"}


def bars(metric: str, window: str = "$__rate_interval") -> str:
    """What every agent saw itself, added up."""
    return f"sum by ({ROUTER}) (increase({metric}{{{SELECTED}}}[{window}]))"


def by_agent(metric: str, labels: str, window: str = "$__rate_interval") -> str:
    """What agents counted, as whole numbers."""
    return f"sum by ({labels}) (round(increase({metric}{{{SELECTED}}}[{window}])))"


def bound(metric: str, window: str = "$__rate_interval") -> str:
    """A lower bound: the greatest of the agents'."""
    return f"max by ({ROUTER}) (increase({metric}{{{SELECTED}}}[{window}]))"


MALFORMED = 'vrrp_malformed_adverts_total{cluster=~"$cluster",interface=~"$interface"}'
ACTIVE_HERE = f"vrrp_active{{{SELECTED}}} == 1"
PRIORITY = (
    f"max by (cluster, interface, vrid, family, router) (vrrp_priority{{{SELECTED}}} "
    f"and on (job, instance, interface, vrid, family, router) ({ACTIVE_HERE}))"
)

OVERVIEW = (
    (
        Panel(
            "stat",
            "Virtual routers",
            "Heard by some agent.",
            (Query(f"count(group by ({ROUTER}) (vrrp_addresses{{{SELECTED}}}))", once=True),),
            4,
        ),
        Panel(
            "stat",
            "Flaps",
            "In the time range, each once, by the word of the agent that knows most.",
            (Query(f"sum({flaps('$__range')})", once=True),),
            4,
            decimals=0,
        ),
        Panel(
            "stat",
            "Unwarranted",
            "Flaps in which the former router could have gone on serving clients.",
            (
                Query(
                    f"sum({flaps('$__range', only=UNWARRANTED)})",
                    once=True,
                ),
            ),
            4,
            decimals=0,
            thresholds=((0, "green"), (0.5, "red")),
        ),
        Panel(
            "stat",
            "Connections reset",
            "By new holders of the addresses, in the time range.",
            (Query(f"sum({bars('vrrp_flap_connections_reset_total', '$__range')})", once=True),),
            4,
            decimals=0,
        ),
        Panel(
            "stat",
            "Without a holder",
            "Seconds in which certainly nobody answered for the addresses, in the time range.",
            (Query(f"sum({bound('vrrp_outage_seconds_total', '$__range')})", once=True),),
            4,
            unit="s",
            decimals=1,
        ),
        Panel("stat", "Agents", "That answer.", (Query(f"count(vrrp_observer_build_info{{{AGENTS}}})", once=True),), 4),
    ),
    (
        Panel(
            "state-timeline",
            "Who is Active",
            "By the agents' word. Grey: was Active before. Two at once: split brain, or agents that disagree.",
            (Query(f"max by ({ROUTER}, router) (vrrp_active{{{SELECTED}}})", "VRID {{vrid}} {{interface}} {{router}}"),),
            24,
            words=WHO,
        ),
    ),
    (
        Panel(
            "state-timeline",
            "Addresses held",
            "How many of the virtual addresses the kernel of each node has.",
            (
                Query(
                    f"max by ({ROUTER}, instance) (vrrp_addresses_held{{{SELECTED}}})", "VRID {{vrid}} {{interface}} {{instance}}"
                ),
            ),
            words=HELD,
        ),
        Panel(
            "timeseries",
            "Priority of the Active Router",
            "As advertised. A step down is a check that fails; 0 is a resignation.",
            (Query(PRIORITY, "VRID {{vrid}} {{router}}"),),
            draw="steps",
        ),
    ),
    (
        Panel(
            "timeseries",
            "Flaps by cause",
            "Each once, by the word of the agent that knows most. Red: not warranted.",
            (Query(f"sum by (cause, warranted) ({flaps('$__rate_interval')}) > 0", "{{cause}}, warranted: {{warranted}}"),),
            colours={"/warranted: no/": "red", "/warranted: yes/": "green", "/warranted: unknown/": "orange"},
            draw="bars",
        ),
        Panel(
            "table",
            "Who lost the addresses, and why",
            "Flaps in the time range.",
            (Query(f"{flaps('$__range')} > 0", once=True),),
            columns=("vrid", "router", "cause", "warranted"),
            value="flaps",
        ),
    ),
    (
        Panel(
            "timeseries",
            "Connections broken by flaps",
            "Counted where they broke, when the flap closes, a minute after the move. Left: neither ended nor reset, may hang.",
            (
                Query(bars("vrrp_flap_connections_reset_total") + " > 0", "reset, VRID {{vrid}}"),
                Query(bars("vrrp_flap_connections_refused_total") + " > 0", "refused, VRID {{vrid}}"),
                Query(bars("vrrp_flap_connections_left_total") + " > 0", "left, VRID {{vrid}}"),
            ),
            8,
            colours=COST,
            draw="bars",
        ),
        Panel(
            "timeseries",
            "Seconds lost to flaps",
            "Lower bounds: nobody had the addresses, two claimed them, clients were sent to a router that had lost them.",
            (
                Query(bound("vrrp_outage_seconds_total") + " > 0", "nobody, VRID {{vrid}}"),
                Query(bound("vrrp_dual_active_seconds_total") + " > 0", "two, VRID {{vrid}}"),
                Query(bound("vrrp_flap_misdirected_seconds_total") + " > 0", "misdirected, VRID {{vrid}}"),
            ),
            8,
            unit="s",
            draw="bars",
        ),
        Panel(
            "timeseries",
            "TCP resets by reason",
            "Of connections to the virtual addresses, flap or no flap.",
            (Query(f"sum by (reason) (rate(vrrp_resets_total{{{SELECTED}}}[$__rate_interval]))", "{{reason}}"),),
            8,
            unit="ops",
        ),
    ),
    (
        Panel(
            "timeseries",
            "Adverts",
            "By router, as the agent hears them that hears most. Two routers side by side: split brain.",
            (
                Query(
                    f"max by ({ROUTER}, router) (rate(vrrp_adverts_total{{{SELECTED}}}[$__rate_interval]))",
                    "VRID {{vrid}} {{router}}",
                ),
            ),
            8,
            unit="ops",
        ),
        Panel(
            "timeseries",
            "Malformed adverts",
            "Frames for VRRP that failed a check.",
            (
                Query(
                    f"max by (cluster, interface, reason) (increase({MALFORMED}[$__rate_interval])) > 0",
                    "{{interface}} {{reason}}",
                ),
            ),
            8,
            draw="bars",
        ),
        Panel(
            "timeseries",
            "How sure the verdicts are",
            "By the agent that counted most.",
            (
                Query(
                    f"max by (confidence) ({by_agent('vrrp_verdicts_total', 'instance, confidence')}) > 0",
                    "{{confidence}}",
                ),
            ),
            8,
            colours={"/certain/": "green", "/likely/": "yellow", "/possible/": "orange"},
            draw="bars",
        ),
    ),
    (
        Panel(
            "state-timeline",
            "Agents: sources",
            "Whether each source of observations listens.",
            (Query(f"min by (cluster, instance, source) (vrrp_observer_source_up{{{AGENTS}}})", "{{instance}} {{source}}"),),
            words={"0": ("deaf", "red"), "1": ("listens", "green")},
        ),
        Panel(
            "timeseries",
            "Agents: lost and late",
            "Frames lost and observations that came after the hold-back.",
            (
                Query(
                    f"sum by (instance, source) (increase(vrrp_observer_frames_lost_total{{{AGENTS}}}[$__rate_interval]))",
                    "{{instance}} lost by {{source}}",
                ),
                Query(
                    f"sum by (instance) (increase(vrrp_observer_late_observations_total{{{AGENTS}}}[$__rate_interval]))",
                    "{{instance}} late",
                ),
            ),
            6,
        ),
        Panel(
            "timeseries",
            "Agents: lag",
            "Between an observation and its handling; the hold-back of 0.25 s is part of it.",
            (Query(f"max by (instance) (vrrp_observer_lag_seconds{{{AGENTS}}})", "{{instance}}"),),
            6,
            unit="s",
        ),
    ),
)

INCIDENT = (
    (
        Panel(
            "table",
            "What happened",
            "Flaps in the time range: who lost the addresses, and why, by the word of the agent that knows most.",
            (Query(f"{flaps('$__range')} > 0", once=True),),
            columns=("vrid", "router", "cause", "warranted"),
            value="flaps",
        ),
        Panel(
            "table",
            "What each agent says",
            "Where they differ, the one that knows most is believed; see docs/alerts.md.",
            (
                Query(
                    f"{by_agent('vrrp_router_flaps_total', 'instance, vrid, router, cause, warranted', '$__range')} > 0",
                    once=True,
                ),
            ),
            columns=("instance", "router", "cause", "warranted"),
            value="flaps",
        ),
    ),
    (
        Panel(
            "state-timeline",
            "Who is Active, by each agent's word",
            "Agents that disagree for long cannot hear each other's routers.",
            (
                Query(
                    f"max by ({ROUTER}, instance, router) (vrrp_active{{{SELECTED}}})",
                    "VRID {{vrid}} {{router}}, says {{instance}}",
                ),
            ),
            24,
            words=WHO,
        ),
    ),
    (
        Panel(
            "state-timeline",
            "Addresses held",
            "By the kernel of each node. Two at once for long: both answer.",
            (Query(f"max by ({ROUTER}, instance) (vrrp_addresses_held{{{SELECTED}}})", "VRID {{vrid}} {{instance}}"),),
            words=HELD,
        ),
        Panel(
            "timeseries",
            "Priorities",
            "As last advertised by each router; only the Active Router advertises.",
            (Query(f"max by ({ROUTER}, router) (vrrp_priority{{{SELECTED}}})", "VRID {{vrid}} {{router}}"),),
            draw="steps",
        ),
    ),
    (
        Panel(
            "timeseries",
            "Adverts",
            "By router, as the agent hears them that hears most.",
            (
                Query(
                    f"max by ({ROUTER}, router) (rate(vrrp_adverts_total{{{SELECTED}}}[$__rate_interval]))",
                    "VRID {{vrid}} {{router}}",
                ),
            ),
            unit="ops",
        ),
        Panel(
            "timeseries",
            "TCP resets by reason",
            "orphaned: the new holder does not know the connection; refused: nothing listens.",
            (Query(f"sum by (reason) (rate(vrrp_resets_total{{{SELECTED}}}[$__rate_interval])) > 0", "{{reason}}"),),
            unit="ops",
            draw="bars",
        ),
    ),
    (
        Panel(
            "timeseries",
            "Connections broken, by node",
            "Added when a flap closes, a minute after the move, by the node that broke them.",
            (
                Query(
                    f"sum by (instance) (increase(vrrp_flap_connections_reset_total{{{SELECTED}}}[$__rate_interval])) > 0",
                    "reset by {{instance}}",
                ),
                Query(
                    f"sum by (instance) (increase(vrrp_flap_connections_refused_total{{{SELECTED}}}[$__rate_interval])) > 0",
                    "refused by {{instance}}",
                ),
                Query(
                    f"sum by (instance) (increase(vrrp_flap_connections_left_total{{{SELECTED}}}[$__rate_interval])) > 0",
                    "left, seen by {{instance}}",
                ),
            ),
            8,
            colours=COST,
            draw="bars",
        ),
        Panel(
            "timeseries",
            "Seconds lost",
            "Lower bounds, added when a flap closes.",
            (
                Query(bound("vrrp_outage_seconds_total") + " > 0", "nobody held the addresses"),
                Query(bound("vrrp_dual_active_seconds_total") + " > 0", "two claimed them"),
                Query(bound("vrrp_flap_misdirected_seconds_total") + " > 0", "clients were misdirected"),
            ),
            8,
            unit="s",
            draw="bars",
        ),
        Panel(
            "state-timeline",
            "Storm",
            "The addresses do not come to rest.",
            (Query(f"max by ({ROUTER}) (vrrp_storm_active{{{SELECTED}}})", "VRID {{vrid}} {{interface}}"),),
            8,
            words={"0": ("quiet", "rgba(128,128,128,0.25)"), "1": ("storm", "red")},
        ),
    ),
    (
        Panel(
            "timeseries",
            "Flaps as each agent counts them",
            "The points are exemplars: they carry the flap's id, by which to find it in the agents' lines.",
            (
                Query(
                    by_agent("vrrp_flaps_total", "instance, cause") + " > 0",
                    "{{cause}}, says {{instance}}",
                    exemplar=True,
                ),
            ),
            8,
            draw="points",
        ),
        Panel(
            "timeseries",
            "Reset bursts and flaps under way",
            "Bursts of resets by cause, also without a flap; flaps whose verdict is not certain yet.",
            (
                Query(by_agent("vrrp_reset_bursts_total", "cause"), "bursts: {{cause}}"),
                Query(f"max by ({ROUTER}) (vrrp_flaps_open{{{SELECTED}}})", "flaps open, VRID {{vrid}}"),
            ),
            8,
        ),
        Panel(
            "timeseries",
            "How well the agents heard",
            "While frames are lost, silence proves nothing.",
            (
                Query(
                    f"sum by (instance) (increase(vrrp_observer_frames_lost_total{{{AGENTS}}}[$__rate_interval]))",
                    "lost, {{instance}}",
                ),
                Query(f"max by (instance) (vrrp_observer_lag_seconds{{{AGENTS}}})", "lag in s, {{instance}}"),
            ),
            8,
        ),
    ),
)

FLAPS = f"max by ({ROUTER}, cause, warranted) (vrrp_last_flap_timestamp_seconds{{{SELECTED}}}) * 1000"
STORMS = f"max by ({ROUTER}) (vrrp_storm_active{{{SELECTED}}}) == 1"
