"""A lab of real keepalived and HAProxy in network namespaces, for tests, for the demo and for recording captures."""

from .lab import CONTROL_ONLY, Lab, missing
from .netns import reap
from .setting import (
    CLIENT,
    FLAG_ABSENT,
    FOREIGN,
    K3S,
    KUBEADM,
    MASTERS,
    OPENSHIFT_FIXED,
    OPENSHIFT_ORIGINAL,
    PLAIN,
    PLAIN_MULTICAST,
    PLAIN_V3,
    PLAIN_V6,
    PRESETS,
    RANKED,
    Check,
    Setting,
    address,
    mac,
)

__all__ = [
    "CLIENT",
    "CONTROL_ONLY",
    "FLAG_ABSENT",
    "FOREIGN",
    "K3S",
    "KUBEADM",
    "MASTERS",
    "OPENSHIFT_FIXED",
    "OPENSHIFT_ORIGINAL",
    "PLAIN",
    "PLAIN_MULTICAST",
    "PLAIN_V3",
    "PLAIN_V6",
    "PRESETS",
    "RANKED",
    "Check",
    "Lab",
    "Setting",
    "address",
    "mac",
    "missing",
    "reap",
]
