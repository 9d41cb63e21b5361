"""Silence is evidence only while somebody listens."""

from traces import EPOCH, A, Trace

from observer.engine.engine import Engine
from observer.model.observations import LogEvent, LogKind, SourceChange, SourceState
from observer.model.time import SECOND
from observer.run import run
from observer.sinks.report import Report


def told(*more):
    trace = Trace().adverts(A, 100, 0, 10)
    report = Report()
    began = SourceChange(time=EPOCH, node="m0", source="capture m0.pcap", state=SourceState.STARTED)
    later = [LogEvent(time=EPOCH + second * SECOND, node="m0", kind=LogKind.CHECK_SUCCEEDED) for second in range(10, 60)]
    run(sorted([began, *trace.items, *later, *more], key=lambda item: item.time), Engine(), [report])
    return report.flaps


def test_a_log_that_goes_on_after_the_capture_makes_no_silence():
    ended = SourceChange(time=EPOCH + 9 * SECOND, node="m0", source="capture m0.pcap", state=SourceState.STOPPED)
    assert told(ended) == []


def test_silence_while_the_capture_goes_on_is_one():
    (flap,) = told()
    assert (flap.former, flap.current) == (A, None)
