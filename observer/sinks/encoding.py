"""Flaps, routers and coverage as the JSON of the contract (schema 1): the one place that names its fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from observer.model.time import rfc3339, seconds

if TYPE_CHECKING:
    from observer.engine.coverage import Span
    from observer.engine.virtual_router import VirtualRouterTracker
    from observer.model.flaps import Bounds, Elected, Flap, ResetBurst, Storm, Turn, VirtualRouter
    from observer.model.observations import Clock
    from observer.model.verdicts import Evidence

SCHEMA = 1


def flap(value: Flap) -> dict[str, Any]:
    """A flap."""
    verdict = value.verdict
    return {
        "id": value.id,
        "time": rfc3339(value.time),
        "virtual_router": virtual_router(value.virtual_router),
        "addresses": list(value.addresses),
        "from": value.former,
        "to": value.current,
        "cause": verdict.cause.value,
        "confidence": verdict.confidence.label,
        "warranted": verdict.warranted.value,
        "check": verdict.check,
        "outage_seconds": _bounds(value.outage),
        "dual_active_seconds": _bounds(value.dual_active),
        "misdirected_seconds": _seconds(value.misdirected),
        "misdirected": [
            {
                "time": rfc3339(spell.begin),
                "seconds": seconds(spell.end - spell.begin),
                "from": spell.instead_of,
                "to": spell.router,
            }
            for spell in value.misdirections
        ],
        "served_again_seconds": None if value.served_again is None else _bounds(value.served_again),
        "connections": {
            "reset": value.connections.reset,
            "refused": value.connections.refused,
            "aborted": value.connections.aborted,
            "clients": value.connections.clients,
            "established": value.connections.established,
            "left": value.connections.left,
        },
        "reconnects": None
        if value.reconnects is None
        else {
            "attempts": value.reconnects.attempts,
            "peak_per_second": value.reconnects.peak,
            "settled_seconds": _seconds(value.reconnects.settled),
        },
        "window_seconds": seconds(value.window),
        "evidence": _evidence(verdict.evidence),
        "ruled_out": [{"cause": entry.cause.value, "reason": entry.reason} for entry in verdict.ruled_out],
        "blind_spots": list(verdict.blind_spots),
    }


def burst(value: ResetBurst) -> dict[str, Any]:
    """A reset burst."""
    return {
        "id": value.id,
        "time": rfc3339(value.time),
        "seconds": seconds(value.end - value.time),
        "virtual_router": virtual_router(value.virtual_router),
        "addresses": list(value.addresses),
        "cause": value.cause.value,
        "confidence": value.confidence.label,
        "connections": {reason.value: number for reason, number in value.connections},
        "clients": value.clients,
        "evidence": _evidence(value.evidence),
        "blind_spots": list(value.blind_spots),
    }


def storm(value: Storm) -> dict[str, Any]:
    """A storm."""
    return {
        "id": value.id,
        "time": rfc3339(value.time),
        "end": rfc3339(value.end),
        "virtual_router": virtual_router(value.virtual_router),
        "addresses": list(value.addresses),
        "flaps": value.flaps,
        "unwarranted": value.unwarranted,
        "period_seconds": seconds(value.period),
        "driven_by_reconnects": value.driven,
        "statement": value.statement,
        "connections": {"reset": value.reset, "refused": value.refused},
        "turns": [_turn(turn) for turn in value.turns],
    }


def _turn(value: Turn) -> dict[str, Any]:
    return {
        "flap": value.flap,
        "time": rfc3339(value.time),
        "from": value.former,
        "to": value.current,
        "cause": value.cause.value,
        "reset": value.resets,
        "reconnects": value.reconnects,
        "peak_per_second": value.peak,
        "check_failed": None if value.failed is None else rfc3339(value.failed),
        "delay_seconds": _seconds(value.delay),
    }


def virtual_router(value: VirtualRouter) -> dict[str, Any]:
    """Which virtual router; ``vrid`` is null for an address that no virtual router has."""
    return {"vrid": value.vrid or None, "family": value.family.label, "interface": value.interface}


def elected(value: Elected) -> dict[str, Any]:
    """An election."""
    return {
        "time": rfc3339(value.time),
        "virtual_router": virtual_router(value.virtual_router),
        "router": value.router,
        "at_start": value.at_start,
    }


def router(tracker: VirtualRouterTracker) -> dict[str, Any]:
    """A virtual router and every router heard in it."""
    return {
        "virtual_router": virtual_router(tracker.virtual_router),
        "addresses": list(tracker.addresses),
        "state": tracker.state.value,
        "active": tracker.active,
        "routers": [
            {
                "router": track.router,
                "mac": track.mac,
                "adverts": track.adverts,
                "priority": track.runs[-1].priority if track.runs else None,
                "version": track.runs[-1].version if track.runs else None,
                "interval_seconds": seconds(track.runs[-1].interval) if track.runs else None,
                "last": rfc3339(track.runs[-1].last) if track.runs else None,
            }
            for track in tracker.tracks.values()
        ],
    }


def span(value: Span) -> dict[str, Any]:
    """When a source listened."""
    return {
        "node": value.node,
        "source": value.source,
        "begin": rfc3339(value.begin),
        "end": None if value.end is None else rfc3339(value.end),
        "state": value.state.value,
        "lost": value.lost,
        "detail": value.detail,
    }


def clock(value: Clock) -> dict[str, Any]:
    """How a node's clock compares with the first node's; ``ahead_seconds`` null: nobody knows."""
    return {
        "node": value.node,
        "reference": value.reference,
        "ahead_seconds": _seconds(value.ahead),
        "bounds_seconds": {"min": _seconds(value.least), "max": _seconds(value.most)},
        "put_right_seconds": seconds(value.put_right),
    }


def _evidence(entries: tuple[Evidence, ...]) -> list[dict[str, Any]]:
    return [{"time": rfc3339(entry.time), "statement": entry.statement, "node": entry.node} for entry in entries]


def _seconds(value: int | None) -> float | None:
    return None if value is None else seconds(value)


def _bounds(value: Bounds) -> dict[str, float | None]:
    return {"min": seconds(value.minimum), "max": None if value.maximum is None else seconds(value.maximum)}
