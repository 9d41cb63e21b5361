"""What a node's keepalived.conf says: which virtual routers, which checks, and what a priority on the wire tells about them.

``lines`` (definitions, conditions, sequences, includes) -> ``blocks`` (statements and braces) -> ``routers``, ``tracks`` and
``resolve`` (what keepalived would run) -> ``model``. All of it is pure: files are reached through ``lines.Files``; only ``load``
touches the disk. What keepalived 2.2.7 understands of the same file is the reference; its words are those of keepalived.conf(5).
Passwords are dropped where statements are made (``blocks``): nothing after that has seen one.
"""

from observer.keepalived.load import load, remarks
from observer.keepalived.model import (
    Check,
    CheckKind,
    Configuration,
    Garp,
    Instance,
    SyncGroup,
    Track,
    VirtualAddress,
)
from observer.keepalived.parse import parse, parse_text
from observer.keepalived.steps import explain_step, faulting

__all__ = [
    "Check",
    "CheckKind",
    "Configuration",
    "Garp",
    "Instance",
    "SyncGroup",
    "Track",
    "VirtualAddress",
    "explain_step",
    "faulting",
    "load",
    "parse",
    "parse_text",
    "remarks",
]
