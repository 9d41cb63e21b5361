"""The progress bar: on a terminal only, over all files together, and gone at the end."""

from __future__ import annotations

import io

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
