"""`python -m tests.golden`: write every verdict.json anew. Read the difference before you commit it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from cases import cases, golden_text

if __name__ == "__main__":
    for case in cases():
        path = case.path / "verdict.json"
        text = golden_text(case)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {case.name}")
