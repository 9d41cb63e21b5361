"""Configuration files of one node, from a `Setting`: text in, text out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .setting import MASTERS, Check, Setting, address

if TYPE_CHECKING:
    from pathlib import Path


def check_script(setting: Setting, check: Check, run: Path, node: str) -> str:
    """Return the shell script behind one vrrp_script."""
    command = check.command.format(
        front=setting.front_port,
        monitor=setting.monitor_port,
        api=setting.api_port,
        limit=f"{check.timeout * 0.9:g}",
        pidfile=run / f"{node}.haproxy.pid",
        flag=run / f"{node}.flag",
    )
    return f"#!/bin/sh\n{command}\n"


def script_path(run: Path, node: str, check: Check) -> Path:
    """Return where the script of a check belongs."""
    return run / f"{node}.{check.name}.sh"


def _block(head: str, *lines: str | None) -> str:
    return "\n".join([f"{head} {{", *(f"    {line}" for line in lines if line), "}"]) + "\n"


def _vrrp_script(check: Check, path: Path) -> str:
    return _block(
        f"vrrp_script {check.name}",
        f'script "{path}"',
        f"interval {check.interval}",
        f"timeout {check.timeout}",
        f"rise {check.rise}",
        f"fall {check.fall}",
        None if check.weight is None else f"weight {check.weight}{' reverse' if check.reverse else ''}",
    )


def keepalived_conf(setting: Setting, node: str, run: Path, interface: str = "eth0") -> str:
    """Return keepalived.conf of a master."""
    width = 32 if setting.family == 4 else 128
    vips = [f"{setting.vip_prefix} label vip" if setting.family == 4 else setting.vip_prefix]
    vips += [f"{address(number, setting.family)}/{width}" for number in setting.more_vips]
    checks = [check.name for check in setting.checks]
    blocks = [_instance(setting, node, interface, "lab_API", setting.vrid, vips, [] if setting.sync else checks)]
    if setting.sync:
        second = [setting.second_vip_prefix]
        blocks.insert(0, _block("vrrp_sync_group lab", "group {", "    lab_API", "    lab_second", "}"))
        blocks.append(_instance(setting, node, interface, "lab_second", setting.vrid + 1, second, checks))
    return "\n".join(
        [
            _block(
                "global_defs",
                f"router_id {node}",
                f"vrrp_version {setting.version}",
                "enable_script_security",
                "script_user root",
            ),
            *(_vrrp_script(check, script_path(run, node, check)) for check in setting.checks),
            *blocks,
        ]
    )


def _instance(setting: Setting, node: str, interface: str, name: str, vrid: int, vips: list[str], checks: list[str]) -> str:
    """Return one vrrp_instance."""
    peers = [address(peer, setting.family) for peer in MASTERS if peer != node]
    lists = [("track_script", checks), ("virtual_ipaddress", vips)]
    if setting.unicast:
        lists.append(("unicast_peer", peers))
    body: list[str | None] = [
        "state BACKUP",
        f"interface {interface}",
        f"virtual_router_id {vrid}",
        f"priority {setting.priority(node)}",
        f"advert_int {setting.advert_int:g}",
        "nopreempt" if setting.nopreempt else None,
        f"preempt_delay {setting.preempt_delay}" if setting.preempt_delay else None,
        f"use_vmac vrrp.{vrid}" if setting.use_vmac else None,
        f"garp_master_refresh {setting.garp_master_refresh}" if setting.garp_master_refresh else None,
        f"unicast_src_ip {address(node, setting.family)}" if setting.unicast else None,
    ]
    if setting.password is not None:
        body += ["authentication {", "    auth_type PASS", f"    auth_pass {setting.password}", "}"]
    for head, words in lists:
        if words:
            body += [f"{head} {{", *(f"    {word}" for word in words), "}"]
    return _block(f"vrrp_instance {name}", *body)


def frr_conf(setting: Setting, node: str) -> str:
    """Return the configuration of FRR's vrrpd on a master; its intervals are in milliseconds."""
    family = "ip" if setting.family == 4 else "ipv6"
    return f"""\
hostname {node}
interface eth0
 vrrp {setting.vrid} version {setting.version}
 vrrp {setting.vrid} priority {setting.priority(node)}
 vrrp {setting.vrid} advertisement-interval {round(setting.advert_int * 1000)}
 vrrp {setting.vrid} {family} {setting.vip}
exit
"""


def foreign_conf(setting: Setting, priority: int, vip: str) -> str:
    """Return keepalived.conf of a router that is not of the group but uses its VRID.

    In a unicast setting it sends to the masters' addresses, as a cluster with a stale peer list does.
    """
    body: list[str | None] = [
        "state BACKUP",
        "interface eth0",
        f"virtual_router_id {setting.vrid}",
        f"priority {priority}",
        f"advert_int {setting.advert_int:g}",
    ]
    if setting.unicast:
        body += ["unicast_peer {", *(f"    {address(peer, setting.family)}" for peer in MASTERS), "}"]
    body += ["virtual_ipaddress {", f"    {vip}", "}"]
    return _block("global_defs", "router_id f0", f"vrrp_version {setting.version}") + _block("vrrp_instance other_API", *body)


def haproxy_cfg(setting: Setting, node: str, run: Path) -> str:
    """Return haproxy.cfg of a master.

    Binds are wildcards, so that a backup's HAProxy is ready before the address comes. `timeout check` is longer than the
    checks' own time-out, as in OpenShift: a slow apiserver fails keepalived's check long before it fails HAProxy's.
    """
    servers = "\n".join(
        f"    server {peer} {_host_port(address(peer, setting.family), setting.api_port)}"
        f" check inter {setting.backend_inter}s fall 3 rise 1"
        for peer in MASTERS
    )
    return f"""\
global
    log stdout format raw local0 notice
    maxconn 4000
    nbthread 1
    stats socket {run}/{node}.haproxy.sock mode 600 level admin

defaults
    mode tcp
    log global
    option dontlognull
    option redispatch
    retries 3
    timeout connect 2s
    timeout client 1h
    timeout server 1h
    timeout check 8s

frontend main
    bind :::{setting.front_port} v4v6
    default_backend masters

frontend monitor
    bind :::{setting.monitor_port} v4v6
    mode http
    monitor-uri /haproxy_ready

backend masters
    balance roundrobin
    option httpchk GET /readyz HTTP/1.0
    option log-health-checks
{servers}
"""


def _host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def redirect_rules(setting: Setting) -> str:
    """Return the nft commands of OpenShift's prerouting redirect."""
    match = "ip" if setting.family == 4 else "ip6"
    return f"""\
table inet lab {{
    chain prerouting {{
        type nat hook prerouting priority dstnat;
        {match} daddr {setting.vip} tcp dport 6443 redirect to :{setting.front_port}
    }}
}}
"""
