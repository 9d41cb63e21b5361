"""Flaps, routers and coverage as the JSON of the contract (schema 1): the one place that names its fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from observer.model.time import rfc3339, seconds

if TYPE_CHECKING:
    from observer.engine.coverage import Span
    from observer.engine.virtual_router import VirtualRouterTracker
    from observer.model.flaps import Bounds, Elected, Flap, VirtualRouter

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
        "misdirected_seconds": None if value.misdirected is None else seconds(value.misdirected),
        "connections": {
            "reset": value.connections.reset,
            "refused": value.connections.refused,
            "clients": value.connections.clients,
        },
        "evidence": [
            {"time": rfc3339(entry.time), "statement": entry.statement, "node": entry.node} for entry in verdict.evidence
        ],
        "ruled_out": [{"cause": entry.cause.value, "reason": entry.reason} for entry in verdict.ruled_out],
        "blind_spots": list(verdict.blind_spots),
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


def _bounds(value: Bounds) -> dict[str, float | None]:
    return {"min": seconds(value.minimum), "max": None if value.maximum is None else seconds(value.maximum)}
