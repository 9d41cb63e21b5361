"""A capture file as observations of one node, through the same decoders as live frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observer.model.addresses import VIRTUAL_MAC, address_words, mac_number
from observer.model.errors import SourceError
from observer.model.observations import Advert, FramesLost, Observation, SourceChange, SourceState
from observer.sources import recording
from observer.sources.ahead import large
from observer.sources.gleaning import Gleaned, decoded, glean
from observer.sources.pcap import NO_TIME, FrameBatch, LostFrames, Truncated, read_capture
from observer.wire.links import supported
from observer.wire.sift import Interest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from observer.sources.census import Census
    from observer.wire.frames import FrameDecoder

SLICE = 65536
"""Frames taken at once from a batch: enough for arrays to pay, few enough to stay small."""

LEARNED = 2048
"""Senders and address lists from which addresses of interest are taken; the engine follows fewer."""


class Known:
    """Addresses that adverts named so far: what else is read about these matters. One for all captures of a replay."""

    def __init__(self) -> None:
        self._virtual: set[tuple[int, int]] = set()
        self._routers: set[tuple[int, int]] = set()
        self._macs: set[int] = set()
        self._seen: set[tuple[str, str | None, tuple[str, ...]]] = set()
        self.interest = Interest()

    def learn(self, advert: Advert) -> None:
        """Take the addresses of an advert."""
        seen = advert.router, advert.mac, advert.addresses
        if seen in self._seen or max(len(self._seen), len(self._virtual)) >= LEARNED:
            return
        self._seen.add(seen)
        self._virtual |= {address_words(address) for address in advert.addresses}
        self._routers.add(address_words(advert.router))
        if advert.mac is not None and not advert.mac.startswith(VIRTUAL_MAC):
            self._macs.add(mac_number(advert.mac))
        self.interest = Interest(frozenset(self._virtual), frozenset(self._routers), frozenset(self._macs))

    def learned(self, item: Gleaned | LostFrames, node: str, decoder: FrameDecoder) -> list[Observation]:
        """What the rare frames of a part of a capture say; the addresses that they name are known from now on."""
        found = decoded(item, node, decoder) if isinstance(item, Gleaned) else []
        for observation in found:
            if isinstance(observation, Advert):
                self.learn(observation)
        return found


def observe_capture(
    census: Census,
    decoder: FrameDecoder,
    known: Known | None = None,
    *,
    data: bool = True,
    ahead: int = 0,
    progress: Callable[[int], None] = lambda _: None,
) -> Iterator[list[Observation]]:
    """The observations of the capture file that ``census`` names, nearly in order of time; without ``data`` no data segments.

    ``known`` is what is known of all captures that are replayed together; ``ahead`` processes help with a large file;
    ``progress`` is told how many bytes are read. Raises SourceError for a file that cannot be used.
    """
    known = known or Known()
    if recording.head(census.path) is not None:
        harm, state = recording.Harm(), not census.recalled
        recorded = recording.observations(census.path, census.node, decoder, state=state, harm=harm, progress=progress)
        for batch in recorded:
            census.recorded(batch[0])
            if isinstance(batch[0], Advert):
                known.learn(batch[0])
            yield batch
        census.harmed(harm)
        return
    source = f"capture {census.path}"
    for item, found in _settled(census, decoder, known, data=data, ahead=ahead, progress=progress):
        if isinstance(item, Gleaned):
            if not supported(item.linktype):
                census.unsupported.add(item.linktype)
            if census.begin is None and item.begin != NO_TIME:
                census.begin = item.begin
                yield [SourceChange(time=census.begin, node=census.node, source=source, state=SourceState.STARTED)]
            census.gleaned(item, found)
            if item.segments is not None:
                found.append(item.segments)
            if found:
                yield found
        elif isinstance(item, LostFrames):
            census.lost += item.count
            yield [FramesLost(time=item.time, node=census.node, source=source, count=item.count)]
        else:
            census.stopped(item)
    if census.unsupported and census.begin is None:
        kinds = ", ".join(str(number) for number in sorted(census.unsupported))
        raise SourceError(
            f"{census.path}: link type {kinds} is not supported; capture on an Ethernet or IP interface, or with -i any"
        )
    if census.end is not None:
        yield [SourceChange(time=census.end, node=census.node, source=source, state=SourceState.STOPPED)]


def _settled(
    census: Census, decoder: FrameDecoder, known: Known, *, data: bool, ahead: int, progress: Callable[[int], None]
) -> Iterator[tuple[Gleaned | LostFrames | Truncated, list[Observation]]]:
    """Parts of a capture with what their rare frames say; data segments of whoever these name are in it as well."""
    interest = known.interest if data else Interest()
    with large(census.path, census.node, ahead) as file:
        while file is not None and (part := file.next(interest)) is not None:
            found = [(item, known.learned(item, census.node, decoder)) for item in part]
            if data and known.interest != interest:
                interest = known.interest
                part = file.again(interest)
                found = [(item, known.learned(item, census.node, decoder)) for item in part or []]
            yield from found
            progress(file.position)
        rest = read_capture(census.path, progress=progress) if file is None else file.rest()
        for item in rest:
            if not isinstance(item, FrameBatch):
                yield item, []
                continue
            for begin in range(0, len(item), SLICE):
                batch = item.part(slice(begin, begin + SLICE))
                gleaned = glean(batch, census.node, interest)
                observations = known.learned(gleaned, census.node, decoder)
                if data and known.interest != interest:
                    interest = known.interest
                    gleaned = glean(batch, census.node, interest)
                yield gleaned, observations
