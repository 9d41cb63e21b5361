"""Three agents in a real lab, scraped by a real Prometheus: every expression of the dashboards has data, and flaps count once."""

from __future__ import annotations

import re

import lab_run
import pytest
import stack
from asking import Asked, answers, asked

pytestmark = [pytest.mark.slow, pytest.mark.lab, pytest.mark.timeout(420)]


def test_every_panel_shows_something(tmp_path):
    begin, end = lab_run.play(tmp_path)
    with stack.Prometheus(tmp_path) as prometheus:
        # What is shown only where it is above 0 may rightly be empty; the rest of it must not be.
        for question in asked():
            whole = Asked(question.where, re.sub(r" > 0$", "", question.expr), question.once)
            assert answers(prometheus, whole, begin, end), whole

        def number(expr):
            return sum(float(series["value"][1]) for series in prometheus.query(expr, end - 2))

        by_agent = prometheus.query("sum by (instance) (vrrp_flaps_total)", end - 2)
        most = max(float(series["value"][1]) for series in by_agent)
        assert number("sum(vrrp_flaps_total)") > most >= 3
        assert number("sum(router:vrrp_flaps:increase15m)") == most
        assert number("vrid:vrrp_addresses_held:sum") == 1
        fired = {
            series["metric"]["alertname"]
            for series in prometheus.query_range('ALERTS{alertstate="firing"}', begin, end, 2)
            if series["metric"]["alertname"] != "VrrpObserverDropping"
        }
    assert fired >= {"VrrpUnwarrantedFlap", "VrrpMalformedAdverts"}
    # A storm of moves is no split brain, and nobody is left without a holder for long.
    assert fired <= {"VrrpUnwarrantedFlap", "VrrpMalformedAdverts", "VrrpStorm"}
