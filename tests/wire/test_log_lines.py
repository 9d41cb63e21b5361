"""One line of keepalived's log: every form of stamp, every kind of message, and what only looks like one."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from observer.model.host import LogKind
from observer.model.time import rfc3339
from observer.wire.log_lines import console_time, iso_time, moment, read_line
from observer.wire.log_messages import Message, parse_message

SAID = "(VI_1) Entering MASTER STATE"
VILNIUS = ZoneInfo("Europe/Vilnius")


def journal(**fields):
    return json.dumps({"PRIORITY": "6", "_PID": "123"} | fields)


STAMPED = {
    "console": (f"Mon Nov 23 08:57:17 2026: {SAID}", "2026-11-23T08:57:17.000000000Z"),
    "console, day of one digit": (f"Thu Jan  1 08:57:17 2026: {SAID}", "2026-01-01T08:57:17.000000000Z"),
    "console, microseconds": (f"Mon Nov 23 08:57:17.250000 2026: {SAID}", "2026-11-23T08:57:17.250000000Z"),
    "syslog, RFC 5424": (
        f'<30>1 2026-11-23T08:57:17.003Z m0 Keepalived_vrrp 123 - [x@1 a="\\]"][y b="2"] \ufeff{SAID}',
        "2026-11-23T08:57:17.003000000Z",
    ),
    "syslog, RFC 5424 without data": (
        f"<30>1 2026-11-23T08:57:17Z m0 Keepalived_vrrp - - - {SAID}",
        "2026-11-23T08:57:17.000000000Z",
    ),
    "rsyslog, ISO": (
        f"2026-11-23T10:57:17.038848+02:00 m0 Keepalived_vrrp[123]: {SAID}",
        "2026-11-23T08:57:17.038848000Z",
    ),
    "journal, short-iso": (f"2026-11-23T10:57:17+0200 m0 Keepalived_vrrp[123]: {SAID}", "2026-11-23T08:57:17.000000000Z"),
    "journal, short-iso-precise": (
        f"2026-11-23T08:57:17.038848-03:30 m0 Keepalived_vrrp[123]: {SAID}",
        "2026-11-23T12:27:17.038848000Z",
    ),
    "journal, short-full": (f"Mon 2026-11-23 08:57:17 UTC m0 Keepalived_vrrp[123]: {SAID}", "2026-11-23T08:57:17.000000000Z"),
    "journal, short-unix": (f"1795424237.038848 m0 Keepalived_vrrp[123]: {SAID}", "2026-11-23T08:57:17.038848000Z"),
    "journal, json": (
        journal(__REALTIME_TIMESTAMP="1795424237038848", SYSLOG_IDENTIFIER="Keepalived_vrrp", MESSAGE=SAID),
        "2026-11-23T08:57:17.038848000Z",
    ),
    "journal, json with the sender's time": (
        journal(_SOURCE_REALTIME_TIMESTAMP="1795424237000001", __REALTIME_TIMESTAMP="1795424237038848", MESSAGE=SAID),
        "2026-11-23T08:57:17.000001000Z",
    ),
    "journal, json with octets": (
        journal(__REALTIME_TIMESTAMP="1795424237038848", MESSAGE=list(SAID.encode())),
        "2026-11-23T08:57:17.038848000Z",
    ),
    "CRI": (f"2026-11-23T08:57:17.038848542Z stdout F {SAID}", "2026-11-23T08:57:17.038848542Z"),
    "CRI with an offset": (f"2026-11-23T10:57:17.038848542+02:00 stderr F {SAID}", "2026-11-23T08:57:17.038848542Z"),
    "CRI around console": (
        f"2026-11-23T08:57:17.038848542Z stdout F Mon Nov 23 08:57:17 2026: {SAID}",
        "2026-11-23T08:57:17.038848542Z",
    ),
    "kubectl logs --timestamps": (
        f"2026-11-23T08:57:17.038848542Z Mon Nov 23 08:57:17 2026: {SAID}",
        "2026-11-23T08:57:17.038848542Z",
    ),
    "kubectl logs --timestamps --prefix": (
        f"[pod/keepalived-m0/keepalived] 2026-11-23T08:57:17.038848542Z Mon Nov 23 08:57:17 2026: {SAID}",
        "2026-11-23T08:57:17.038848542Z",
    ),
    "docker, json-file": (
        json.dumps({"log": SAID + "\n", "stream": "stdout", "time": "2026-11-23T08:57:17.03884854Z"}),
        "2026-11-23T08:57:17.038848540Z",
    ),
    "docker, json-file around console": (
        json.dumps({"log": f"Mon Nov 23 08:57:16 2026: {SAID}\n", "time": "2026-11-23T08:57:17.03Z"}),
        "2026-11-23T08:57:17.030000000Z",
    ),
    "journal, json around console": (
        journal(__REALTIME_TIMESTAMP="1795424237038848", SYSLOG_IDENTIFIER="conmon", MESSAGE=f"Mon Nov 23 08:57:17 2026: {SAID}"),
        "2026-11-23T08:57:17.038848000Z",
    ),
    "coarse around console: the inner one": (
        f"Nov 23 08:57:18 m0 conmon[1]: Mon Nov 23 08:57:17 2026: {SAID}",
        "2026-11-23T08:57:17.000000000Z",
    ),
    "coarse with an offset around console: the one that is sure": (
        f"2026-11-23T08:57:18+0000 m0 conmon[1]: Mon Nov 23 10:57:17 2026: {SAID}",
        "2026-11-23T08:57:18.000000000Z",
    ),
    "finer without a year around console: both": (
        f"Jan 01 00:00:00.250000 m0 conmon[1]: Thu Dec 31 23:59:59 2026: {SAID}",
        "2027-01-01T00:00:00.250000000Z",
    ),
    "a blank for the T, and a comma": (f"2026-11-23 08:57:17,250 {SAID}", "2026-11-23T08:57:17.250000000Z"),
    "two of a kind: the inner one": (f"2026-11-23 08:57:18 Mon Nov 23 08:57:17 2026: {SAID}", "2026-11-23T08:57:17.000000000Z"),
    "finer than its own stamp": (
        journal(__REALTIME_TIMESTAMP="1795424237038848", MESSAGE=f"2026-11-23T08:57:16.5Z {SAID}"),
        "2026-11-23T08:57:17.038848000Z",
    ),
    "kubectl logs --timestamps around RFC 3339": (
        f"2026-11-23T08:57:17.038848542Z 2026-11-23T08:57:16.5Z {SAID}",
        "2026-11-23T08:57:17.038848542Z",
    ),
    "a blank before the offset": (f"2026-11-23 10:57:17 +02:00 {SAID}", "2026-11-23T08:57:17.000000000Z"),
    "journal, json with a time that is none": (
        journal(_SOURCE_REALTIME_TIMESTAMP="9" * 16, __REALTIME_TIMESTAMP="1795424237038848", MESSAGE=SAID),
        "2026-11-23T08:57:17.038848000Z",
    ),
    "leap second": (f"Sat Dec 31 23:59:60 2016: {SAID}", "2017-01-01T00:00:00.000000000Z"),
    "trailing blanks": (f"Mon Nov 23 08:57:17 2026: {SAID} \r", "2026-11-23T08:57:17.000000000Z"),
}


@pytest.mark.parametrize("name", STAMPED)
def test_stamps(name):
    text, expected = STAMPED[name]
    line = read_line(text, UTC)
    assert line is not None
    assert rfc3339(line.stamp.time) == expected
    assert line.message == Message(LogKind.ENTERED_ACTIVE, SAID, instance="VI_1")


UNDATED = {
    "syslog, RFC 3164": (f"Nov 23 08:57:17 m0 Keepalived_vrrp[123]: {SAID}", 0),
    "syslog with a priority": (f"<30>Nov 23 08:57:17 m0 Keepalived_vrrp[123]: {SAID}", 0),
    "syslog without a pid": (f"Nov 23 08:57:17 m0 Keepalived_vrrp: {SAID}", 0),
    "syslog, host an address": (f"Nov 23 08:57:17 10.10.15.253 Keepalived_vrrp[9]: {SAID}", 0),
    "journal without a host": (f"Nov 23 08:57:17 Keepalived_vrrp[123]: {SAID}", 0),
    "journal, short-precise": (f"Nov 23 08:57:17.038848 m0 Keepalived_vrrp[123]: {SAID}", 38_848_000),
}


@pytest.mark.parametrize("name", UNDATED)
def test_stamps_without_a_year(name):
    text, fraction = UNDATED[name]
    line = read_line(text, UTC)
    assert line is not None
    assert (line.stamp.time, line.stamp.month, line.stamp.day) == (None, 11, 23)
    assert line.message == Message(LogKind.ENTERED_ACTIVE, SAID, instance="VI_1")
    assert line.stamp.in_year(2026, UTC) == iso_time("2026-11-23T08:57:17Z", UTC) + fraction
    assert line.stamp.in_year(2026, VILNIUS) == iso_time("2026-11-23T06:57:17Z", UTC) + fraction


def test_29_february():
    line = read_line(f"Feb 29 08:57:17 m0 Keepalived_vrrp[123]: {SAID}", UTC)
    assert line is not None
    assert line.stamp.in_year(2026, UTC) is None
    assert line.stamp.in_year(2028, UTC) == iso_time("2028-02-29T08:57:17Z", UTC)


UNSTAMPED = {
    "nothing": "",
    "no stamp": SAID,
    "no such hour": f"Mon Nov 23 24:57:17 2026: {SAID}",
    "no such minute": f"Nov 23 08:60:17 m0 Keepalived_vrrp[1]: {SAID}",
    "no such second": f"Nov 23 08:57:61 m0 Keepalived_vrrp[1]: {SAID}",
    "no such day": f"Nov 31 08:57:17 m0 Keepalived_vrrp[1]: {SAID}",
    "no such day of that year": f"2026-02-29T08:57:17Z stdout F {SAID}",
    "no such month": f"2026-13-23T08:57:17Z stdout F {SAID}",
    "no such month's name": f"Mon Nev 23 08:57:17 2026: {SAID}",
    "before the epoch": f"1969-12-31T23:59:59Z stdout F {SAID}",
    "after 64 bits": f"2263-01-01T00:00:00Z stdout F {SAID}",
    "JSON without a time": journal(MESSAGE=SAID),
    "JSON with a time that is none": journal(__REALTIME_TIMESTAMP="yesterday", MESSAGE=SAID),
    "JSON that is no object": "[1, 2]",
    "broken JSON": '{"log": "',
    "digits of another script": f"Mon Nov ٢٣ 08:57:17 2026: {SAID}",
    "JSON with a time after 64 bits": journal(__REALTIME_TIMESTAMP="9" * 16, MESSAGE=SAID),
    "JSON with a time that is a number": journal(__REALTIME_TIMESTAMP=1795424237038848, MESSAGE=SAID),
    "short-unix after 64 bits": f"9999999999.000000 m0 Keepalived_vrrp[123]: {SAID}",
    "a stamp that goes on": f"2026-11-23T08:57:17Zulu {SAID}",
    "a number": f"123456.5 {SAID}",
}


@pytest.mark.parametrize("name", UNSTAMPED)
def test_lines_without_a_stamp(name):
    assert read_line(UNSTAMPED[name], UTC) is None


def test_zone_holds_for_stamps_that_name_none():
    assert read_line(f"Mon Nov 23 08:57:17 2026: {SAID}", VILNIUS).stamp.time == iso_time("2026-11-23T06:57:17Z", UTC)
    assert read_line(f"Tue Jun 23 08:57:17 2026: {SAID}", VILNIUS).stamp.time == iso_time("2026-06-23T05:57:17Z", UTC)
    full = f"Mon 2026-11-23 08:57:17 UTC m0 Keepalived_vrrp[123]: {SAID}"
    assert read_line(full, VILNIUS).stamp.time == iso_time("2026-11-23T08:57:17Z", UTC)
    assert read_line(full.replace("UTC", "EET"), VILNIUS).stamp.time == iso_time("2026-11-23T06:57:17Z", UTC)
    assert read_line(f"2026-11-23T08:57:17Z {SAID}", VILNIUS).stamp.time == iso_time("2026-11-23T08:57:17Z", UTC)


K = LogKind
MESSAGES = {
    "(VI_1) Entering MASTER STATE": Message(K.ENTERED_ACTIVE, "", instance="VI_1"),
    "(VI_1) Entering BACKUP STATE": Message(K.ENTERED_BACKUP, "", instance="VI_1"),
    "(VI_1) Entering BACKUP STATE (init)": Message(K.BEGAN_AS_BACKUP, "", instance="VI_1"),
    "(VI_1) Entering FAULT STATE": Message(K.ENTERED_FAULT, "", instance="VI_1"),
    "(VI_1) Entering FAULT STATE (init)": Message(K.ENTERED_FAULT, "", instance="VI_1"),
    "(VI_1): entering FAULT state due to script chk": Message(K.ENTERED_FAULT, "", instance="VI_1", check="chk"),
    "VRRP_Instance(VI_1) Now in FAULT state": Message(K.ENTERED_FAULT, "", instance="VI_1"),
    "VRRP_Instance(VI_1) Entering MASTER STATE": Message(K.ENTERED_ACTIVE, "", instance="VI_1"),
    "(two words) Entering MASTER STATE": Message(K.ENTERED_ACTIVE, "", instance="two words"),
    "(a) (b) Entering MASTER STATE": Message(K.ENTERED_ACTIVE, "", instance="a) (b"),
    "(VI_1) Receive advertisement timeout": Message(K.ADVERTISEMENT_TIMEOUT, "", instance="VI_1"),
    "(VI_1) Backup received priority 0 advertisement": Message(K.PRIORITY_ZERO_RECEIVED, "", instance="VI_1"),
    "(VI_1) Master received priority 0 message": Message(K.PRIORITY_ZERO_RECEIVED, "", instance="VI_1"),
    "(VI_1) sent 0 priority": Message(K.PRIORITY_ZERO_SENT, "", instance="VI_1"),
    "VRRP_Instance(VI_1) sending 0 priority": Message(K.PRIORITY_ZERO_SENT, "", instance="VI_1"),
    "(VI_1) Changing effective priority from 65 to 45": Message(K.PRIORITY_CHANGED, "", instance="VI_1", before=65, after=45),
    "(VI_1) Setting effective priority to 45": Message(K.PRIORITY_CHANGED, "", instance="VI_1", after=45),
    "(VI_1) received lower priority (40) advert from 10.0.128.102 - discarding": Message(
        K.LOWER_PRIORITY_DISCARDED, "", instance="VI_1", router="10.0.128.102", after=40
    ),
    "(VI_1) received lower priority (40) advert from FE80::FF:0:0:11 - discarding": Message(
        K.LOWER_PRIORITY_DISCARDED, "", instance="VI_1", router="fe80::ff:0:0:11", after=40
    ),
    "(VI_1) Received advert from 192.0.2.11 with lower priority 99, ours 100": Message(
        K.LOWER_PRIORITY_DISCARDED, "", instance="VI_1", router="192.0.2.11", before=100, after=99
    ),
    "(VI_1) Received advert from 192.0.2.11 with lower priority 99, ours 100, forcing new election": Message(
        K.ELECTION_FORCED, "", instance="VI_1", router="192.0.2.11", before=100, after=99
    ),
    "VRRP_Instance(VI_1) Received advert with lower priority 99, ours 100, forcing new election": Message(
        K.ELECTION_FORCED, "", instance="VI_1", before=100, after=99
    ),
    "VRRP_Instance(VI_1) Received lower prio advert 101, forcing new election": Message(
        K.ELECTION_FORCED, "", instance="VI_1", after=101
    ),
    "(VI_1) Master received advert from 10.0.128.102 with higher priority 65, ours 40": Message(
        K.HIGHER_PRIORITY_RECEIVED, "", instance="VI_1", router="10.0.128.102", before=40, after=65
    ),
    "(VI_1) Master received advert from fe80::1%eth0 with higher priority 65, ours 40": Message(
        K.HIGHER_PRIORITY_RECEIVED, "", instance="VI_1", router="fe80::1", before=40, after=65
    ),
    "(VI_1) Master received advert from 10.0.128.x with higher priority 65, ours 40": Message(
        K.HIGHER_PRIORITY_RECEIVED, "", instance="VI_1", before=40, after=65
    ),
    "VRRP_Instance(VI_1) Received advert with higher priority 102, ours 100": Message(
        K.HIGHER_PRIORITY_RECEIVED, "", instance="VI_1", before=100, after=102
    ),
    "VRRP_Instance(VI_1) Received higher prio advert 103": Message(K.HIGHER_PRIORITY_RECEIVED, "", instance="VI_1", after=103),
    "VRRP_Instance(VI_1) Received higher prio advert": Message(K.HIGHER_PRIORITY_RECEIVED, "", instance="VI_1"),
    "(VI_1) Master received advert from 192.0.2.13 with same priority 100 but higher IP address than ours": Message(
        K.HIGHER_ADDRESS_RECEIVED, "", instance="VI_1", router="192.0.2.13", before=100, after=100
    ),
    "Script `chk_ocp_lb` now returning 124": Message(K.CHECK_RETURNED, "", check="chk_ocp_lb", status=124),
    "Script `chk_ocp_lb` now returning 0": Message(K.CHECK_RETURNED, "", check="chk_ocp_lb", status=0),
    "Script chk now returning 1": Message(K.CHECK_RETURNED, "", check="chk", status=1),
    "VRRP_Script(chk) failed": Message(K.CHECK_FAILED, "", check="chk"),
    "VRRP_Script(chk) failed (exited with status 1)": Message(K.CHECK_FAILED, "", check="chk", status=1),
    "VRRP_Script(chk) failed (exited with status 125)": Message(K.CHECK_FAILED, "", check="chk", status=125),
    "VRRP_Script(chk) failed (due to signal 9)": Message(K.CHECK_FAILED, "", check="chk"),
    "VRRP_Script(chk) failed (exited with status 124)": Message(K.CHECK_TIMED_OUT, "", check="chk", status=124),
    "VRRP_Script(chk) timed_out": Message(K.CHECK_TIMED_OUT, "", check="chk"),
    "VRRP_Script(chk) timed out": Message(K.CHECK_TIMED_OUT, "", check="chk"),
    "VRRP_Script(chk) succeeded": Message(K.CHECK_SUCCEEDED, "", check="chk"),
    "Quorum lost for tracked process haproxy": Message(K.CHECK_FAILED, "", check="haproxy"),
    "Quorum gained for tracked process haproxy": Message(K.CHECK_SUCCEEDED, "", check="haproxy"),
    "A thread timer expired 7.980123 seconds ago": Message(K.TIMER_EXPIRED, "", seconds=7.980123),
    "Netlink reports eth0 down": Message(K.LINK_DOWN, "", subject="eth0"),
    "Netlink reports eth0 up": Message(K.LINK_UP, "", subject="eth0"),
    "Kernel is reporting: interface eth0 DOWN": Message(K.LINK_DOWN, "", subject="eth0"),
    "Kernel is reporting: interface eth0 UP": Message(K.LINK_UP, "", subject="eth0"),
    "Netlink reflector reports IP 192.0.2.100 removed from eth0": Message(K.ADDRESS_REMOVED, "", subject="192.0.2.100"),
    "Netlink reflector reports IP 192.0.2.100 removed": Message(K.ADDRESS_REMOVED, "", subject="192.0.2.100"),
    "Netlink reflector reports IP 2001:DB8::1 added to eth0": Message(K.ADDRESS_ADDED, "", subject="2001:db8::1"),
    "(VI_1) received an invalid passwd!": Message(K.AUTHENTICATION_FAILED, "", instance="VI_1"),
    "(VI_1) received an invalid passwd from 192.0.2.12": Message(
        K.AUTHENTICATION_FAILED, "", instance="VI_1", router="192.0.2.12"
    ),
    "(VI_1) IPSEC-AH : invalid IPSEC HMAC-MD5 value. Due to fields mutation or bad password !": Message(
        K.AUTHENTICATION_FAILED, "", instance="VI_1"
    ),
    "(VI_1) ip address associated with VRID 51 not present in MASTER advert: 192.0.2.100": Message(
        K.ADDRESS_MISSING, "", instance="VI_1", subject="192.0.2.100"
    ),
    "(VI_1) ip address associated with VRID 51 not present in MASTER advert : 192.0.2.100": Message(
        K.ADDRESS_MISSING, "", instance="VI_1", subject="192.0.2.100"
    ),
    "(VI_1) expected 2 VIPs but received 3": Message(K.ADDRESS_COUNT_MISMATCH, "", instance="VI_1", before=2, after=3),
    "(VI_1): received an invalid ip number count 3, expected 2!": Message(
        K.ADDRESS_COUNT_MISMATCH, "", instance="VI_1", before=2, after=3
    ),
    "(VI_1) advertisement interval mismatch mine=1 sec rcv'd=2 sec": Message(
        K.INTERVAL_MISMATCH, "", instance="VI_1", before=1, after=2
    ),
    "advertisement interval mismatch mine=1 sec rcved=2 sec": Message(K.INTERVAL_MISMATCH, "", before=1, after=2),
    "Unknown VRID(9) received on interface(eth0) from 192.0.2.12. ignoring...": Message(
        K.UNKNOWN_VRID, "", router="192.0.2.12", after=9, subject="eth0"
    ),
    "Unknown VRID(9) received on interface(eth0). ignoring...": Message(K.UNKNOWN_VRID, "", after=9, subject="eth0"),
    "Starting Keepalived v2.2.7 (01/16,2022)": Message(K.STARTING, ""),
    "Starting Keepalived v2.3.1 (05/24,2024), git commit v2.3.1+": Message(K.STARTING, ""),
    "Stopping": Message(K.STOPPING, ""),
    "Stopping Keepalived v1.2.13 (03/19,2015)": Message(K.STOPPING, ""),
    "Reloading ...": Message(K.RELOADING, ""),
    "Reloading": Message(K.RELOADING, ""),
    "VRRP child process(13181) died: Respawning": Message(K.CHILD_DIED, ""),
}


@pytest.mark.parametrize("text", MESSAGES)
def test_messages(text):
    expected = {name: getattr(MESSAGES[text], name) for name in Message.__slots__} | {"detail": text}
    assert parse_message(text, None) == Message(**expected)
    # The same in every costume.
    for costume in (
        f"Nov 23 08:57:17 m0 Keepalived_vrrp[1]: {text}",
        f"2026-11-23T08:57:17Z {text}",
        f"2026-11-23T08:57:17Z stdout F Mon Nov 23 08:57:17 2026: {text}",
        f"Nov 23 08:57:17 m0 Keepalived[1]: 2026-11-23T08:57:17Z {text}",
        f"2026-11-23T08:57:17Z {json.dumps({'log': text, 'time': '2026-11-23T08:57:17.5Z'})}",
    ):
        line = read_line(costume, UTC)
        assert line is not None
        assert line.message == Message(**expected)


def test_every_kind_has_a_message():
    assert {message.kind for message in MESSAGES.values()} == set(LogKind)


UNKNOWN = [
    "",
    "(VI_1) Entering MASTER STATE.",
    "(VI_1) Entering LUNCH STATE",
    "Entering MASTER STATE",
    "() Entering MASTER STATE",
    "somebody said (VI_1) Entering MASTER STATE",
    "(VI_1) setting VIPs.",
    "(VI_1) removing VIPs.",
    "(VI_1) Changing effective priority from 65 to",
    "(VI_1) Changing effective priority from 65 to 45, password s3cret",
    "(VI_1) Changing effective priority from 65 to 99999999999999999999",
    "(VI_1) received an invalid passwd! s3cret",
    "(VI_1) base priority changed from 65 to 45 via SNMP.",
    "VRRP_Script(chk) considered unsuccessful on reload",
    "VRRP_Script(chk) failed (exited with status 124",
    "Script `chk` child (PID 3) lost",
    "Netlink reports eth0 sideways",
    "Netlink: Receive buffer overrun on monitor socket - (No buffer space available)",
    "Starting VRRP child process, pid=13181",
    "Startup complete",
    "Stopped Keepalived v2.2.7 (01/16,2022)",
    "Stopping sshd",
    "Reload complete",
    "BFD child process(13181) died: Respawning",
    "Healthcheck child process(13181) died: Respawning",
    "auth_pass s3cret",
    f"({'x' * 129}) Entering MASTER STATE",
    f"VRRP_Script({'x' * 2000}) failed",
    "(VI_\x1b[31m1) Entering MASTER STATE",
]


@pytest.mark.parametrize("text", UNKNOWN)
def test_what_is_not_known_is_not_kept(text):
    assert parse_message(text, None) is None
    line = read_line(f"Mon Nov 23 08:57:17 2026: {text}", UTC)
    assert line is not None
    assert line.message is None


@pytest.mark.parametrize("text", ["Stopping", "Reloading", "Reloading ..."])
def test_others_stop_and_reload_too(text):
    assert read_line(f"Nov 23 08:57:17 m0 haproxy[9]: {text}", UTC).message is None
    assert (
        read_line(journal(__REALTIME_TIMESTAMP="1795424237038848", SYSLOG_IDENTIFIER="nginx", MESSAGE=text), UTC).message is None
    )
    assert read_line(f"<30>1 2026-11-23T08:57:17Z m0 haproxy 9 - - {text}", UTC).message is None
    for own in ("Keepalived", "keepalived_vrrp", "k8s_keepalived_m0"):
        assert read_line(f"Nov 23 08:57:17 m0 {own}[9]: {text}", UTC).message is not None
    # What nobody else says is keepalived's whoever passes it on.
    assert read_line(f"Nov 23 08:57:17 m0 conmon[9]: {SAID}", UTC).message is not None
    # A runtime's name is not keepalived's, but the stamp within is keepalived's own.
    assert read_line(f"Nov 23 08:57:17 m0 conmon[9]: Mon Nov 23 08:57:17 2026: {text}", UTC).message is not None


@pytest.mark.parametrize("octets", [[0xFF], [-1], [256], ["a"], [True, [1]]], ids=str)
def test_journal_messages_that_are_no_text(octets):
    line = read_line(journal(__REALTIME_TIMESTAMP="1795424237038848", SYSLOG_IDENTIFIER=5, MESSAGE=octets), UTC)
    assert line is not None
    assert line.message is None


def test_journal_without_a_name():
    for tag in (5, None, ["Keepalived"]):
        line = read_line(journal(__REALTIME_TIMESTAMP="1795424237038848", SYSLOG_IDENTIFIER=tag, MESSAGE="Stopping"), UTC)
        assert line is not None
        assert line.message == Message(K.STOPPING, "Stopping")


TEXTS = st.one_of(
    st.text(max_size=200),
    st.tuples(
        st.sampled_from([text for text, _ in STAMPED.values()] + [text for text, _ in UNDATED.values()]),
        st.integers(0, 150),
        st.text(max_size=5),
    ).map(lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] :]),
    st.sampled_from(list(MESSAGES)).flatmap(lambda text: st.text(max_size=4).map(lambda more: text + more)),
    st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)).map(
        json.dumps
    ),
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ["log", "time", "MESSAGE", "__REALTIME_TIMESTAMP", "_SOURCE_REALTIME_TIMESTAMP", "SYSLOG_IDENTIFIER"],
            st.none() | st.integers() | st.text(max_size=40) | st.lists(st.integers(-1, 256), max_size=9) | st.floats(),
        ),
    ).map(json.dumps),
)


@given(TEXTS)
@example('{"a":' * 100_000)
@example('{"log": "x", "time": ' + "[" * 900 + "]" * 900 + "}")
@example("{" + '"time": 1' + "0" * 5000 + "}")
@example("0001-01-01T00:00:00+23:59 x")
@example("9999-12-31T23:59:60-23:59 x")
@example("2026-11-23T08:57:17+99:99 x")
@example("[" * 5000 + "]")
@example("<30>1 2026-11-23T08:57:17Z a b c d [" + "\\" * 5000)
@example(f"({'(' * 1000}) Entering MASTER STATE")
def test_no_text_raises(text):
    parse_message(text, None)
    iso_time(text, UTC)
    console_time(text, UTC)
    line = read_line(text, VILNIUS)
    if line is not None:
        assert line.stamp.time is None or 0 <= line.stamp.time < 2**63
        if line.message is not None:
            assert line.message.detail in text or text.startswith("{")


TIMES = st.integers(0, 2**63 - 1)
OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(TIMES)
def test_rfc3339_comes_back(time):
    assert iso_time(rfc3339(time), VILNIUS) == time


@given(st.integers(86400, 2**33), OFFSETS)
def test_any_offset_comes_back(second, zone):
    local = datetime.fromtimestamp(second, UTC).astimezone(zone)
    assert iso_time(local.isoformat(), VILNIUS) == second * 10**9
    assert iso_time(f"{local:%Y-%m-%dT%H:%M:%S%z}", VILNIUS) == second * 10**9
    assert console_time(f"{local:%a %b %e %H:%M:%S} {local.year}", zone) == second * 10**9
    clock = (local.hour * 3600 + local.minute * 60 + local.second) * 10**9
    assert moment(local.year, local.month, local.day, clock, zone) == second * 10**9
