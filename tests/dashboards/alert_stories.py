"""What three agents' metrics say over time, and which alerts fire then: all of them, and no other.

Times are in steps of a minute. Values are promtool's notation: ``0x5`` is 0 six times, ``0+60x5`` counts up, ``_`` is no sample.
"""

from __future__ import annotations

from dataclasses import dataclass, field

A, B, C = "192.0.2.11", "192.0.2.12", "192.0.2.13"
NODES = {"m0": A, "m1": B, "m2": C}
WHERE = {"interface": "eth0", "vrid": "51", "family": "ipv4"}
JOB = "vrrp-observer"


@dataclass(frozen=True)
class Story:
    """One test: series by name, the minute at which one looks, and the labels of every alert that fires then."""

    name: str
    about: str
    """The alert that it is about: fired, or nearly."""
    minute: int
    series: dict[str, str]
    firing: list[dict[str, str]] = field(default_factory=list)


def series(name: str, node: str, **labels: str) -> str:
    """The name of one agent's series."""
    everything = {"job": JOB, "instance": node} | labels
    inside = ",".join(f'{key}="{value}"' for key, value in everything.items())
    return f"{name}{{{inside}}}"


def of(name: str, node: str, **labels: str) -> str:
    """The same of the virtual router."""
    return series(name, node, **WHERE, **labels)


def steady(minutes: int = 60, *, active: str = "m0", nodes: tuple[str, ...] = tuple(NODES), priority: str = "") -> dict[str, str]:
    """Nothing happens: one router is Active and has the address, and the agents of the given nodes see it."""
    long = f"x{minutes}"
    shown = {}
    for node in nodes:
        shown |= {
            series("up", node): "1" + long,
            series("vrrp_observer_source_up", node, source="adverts"): "1" + long,
            series("vrrp_observer_source_up", node, source="addresses"): "1" + long,
            series("vrrp_observer_frames_lost_total", node, source="adverts"): "0" + long,
            series("vrrp_malformed_adverts_total", node, interface="eth0", reason="checksum"): "0" + long,
            of("vrrp_addresses", node): "1" + long,
            of("vrrp_addresses_held", node): ("1" if node == active else "0") + long,
            of("vrrp_storm_active", node): "0" + long,
            of("vrrp_active", node, router=NODES[active]): "1" + long,
            of("vrrp_priority", node, router=NODES[active]): priority or "65" + long,
            of("vrrp_router_local", node, router=NODES[active]): ("1" if node == active else "0") + long,
            of("vrrp_adverts_total", node, router=NODES[active]): "0+60" + long,
            of("vrrp_advert_interval_seconds", node, router=NODES[active]): "1" + long,
        }
    return shown


def joined(node: str, router: str, *, active: str, adverts: str, begin: int, rest: int = 60) -> dict[str, str]:
    """From a minute on, one agent hears a further router."""
    before, local = f"_x{begin} ", "1" if NODES[node] == router else "0"
    return {
        of("vrrp_active", node, router=router): f"{before}{active}x{rest}",
        of("vrrp_router_local", node, router=router): f"{before}{local}x{rest}",
        of("vrrp_adverts_total", node, router=router): f"{before}{adverts}x{rest}",
        of("vrrp_advert_interval_seconds", node, router=router): f"{before}1x{rest}",
    }


def flaps(node: str, values: str, cause: str, warranted: str, router: str = A) -> dict[str, str]:
    """One agent's count, and the zeros beside it."""
    shown = {}
    for each, answer in ((cause, warranted), ("preempted", "no"), ("unexplained", "unknown"), ("stopped", "yes")):
        counted = (each, answer) == (cause, warranted)
        shown[of("vrrp_router_flaps_total", node, router=router, cause=each, warranted=answer)] = values if counted else "0x60"
    return shown


def alert(name: str, severity: str, **labels: str) -> dict[str, str]:
    """The labels of an alert about the virtual router."""
    return {"alertname": name, "alertstate": "firing", "severity": severity} | WHERE | labels


def observer(name: str, **labels: str) -> dict[str, str]:
    """The labels of an alert about an agent."""
    return {"alertname": name, "alertstate": "firing", "severity": "warning", "job": JOB} | labels


ONCE = "0x10 1x50"
DAY = 24 * 60

STORIES = (
    Story("nothing happens", "VrrpTwoActive", 30, steady()),
    # Flaps
    Story(
        "an unwarranted flap, counted by all three, is one",
        "VrrpUnwarrantedFlap",
        13,
        steady() | flaps("m0", ONCE, "check_failed", "no") | flaps("m1", ONCE, "check_failed", "no"),
        [alert("VrrpUnwarrantedFlap", "warning", router=A, cause="check_failed")],
    ),
    Story(
        "it is over a quarter of an hour later",
        "VrrpUnwarrantedFlap",
        30,
        steady() | flaps("m0", ONCE, "check_failed", "no") | flaps("m1", ONCE, "check_failed", "no"),
    ),
    Story("a warranted flap", "VrrpUnwarrantedFlap", 13, steady() | flaps("m0", ONCE, "check_failed", "yes")),
    Story("a flap of which nobody knows", "VrrpUnwarrantedFlap", 13, steady() | flaps("m0", ONCE, "stopped", "unknown")),
    Story(
        "a bystander guesses for a moment, until the loser's own agent has counted",
        "VrrpUnwarrantedFlap",
        13,
        steady() | flaps("m1", ONCE, "daemon_stalled", "no") | flaps("m0", "0x11 1x50", "check_failed", "yes"),
    ),
    Story(
        "a storm",
        "VrrpStorm",
        13,
        steady() | flaps("m0", "0x10 4x50", "check_failed", "yes") | {of("vrrp_storm_active", "m1"): "0x10 1x50"},
        [alert("VrrpStorm", "critical", cause="check_failed")],
    ),
    Story(
        "a storm before its flaps are counted",
        "VrrpStorm",
        13,
        steady() | {of("vrrp_storm_active", "m1"): "0x10 1x50"},
        [alert("VrrpStorm", "critical")],
    ),
    Story("two flaps are no storm", "VrrpStorm", 13, steady() | flaps("m0", "0x10 2x50", "check_failed", "yes")),
    # Who is Active, who has the address
    Story(
        "a partition: each side's agent calls its own router Active",
        "VrrpTwoActive",
        25,
        steady() | {of("vrrp_active", "m1", router=A): "1x9 0x50"} | joined("m1", B, active="1", adverts="0+60", begin=10),
        [alert("VrrpTwoActive", "critical")],
    ),
    Story(
        "one agent hears two routers side by side",
        "VrrpTwoActive",
        25,
        steady() | joined("m2", B, active="0", adverts="0+60", begin=10),
        [alert("VrrpTwoActive", "critical")],
    ),
    Story(
        "the address moves, and the former router falls silent",
        "VrrpTwoActive",
        14,
        steady(10)
        | {of("vrrp_active", node, router=A): "1x9 0x50" for node in NODES}
        | {of("vrrp_adverts_total", node, router=A): "0+60x9 540x50" for node in NODES}
        | {of("vrrp_addresses_held", "m0"): "1x9 0x50", of("vrrp_addresses_held", "m1"): "0x9 1x50"}
        | {key: value for node in NODES for key, value in joined(node, B, active="1", adverts="0+60", begin=10).items()},
    ),
    Story(
        "an agent that no longer hears anything keeps its old word, which does not count",
        "VrrpTwoActive",
        30,
        {key: value for key, value in steady(active="m1").items() if 'instance="m2"' not in key}
        | {
            of("vrrp_active", "m2", router=A): "1x60",
            of("vrrp_adverts_total", "m2", router=A): "540x60",
            of("vrrp_advert_interval_seconds", "m2", router=A): "1x60",
        },
    ),
    Story(
        "two nodes have the address",
        "VrrpAddressHeldTwice",
        25,
        steady()
        | {of("vrrp_addresses_held", "m1"): "0x9 1x50"}
        # Its own router is Active too, or another alert would fire as well.
        | joined("m1", B, active="1", adverts="0+60", begin=10),
        [alert("VrrpAddressHeldTwice", "critical"), alert("VrrpTwoActive", "critical")],
    ),
    Story(
        "for half a minute, while the address moves, is nothing",
        "VrrpAddressHeldTwice",
        11,
        steady() | {of("vrrp_addresses_held", "m1"): "0x10 1 0x50"},
    ),
    Story(
        "the Active Router's node does not have the address",
        "VrrpAddressHeldByNobody",
        25,
        steady() | {of("vrrp_addresses_held", "m0"): "1x9 0x50"},
        [alert("VrrpAddressHeldByNobody", "critical")],
    ),
    Story(
        "nobody is Active",
        "VrrpAddressHeldByNobody",
        25,
        steady()
        | {of("vrrp_addresses_held", "m0"): "1x9 0x50"}
        | {of("vrrp_active", node, router=A): "1x9 0x50" for node in NODES}
        | {of("vrrp_adverts_total", node, router=A): "0+60x9 540x50" for node in NODES},
        [alert("VrrpAddressHeldByNobody", "critical")],
    ),
    Story(
        "the Active Router's node has no agent that could tell",
        "VrrpAddressHeldByNobody",
        25,
        steady(nodes=("m1", "m2")),
    ),
    Story(
        "an agent that does not know its node's addresses any more is asked no more",
        "VrrpAddressHeldByNobody",
        25,
        steady(nodes=("m0",))
        | {
            of("vrrp_addresses_held", "m0"): "0x60",
            series("vrrp_observer_source_up", "m0", source="addresses"): "0x60",
        },
        [observer("VrrpObserverBlind", instance="m0", source="addresses")],
    ),
    Story(
        "keepalived was killed and left the address behind; another router took over",
        "VrrpAddressHeldWithoutAdverts",
        25,
        steady()
        | {of("vrrp_active", node, router=A): "1x9 0x50" for node in NODES}
        | {of("vrrp_adverts_total", node, router=A): "0+60x9 540x50" for node in NODES}
        | {key: value for node in NODES for key, value in joined(node, B, active="1", adverts="0+60", begin=10).items()}
        | {of("vrrp_addresses_held", "m1"): "0x9 1x50"},
        [
            alert("VrrpAddressHeldWithoutAdverts", "critical", job=JOB, instance="m0"),
            alert("VrrpAddressHeldTwice", "critical"),
        ],
    ),
    Story(
        "the agent hears no adverts, so it cannot say that there are none",
        "VrrpAddressHeldWithoutAdverts",
        25,
        steady()
        | {
            series("vrrp_observer_source_up", "m0", source="adverts"): "1x9 0x50",
            of("vrrp_adverts_total", "m0", router=A): "0+60x9 540x50",
        },
        [observer("VrrpObserverBlind", instance="m0", source="adverts")],
    ),
    # Priority
    Story(
        "a check has been failing for long",
        "VrrpPriorityReduced",
        40,
        steady(priority="65x10 45x50"),
        [alert("VrrpPriorityReduced", "warning", router=A)],
    ),
    Story("a check fails for some minutes", "VrrpPriorityReduced", 14, steady(priority="65x10 45x5 65x50")),
    Story(
        "a router that is not Active said a low priority last, or resigned",
        "VrrpPriorityReduced",
        40,
        steady(active="m1")
        | {of("vrrp_active", "m0", router=A): "1x5 0x55", of("vrrp_priority", "m0", router=A): "65x5 0x55"}
        | {of("vrrp_adverts_total", "m0", router=A): "0+60x5 300x55"},
    ),
    # Adverts
    Story(
        "malformed adverts, one after another",
        "VrrpMalformedAdverts",
        20,
        steady() | {series("vrrp_malformed_adverts_total", "m1", interface="eth0", reason="checksum"): "0x10 0+60x50"},
        [
            {"alertname": "VrrpMalformedAdverts", "alertstate": "firing", "severity": "warning"}
            | {"interface": "eth0", "reason": "checksum"}
        ],
    ),
    Story(
        "malformed adverts where nothing else is heard",
        "VrrpMalformedAdverts",
        20,
        steady() | {series("vrrp_malformed_adverts_total", "m1", interface="eth7", reason="ttl"): "_x14 5x50"},
        [
            {"alertname": "VrrpMalformedAdverts", "alertstate": "firing", "severity": "warning"}
            | {"interface": "eth7", "reason": "ttl"}
        ],
    ),
    Story(
        "one frame that was damaged on its way",
        "VrrpMalformedAdverts",
        12,
        steady() | {series("vrrp_malformed_adverts_total", "m1", interface="eth0", reason="checksum"): ONCE},
    ),
    Story(
        "CARP is no VRRP",
        "VrrpMalformedAdverts",
        20,
        steady() | {series("vrrp_malformed_adverts_total", "m1", interface="eth0", reason="carp"): "0+60x60"},
    ),
    Story(
        "a router that was never heard before",
        "VrrpUnknownRouter",
        2 * DAY + 10,
        steady(3 * DAY) | joined("m1", "192.0.2.66", active="0", adverts="0+10", begin=2 * DAY),
        [alert("VrrpUnknownRouter", "warning", router="192.0.2.66")],
    ),
    Story(
        "a backup's first turn in days; an agent runs on it",
        "VrrpUnknownRouter",
        2 * DAY + 10,
        steady(3 * DAY) | joined("m1", B, active="0", adverts="0+10", begin=2 * DAY),
    ),
    Story(
        "the first day of a virtual router",
        "VrrpUnknownRouter",
        40,
        steady(nodes=("m1", "m2")),
    ),
    # Agents
    Story(
        "a source failed",
        "VrrpObserverBlind",
        20,
        steady() | {series("vrrp_observer_source_up", "m2", source="segments"): "1x9 0x50"},
        [observer("VrrpObserverBlind", instance="m2", source="segments")],
    ),
    Story(
        "a node without HAProxy, and keepalived's log elsewhere",
        "VrrpObserverBlind",
        20,
        steady() | {series("vrrp_observer_source_up", "m2", source=source): "0x60" for source in ("haproxy", "log")},
    ),
    Story(
        "recordings cannot be written",
        "VrrpObserverBlind",
        20,
        steady() | {series("vrrp_observer_source_up", "m2", source="recorder"): "0x60"},
        [observer("VrrpObserverBlind", instance="m2", source="recorder")],
    ),
    Story(
        "a source restarts",
        "VrrpObserverBlind",
        10,
        steady() | {series("vrrp_observer_source_up", "m2", source="segments"): "1x9 0 1x50"},
    ),
    Story(
        "frames were lost",
        "VrrpObserverDropping",
        15,
        steady() | {series("vrrp_observer_frames_lost_total", "m2", source="segments"): "0x10 500x50"},
        [observer("VrrpObserverDropping", instance="m2", source="segments")],
    ),
    Story(
        "frames were lost long ago",
        "VrrpObserverDropping",
        40,
        steady() | {series("vrrp_observer_frames_lost_total", "m2", source="segments"): "0x10 500x50"},
    ),
    Story(
        "an agent does not answer; its node goes on",
        "VrrpObserverDown",
        30,
        steady(nodes=("m1", "m2")) | {series("up", "m0"): "1x9 0x50"},
        [observer("VrrpObserverDown", instance="m0")],
    ),
    Story(
        "no agent at all",
        "VrrpObserverDown",
        30,
        {'up{job="node"}': "1x60"},
        [{"alertname": "VrrpObserverDown", "alertstate": "firing", "severity": "warning"}],
    ),
    Story(
        "an agent is restarted",
        "VrrpObserverDown",
        11,
        steady() | {series("up", "m0"): "1x9 0x1 1x50"},
    ),
)
