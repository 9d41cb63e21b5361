"""Several recordings in one replay: of one node one after another, of several nodes side by side, without being named."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from recorder.tape import captured, observations, recorded
from traces import A, B, Trace

from observer.cli import main
from observer.model.observations import Advert, SourceChange, SourceState
from observer.model.segments import TcpSegments
from observer.sources import recordings
from observer.sources.groups import numbers
from observer.wire.frames import FrameDecoder


def document(capsys, *words):
    assert main(["replay", "--format", "json", *map(str, words)]) == 0
    return json.loads(capsys.readouterr().out)


def files(tape, directory, node="m1"):
    directory.mkdir(exist_ok=True)
    found = []
    for number, octets in enumerate(tape.done):
        found.append(directory / f"vrrp-{node}-{number:04d}.pcapng")
        found[-1].write_bytes(octets)
    return found


def moves(*times, quiet=200):
    """The address moves to and fro at these times, with clients, each adverts' count going on."""
    trace, here, there, begin = Trace().source(-1), A, B, 0.0
    for when in [*times, times[-1] + quiet]:
        trace.adverts(here, 100 if here == A else 90, begin, int(when - begin))
        begin, here, there = when + 3.65, there, here
    for number in range(int(times[-1])):
        trace.served(A, f"198.51.100.{number % 9}", number * 1.0, client_port=30000 + number)
    return captured(trace.observations())


def test_what_two_recordings_of_a_node_both_hold_counts_once(capsys, tmp_path):
    items, frames = moves(100, 220)
    tape, flaps = recorded(items, before=60, after=5, frames=frames)
    paths = files(tape, tmp_path / "m1")
    assert len(paths) == 2
    both = document(capsys, tmp_path / "m1")
    assert [flap["id"] for flap in both["flaps"]] == [flap.id for flap in flaps]
    [(_, stream)] = recordings.streams(recordings.gathered([str(tmp_path / "m1")]), FrameDecoder())
    once = [item for batch in stream for item in batch]
    adverts = [item for item in once if isinstance(item, Advert)]
    segments = [time for item in once if isinstance(item, TcpSegments) for time in item.times.tolist()]
    assert len(adverts) == len({item.time for item in adverts})
    assert adverts == [item for item in items if isinstance(item, Advert) and item.time >= adverts[0].time][: len(adverts)]
    assert len(segments) == len(set(segments))


def test_nobody_listened_between_two_recordings(capsys, tmp_path):
    items, frames = moves(100, 700)
    tape, flaps = recorded(items, before=20, after=5, frames=frames)
    files(tape, tmp_path / "m1")
    both = document(capsys, tmp_path / "m1")
    assert [flap["id"] for flap in both["flaps"]] == [flap.id for flap in flaps]
    ends = [span["end"] for span in both["coverage"]]
    assert len(ends) == 2
    assert None not in ends


def test_recordings_that_overlap_have_no_end_in_between(tmp_path):
    items, frames = moves(100, 220)
    tape, _ = recorded(items, before=60, after=5, frames=frames)
    files(tape, tmp_path / "m1")
    [(_, stream)] = recordings.streams(recordings.gathered([str(tmp_path / "m1")]), FrameDecoder())
    once = [item for batch in stream for item in batch]
    stops = [item for item in once if isinstance(item, SourceChange) and item.state is SourceState.STOPPED]
    assert stops == [once[-1]]


def test_nodes_are_known_without_being_named(capsys, tmp_path):
    for node in ("m1", "m2"):
        items, frames = moves(100)
        tape, _ = recorded([replace(item, node=node) for item in items], frames=frames)
        path = files(tape, tmp_path / node)[0]
        # The tape's recordings are all m1's.
        path.write_bytes(path.read_bytes().replace(b"OBSERVER_NODE=m1", f"OBSERVER_NODE={node}".encode()))
    together = document(capsys, tmp_path / "m1", tmp_path / "m2")
    assert {span["node"] for span in together["coverage"]} == {"m1", "m2"}
    assert len(together["flaps"]) == 1


def test_an_empty_directory_is_one_clear_line(capsys, tmp_path):
    assert main(["replay", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_another_version_begins_with_what_was_observed(capsys, tmp_path, monkeypatch):
    items, frames = moves(100)
    tape, flaps = recorded(items, before=60, frames=frames)
    files(tape, tmp_path / "m1")
    monkeypatch.setattr("observer.engine.memory._shape", lambda _: 0)
    assert main(["replay", "--format", "json", str(tmp_path / "m1")]) == 0
    out, err = capsys.readouterr()
    assert "it was written by another version" in err
    assert [flap["id"] for flap in json.loads(out)["flaps"]] == [flap.id for flap in flaps]


@pytest.mark.parametrize(
    "harm", ["{", '{"shapes":{"os:system":0},"engine":{}}', '{"shapes":{},"engine":{"class":"os:x"}}', "[]", "0"]
)
def test_a_memory_that_is_none_is_refused(harm):
    from observer.engine.memory import recall

    with pytest.raises(ValueError, match="it "):
        recall(harm)


GROUPS = {
    "the same order": ({"a": 1, "b": 2}, {"a": 1, "b": 2}, {1: 1, 2: 2}),
    "another order": ({"a": 1, "b": 2}, {"b": 1, "a": 2}, {1: 2, 2: 1}),
    "one that the first does not know": ({"a": 1}, {"c": 1, "a": 2}, {1: 2, 2: 1}),
    "nothing in common": ({"a": 1}, {"c": 1}, {1: 2}),
    "a router that changed its password": ({"a": 1, "a'": 2}, {"a'": 1}, {1: 2}),
}


@pytest.mark.parametrize("name", GROUPS)
def test_groups_get_the_same_numbers_at_every_node(name):
    first, second, expected = GROUPS[name]
    assert numbers({"m1": first, "m2": second})["m2"] == expected


def test_one_node_replayed_alone_is_read_in_its_order(tmp_path):
    items, frames = moves(100)
    tape, _ = recorded(items, before=600, after=600, frames=frames)
    [path] = files(tape, tmp_path / "m1")
    again = observations(path)
    assert [type(item) for item in again[:-1]] == [type(item) for item in items]


def test_a_recording_begins_no_earlier_than_a_chapter_before_what_is_wanted(tmp_path):
    """A chapter has 30 s; the agent had been there for much longer."""
    items, frames = moves(100, 341)
    tape, flaps = recorded(items, before=10, after=5, frames=frames)
    paths = files(tape, tmp_path / "m1")
    for path, flap in zip(paths, flaps, strict=True):
        begins = min(item.time for item in observations(path))
        assert 10 <= (flap.time - begins) / 1e9 < 10 + 30 + 5
