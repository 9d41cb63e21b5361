"""The server on real sockets: what it answers, and that no client holds up another."""

from __future__ import annotations

import gzip
import http.client
import os
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from tls_authority import Authority

from observer.model.errors import SourceError
from observer.sinks import http as server_module
from observer.sinks.http import Answer, Route, Server, exposition
from observer.sinks.tls import Certificates

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUTES = {"/": Route(lambda accept: Answer(accept.encode())), "/healthz": Route(lambda _: Answer(b"ok\n"), public=True)}


@contextmanager
def serving(routes=ROUTES, certificates=None, deadline=server_module.DEADLINE) -> Iterator[Server]:
    server = Server("127.0.0.1", 0, routes, certificates, deadline)
    try:
        yield server
    finally:
        server.close()


def ask(port, path="/healthz", method="GET", tls=None, **headers):
    """Status, headers and body; a connection that is refused or broken raises OSError."""
    if tls is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    else:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=tls)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


# Answers


def test_a_page_hears_what_the_client_accepts():
    with serving() as server:
        status, _, body = ask(server.port, "/?x=1", Accept="a/b")
    assert (status, body) == (200, b"a/b")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("GET", "/healthz/", 404), ("POST", "/", 405), ("DELETE", "/healthz", 405), ("BREW", "/", 405)],
)
def test_what_is_not_there_or_not_allowed(method, path, status):
    with serving() as server:
        found, headers, body = ask(server.port, path, method)
    assert found == status
    assert body.startswith(str(status).encode())
    assert headers["Allow"] == ("GET, HEAD" if status == 405 else None)
    assert b"nothing" not in body


@pytest.mark.parametrize("path", ["/", "/nothing"])
def test_head_has_the_headers_of_get_and_no_body(path):
    with serving() as server:
        _, full, text = ask(server.port, path, Accept="something")
        _, headers, body = ask(server.port, path, "HEAD", Accept="something")
    assert body == b""
    assert headers["Content-Length"] == full["Content-Length"] == str(len(text))


@pytest.mark.parametrize(("path", "method"), [("/", "GET"), ("/nothing", "GET"), ("/", "POST")])
def test_headers_are_safe(path, method):
    with serving() as server:
        _, headers, _ = ask(server.port, path, method)
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert "ython" not in headers["Server"]


@pytest.mark.parametrize(
    "octets", [b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"G" * 70_000 + b"\r\n\r\n"]
)
def test_nonsense_gets_a_refusal_or_nothing(octets, capfd):
    with serving() as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
            client.sendall(octets)
            client.shutdown(socket.SHUT_WR)
            said = b""
            try:
                while part := client.recv(65536):
                    said += part
            except ConnectionResetError:
                pass
        assert ask(server.port)[0] == 200
    assert b"<" not in said
    assert capfd.readouterr() == ("", "")


@pytest.fixture(scope="module")
def port():
    with serving() as server:
        yield server.port


LINE = st.tuples(st.sampled_from(["GET", "HEAD", "PUT", ""]), st.text(), st.sampled_from(["HTTP/1.1", "HTTP/1.0", ""])).map(
    " ".join
)
REQUESTS = st.one_of(st.binary(max_size=300), LINE.map(lambda line: f"{line}\r\nAccept: {line}\r\n\r\n".encode(errors="replace")))


@settings(deadline=None, max_examples=60)
@given(octets=REQUESTS)
def test_whatever_is_said_the_next_one_is_answered(port, octets):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(octets)
        with suppress(OSError):
            client.shutdown(socket.SHUT_WR)
            said = client.makefile("rb").read()
            assert not said.startswith(b"HTTP/") or b"Content-Security-Policy: default-src 'none'" in said
    assert ask(port)[0] == 200


def test_both_families_when_no_address_is_named():
    server = Server("", 0, ROUTES)
    try:
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, server.port), timeout=20):
                pass
    finally:
        server.close()


def test_a_port_in_use():
    with serving() as server, pytest.raises(SourceError, match=f"127.0.0.1:{server.port}: the port is in use"):
        Server("127.0.0.1", server.port, ROUTES)


# /metrics


@pytest.fixture
def registry():
    registry = CollectorRegistry()
    Counter("moves_total", "Moves.", ["cause"], registry=registry).labels("stopped").inc(exemplar={"flap": "f-1"})
    return registry


PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


def test_openmetrics_keeps_exemplars(registry):
    with serving({"/metrics": Route(exposition(registry))}) as server:
        _, headers, body = ask(server.port, "/metrics", Accept=PROMETHEUS)
    assert headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    samples = [sample for family in text_string_to_metric_families(body.decode()) for sample in family.samples]
    assert {sample.exemplar.labels["flap"] for sample in samples if sample.exemplar} == {"f-1"}
    assert body.endswith(b"# EOF\n")


@pytest.mark.parametrize(
    "accept", ["", "*/*", "text/plain;version=0.0.4", "text/html, application/xhtml+xml", "a\tb;;,,=;version=x"]
)
def test_everyone_else_gets_the_text_format(registry, accept):
    with serving({"/metrics": Route(exposition(registry))}) as server:
        _, headers, body = ask(server.port, "/metrics", Accept=accept)
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b'moves_total{cause="stopped"} 1.0' in body
    assert b"f-1" not in body


def test_compressed_for_who_asks(registry):
    with serving({"/metrics": Route(exposition(registry))}) as server:
        _, _, plain = ask(server.port, "/metrics")
        _, headers, body = ask(server.port, "/metrics", **{"Accept-Encoding": "gzip"})
    assert headers["Content-Encoding"] == "gzip"
    assert headers["Content-Length"] == str(len(body))
    assert gzip.decompress(body) == plain


# No client holds up another


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path, "authority").create()


@pytest.fixture
def certificates(authority):
    cert, key = authority.issue("server")
    return Certificates(cert, key, "", warn=pytest.fail)


def trusting(authority, *identity):
    context = ssl.create_default_context(cafile=authority.cert)
    if identity:
        context.load_cert_chain(*identity)
    return context


@contextmanager
def silent(port, octets=b"", count=1):
    clients = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(count)]
    try:
        for client in clients:
            client.sendall(octets)
        yield clients
    finally:
        for client in clients:
            client.close()


HELLO_BEGUN = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


@pytest.mark.parametrize("octets", [b"", b"GET /metr", HELLO_BEGUN], ids=["silent", "half a request", "half a handshake"])
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_a_client_that_says_nothing_more_blocks_nobody(authority, certificates, octets, secure):
    """The deadline is far off: were they served in turn, the answer would not come within the client's patience."""
    with serving(certificates=certificates if secure else None, deadline=300) as server, silent(server.port, octets, count=5):
        assert ask(server.port, tls=trusting(authority) if secure else None)[0] == 200


def test_a_silent_client_is_cut_off_at_the_deadline(certificates):
    with serving(certificates=certificates, deadline=0.2) as server, silent(server.port) as (client,):
        assert client.recv(1) == b""


def test_so_is_one_that_talks_too_slowly_to_time_out():
    def drip(client):
        # The server looks twice a second; each octet comes well within the time that a read may take.
        for _ in range(100):
            client.sendall(b"x")
            time.sleep(0.1)

    head = b"GET / HTTP/1.1\r\nX: "
    with serving(deadline=0.5) as server, silent(server.port, head) as (client,), pytest.raises(ConnectionError):
        drip(client)


def test_one_that_does_not_read_its_answer_is_cut_off():
    page = {"/big": Route(lambda _: Answer(b"x" * (64 << 20))), **ROUTES}
    before = threading.active_count()
    with serving(page, deadline=0.5) as server, silent(server.port, b"GET /big HTTP/1.1\r\n\r\n"):
        assert ask(server.port)[0] == 200
        until = time.monotonic() + 20
        while threading.active_count() > before + 1 and time.monotonic() < until:
            time.sleep(0.1)
        assert threading.active_count() == before + 1


def test_of_too_many_the_oldest_is_closed(monkeypatch):
    monkeypatch.setattr(server_module, "CONNECTIONS", 8)
    with serving(deadline=300) as server, silent(server.port, count=8) as clients:
        assert ask(server.port)[0] == 200
        assert clients[0].recv(1) == b""
        clients[-1].sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert clients[-1].recv(4) == b"HTTP"


def test_a_page_that_takes_long_delays_no_other():
    gate = threading.Event()
    routes = {"/slow": Route(lambda _: Answer(str(gate.wait(60)).encode())), **ROUTES}
    with serving(routes) as server, silent(server.port, b"GET /slow HTTP/1.0\r\n\r\n") as (client,):
        assert ask(server.port)[0] == 200
        gate.set()
        assert client.makefile("rb").read().endswith(b"True")


# TLS


def test_only_tls_is_spoken_where_there_is_a_certificate(authority, certificates):
    with serving(certificates=certificates) as server:
        assert ask(server.port, tls=trusting(authority))[0] == 200
        with pytest.raises((OSError, http.client.HTTPException)):
            ask(server.port)


def test_old_versions_of_tls_are_refused(certificates):
    assert certificates.context().minimum_version == ssl.TLSVersion.TLSv1_2


def test_clients_show_a_certificate_where_one_is_asked_for(authority, tmp_path):
    stranger = Authority(tmp_path, "stranger").create()
    certificates = Certificates(*authority.issue("server"), authority.cert, warn=pytest.fail)
    with serving(certificates=certificates) as server:
        own = trusting(authority, *authority.issue("scraper"))
        assert ask(server.port, "/", tls=own)[0] == 200
        nobody = trusting(authority)
        assert ask(server.port, "/", tls=nobody)[0] == 403
        assert ask(server.port, "/nothing", tls=nobody)[0] == 404
        # A probe has none to show.
        assert ask(server.port, "/healthz", tls=nobody)[0] == 200
        for bad in (stranger.issue("foreign"), authority.issue("late", days=0)):
            with pytest.raises((OSError, http.client.HTTPException)):
                ask(server.port, "/healthz", tls=trusting(authority, *bad))


def test_certificates_are_read_anew_when_they_change(authority, tmp_path):
    live = [tmp_path / "live.pem", tmp_path / "live.key"]

    def install(*files):
        for file, path in zip(files, live, strict=True):
            # As a mounted Secret changes: by a link that is put in another's place.
            link = tmp_path / "new"
            link.symlink_to(file)
            link.replace(path)

    install(*authority.issue("expired", days=0))
    told = []
    certificates = Certificates(str(live[0]), str(live[1]), "", warn=told.append)
    with serving(certificates=certificates) as server:
        client = trusting(authority)
        with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
            ask(server.port, tls=client)
        install(*authority.issue("fresh"))
        assert ask(server.port, tls=client)[0] == 200
        assert told == ["tls: certificates read anew"]

        # Half of a change: what was read before stays, and it is said once.
        live[1].unlink()
        live[1].write_text("half")
        for _ in range(3):
            assert ask(server.port, tls=client)[0] == 200
        assert len(told) == 2
        assert "stay in use" in told[1]

        os.unlink(live[0])  # noqa: PTH108
        assert ask(server.port, tls=client)[0] == 200
        assert told[2].startswith(f"tls: {live[0]}: cannot be read")


@pytest.mark.parametrize("missing", ["cert", "key", "ca"])
def test_certificates_that_are_not_there(authority, missing):
    cert, key = authority.issue("server")
    files = {"cert": cert, "key": key, "ca": authority.cert, missing: "/nowhere.pem"}
    with pytest.raises(SourceError, match=r"^tls: /nowhere\.pem: cannot be read$"):
        Certificates(files["cert"], files["key"], files["ca"], warn=pytest.fail)


def test_a_key_that_is_another_certificates(authority, tmp_path):
    cert, _ = authority.issue("one")
    _, key = authority.issue("two")
    with pytest.raises(SourceError, match=r"^tls: .*one\.pem with .*two\.key: "):
        Certificates(cert, key, "", warn=pytest.fail)
    both = tmp_path / "both.pem"
    both.write_text(Path(cert).read_text() + (tmp_path / "one.key").read_text())
    Certificates(str(both), "", "", warn=pytest.fail)
