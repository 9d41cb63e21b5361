"""Silence is evidence only while somebody listens."""

from traces import EPOCH, A, Trace

from observer.engine.coverage import Coverage
from observer.engine.engine import Engine
from observer.model.host import LogEvent, LogKind
from observer.model.observations import SourceChange, SourceState
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


def test_looks_at_a_node_that_come_and_go_do_not_push_out_what_tells_of_silence():
    coverage = Coverage()
    coverage.changed(SourceChange(time=0, node="m1", source="adverts", state=SourceState.STARTED))
    for number in range(1, 1000):
        state = SourceState.FAILED if number % 2 else SourceState.STARTED
        coverage.changed(SourceChange(time=number, node="m1", source="log", state=state, detail="gone"))
    assert [span.source for span in coverage.spans()] == ["adverts", "log"]
    assert coverage.missing("m1", 1000) == {"log": "gone"}
    assert coverage.missing("m2", 1000) == {}
    coverage.changed(SourceChange(time=1000, node="m1", source="log", state=SourceState.STARTED))
    assert coverage.missing("m1", 1000) == {}
    assert not coverage.deaf(2000)
