"""The progress bar: on a terminal only, over all files together, and gone at the end."""

from __future__ import annotations

import io

import pytest
from cases import cases
from recorder.tape import captured, recorded
from traces import A, B, Trace

from observer.cli import main
from observer.sinks.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_over_all_files():
    stream = Terminal()
    progress = Progress(stream, {"a": 100 * 2**20, "b": 300 * 2**20})
    progress.at("a", 100 * 2**20)
    assert stream.getvalue().endswith("]  25 %  100 of 400 MiB")
    progress.at("b", 300 * 2**20)
    assert stream.getvalue().endswith("[" + "#" * 30 + "] 100 %  400 of 400 MiB")
    progress.close()
    assert stream.getvalue().endswith("\r\033[K")


def test_less_than_a_percent_more_is_not_drawn():
    stream = Terminal()
    progress = Progress(stream, {"a": 10**6})
    progress.at("a", 10_000)
    drawn = stream.getvalue()
    progress.at("a", 19_999)
    assert stream.getvalue() == drawn


def test_a_file_that_grows_never_passes_the_end():
    stream = Terminal()
    progress = Progress(stream, {"a": 100})
    progress.at("a", 500)
    assert "100 %" in stream.getvalue()


def test_nothing_where_nobody_watches():
    stream = io.StringIO()
    progress = Progress(stream, {"a": 100})
    progress.at("a", 50)
    progress.close()
    assert stream.getvalue() == ""


def test_nothing_of_a_file_without_a_size():
    stream = Terminal()
    progress = Progress(stream, {})
    progress.at("-", 50)
    progress.close()
    assert stream.getvalue() == ""


def test_it_says_what_is_read_for():
    stream = Terminal()
    progress = Progress(stream, {"a": 2**20}, "clocks")
    progress.at("a", 2**19)
    assert "\rclocks [" in stream.getvalue()


@pytest.mark.parametrize("form", ["text", "json", "jsonl", "html", "openmetrics"])
def test_every_format_shows_it_for_captures_and_recordings(form, tmp_path, monkeypatch):
    """On standard error, which is a terminal here, and never in the output."""
    trace = Trace().source(-1).adverts(A, 100, 0, 200).adverts(B, 90, 203.65, 300)
    items, frames = captured(trace.observations())
    tape, _ = recorded(items, before=300, after=90, frames=frames)
    path = tmp_path / "vrrp-m1.pcapng"
    path.write_bytes(tape.done[0])
    capture = next(case for case in cases() if case.name == "check_failed/original_bug").captures["m2"]
    for file in (path, capture):
        terminal, out = Terminal(), tmp_path / "out"
        monkeypatch.setattr("sys.stderr", terminal)
        assert main(["replay", str(file), "--format", form, "-o", str(out)]) == 0
        assert "% " in terminal.getvalue()
        assert terminal.getvalue().endswith("\r\033[K")
        assert "\033" not in out.read_text()
