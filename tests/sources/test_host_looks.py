"""One look after the other, at tables as the kernel and HAProxy write them, and at what they never should."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from contextlib import contextmanager

import pytest

from observer.model.errors import SourceError
from observer.model.time import SECOND
from observer.sources.host import haproxy
from observer.sources.host.haproxy import Haproxy, worst
from observer.sources.host.pressure import Pressure
from observer.sources.host.process import EAGER, SEARCH, Processes
from observer.sources.host.raw import Raw
from observer.sources.host.redirect import of_rule
from observer.sources.host.requester import Requesters
from observer.sources.host.services import Services
from observer.sources.host.sockets import RECENT, Sockets

VIP, OWN, CLIENT = "192.0.2.100", "192.0.2.11", "198.51.100.7"

# keepalived's VRRP sockets

HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"


def raw_line(protocol, queued, drops):
    return f" 112: 00000000:{protocol:04X} 00000000:0000 07 00000000:{queued:08X} 00:00000000 00000000 0 0 1 2 0 {drops}\n"


def test_what_waits_in_the_vrrp_sockets_of_both_families_and_in_no_other(tmp_path):
    (tmp_path / "raw").write_text(HEADER + raw_line(112, 832, 3) + raw_line(51, 100, 0) + raw_line(1, 9999, 9999))
    (tmp_path / "raw6").write_text(HEADER + raw_line(112, 68, 1))
    (sample,) = Raw("m0", tmp_path).look(7)
    assert (sample.vrrp_queued, sample.vrrp_dropped, sample.time) == (1000, 4, 7)


def test_without_a_vrrp_socket_there_is_nothing_to_say(tmp_path):
    (tmp_path / "raw").write_text(HEADER + raw_line(1, 9, 9))
    assert list(Raw("m0", tmp_path).look(0)) == []


@pytest.mark.parametrize("line", ["112: nonsense\n", raw_line(112, 1, 1).replace("00000001", "zzzz")])
def test_a_table_of_another_form_is_said_so(tmp_path, line):
    (tmp_path / "raw").write_text(HEADER + line)
    with pytest.raises(SourceError, match="not as the kernel writes it"):
        list(Raw("m0", tmp_path).look(0))


# Pressure


def test_pressure_is_the_share_of_time_since_the_look_before(tmp_path):
    def waited(**microseconds):
        for name in ("cpu", "io", "memory"):
            total = microseconds.get(name, 0)
            (tmp_path / name).write_text(f"some avg10=1.00 avg60=0.00 avg300=0.00 total={total}\nfull avg10=0.00 total=9\n")

    clock = iter((0, 2 * SECOND, 4 * SECOND))
    look = Pressure("m0", tmp_path, lambda: next(clock))
    waited(cpu=5)
    assert list(look.look(0)) == []
    waited(cpu=1_000_005, io=500_000)
    (sample,) = look.look(0)
    assert (sample.pressure_cpu, sample.pressure_io, sample.pressure_memory) == (0.5, 0.25, 0.0)
    waited(cpu=9_000_005, io=500_000)
    (sample,) = look.look(0)
    assert (sample.pressure_cpu, sample.pressure_io) == (1.0, 0.0)


def test_a_kernel_without_pressure(tmp_path):
    with pytest.raises(FileNotFoundError):
        list(Pressure("m0", tmp_path / "none").look(0))
    for name in ("cpu", "io", "memory"):
        (tmp_path / name).write_text("nothing\n")
    with pytest.raises(SourceError, match="not as the kernel writes it"):
        list(Pressure("m0", tmp_path).look(0))


# Processes


class Proc:
    """A /proc of our own."""

    def __init__(self, path):
        self.path = path
        (path / "stat").write_text("cpu 1 2 3\nbtime 1000\n")
        self.spaces = {}
        self.add("self", "agent")

    def add(self, pid, name, *, parent=1, state="S", started=100, space="here"):
        folder = self.path / str(pid)
        (folder / "net").mkdir(parents=True, exist_ok=True)
        dev = folder / "net" / "dev"
        if not dev.exists():
            # One file for each namespace, as in the real one.
            if space in self.spaces:
                os.link(self.spaces[space], dev)
            else:
                dev.touch()
                self.spaces[space] = dev
        (folder / "comm").write_text(name + "\n")
        (folder / "stat").write_text(f"{pid} ({name}) {state} {parent} " + "0 " * 17 + f"{started} 0\n")

    def remove(self, pid):
        for name in ("comm", "stat"):
            (self.path / str(pid) / name).unlink()


@pytest.fixture
def proc(tmp_path):
    return Proc(tmp_path)


def seen(look, program="keepalived"):
    (sample,) = [each for each in look.look(0) if each.subject == program]
    return sample.running, sample.states, sample.started


def test_the_processes_of_keepalived_oldest_first(proc):
    tick = os.sysconf("SC_CLK_TCK")
    proc.add(10, "keepalived", started=5 * tick)
    proc.add(11, "Keepalived_vrrp", parent=10, started=7 * tick, state="R")
    proc.add(12, "keepalived-exporter-of-another-space", space="there")
    proc.add(13, "bash")
    assert seen(Processes("m0", proc.path)) == (2, "SR", 1007 * SECOND)


def test_a_script_about_to_start_is_no_keepalived(proc):
    proc.add(10, "keepalived")
    proc.add(11, "keepalived", parent=10)
    proc.add(12, "keepalived", parent=11)
    assert seen(Processes("m0", proc.path))[0] == 2


def test_a_name_may_hold_anything(proc):
    proc.add(10, "keepalived) T 1 (")
    assert seen(Processes("m0", proc.path))[:2] == (1, "S")


def test_one_that_is_gone_one_that_is_stopped_and_one_that_takes_its_place(proc):
    proc.add(10, "keepalived")
    proc.add(11, "keepalived", parent=10)
    look = Processes("m0", proc.path)
    assert seen(look)[:2] == (2, "SS")
    proc.add(11, "keepalived", parent=10, state="T")
    assert seen(look)[:2] == (2, "ST")
    proc.remove(11)
    assert seen(look)[:2] == (1, "S")
    proc.add(14, "keepalived", parent=10, started=300)
    running, _, started = seen(look)
    assert running == 2
    assert started > 1000 * SECOND + 200 * SECOND // os.sysconf("SC_CLK_TCK")


def test_a_process_id_that_is_used_again_is_another_process(proc):
    proc.add(10, "keepalived", started=100)
    look = Processes("m0", proc.path)
    first = seen(look)
    proc.add(10, "keepalived", started=900)
    assert seen(look)[2] > first[2]


def test_a_dead_one_that_is_not_buried_yet_does_not_run(proc):
    proc.add(10, "keepalived")
    look = Processes("m0", proc.path)
    seen(look)
    proc.add(10, "keepalived", state="Z")
    assert seen(look) == (0, "", None)


def test_the_table_is_searched_only_now_and_then(proc, monkeypatch):
    proc.add(10, "keepalived")
    look, searches = Processes("m0", proc.path), []
    real = look._search
    monkeypatch.setattr(look, "_search", lambda: (searches.append(1), real())[1])
    for _ in range(3 * (SEARCH + 1)):
        seen(look)
    assert len(searches) == 3
    proc.remove(10)
    for _ in range(2 * EAGER):
        list(look.look(0))
    assert 3 + EAGER <= len(searches) <= 3 + 2 * EAGER


def test_none_can_be_seen(proc):
    with pytest.raises(SourceError, match="hostPID"):
        list(Processes("m0", proc.path).look(0))


def test_haproxy_without_keepalived(proc):
    proc.add(10, "haproxy", state="T")
    look, found = Processes("m0", proc.path), []
    with pytest.raises(SourceError, match="no keepalived"):
        found.extend(look.look(0))
    proc.add(11, "keepalived")
    look = Processes("m0", proc.path)
    assert seen(look, "haproxy")[:2] == (1, "T")


def test_this_process_is_found_by_its_netlink_port():
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as mine:
        mine.bind((0, 0))
        port = mine.getsockname()[0]
        with open("/proc/self/comm") as comm:  # noqa: PTH123 - as short as it gets
            name = comm.read().strip()
        assert Requesters().name(port) == name
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as other:
            # The second one's is no process id, but a number of the kernel's choice.
            other.bind((0, 0))
            known = Requesters()
            assert known.name(other.getsockname()[0]) == name
    assert Requesters().name(0) is None
    assert Requesters().name(None) is None
    assert Requesters().name(4_000_000_001) is None


# HAProxy

STAT = """\
# pxname,svname,status,type,check_status
main,FRONTEND,OPEN,0,
masters,m0,{0},2,L7OK
masters,m1,{1},2,* L7OK
masters,m2,{2},2,{3}
masters,BACKEND,UP,1,
spare,only,no check,2,
"""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (STAT.format("UP", "UP", "UP", "L4OK"), (3, 3)),
        (STAT.format("UP", "UP 2/3", "DOWN", "L4CON"), (3, 1)),
        (STAT.format("UP", "MAINT", "UP", "L7TOUT"), (3, 1)),
        (STAT.format("DOWN", "DOWN 1/2", "DOWN", "L4TOUT"), (3, 0)),
        (STAT.format("UP", "UP", "UP", "") + "other,a,DOWN,2,L4CON\nother,b,UP,2,L4OK\n", (2, 1)),
        ("# pxname,svname,status,type,check_status\nmain,FRONTEND,OPEN,0,\n", (None, None)),
        ("# pxname,svname\na,b\n", (None, None)),
    ],
)
def test_the_backend_that_is_worst_off(text, found):
    assert worst(text) == found


def test_an_answer_that_is_none():
    with pytest.raises(SourceError, match="did not answer with statistics"):
        worst("Permission denied\n")


@contextmanager
def answering(path, *answers):
    """A stats socket; an answer of None is none."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    kept = []

    def work():
        for answer in answers:
            try:
                channel, _ = server.accept()
            except OSError:
                return
            kept.append(channel)
            if answer is not None:
                channel.recv(100)
                channel.sendall(answer)
                channel.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)
        for channel in kept:
            channel.close()


def test_haproxy_answers_falls_silent_and_is_gone(tmp_path):
    path = tmp_path / "haproxy.sock"
    look = Haproxy("m0", str(path))
    with pytest.raises(FileNotFoundError):
        list(look.look(0))
    with answering(path, STAT.format("UP", "UP", "UP", "L4OK").encode(), None):
        (sample,) = look.look(0)
        assert (sample.answers, sample.servers, sample.servers_up) == (True, 3, 3)
        begin = time.monotonic()
        (sample,) = look.look(0)
        assert (sample.answers, sample.servers) == (False, None)
        assert time.monotonic() - begin < 5 * haproxy.TIMEOUT
    (sample,) = look.look(0)
    assert sample.answers is False
    path.unlink()
    (sample,) = look.look(0)
    assert sample.answers is False


def test_one_that_never_answered_is_a_blind_spot(tmp_path):
    path = tmp_path / "haproxy.sock"
    with answering(path, None), pytest.raises(TimeoutError):
        list(Haproxy("m0", str(path)).look(0))


def test_an_answer_without_end_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(haproxy, "LARGEST", 1000)
    path = tmp_path / "haproxy.sock"
    with answering(path, b"x" * 5000), pytest.raises(SourceError, match="longer than"):
        list(Haproxy("m0", str(path)).look(0))


def test_no_stats_socket_in_the_usual_places(monkeypatch):
    monkeypatch.setattr(haproxy, "PATHS", ("/none/a", "/none/b"))
    with pytest.raises(SourceError, match="set haproxy_socket"):
        list(Haproxy("m0").look(0))


# The redirect rule: as nft and iptables-nft put it, recorded from the kernel.


def attribute(kind, value, nested=False):
    body = struct.pack("=HH", 4 + len(value), kind | (0x8000 if nested else 0)) + value
    return body + bytes(-len(value) % 4)


def expression(name, *attributes):
    inner = attribute(1, name.encode() + b"\0") + attribute(2, b"".join(attributes), nested=True)
    return attribute(1, inner, nested=True)


def number(kind, value):
    return attribute(kind, struct.pack(">I", value))


def compared(value, operator=0):
    return expression("cmp", number(1, 1), number(2, operator), attribute(3, attribute(1, value), nested=True))


def loaded(base, offset, length):
    return expression("payload", number(1, 1), number(2, base), number(3, offset), number(4, length))


def octets(address):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


TO_VIP = loaded(1, 16, 4) + compared(octets(VIP))
TO_VIP6 = loaded(1, 24, 16) + compared(octets("fd00:db8::100"))
PORT = loaded(2, 2, 2) + compared(struct.pack(">H", 6443))
TO_9445 = expression("immediate", number(1, 1), attribute(2, attribute(1, struct.pack(">H", 9445)), nested=True))
REDIRECT = TO_9445 + expression("redir", number(1, 1), number(2, 1))
XT_TCP = expression(
    "match", attribute(1, b"tcp\0"), number(2, 0), attribute(3, struct.pack("=4H", 0, 65535, 6443, 6443) + bytes(4))
)
XT_REDIRECT = expression(
    "target",
    attribute(1, b"REDIRECT\0"),
    number(2, 0),
    attribute(3, struct.pack("=II4s4s", 1, 3, b"", b"") + struct.pack(">HH", 9445, 9445)),
)
XT_REDIRECT6 = expression(
    "target",
    attribute(1, b"REDIRECT\0"),
    number(2, 0),
    attribute(3, struct.pack("=I", 3) + bytes(32) + struct.pack(">HH", 9445, 9445)),
)
COUNTER = expression("counter", attribute(1, bytes(8)))


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        (TO_VIP + PORT + REDIRECT, ((VIP, 6443), 9445)),
        (TO_VIP6 + PORT + COUNTER + REDIRECT, (("fd00:db8::100", 6443), 9445)),
        (TO_VIP + XT_TCP + COUNTER + XT_REDIRECT, ((VIP, 6443), 9445)),
        (TO_VIP6 + XT_TCP + XT_REDIRECT6, (("fd00:db8::100", 6443), 9445)),
        (TO_VIP + PORT, None),
        (TO_VIP + REDIRECT, None),
        (PORT + REDIRECT, None),
        (loaded(1, 12, 4) + compared(octets(VIP)) + PORT + REDIRECT, None),
        (loaded(1, 16, 4) + compared(octets(VIP), operator=1) + PORT + REDIRECT, None),
        (TO_VIP + loaded(2, 0, 2) + compared(struct.pack(">H", 6443)) + REDIRECT, None),
        (b"", None),
        (TO_VIP[:30], None),
    ],
)
def test_what_a_rule_redirects(rule, found):
    assert of_rule(rule) == found


# The proxy's sockets


def diag(state, local, peer, *, inode=1, queued=0, backlog=0, v6only=None, info=None):
    """One inet_diag message, with its netlink header."""
    family = socket.AF_INET6 if ":" in local[0] else socket.AF_INET
    body = struct.pack(
        "=BBBB2s2s16s16sIIIIIIII",
        *(family, state, 0, 0),
        *(struct.pack(">H", local[1]), struct.pack(">H", peer[1]), octets(local[0]), octets(peer[0])),
        *(0, 0, 0, 0, queued, backlog, 0, inode),
    )
    if v6only is not None:
        body += attribute(11, bytes([v6only]))
    if info is not None:
        sent, segments, retransmits = info
        tcp_info = bytearray(240)
        tcp_info[2] = retransmits
        struct.pack_into("=I", tcp_info, 44, sent)
        struct.pack_into("=I", tcp_info, 156, segments)
        body += attribute(2, bytes(tcp_info))
    return struct.pack("=IHHII", 16 + len(body), 20, 2, 1, 0) + body


def listening(address, port, **fields):
    return diag(10, (address, port), ("::" if ":" in address else "0.0.0.0", 0), **fields)


def connected(local, peer=CLIENT, *, port=9445, sent=100, segments=5, retransmits=0, **fields):
    return diag(1, (local, port), (peer, 40000), info=(sent, segments, retransmits), **fields)


class Kernel:
    """Answers as sock_diag does, of one family at a time; a port that is asked for is filtered, as the kernel would."""

    def __init__(self, *sockets):
        self.sockets = sockets

    def dump(self, kind, payload):
        assert kind == 20
        family, _, _, _, states = struct.unpack_from("=BBBBI", payload)
        port = struct.unpack_from("=H", payload, 56 + 4 + 6)[0] if len(payload) > 56 else None
        chosen = [
            each
            for each in self.sockets
            if each[16] == family and states >> each[17] & 1 and port in (None, int.from_bytes(each[20:22], "big"))
        ]
        if chosen:
            yield b"".join(chosen)

    def close(self):
        pass


def looked(services, *sockets, look=None):
    look = look or Sockets("m0", services)
    look._netlink = Kernel(*sockets)
    return list(look.look(5))


def services(*, ports=(), virtual=None, redirects=None):
    made = Services(ports)
    made.virtual = {VIP: frozenset({6443})} if virtual is None else virtual
    made.redirects = redirects
    return made


REDIRECTED = {(VIP, 6443): 9445}


def test_behind_a_redirect_the_proxys_own_port_is_looked_at():
    (sample,) = looked(
        services(redirects=REDIRECTED),
        listening("::", 9445, v6only=0, queued=2, backlog=100, inode=77),
        listening("::", 6443, v6only=0, inode=5),
        connected("::ffff:192.0.2.11", "::ffff:198.51.100.7"),
        connected("::ffff:192.0.2.11", "::ffff:127.0.0.1"),
        connected("::ffff:192.0.2.11", "::ffff:198.51.100.8", sent=RECENT + 1),
        connected("::ffff:192.0.2.11", "::ffff:198.51.100.9", retransmits=1),
        connected("::ffff:192.0.2.11", "::ffff:198.51.100.10", segments=0),
        connected("::ffff:192.0.2.11", "::ffff:198.51.100.11", inode=0),
    )
    assert (sample.subject, sample.listening, sample.listener) == ("9445", True, 77)
    assert (sample.queued, sample.backlog, sample.established, sample.sending) == (2, 100, 4, 1)


def test_messages_of_several_lengths_are_all_counted():
    many = [connected(OWN, f"198.51.100.{number}") for number in range(1, 60)]
    many[20] = connected(OWN, "198.51.100.21", v6only=1)
    many[40] = diag(1, (OWN, 9445), (CLIENT, 1))
    (sample,) = looked(services(redirects=REDIRECTED), listening("0.0.0.0", 9445), *many)
    assert (sample.established, sample.sending) == (59, 58)


def test_several_listeners_of_one_port_are_one():
    (sample,) = looked(
        services(redirects=REDIRECTED),
        *(listening("0.0.0.0", 9445, inode=inode, queued=1, backlog=10) for inode in (9, 8)),
    )
    assert (sample.listener, sample.queued, sample.backlog) == (8, 2, 20)


def test_once_known_a_port_is_looked_at_though_nothing_listens_there_any_more():
    look = Sockets("m0", services(redirects=REDIRECTED))
    looked(None, listening("0.0.0.0", 9445), look=look)
    (sample,) = looked(None, look=look)
    assert (sample.listening, sample.listener, sample.queued, sample.established) == (False, None, None, 0)


def test_connections_are_those_of_the_families_that_have_listened():
    look = Sockets("m0", services(redirects=REDIRECTED))
    four, six = connected(OWN), connected("::ffff:192.0.2.11", "::ffff:198.51.100.8")
    one, other = listening("0.0.0.0", 9445), listening("::", 9445, v6only=0)
    # The last process leaves its connections behind, and so does the one before it.
    here = [one, four], [one, four, six], [other, four, six], [four, six]
    assert [looked(None, *each, look=look)[0].established for each in here] == [1, 1, 2, 2]


def test_a_process_that_listened_before_the_first_look_may_have_left_connections_of_the_other_family():
    look = Sockets("m0", services(redirects=REDIRECTED))
    four, six = connected(OWN), connected("::ffff:192.0.2.11", "::ffff:198.51.100.8")
    here = listening("0.0.0.0", 9445), four, six
    assert [looked(None, *here, look=look)[0].established for _ in range(2)] == [2, 2]


def test_where_nothing_has_listened_yet_both_families_are_counted():
    (sample,) = looked(services(ports=(9445,)), connected(OWN), connected("::ffff:192.0.2.11", "::ffff:198.51.100.8"))
    assert (sample.listening, sample.established) == (False, 2)


def test_a_rule_that_is_gone_does_not_make_another_program_the_proxy():
    known = services(redirects=REDIRECTED)
    look = Sockets("m0", known)
    here = (listening("0.0.0.0", 9445), listening("0.0.0.0", 6443))
    looked(None, *here, look=look)
    known.redirects = {}
    assert [sample.subject for sample in looked(None, *here, look=look)] == ["9445"]


def test_without_rules_the_proxy_listens_at_the_virtual_address_itself():
    (sample,) = looked(services(redirects={}), listening(VIP, 6443), listening(OWN, 22))
    assert (sample.subject, sample.listening) == ("6443", True)


def test_a_listener_at_another_address_is_not_the_proxy():
    for others in ([listening(OWN, 6443), listening("127.0.0.1", 6443)], [listening("::", 6443, v6only=1)]):
        with pytest.raises(SourceError, match="set service_ports"):
            looked(services(redirects={}), *others)


def test_where_rules_cannot_be_read_connections_to_the_virtual_address_show_that_there_is_none():
    (sample,) = looked(services(), listening("0.0.0.0", 6443), connected(VIP, port=6443))
    assert (sample.subject, sample.established) == ("6443", 1)


def test_where_rules_cannot_be_read_and_nothing_shows_the_port_it_is_a_blind_spot():
    """Behind an unreadable redirect the local apiserver listens at the very port of the virtual address."""
    with pytest.raises(SourceError, match="set service_ports"):
        looked(services(), listening("0.0.0.0", 6443), connected(OWN, port=6443))


def test_a_port_that_the_operator_named_needs_no_proof():
    (sample,) = looked(services(ports=(9445,), virtual={}))
    assert (sample.subject, sample.listening) == ("9445", False)


def test_nothing_is_looked_at_before_a_virtual_address_is_known():
    assert looked(services(virtual={}), listening("0.0.0.0", 9445)) == []


def test_the_kernel_itself_answers():
    with socket.create_server(("127.0.0.1", 0), backlog=5) as server:
        port = server.getsockname()[1]
        look = Sockets("m0", services())
        (mine,) = [each for each in look._listeners() if each.port == port]
        assert (mine.address, mine.queued, mine.backlog, mine.loopback) == ("127.0.0.1", 0, 5, True)
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0]:
            assert look._served(port, [mine]).established == 0
        look.close()
