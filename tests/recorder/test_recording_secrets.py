"""No password leaves the program in a recording, and yet it replays: equal ones stay equal, different ones different."""

from __future__ import annotations

import pytest
from recorder.tape import observations, recorded, replayed, said
from traces import VIP, A, B, C, Trace
from wire import wire_building as build

from observer.model.observations import Advert, Malformed, Refused
from observer.wire.blanking import blanked
from observer.wire.frames import FrameDecoder
from observer.wire.links import LinkType

SECRET = b"geheim01"
DIGEST = b"\xd1\x9e57\xaa\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b"
TRAILER = bytes([1, 7, 0, 0]) + bytes(8) + DIGEST
SIMPLE = {"auth_type": 1, "auth": SECRET}

FRAMES = {
    "simple text": build.ethernet(build.ipv4(build.v2(**SIMPLE))),
    "simple text, more addresses": build.ethernet(build.ipv4(build.v2(addresses=(VIP, "10.0.0.9"), **SIMPLE))),
    "simple text behind a VLAN tag": build.ethernet(build.ipv4(build.v2(**SIMPLE)), vlans=[(0x8100, 5)]),
    "simple text with padding": build.ethernet(build.ipv4(build.v2(**SIMPLE))) + b"\0" * 6,
    "a password left where type 0 needs none": build.ethernet(build.ipv4(build.v2(auth=SECRET))),
    "type 2, which nothing uses": build.ethernet(build.ipv4(build.v2(auth_type=2, auth=SECRET))),
    "Cisco's digest": build.ethernet(build.ipv4(build.v2(auth_type=254, auth=bytes(8)) + DIGEST)),
    "keepalived's trailer, version 2": build.ethernet(build.ipv4(build.v2() + TRAILER)),
    "keepalived's trailer, version 3": build.ethernet(build.ipv4(build.v3() + TRAILER)),
    "keepalived's trailer, IPv6": build.ethernet(build.ipv6(build.v6() + TRAILER)),
    "Authentication Header": build.ethernet(build.ipv4(build.ah(build.v2()), protocol=51)),
    "no authentication": build.ethernet(build.ipv4(build.v2())),
    "no authentication, version 3": build.ethernet(build.ipv4(build.v3())),
}
BROKEN = {
    "a wrong checksum": build.ethernet(build.ipv4(build.v2(**SIMPLE)[:6] + b"\x12\x34" + build.v2(**SIMPLE)[8:])),
    "a length that fits nothing": build.ethernet(build.ipv4(build.v2(**SIMPLE) + SECRET)),
    "fewer addresses than it says": build.ethernet(build.ipv4(build.v2(count=9, **SIMPLE))),
    "an unknown version": build.ethernet(build.ipv4(build.v2(first=0x91, **SIMPLE))),
    "an unknown type of authentication": build.ethernet(build.ipv4(build.v2(auth_type=77, auth=SECRET))),
    "a fragment": build.ethernet(build.ipv4(build.v2(**SIMPLE), fragment=0x2000)),
    "a total length beyond the frame": build.ethernet(build.ipv4(build.v2(**SIMPLE), total=400)),
    "a TTL of 1": build.ethernet(build.ipv4(build.v2(**SIMPLE), ttl=1)),
    "CARP": build.ethernet(build.ipv4(bytes([0x21, 1, 0, 7, 0, 1, 0, 0]) + bytes(8) + DIGEST + SECRET[:4])),
}
REFUSAL = build.ethernet(
    build.ipv4(
        bytes([3, 2, 0, 0]) + bytes(4) + build.ipv4(build.v2(**SIMPLE), source=A, destination=B),
        protocol=1,
        destination=A,
        source=B,
    )
)
SECRETS = (SECRET, DIGEST[:8], SECRET[:4])


def decoded(frame, original=None, time=10**18):
    return FrameDecoder().decode(
        time=time, node="m1", interface="eth0", linktype=LinkType.ETHERNET, frame=frame, original_length=original, outgoing=True
    )


@pytest.mark.parametrize("name", [*FRAMES, *BROKEN, "a refusal that quotes"])
def test_a_blanked_frame_says_the_same_and_holds_no_secret(name):
    frame = ({**FRAMES, **BROKEN, "a refusal that quotes": REFUSAL})[name]
    before = decoded(frame, len(frame))
    assert isinstance(before, Advert if name in FRAMES else Malformed if name in BROKEN else Refused)
    candidates = list(blanked(frame, len(frame), 1))
    assert any(decoded(candidate, len(frame)) == before for candidate in candidates)
    for candidate in candidates:
        assert not [secret for secret in SECRETS if secret in candidate]


def adverts(passwords, count=4):
    """A few adverts each of routers with these passwords, as a capture hands them on: (frame as captured, time, observation)."""
    decoder, frames, items = FrameDecoder(), [], list(Trace().source(-1).items)
    for round_ in range(count):
        for place, (router, password) in enumerate(passwords):
            time = items[0].time + 10**9 * (1 + round_) + place * 10**6
            message = build.v2(vrid=51, addresses=(VIP,), auth_type=1, auth=password)
            frame = build.ethernet(build.ipv4(message, source=router, ident=round_ + 1))
            frames.append((time, "eth0", int(LinkType.ETHERNET), frame, False, len(frame)))
            items.append(
                decoder.decode(time=time, node="m1", interface="eth0", linktype=LinkType.ETHERNET, frame=frame, outgoing=False)
            )
    return items, frames


def test_equal_passwords_stay_equal_and_different_ones_different(tmp_path):
    items, frames = adverts([(A, b"geheim01"), (B, b"geheim02"), (C, b"geheim01")])
    tape, _ = recorded(items, frames=frames, always=True)
    path = tmp_path / "one.pcapng"
    path.write_bytes(tape.done[-1])
    assert b"geheim" not in tape.done[-1]
    assert [item for item in observations(path) if isinstance(item, Advert)] == items[1:]


def test_they_keep_their_numbers_where_the_first_is_not_in_the_recording(tmp_path):
    items, frames = adverts([(A, b"geheim01"), (B, b"geheim02")])
    late = [items[0], *(item for item in items[1:] if item.router == B)]
    tape, flaps = recorded(late, frames=frames, always=True)
    path = tmp_path / "one.pcapng"
    path.write_bytes(tape.done[-1])
    assert {item.authentication_group for item in observations(path) if isinstance(item, Advert)} == {2}
    assert said(replayed(path)) == said(flaps)


def test_what_cannot_be_blanked_is_told_without_its_frame(tmp_path):
    """A frame that came with another observation than its own is not believed."""
    items, frames = adverts([(A, b"geheim01")], count=1)
    other = build.ethernet(build.ipv4(build.v2(vrid=9, auth_type=1, auth=b"geheim01")))
    frames = [(*frames[0][:3], other, *frames[0][4:])]
    tape, _ = recorded([*items, Trace().source(5).items[0]], frames=frames, always=True)
    path = tmp_path / "one.pcapng"
    path.write_bytes(tape.done[-1])
    assert [item for item in observations(path) if isinstance(item, Advert)] == items[1:]
    assert b"geheim" not in tape.done[-1]
