"""The server's TLS: its certificate, the authority that its clients must have theirs from, and both read anew when they change.

Not here: sockets and requests, which are ``http``'s.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from observer.model.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable


class Certificates:
    """A TLS context made from files. Raises SourceError when they cannot be used at first."""

    def __init__(self, cert: str, key: str, client_ca: str, warn: Callable[[str], None]) -> None:
        """``cert``: chain, ``key``: its key (empty: in the same file), ``client_ca``: authorities (empty: ask no client); PEM."""
        self._cert, self._key, self._client_ca = cert, key or cert, client_ca
        self._warn = warn
        self._stamp = self._looked = self._stamped()
        try:
            self._context = self._load()
        except OSError as error:
            raise SourceError(self._told(error)) from error

    def context(self) -> ssl.SSLContext:
        """For the next connection; new files that cannot be used, half-written ones among them, leave the old ones in force."""
        stamp = self._stamped()
        if stamp != self._stamp:
            try:
                self._context = self._load()
            except OSError as error:
                if stamp != self._looked:
                    self._warn(f"{self._told(error)}; the certificates read before stay in use")
            else:
                self._stamp = stamp
                self._warn("tls: certificates read anew")
            self._looked = stamp
        return self._context

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # A key with a password would be asked for on the terminal, where nobody is.
        context.load_cert_chain(self._cert, self._key, password=lambda: b"")
        if self._client_ca:
            # Optional here, because probes have none; pages that are not public ask for it (http.Route).
            context.verify_mode = ssl.CERT_OPTIONAL
            context.load_verify_locations(self._client_ca)
        return context

    def _stamped(self) -> tuple[tuple[int, int, int] | None, ...]:
        """What changes when a file does, also when a symbolic link to it does, as in a mounted Secret."""
        return tuple(_stamp(path) for path in (self._cert, self._key, self._client_ca) if path)

    def _told(self, error: OSError) -> str:
        unreadable = [path for path in (self._cert, self._key, self._client_ca) if path and not _readable(path)]
        if unreadable:
            return f"tls: {unreadable[0]}: cannot be read"
        return f"tls: {self._cert} with {self._key}{self._client_ca and ' and '}{self._client_ca}: {error.strerror or error}"


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _readable(path: str) -> bool:
    try:
        with Path(path).open("rb"):
            return True
    except OSError:
        return False
