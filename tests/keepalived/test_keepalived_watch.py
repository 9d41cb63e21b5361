"""The agent's own keepalived.conf: read again when it changes, and kept as it was while it is broken."""

from __future__ import annotations

import pytest

from observer.keepalived import watch
from observer.keepalived.watch import Conf
from observer.model.errors import SourceError
from observer.model.flaps import VirtualRouter
from observer.model.observations import Family

ROUTER = VirtualRouter(51, Family.IPV4, "eth0")


def text(weight):
    return f"""\
vrrp_script chk_proxy {{
    script "/bin/true"
    weight {weight}
}}
vrrp_instance API {{
    interface eth0
    virtual_router_id 51
    priority 100
    virtual_ipaddress {{ 192.0.2.100 }}
    track_script {{ chk_proxy }}
}}
"""


@pytest.fixture
def watched(tmp_path):
    path = tmp_path / "keepalived.conf"
    path.write_text(text(-30))
    warnings = []
    return Conf("m0", str(path), warnings.append), path, warnings


def test_it_names_the_check(watched):
    conf, _, warnings = watched
    assert conf.step("m0", ROUTER, 100, 70) is None
    assert list(conf.look(0)) == []
    assert conf.step("m0", ROUTER, 100, 70) == (("chk_proxy",),)
    assert conf.step("m1", ROUTER, 100, 70) is None
    assert conf.faulting("m0", ROUTER) == ()
    assert warnings == []


def test_it_is_read_again_when_it_changes_and_only_then(watched, monkeypatch):
    conf, path, _ = watched
    reads = []
    real = watch.load
    monkeypatch.setattr(watch, "load", lambda path: (reads.append(path), real(path))[1])
    for _ in range(3):
        list(conf.look(0))
    assert len(reads) == 1
    path.write_text(text(-25) + "# another length\n")
    list(conf.look(0))
    assert conf.step("m0", ROUTER, 100, 75) == (("chk_proxy",),)
    assert conf.step("m0", ROUTER, 100, 70) == ()


def test_what_it_includes_is_watched_too(watched, tmp_path):
    conf, path, _ = watched
    part = tmp_path / "part.conf"
    part.write_text(text(-30))
    path.write_text("include part.conf\n")
    list(conf.look(0))
    part.write_text(text(-20) + "\n")
    list(conf.look(0))
    assert conf.step("m0", ROUTER, 100, 80) == (("chk_proxy",),)


def test_a_broken_one_is_a_blind_spot_and_one_warning_and_what_was_read_before_stays(watched):
    conf, path, warnings = watched
    list(conf.look(0))
    path.write_text("vrrp_instance API {\n")
    for _ in range(3):
        with pytest.raises(SourceError, match=r"keepalived\.conf"):
            list(conf.look(0))
    assert len(warnings) == 1
    assert "\n" not in warnings[0]
    assert conf.step("m0", ROUTER, 100, 70) == (("chk_proxy",),)
    path.write_text(text(-10))
    assert list(conf.look(0)) == []
    assert conf.step("m0", ROUTER, 100, 90) == (("chk_proxy",),)


def test_its_problems_are_warned_of_once_and_again_when_they_are_others(watched):
    conf, path, warnings = watched
    for weight in ("99999999999", "99999999999 # still"):
        path.write_text(text(weight))
        list(conf.look(0))
    assert warnings == [f"{path}:3: weight is missing, not a number or out of range; not taken"]
    path.write_text(text(-30))
    list(conf.look(0))
    assert len(warnings) == 1
    path.write_text("\n" + text("99999999999"))
    list(conf.look(0))
    assert warnings[1:] == [f"{path}:4: weight is missing, not a number or out of range; not taken"]


def test_one_without_an_instance_is_a_blind_spot_and_what_was_read_before_stays(watched):
    conf, path, warnings = watched
    list(conf.look(0))
    path.write_text("")
    for _ in range(3):
        with pytest.raises(SourceError, match="no vrrp_instance in"):
            list(conf.look(0))
    assert warnings == [f"no vrrp_instance in {path}; give the keepalived.conf of the node"]
    assert conf.step("m0", ROUTER, 100, 70) == (("chk_proxy",),)


def test_one_that_was_named_and_is_missing_is_warned_of(tmp_path):
    warnings = []
    with pytest.raises(SourceError, match="No such file"):
        Conf("m0", str(tmp_path / "none.conf"), warnings.append).look(0)
    assert len(warnings) == 1


def test_the_usual_one_may_be_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "DEFAULT", str(tmp_path / "none.conf"))
    warnings = []
    with pytest.raises(SourceError, match="No such file"):
        Conf("m0", warn=warnings.append).look(0)
    assert warnings == []
