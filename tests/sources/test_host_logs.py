"""keepalived's log followed as it grows: rotated, truncated, appearing late, in pieces, in every form; and the journal."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

import pytest

from observer.model.errors import SourceError
from observer.model.host import LogKind
from observer.model.time import SECOND
from observer.sources.host import logs
from observer.sources.host.logs import LONGEST, POLL, Logs
from observer.wire.log_lines import iso_time

FAILED = "VRRP_Script(chk_ocp_lb) failed (exited with status 7)"
ENTERED = "(lab_API) Entering MASTER STATE"
STAMP = "2026-11-23T08:56:00.013963559Z"
NOW = iso_time(STAMP, UTC) + SECOND // 10


@pytest.fixture(autouse=True)
def in_utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def eager(monkeypatch):
    """New files are looked for at every look."""
    monkeypatch.setattr(logs, "SEARCH", -1.0)


@pytest.fixture
def follow():
    """Logs that are closed at the end."""
    made = []

    def following(*patterns):
        made.append(Logs("m0", [str(pattern) for pattern in patterns]))
        return made[-1]

    yield following
    for each in made:
        each.close()


def line(message, stamp=STAMP):
    return f"{stamp} stdout F {message}\n"


def append(path, text):
    with path.open("a") as file:
        file.write(text)


def kinds(followed, now=NOW):
    return [event.kind for event in followed.look(now)]


def test_only_what_is_written_from_the_start_on_is_told(tmp_path, follow):
    path = tmp_path / "keepalived.log"
    path.write_text(line(FAILED))
    followed = follow(path)
    assert kinds(followed) == []
    append(path, line(ENTERED))
    (event,) = followed.look(NOW)
    assert (event.kind, event.node, event.time) == (LogKind.ENTERED_ACTIVE, "m0", iso_time(STAMP, UTC))
    assert kinds(followed) == []


def test_a_line_in_pieces_is_one_line(tmp_path, follow):
    path = tmp_path / "keepalived.log"
    path.touch()
    followed = follow(path)
    kinds(followed)
    for piece in (STAMP, " stdout F VRRP_Script(chk_ocp_lb)", " failed (exited with status 7)"):
        append(path, piece)
        assert kinds(followed) == []
    append(path, "\n")
    (event,) = followed.look(NOW)
    assert (event.kind, event.check, event.status) == (LogKind.CHECK_FAILED, "chk_ocp_lb", 7)


def test_a_file_that_is_rotated_away_is_read_to_its_end_and_the_next_from_its_beginning(tmp_path, follow):
    path = tmp_path / "0.log"
    path.touch()
    followed = follow(path)
    assert kinds(followed) == []
    append(path, line(FAILED))
    path.rename(tmp_path / "0.log.20261123")
    path.write_text(line(ENTERED))
    assert kinds(followed) == [LogKind.CHECK_FAILED, LogKind.ENTERED_ACTIVE]


@pytest.mark.usefixtures("eager")
def test_a_file_that_is_missing_for_a_while_is_read_from_its_beginning(tmp_path, follow):
    path = tmp_path / "0.log"
    path.write_text(line(FAILED))
    followed = follow(path)
    assert kinds(followed) == []
    path.unlink()
    assert kinds(followed) == []
    with pytest.raises(SourceError, match="no file matches"):
        kinds(followed)
    path.write_text(line(ENTERED))
    assert kinds(followed) == [LogKind.ENTERED_ACTIVE]


def test_a_file_that_is_truncated_is_read_from_its_beginning(tmp_path, follow):
    path = tmp_path / "keepalived.log"
    path.write_text(line(FAILED) * 3)
    followed = follow(path)
    assert kinds(followed) == []
    path.write_text(line(ENTERED))
    assert kinds(followed) == [LogKind.ENTERED_ACTIVE]


@pytest.mark.usefixtures("eager")
def test_files_that_appear_later_are_found_by_their_pattern_and_read_whole(tmp_path, follow):
    followed = follow(tmp_path / "*keepalived*" / "*" / "*.log")
    with pytest.raises(SourceError, match=r"no file matches .*keepalived"):
        kinds(followed)
    folder = tmp_path / "ns_keepalived-m0_1" / "keepalived"
    folder.mkdir(parents=True)
    (folder / "0.log").write_text(line(ENTERED))
    assert kinds(followed) == [LogKind.ENTERED_ACTIVE]


def test_several_files_are_followed_and_no_more_than_the_limit(tmp_path, monkeypatch, follow):
    monkeypatch.setattr(logs, "FILES", 2)
    paths = [tmp_path / f"{number}.log" for number in range(3)]
    for path in paths:
        path.touch()
    followed = follow(tmp_path / "*.log")
    kinds(followed)
    for path in paths:
        append(path, line(ENTERED))
    assert kinds(followed) == [LogKind.ENTERED_ACTIVE] * 2


def test_a_line_too_long_is_left_out_and_the_next_is_read(tmp_path, follow):
    path = tmp_path / "keepalived.log"
    path.touch()
    followed = follow(path)
    kinds(followed)
    append(path, "x" * (3 * LONGEST))
    kinds(followed)
    append(path, "x" * 10 + f" {ENTERED}\n" + line(FAILED))
    assert kinds(followed) == [LogKind.CHECK_FAILED]


FORMS = {
    "container runtime": f"{STAMP} stderr F Mon Nov 23 08:56:00 2026: {ENTERED}",
    "RFC 3339": f"{STAMP} m0 Keepalived_vrrp[12]: {ENTERED}",
    "syslog, to the second": f"Nov 23 08:56:00 m0 Keepalived_vrrp[12]: {ENTERED}",
    "console, to the second": f"Mon Nov 23 08:56:00 2026: {ENTERED}",
}


@pytest.mark.parametrize("form", FORMS)
def test_forms(tmp_path, form, follow):
    """A stamp cut off to its second is put where it must have been: since the look before."""
    now = iso_time("2026-11-23T08:56:00Z", UTC) + int(0.6 * SECOND)
    path = tmp_path / "keepalived.log"
    path.touch()
    followed = follow(path)
    kinds(followed)
    append(path, FORMS[form] + "\n")
    (event,) = followed.look(now)
    assert event.time == (now - int(POLL * SECOND) if "second" in form else iso_time(STAMP, UTC))


def test_a_stamp_to_the_second_that_is_older_is_left_as_it_is(tmp_path, follow):
    path = tmp_path / "keepalived.log"
    path.touch()
    followed = follow(path)
    kinds(followed)
    append(path, f"Nov 23 08:56:00 m0 Keepalived_vrrp[12]: {ENTERED}\n")
    (event,) = followed.look(NOW + 30 * SECOND)
    assert event.time == iso_time("2026-11-23T08:56:00Z", UTC)


@pytest.mark.parametrize(
    ("now", "stamp", "meant"),
    [
        ("2027-01-01T00:00:01Z", "Dec 31 23:59:58", "2026-12-31T23:59:58Z"),
        ("2026-12-31T23:59:59Z", "Jan  1 00:00:00", "2027-01-01T00:00:00Z"),
        ("2026-11-23T08:56:30Z", "Nov 23 08:56:00", "2026-11-23T08:56:00Z"),
    ],
)
def test_a_stamp_without_a_year_is_of_the_year_that_is_nearest(tmp_path, now, stamp, meant, follow):
    path = tmp_path / "keepalived.log"
    path.touch()
    followed = follow(path)
    kinds(followed)
    append(path, f"{stamp} m0 Keepalived_vrrp[12]: {ENTERED}\n")
    (event,) = followed.look(iso_time(now, UTC))
    # Never later than now: a clock may be read a moment after the other.
    assert event.time == min(iso_time(meant, UTC), iso_time(now, UTC))


def journalctl(folder, monkeypatch, script):
    program = folder / "journalctl"
    program.write_text("#!/bin/sh\n" + script)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def until(predicate, seconds=10):
    end = time.monotonic() + seconds
    while not predicate():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_journal_is_followed_through_its_own_program(tmp_path, monkeypatch, follow):
    entry = {"MESSAGE": ENTERED, "SYSLOG_IDENTIFIER": "Keepalived_vrrp", "_SOURCE_REALTIME_TIMESTAMP": "1795000000000001"}
    arguments = tmp_path / "arguments"
    journalctl(tmp_path, monkeypatch, f"echo \"$@\" > {arguments}\necho '{json.dumps(entry)}'\nexec sleep 60\n")
    followed, found = follow("journal"), []
    until(lambda: found.extend(followed.look(1795000001 * SECOND)) or found)
    followed.close()
    assert [(event.kind, event.time) for event in found] == [(LogKind.ENTERED_ACTIVE, 1795000000000001000)]
    assert {"--follow", "--lines=0", "--output=json", "SYSLOG_IDENTIFIER=Keepalived_vrrp"} <= set(arguments.read_text().split())
    assert followed._journal is not None
    assert followed._journal._child is None


def test_a_journal_that_ends_is_a_blind_spot_and_not_started_all_the_time(tmp_path, monkeypatch, follow):
    starts = tmp_path / "starts"
    journalctl(tmp_path, monkeypatch, f"echo >> {starts}\nexit 1\n")
    followed = follow("journal")
    list(followed.look(0))
    until(lambda: followed._journal._child.poll() is not None)
    for _ in range(3):
        with pytest.raises(SourceError, match="journalctl ended"):
            list(followed.look(0))
    assert starts.read_text() == "\n"
    followed.close()


def test_no_journal(tmp_path, monkeypatch, follow):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match="journalctl is not installed"):
        list(follow("journal").look(0))


def test_none_is_configured(follow):
    with pytest.raises(SourceError, match="set logs"):
        list(follow().look(0))


def test_the_time_zone_of_the_node_holds_for_stamps_that_name_none(tmp_path, monkeypatch, follow):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    path = tmp_path / "keepalived.log"
    path.touch()
    followed = follow(path)
    kinds(followed)
    append(path, f"Nov 23 17:56:00 m0 Keepalived_vrrp[12]: {ENTERED}\n")
    (event,) = followed.look(NOW + 60 * SECOND)
    assert event.time == int(datetime(2026, 11, 23, 8, 56, tzinfo=UTC).timestamp()) * SECOND
