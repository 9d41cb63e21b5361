"""The report in a real browser: it loads without an error, its marks can be reached by keyboard, it prints."""

from __future__ import annotations

import subprocess
import tempfile
from typing import TYPE_CHECKING

import pytest
from sinks.html_stories import many_flaps, one_flap, page

from observer.sinks.html_assets import SCRIPT

if TYPE_CHECKING:
    from pathlib import Path

    from traces import Trace

pytestmark = pytest.mark.slow

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--disable-sync")
QUIET = ("--disable-component-update", "--enable-logging=stderr", "--virtual-time-budget=5000", "--window-size=1200,1800")
STORIES = {"1 flap": one_flap, "200 flaps": lambda: many_flaps(200), "500 flaps": lambda: many_flaps(500)}

ASKED = """
const fail = [];
addEventListener('error', event => fail.push('error: ' + event.message));
document.addEventListener('securitypolicyviolation', event => fail.push('policy: ' + event.violatedDirective));
addEventListener('load', () => setTimeout(() => {
  const press = key => document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true, cancelable: true}));
  const check = (what, holds) => { if (!holds) fail.push(what); };
  const [picture, box, told] = ['picture', 'box', 'told'].map(id => document.getElementById(id));
  const lanes = [...picture.querySelectorAll('.lane')];
  let reached = 0;
  for (const lane of lanes) {
    const marks = [...lane.querySelectorAll('.m')];
    if (!marks.length) continue;
    check('one stop in a lane', marks.filter(mark => mark.getAttribute('tabindex') === '0').length === 1);
    marks[0].focus();
    for (const [place, mark] of marks.entries()) {
      check('arrow reaches ' + mark.outerHTML.slice(0, 80), document.activeElement === mark);
      check('told', told.textContent === mark.querySelector('title').textContent);
      reached += 1;
      if (place + 1 < marks.length) press('ArrowRight');
    }
  }
  const before = picture.getBoundingClientRect().width;
  press('+');
  check('plus zooms', picture.getBoundingClientRect().width > 1.9 * before);
  press('0');
  check('0 shows all', Math.abs(picture.getBoundingClientRect().width - before) < 2);
  document.querySelector('button[data-at]').click();
  check('a flap is shown', document.activeElement === box);
  check('ticks', document.querySelectorAll('#ticks text').length > 2);
  location.hash = '#flap-1';
  setTimeout(() => {
    check('a link opens its flap', document.getElementById('flap-1').open);
    check('nothing is wider than the page', document.documentElement.scrollWidth <= innerWidth);
    document.title = 'REACHED ' + reached + ' FAILED ' + JSON.stringify(fail);
  }, 50);
}, 50));
"""
"""Runs in the page beside its own script, in a copy of it whose policy is left out."""


def chromium(path: Path, *action: str) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as profile:
        command = ("chromium", *FLAGS, *QUIET, f"--user-data-dir={profile}", *action, path.as_uri())
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def written(trace: Trace, directory: Path) -> Path:
    path = directory / "report.html"
    path.write_text(page(trace.observations()), encoding="utf-8")
    return path


@pytest.mark.parametrize("story", STORIES)
def test_it_loads_without_a_word_on_the_console(story, tmp_path):
    path = written(STORIES[story](), tmp_path)
    done = chromium(path, "--dump-dom")
    assert "CONSOLE" not in done.stderr
    # The script ran: under the policy, whose hash it must match.
    assert 'id="controls" hidden' not in done.stdout
    assert 'id="controls"' in done.stdout


def test_the_policy_stops_what_is_not_the_reports_own(tmp_path):
    path = written(one_flap(), tmp_path)
    path.write_text(path.read_text().replace("</main>", "<script>document.title='run'</script></main>"))
    done = chromium(path, "--dump-dom")
    assert "CONSOLE" in done.stderr
    assert "<title>run" not in done.stdout


@pytest.mark.parametrize("story", ["1 flap", "200 flaps"])
def test_marks_are_reached_and_the_picture_zooms(story, tmp_path):
    path = written(STORIES[story](), tmp_path)
    source = path.read_text()
    policy = source[source.index("<meta http-equiv") : source.index('<meta name="viewport"')]
    path.write_text(source.replace(policy, "").replace(f"<script>{SCRIPT}", f"<script>{ASKED}</script><script>{SCRIPT}"))
    done = chromium(path, "--dump-dom")
    title = done.stdout[done.stdout.index("<title>") : done.stdout.index("</title>")]
    assert title.endswith("FAILED []"), title[:2000]
    assert int(title.split()[1]) == source.count('class="m ')


def test_it_prints(tmp_path):
    path = written(one_flap(), tmp_path)
    chromium(path, f"--print-to-pdf={tmp_path / 'report.pdf'}")
    printed = (tmp_path / "report.pdf").read_bytes()
    assert printed.startswith(b"%PDF")
    assert 1 <= printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") <= 5
