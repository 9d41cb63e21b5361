"""A certificate authority in a folder, made with openssl: servers and clients for the tests of TLS."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Authority:
    """Signs what it is asked to; its own certificate is at ``cert``."""

    folder: Path
    name: str

    @property
    def cert(self) -> str:
        return str(self.folder / f"{self.name}.pem")

    def create(self) -> Authority:
        self._openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"),
            *("-subj", f"/CN={self.name}", "-keyout", self._key(self.name), "-out", self.cert),
        )
        return self

    def issue(self, name: str, days: int = 2, address: str = "127.0.0.1") -> tuple[str, str]:
        """A certificate for an address and its key, as paths; with no days it has expired when it is made."""
        cert, request, extensions = (str(self.folder / f"{name}.{kind}") for kind in ("pem", "csr", "ext"))
        Path(extensions).write_text(f"subjectAltName=IP:{address}\n")
        self._openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}"),
            *("-keyout", self._key(name), "-out", request),
        )
        self._openssl(
            *("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self._key(self.name), "-CAcreateserial"),
            *("-days", str(days), "-extfile", extensions, "-out", cert),
        )
        return cert, self._key(name)

    def _key(self, name: str) -> str:
        return str(self.folder / f"{name}.key")

    @staticmethod
    def _openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=30)
