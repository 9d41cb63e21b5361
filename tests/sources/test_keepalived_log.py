"""keepalived's log as a file: its years, its garbage, its compression, and files that are none."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
import types
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observer.model.errors import SourceError
from observer.model.host import LogEvent, LogKind
from observer.model.time import rfc3339
from observer.sources.address_events import PATIENCE, LineCensus
from observer.sources.keepalived_log import UNDERSTOOD, read_log
from observer.wire.log_lines import iso_time

NODE = "m0"

# A real one: HAProxy is killed, the check fails, the address moves. The container runtime's stamps are around the console's.
LOG = """\
2026-11-23T08:55:50.314212868Z stdout F Mon Nov 23 08:55:50 2026: Starting Keepalived v2.2.7 (01/16,2022)
2026-11-23T08:55:50.334266305Z stdout F Mon Nov 23 08:55:50 2026:               '/etc/keepalived/keepalived.conf'
2026-11-23T08:55:50.354212868Z stdout F Mon Nov 23 08:55:50 2026: (lab_API) Entering BACKUP STATE (init)
2026-11-23T08:55:53.657651740Z stdout F Mon Nov 23 08:55:53 2026: (lab_API) Receive advertisement timeout
2026-11-23T08:55:53.657919587Z stdout F Mon Nov 23 08:55:53 2026: (lab_API) Entering MASTER STATE
2026-11-23T08:55:53.657993406Z stdout F Mon Nov 23 08:55:53 2026: (lab_API) setting VIPs.
2026-11-23T08:55:59.015616511Z stdout F Mon Nov 23 08:55:59 2026: Script `chk_ocp_lb` now returning 7
2026-11-23T08:56:00.013963559Z stdout F Mon Nov 23 08:56:00 2026: VRRP_Script(chk_ocp_lb) failed (exited with status 7)
2026-11-23T08:56:00.014590022Z stdout F Mon Nov 23 08:56:00 2026: (lab_API) Changing effective priority from 65 to 45
2026-11-23T08:56:03.377928694Z stdout F Mon Nov 23 08:56:03 2026: (lab_API) Master received advert from 192.0.2.12 with higher priority 65, ours 45
2026-11-23T08:56:03.378005008Z stdout F Mon Nov 23 08:56:03 2026: (lab_API) Entering BACKUP STATE
"""  # noqa: E501
SEEN = [
    ("2026-11-23T08:55:50.314212868Z", LogKind.STARTING),
    ("2026-11-23T08:55:50.354212868Z", LogKind.BEGAN_AS_BACKUP),
    ("2026-11-23T08:55:53.657651740Z", LogKind.ADVERTISEMENT_TIMEOUT),
    ("2026-11-23T08:55:53.657919587Z", LogKind.ENTERED_ACTIVE),
    ("2026-11-23T08:55:59.015616511Z", LogKind.CHECK_RETURNED),
    ("2026-11-23T08:56:00.013963559Z", LogKind.CHECK_FAILED),
    ("2026-11-23T08:56:00.014590022Z", LogKind.PRIORITY_CHANGED),
    ("2026-11-23T08:56:03.377928694Z", LogKind.HIGHER_PRIORITY_RECEIVED),
    ("2026-11-23T08:56:03.378005008Z", LogKind.ENTERED_BACKUP),
]


def at(text: str) -> int:
    time = iso_time(text, UTC)
    assert time is not None
    return time


@pytest.fixture
def read(tmp_path):
    """What a file with this content, last changed then, gives, and its census."""

    def reader(content: str | bytes, changed: str = "2026-11-23T09:30:00Z", **options):
        path = tmp_path / "log"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        os.utime(path, ns=(at(changed), at(changed)))
        census = LineCensus()
        found = list(read_log(str(path), NODE, census=census, **options))
        assert census.events == len(found)
        return found, census

    return reader


def summary(events):
    return [(rfc3339(event.time), event.kind) for event in events]


def test_a_log(read):
    found, census = read(LOG)
    assert summary(found) == SEEN
    assert (census.lines, census.understood, census.skipped) == (11, 11, 0)
    assert found[7] == LogEvent(
        time=at("2026-11-23T08:56:03.377928694Z"),
        node=NODE,
        kind=LogKind.HIGHER_PRIORITY_RECEIVED,
        instance="lab_API",
        router="192.0.2.12",
        before=45,
        after=65,
        detail="(lab_API) Master received advert from 192.0.2.12 with higher priority 65, ours 45",
    )
    assert found[5] == LogEvent(
        time=at("2026-11-23T08:56:00.013963559Z"),
        node=NODE,
        kind=LogKind.CHECK_FAILED,
        check="chk_ocp_lb",
        status=7,
        detail="VRRP_Script(chk_ocp_lb) failed (exited with status 7)",
    )


def test_every_field_arrives(read):
    found, _ = read(
        "Mon Nov 23 08:57:17 2026: A thread timer expired 1.361421 seconds ago\n"
        "Mon Nov 23 08:57:17 2026: Netlink reports e0 down\n"
    )
    assert (found[0].seconds, found[1].subject) == (1.361421, "e0")


def test_compressed_cut_short_and_standard_input(read, monkeypatch):
    assert summary(read(gzip.compress(LOG.encode()))[0]) == SEEN
    found, census = read(gzip.compress(LOG.encode() * 20)[:-9])
    assert summary(found)[: len(SEEN)] == SEEN
    assert "ends early" in census.broken
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(LOG.encode())))
    assert summary(read_log("-", NODE)) == SEEN


def test_lines_without_a_time_are_counted(read):
    found, census = read("-- Journal begins at Mon 2026-11-23 --\n\n" + LOG + "  and include a full copy\nauth_pass s3cret\n")
    assert summary(found) == SEEN
    assert census.skipped == 3


def test_what_is_not_understood_is_not_kept(read):
    found, _ = read(LOG + "Mon Nov 23 08:57:17 2026: (lab_API) unexpected password s3cret\n")
    assert "s3cret" not in repr(found)


def test_zone(read):
    found, _ = read(
        "Mon Nov 23 08:57:17 2026: Stopping\nNov 23 08:57:18 m0 Keepalived[1]: Stopping\n", zone=ZoneInfo("Europe/Vilnius")
    )
    assert [rfc3339(event.time)[:19] for event in found] == ["2026-11-23T06:57:17", "2026-11-23T06:57:18"]
    found, _ = read(syslog("Nov 23 08:57:18"), zone=ZoneInfo("Europe/Vilnius"), year=2019)
    assert rfc3339(found[0].time)[:19] == "2019-11-23T06:57:18"


def syslog(*dates: str) -> str:
    return "".join(f"{date} m0 Keepalived_vrrp[1]: (VI_1) Entering MASTER STATE\n" for date in dates)


def years(events):
    return [int(rfc3339(event.time)[:4]) for event in events]


YEARS = {
    "given": (syslog("Nov 23 08:57:17"), {"year": 2019}, [2019]),
    "given, over New Year": (
        syslog("Dec 31 23:59:59", "Jan  1 00:00:01", "Nov 23 08:57:17", "Jan  1 00:00:01"),
        {"year": 2019},
        [2019, 2020, 2020, 2021],
    ),
    "given, a line late at New Year": (
        syslog("Jan  1 00:00:01", "Dec 31 23:59:59", "Jan  1 00:00:02"),
        {"year": 2019},
        [2019, 2018, 2019],
    ),
    "given, a line late after New Year": (
        syslog("Dec 31 23:59:58", "Jan  1 00:00:01", "Dec 31 23:59:59", "Jan  1 00:00:02"),
        {"year": 2019},
        [2019, 2020, 2019, 2020],
    ),
    "given, a line late": (syslog("Nov 23 08:57:17", "Nov 23 08:57:15"), {"year": 2019}, [2019, 2019]),
    "given, quiet for long": (syslog("Mar  1 08:57:17", "Nov 23 08:57:15"), {"year": 2019}, [2019, 2019]),
    "given, 29 February of a year that has none": (
        syslog("Feb 28 08:57:17", "Feb 29 08:57:15", "Mar  1 08:57:15"),
        {"year": 2019},
        [2019, 2019],
    ),
    "last changed soon after": (syslog("Nov 23 08:57:17"), {"changed": "2024-11-24T00:00:00Z"}, [2024]),
    "last changed months after": (syslog("Nov 23 08:57:17"), {"changed": "2025-08-24T00:00:00Z"}, [2024]),
    "last changed, in another zone's evening": (syslog("Jan  1 03:00:00"), {"changed": "2024-12-31T22:00:00Z"}, [2025]),
    "last changed, over New Year": (
        syslog("Dec 31 23:59:59", "Jan  1 00:00:01"),
        {"changed": "2025-01-02T00:00:00Z"},
        [2024, 2025],
    ),
    "last changed, 29 February": (syslog("Feb 29 08:57:17"), {"changed": "2027-01-02T00:00:00Z"}, [2024]),
    "last changed, 29 February in between": (
        syslog("Jan  1 08:57:17", "Feb 29 08:57:17", "Dec  1 08:57:17"),
        {"changed": "2027-01-02T00:00:00Z"},
        [2024, 2024, 2024],
    ),
    "last changed, a dozen years": (
        syslog(*["Jun  1 00:00:00", "Feb  1 00:00:00"] * 12),
        {"changed": "2027-01-02T00:00:00Z"},
        [year for begin in range(2014, 2026) for year in (begin, begin + 1)],
    ),
    "last changed, 29 February of a later year": (
        syslog("Dec  1 08:57:17", "Feb 29 08:57:17", "Mar  1 08:57:17"),
        {"changed": "2027-04-02T00:00:00Z"},
        [2023, 2024, 2024],
    ),
    "last changed, 29 February of years that have none": (
        syslog("Feb 29 08:57:17", "Feb 20 00:00:00", "Feb 29 08:57:17"),
        {"changed": "2027-01-02T00:00:00Z"},
        [2027],
    ),
    "a capture at the beginning": (
        syslog("Jan  5 08:57:17", "Dec 20 08:57:17"),
        {"reference": at("2022-01-10T00:00:00Z")},
        [2022, 2022],
    ),
    "a line of the evening before 1 March, late": (syslog("Mar  1 00:00:00", "Feb 28 23:59:59"), {"year": 2015}, [2015, 2015]),
    "the same with a 29 February": (syslog("Mar  1 00:00:00", "Feb 29 23:59:59"), {"year": 2016}, [2016, 2016]),
    "nearly a year after 1 March": (syslog("Mar  1 00:00:00", "Feb 27 23:59:59"), {"year": 2015}, [2015, 2016]),
    "a capture soon after": (syslog("Nov 20 08:57:17"), {"reference": at("2022-11-23T00:00:00Z")}, [2022]),
    "a capture before": (syslog("Jan  2 08:57:17"), {"reference": at("2022-12-31T00:00:00Z")}, [2023]),
    "a capture after": (syslog("Dec 31 08:57:17"), {"reference": at("2023-01-02T00:00:00Z")}, [2022]),
    "a capture within a log of many months": (
        syslog("Jan  5 08:57:17", "Nov 23 08:57:17"),
        {"reference": at("2022-11-23T08:57:00Z")},
        [2022, 2022],
    ),
    "a capture within, over New Year": (
        syslog("Mar  5 08:57:17", "Nov 23 08:57:17", "Feb  1 00:00:00"),
        {"reference": at("2022-11-23T08:57:00Z")},
        [2022, 2022, 2023],
    ),
}


@pytest.mark.parametrize("name", YEARS)
def test_years(read, name):
    text, options, expected = YEARS[name]
    found, census = read(text, **options)
    assert years(found) == expected
    assert census.skipped == text.count("\n") - len(expected)


def test_lines_of_others_count_for_the_years(read):
    text = (
        syslog("Nov 23 08:57:17")
        + "Dec 31 08:57:17 m0 cron[1]: what\nJan 31 08:57:17 m0 cron[1]: what\n"
        + syslog("Dec  1 08:57:17")
    )
    assert years(read(text, year=2019)[0]) == [2019, 2020]


def test_years_that_are_named_need_no_guess(read):
    assert years(read(LOG, year=1999)[0]) == [2026] * len(SEEN)


@settings(max_examples=100, deadline=None)
@given(
    times=st.lists(st.integers(at("1990-01-01T00:00:00Z") // 10**9, at("2050-01-01T00:00:00Z") // 10**9), min_size=1, max_size=1),
    gaps=st.lists(st.integers(-80_000, 363 * 86_400), max_size=8),
)
def test_any_log_with_no_gap_of_a_year_comes_back(tmp_path_factory, times, gaps):
    for gap in gaps:
        times.append(max(times) + gap)
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_text(syslog(*(f"{datetime.fromtimestamp(time, UTC):%b %e %H:%M:%S}" for time in times)))
    expected = [time * 10**9 for time in times]
    first = datetime.fromtimestamp(times[0], UTC).year
    assert [event.time for event in read_log(str(path), NODE, year=first)] == expected
    os.utime(path, ns=(max(expected), max(expected)))
    assert [event.time for event in read_log(str(path), NODE)] == expected


WRONG = {
    "a capture": bytes.fromhex("d4c3b2a1020004000000000000000000") + bytes(100),
    "a journal": b"LPKSHHRH" + bytes(1000),
    "a configuration": "vrrp_instance VI_1 {\n  auth_pass s3cret\n}\n",
    "messages alone": "(VI_1) Entering MASTER STATE\n",
    "long, and other": "what\n" * (3 * PATIENCE),
    "JSON": json.dumps({"a": 1}),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_files(read, name):
    with pytest.raises(SourceError, match="no line has a time stamp that is understood") as caught:
        read(WRONG[name])
    assert UNDERSTOOD in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_long_wrong_file_is_not_read_to_its_end(tmp_path):
    path = tmp_path / "long"
    path.write_text("what\n" * (3 * PATIENCE))
    census = LineCensus()
    with pytest.raises(SourceError):
        list(read_log(str(path), NODE, census=census))
    assert census.lines == PATIENCE


def test_an_empty_log_is_one_of_a_quiet_time(read):
    assert read("")[0] == []


def test_no_such_file(tmp_path):
    with pytest.raises(SourceError, match="no such file"):
        list(read_log(str(tmp_path / "none"), NODE))


FRAGMENTS = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([line.encode() for line in LOG.splitlines()]),
    st.sampled_from(syslog("Feb 29 00:00:00", "Nov 23 08:57:17", "Dec 31 23:59:60", "Jan  1 00:00:00").encode().splitlines()),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(FRAGMENTS, max_size=20), st.none() | st.integers(1, 9999), st.none() | st.integers(0, 2**63 - 1))
def test_no_file_raises_anything_else(tmp_path_factory, fragments, year, reference):
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_bytes(b"\n".join(fragments))
    census = LineCensus()
    found, failure = [], ""
    try:
        found += read_log(str(path), NODE, year=year, reference=reference, census=census)
    except SourceError as error:
        failure = str(error)
    assert "\n" not in failure
    assert census.events == len(found)
    assert not (failure and found)
    assert all(0 <= event.time < 2**63 for event in found)
