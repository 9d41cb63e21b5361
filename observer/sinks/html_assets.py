"""The style and the script of the report, which stand in it whole: nothing is fetched, and its policy allows these two alone."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files


def _read(name: str) -> str:
    return files("observer.sinks").joinpath(name).read_text(encoding="utf-8")


def _hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


STYLE = _read("html_report.css")
SCRIPT = _read("html_report.js")
POLICY = f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; base-uri 'none'; form-action 'none'"
"""What a browser lets the page do: this style, this script, and nothing of the network."""
