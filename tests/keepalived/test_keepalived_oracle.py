"""The reader says what keepalived says that it understood, and its arithmetic is keepalived's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from keepalived_configs import CONFIGURATIONS, SECURITY
from keepalived_oracle import Data, Oracle, oracle

from observer.keepalived import CheckKind, Configuration, Instance, explain_step, load
from observer.model.observations import Authentication
from observer.model.time import SECOND

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab

_AUTHENTICATION = {None: Authentication.NONE, 0: Authentication.NONE, 1: Authentication.SIMPLE, 2: Authentication.AH}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    with oracle(tmp_path_factory.mktemp("oracle")) as found:
        yield found


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_reader_agrees_with_keepalived(asked: Oracle, name: str) -> None:
    files, config_id = CONFIGURATIONS[name]
    asked.directory = asked.directory.parent / f"{asked.directory.name.split('.')[0]}.{name}"
    with asked.running(files, config_id) as keepalived:
        dumped, data = keepalived.instances(), keepalived.data()
        log = keepalived.log
    ours = load(asked.directory / next(iter(files)), config_id)
    blocks = data.blocks("VRRP Topology", "VRRP Instance")
    assert [instance.name for instance in ours.instances] == list(dumped), log
    for instance in ours.instances:
        theirs, block = dumped[instance.name], blocks[instance.name]
        assert _ours(instance) == _theirs(theirs), log
        assert _more(instance) == _block(block), log
    assert _checks(ours) == _dumped_checks(data), log
    assert _groups(ours) == _dumped_groups(data), log
    assert len(ours.instances) == len(blocks) > 0


def _ours(instance: Instance) -> dict[str, Any]:
    return {
        "vrid": instance.vrid,
        "priority": instance.priority,
        "interface": instance.interface,
        "interval": instance.interval,
        "version": instance.version,
        "addresses": [
            _address(item.address, item.prefix, item.device or _base(instance), item.label) for item in instance.addresses
        ],
        "excluded": [
            _address(item.address, item.prefix, item.device or _base(instance), item.label) for item in instance.excluded
        ],
        "nopreempt": instance.nopreempt,
        "preempt_delay": instance.preempt_delay // SECOND,
        "garp": (instance.garp.delay, instance.garp.repeat, instance.garp.refresh, instance.garp.refresh_repeat),
        "authentication": instance.authentication,
        "scripts": sum(track.kind is CheckKind.SCRIPT and track.group is None for track in instance.tracks),
        "dont_track_primary": not instance.track_primary,
        "vmac": instance.use_vmac,
    }


def _base(instance: Instance) -> str:
    return f"vrrp.{instance.vrid}" if instance.use_vmac else str(instance.interface)


def _theirs(data: dict[str, Any]) -> dict[str, Any]:
    return {
        "vrid": data["vrid"],
        "priority": data["base_priority"],
        "interface": data["ifp_ifname"] if not data["vmac_ifname"] else "eth0",
        "interval": round(data["adver_int"] * SECOND),
        "version": data["version"],
        "addresses": [_parsed(text) for text in data.get("vips", [])],
        "excluded": [_parsed(text) for text in data.get("evips", [])],
        "nopreempt": data["nopreempt"],
        "preempt_delay": data["preempt_delay"],
        "garp": (
            round(data["garp_delay"] * SECOND),
            data["garp_rep"],
            round(data["garp_refresh"] * SECOND),
            data["garp_refresh_rep"],
        ),
        "authentication": _AUTHENTICATION[data.get("auth_type")],
        "scripts": len(data.get("track_script", [])),
        "dont_track_primary": bool(data["dont_track_primary"]),
        "vmac": bool(data["vmac_ifname"]),
    }


def _address(text: str, prefix: int | None, device: str, label: str | None) -> tuple[str, int, str, str | None]:
    return text, prefix if prefix is not None else 128 if ":" in text else 32, device, label


def _parsed(text: str) -> tuple[str, int, str, str | None]:
    head, *rest = text.split(" dev ")
    address, _, prefix = head.split()[0].partition("/")
    device = rest[0].split()[0].partition("@")[0]
    label = rest[0].partition(" label ")[2].removesuffix(" set") or None
    return _address(address, int(prefix) if prefix else None, device, label)


def _more(instance: Instance) -> dict[str, Any]:
    own = [track for track in instance.tracks if track.group is None]
    return {
        "peers": list(instance.unicast_peers),
        "source": instance.unicast_source,
        "down": str(instance.down_timer_adverts),
        "group": instance.sync_group,
        "tracks": {kind.value: [(t.name, t.weight, t.reverse) for t in own if t.kind is kind] for kind in CheckKind},
    }


def _block(block: str) -> dict[str, Any]:
    source = next((line for line in block.splitlines() if "(from configuration)" in line), "")
    return {
        "peers": [line.split()[0] for line in Data.listed(block, "Unicast Peer")],
        "source": source.partition("=")[2].split()[0] if source else None,
        "down": Data.value(block, "Down timer adverts"),
        "group": Data.value(block, "Sync group"),
        "tracks": Data.tracks(block),
    }


def _checks(ours: Configuration) -> dict[str, tuple[str, ...]]:
    """Scripts that are tracked; keepalived forgets the others."""
    used = {track.name for owner in (*ours.instances, *ours.sync_groups) for track in owner.tracks}
    return {
        check.name: tuple(
            str(value) for value in (check.interval, check.timeout, check.weight, check.reverse, check.rise, check.fall)
        )
        for check in ours.checks
        if check.kind is CheckKind.SCRIPT and check.name in used
    }


def _dumped_checks(data: Data) -> dict[str, tuple[str, ...]]:
    found = {}
    for name, block in data.blocks("VRRP Scripts", "VRRP Script").items():
        weight, _, reverse = str(data.value(block, "Weight")).partition(" ")
        interval, timeout = (round(float(str(data.value(block, key)).split()[0]) * SECOND) for key in ("Interval", "Timeout"))
        rise, fall = (str(data.value(block, key)) for key in ("Rise", "Fall"))
        found[name] = (str(interval), str(timeout or None), weight, str(bool(reverse)), rise, fall)
    return found


def _groups(ours: Configuration) -> dict[str, Any]:
    return {
        group.name: (
            list(group.members),
            {kind.value: [(t.name, t.weight, t.reverse) for t in group.tracks if t.kind is kind] for kind in CheckKind},
        )
        for group in ours.sync_groups
    }


def _dumped_groups(data: Data) -> dict[str, Any]:
    blocks = data.blocks("VRRP Sync groups", "VRRP Sync Group")
    return {
        name: ([line.strip() for line in data.listed(block, "VRRP member instances")], data.tracks(block))
        for name, block in blocks.items()
    }


@pytest.mark.parametrize("state", ["true", "false"])
def test_weights_add_up_as_in_keepalived(asked: Oracle, state: str) -> None:
    """Every sign, with and without reverse, passing and failing: the effective priority is the one that steps assumes."""
    weights = ["5", "-5", "5 reverse", "-5 reverse", "150", "-150"]
    text = SECURITY + "".join(
        f'vrrp_script s{index} {{\n script "/bin/{state}"\n weight {weight}\n}}\n'
        f"vrrp_instance i{index} {{\n interface eth0\n virtual_router_id {index + 1}\n priority 120\n"
        f" virtual_ipaddress {{ 10.9.0.{index + 200} }}\n track_script {{ s{index}\n }}\n}}\n"
        for index, weight in enumerate(weights)
    )
    passing = state == "true"
    expected = [125, 120, 115, 120, 254, 120] if passing else [120, 115, 120, 125, 120, 1]
    asked.directory = asked.directory.parent / f"weights-{state}"
    with asked.running({"keepalived.conf": text}, "one") as keepalived:
        deadline = time.monotonic() + 5
        effective: list[int] = []
        while effective != expected and time.monotonic() < deadline:
            effective = [item["effective_priority"] for item in keepalived.instances().values()]
            time.sleep(0.05)
    assert effective == expected
    ours = load(asked.directory / "keepalived.conf", "one")
    others = [120, 115, 120, 125, 120, 1] if passing else [125, 120, 115, 120, 254, 120]
    for index, (instance, now, other) in enumerate(zip(ours.instances, expected, others, strict=True)):
        assert explain_step(ours, instance, now, other) == ((f"s{index}",),)
