"""What the causes that begin with silence have in common: the former router's adverts end without a resignation.

No cause of its own is decided here.
"""

from itertools import pairwise

from observer.model.time import MILLISECOND, SECOND, duration
from observer.model.verdicts import Evidence
from observer.rules.process import counts, restarted, unheard
from observer.rules.view import FlapView, Run

SILENT = 2.5
"""Missing intervals from which a router counts as silent; a backup waits for three and its Skew_Time (RFC 9568 6.1)."""

TIMER = 40 * MILLISECOND
"""By how much a timer of keepalived may be late on a busy node."""

QUIET = 2 * SECOND
"""Nothing from the node for this long after the take-over, beside the silence that led to it, is worth saying."""

MISSED = 4
"""Signs of life that were to be expected and did not come: by chance alone they are missed once in fifty times (Poisson)."""

LATELY = 30
"""Intervals in which a tap that loses one frame in ten has lost one, but for one time in twenty."""

BOOT = 5 * SECOND
"""No node that lost its power is on its network again sooner: one that is seen within this after its last advert lived on."""


def active_down_interval(run: Run) -> int:
    """Active_Down_Interval of a backup that will advertise as ``run`` does, in nanoseconds (RFC 9568 6.1, RFC 3768 6.1)."""
    return 3 * run.interval + skew_time(run)


def skew_time(run: Run) -> int:
    """Skew_Time of a router that advertises as ``run`` does, in nanoseconds (RFC 9568 6.1, RFC 3768 6.1)."""
    unit = SECOND if run.version == 2 else run.interval
    return (256 - run.priority) * unit // 256


def fell_silent(view: FlapView) -> tuple[Run, Evidence] | str:
    """The former router's last run and the silence as evidence, or why there was none."""
    last = view.last_before
    silence = view.silence
    if last is None or silence is None:
        return "the former Active Router was not heard before the move"
    if last.priority == 0:
        return f"{last.router} resigned with priority 0 rather than falling silent"
    if view.taken_over is None and last.last > view.time:
        return f"{last.router} went on advertising when its address was claimed"
    if silence < SILENT * last.interval:
        return f"{last.router} advertised until {duration(silence)} before the move"
    statement = f"{last.router} fell silent at priority {last.priority}, without a resignation"
    takeover = view.takeover
    if takeover is not None and takeover.router != last.router:
        expected = active_down_interval(takeover)
        statement += (
            f"; {takeover.router} took over {duration(silence)} after its last advert (Active_Down_Interval {duration(expected)})"
        )
    return last, Evidence(last.last, statement, last.node)


def left_with(view: FlapView, last: Run) -> bool:
    """Whether the former router's kernel left the group of VRRP before its next advert was due, and so in place of it."""
    return view.left is not None and on_beat(last, view.left)


def missing_signs(view: FlapView, last: Run, until: int) -> float:
    """How many signs of life of the former router's node, adverts apart, were to be expected from its overdue advert on."""
    before = view.life_before
    if before.first is None:
        return 0.0
    watched = max(last.last - before.first, SECOND)
    return (before.moments - 1) * max(0, until - last.last - last.interval) / watched


def was_away(view: FlapView, last: Run) -> bool:
    """Whether the former router's node showed no sign of life up to the move and well beyond, where it had shown them before.

    A node that was away hears of the move when it is back: by its own capture, long after the others had lost patience.
    """
    first = view.life.first
    if view.taken_over is None:
        return False
    if first is not None and first < min(view.taken_over, last.last + 3 * last.interval):
        return False
    return missing_signs(view, last, first if first is not None else view.now) >= MISSED


def vanished(view: FlapView, last: Run) -> Evidence | None:
    """Nothing at all came from the former router's node any more, or for too long for chance, as far as that can be told."""
    if view.taken_over is None or (last.router in view.taps and not was_away(view, last)):
        return None
    first = view.life.first
    if first is not None:
        gone = duration(first - last.last)
        statement = f"nothing at all came from {last.router} for {gone}, then it was there again, too long for chance"
        return Evidence(first, statement) if was_away(view, last) else None
    if view.now - view.taken_over < QUIET:
        return None
    if view.life.unanswered_requests:
        asked = f"questions for it were repeated {view.life.unanswered_requests} times and stayed unanswered"
        return Evidence(view.taken_over, f"nothing at all came from {last.router} any more; {asked}")
    missing = missing_signs(view, last, view.now)
    if missing < MISSED:
        return None
    expected = f"where about {missing:.0f} signs of life were to be expected"
    return Evidence(view.taken_over, f"nothing at all came from {last.router} any more, {expected}")


def interrupted(view: FlapView, claimant: Run) -> Run | None:
    """What the claimant had advertised before it fell silent itself, at this rank and without a resignation; None if it had not.

    The router that lost the address to it had taken over only when that silence was long enough: nobody had outranked it.
    """
    held, before = view.held, view.preceding(claimant)
    if held is None or before is None:
        return None
    same = (before.priority, before.addresses) == (claimant.priority, claimant.addresses)
    owner = [run for run in view.runs.get(held.router, ()) if before.last < run.first <= claimant.first]
    if not same or not owner or owner[0].first - before.last < SILENT * before.interval:
        return None
    return before


def lost_to_all(view: FlapView, back: Run) -> bool:
    """Whether nothing at all of the former router's node was heard until shortly before its adverts were again.

    A keepalived that does not watch its link (``dont_track_primary``, or a bridge above it) goes on numbering adverts then.
    """
    return view.life.first is None or view.life.first > back.first - 2 * back.interval


def never_left(view: FlapView, last: Run, back: Run) -> Evidence | None:
    """Adverts that the former router numbered, and that its own node's capture, which holds all those before them, does not.

    A kernel shows a capture what it hands to a link, and hands nothing to one without a carrier. A firewall of the node keeps
    adverts back as well, but not all else.
    """
    unseen, tap = unheard(last, back), view.taps.get(last.router)
    if not unseen or tap is None or not lost_to_all(view, back):
        return None
    begin = max(last.first, last.last - LATELY * last.interval)
    caught = view.rounds_at(last.router, tap, begin, last.last, last.interval)
    if caught < (last.last - begin) // last.interval or not view.heard_at(last.router, tap, back.first, back.last):
        return None
    return Evidence(back.first, f"{last.router} numbered {unseen} adverts meanwhile, of which none left its interface", tap)


def on_beat(run: Run, time: int) -> bool:
    """Whether a router's last advert before a time is so recent that none was missed since."""
    return time - run.last <= run.interval + max(run.interval // 8, TIMER)


def timely(view: FlapView, last: Run) -> bool:
    """Whether the new router took over just when its patience ended, counted from the last advert that was heard here.

    If not, other adverts came or went meanwhile than were heard: a resignation, for one, which a capture may have lost.
    """
    takeover, silence = view.takeover, view.silence
    if takeover is None or silence is None or _unheard_before(view, takeover) or _claimed_early(view, last):
        return False
    return patience_ended(takeover, silence, last.interval)


def for_its_fall(view: FlapView, before: Run, held: Run) -> bool:
    """Whether the new router came for a fall of priority rather than for a silence after it.

    It does if the former router was not silent for long, or if it had listened to it until the fall and not since.
    """
    takeover, silence = view.takeover, view.silence
    if takeover is None or view.taken_over is None or silence is None:
        return False
    return silence < SILENT * held.interval or patience_ended(takeover, view.taken_over - before.last, held.interval)


def patience_ended(takeover: Run, waited: int, interval: int) -> bool:
    """Whether a router took over just when it does after an advert at this interval, for which it ``waited``."""
    return abs(waited - active_down_interval(takeover)) <= max(interval // 20, TIMER)


def out_of_patience(view: FlapView, owner: Run, claimant: Run, slack: int, node: str | None = None) -> bool:
    """Whether a router came an Active_Down_Interval after one of another's adverts that were heard (at a node, if one is given).

    So does one that had listened until then: its priority rose, or it does not hear them any more. One that joins comes at any
    time.
    """
    due = claimant.first - active_down_interval(claimant)
    heard = view.heard.get(owner.router, {})
    return any(abs(time - due) <= slack for at, times in heard.items() if node in (None, at) for time in times)


def at_once(takeover: Run, time: int, after: Run) -> bool:
    """Whether a router took over as soon as it could from one whose priority had fallen: it discards three adverts first."""
    return time - after.first <= active_down_interval(takeover) + after.interval + after.interval // 2


def preempts(view: FlapView, router: str) -> bool:
    """Whether a router was seen to take over from one that went on at a priority just fallen below its own.

    One that is told not to preempt lets it be (keepalived: ``nopreempt``), and takes over where somebody resigned, as any does. A
    new process may have been told otherwise than the one before: only where adverts are numbered does it show.
    """
    falls = [
        (before, after)
        for other, runs in view.runs.items()
        if other != router
        for before, after in pairwise(runs)
        if before.priority > after.priority > 0 and after.first - before.last < 2 * after.interval
    ]
    resigned = [run.first for runs in view.runs.values() for run in runs if run.priority == 0]
    seen, earlier = False, None
    for run in view.runs.get(router, ()):
        seen = seen and counts(run) and not (earlier is not None and restarted(earlier, run))
        # One that claimed the addresses already only changes its priority.
        claims = run.priority > 0 and (earlier is None or earlier.priority == 0 or not on_beat(earlier, run.first))
        seen |= claims and any(
            before.priority >= run.priority > after.priority
            and after.first < run.first
            and on_beat(after, run.first)
            and at_once(run, run.first, after)
            and not any(after.first < time < run.first for time in resigned)
            for before, after in falls
        )
        earlier = run
    return seen


def _claimed_early(view: FlapView, last: Run) -> bool:
    """Whether a third router claimed the addresses sooner than a silence tells any: it had heard a resignation."""
    others = (run for router, runs in view.runs.items() if router not in (view.former, view.current) for run in runs)
    return any(run.priority > 0 and last.last < run.first < last.last + SILENT * last.interval for run in others)


def _unheard_before(view: FlapView, takeover: Run) -> bool:
    """Whether the new router had advertised unheard since it was heard last, by its identification."""
    earlier = view.preceding(takeover)
    return earlier is not None and bool(unheard(earlier, takeover))


def too_soon(view: FlapView, last: Run) -> bool:
    """Whether the new router took over before its patience could end, and so for another reason than silence.

    What it heard last from the former one came no earlier than what was heard here: it outranked it, or a resignation was lost.
    """
    takeover, silence = view.takeover, view.silence
    if takeover is None or silence is None or view.clocks:
        return False
    # VRRPv3 backups wait by the interval of the Active one (RFC 9568 6.1).
    shortest = min(active_down_interval(takeover), 3 * last.interval)
    return silence < shortest - max(last.interval // 20, TIMER)


def heard_late(view: FlapView, last: Run) -> bool:
    """Whether the former router's own tap heard the new one long after that lost patience: it heard nobody meanwhile."""
    takeover, silence = view.takeover, view.silence
    if takeover is None or silence is None or last.router not in view.taps:
        return False
    return silence > active_down_interval(takeover) + 2 * last.interval


def gappy(run: Run) -> bool:
    """Whether adverts of a run were not heard, by its schedule; then others may be lost too."""
    return run.count - 1 < round((run.last - run.first) / run.interval)


def complete(view: FlapView, run: Run) -> bool:
    """Whether nothing says that adverts were lost, of this run or others; where they are numbered, a late timer does not.

    Several taps that each lose some hear all of them together, and a last one may still be lost at every tap.
    """
    return view.lossless and (counts(run) or not gappy(run)) and view.heard_whole(run, LATELY)
