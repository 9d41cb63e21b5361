"""Configuration: defaults, file, environment, flags, and what is said of mistakes in each."""

from __future__ import annotations

import pytest

from observer.config import KEYS, Configuration, endpoint, load
from observer.model.errors import ConfigError


def write(folder, text):
    path = folder / "observer.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_defaults():
    assert load(None, {}, {}) == Configuration()
    assert load(None, {"PATH": "/bin", "VRRP": "1"}, dict.fromkeys(KEYS)) == Configuration()


def test_flags_win_over_the_environment_over_the_file_over_defaults(tmp_path):
    path = write(tmp_path, 'node = "file"\nlisten = "file:1"\nhold_back = 1\ninterfaces = ["file0"]\n')
    environment = {"VRRP_OBSERVER_NODE": "environment", "VRRP_OBSERVER_LISTEN": "environment:2"}
    assert load(path, environment, {"node": "flag"}) == Configuration(
        interfaces=("file0",), listen="environment:2", node="flag", hold_back=1.0
    )


def test_interfaces_in_the_environment():
    assert load(None, {"VRRP_OBSERVER_INTERFACES": "eth0, bond0.12,,"}, {}).interfaces == ("eth0", "bond0.12")
    assert load(None, {"VRRP_OBSERVER_INTERFACES": ""}, {}).interfaces == ()


def test_evidence_in_the_environment():
    assert load(None, {"VRRP_OBSERVER_EVIDENCE": "log,sockets"}, {}).evidence == ("log", "sockets")
    assert load(None, {"VRRP_OBSERVER_EVIDENCE": ""}, {}).evidence == ()
    assert load(None, {"VRRP_OBSERVER_SERVICE_PORTS": "9445"}, {}).service_ports == ("9445",)


MISTAKES = {
    "typo": ('node = "a"\nlissten = ":1"\n', ":2", "'lissten' is not a setting; did you mean 'listen'?"),
    "hyphen": ("\n\nhold-back = 1\n", ":3", "did you mean 'hold_back'?"),
    "nothing near": ('zzz = "a"\n', ":1", "settings are interfaces, listen, node, hold_back"),
    "table": ('node = "a"\n[metrics]\nlisten = ":1"\n', ":2", "'metrics' is not a setting"),
    "wrong type, string": ("# a comment\nlisten = 9965\n", ":2", "listen: give a string"),
    "wrong type, list": ('interfaces = "eth0"\n', ":1", "interfaces: give a list of strings"),
    "wrong type, list of numbers": ("interfaces = [1]\n", ":1", "interfaces: give a list of strings"),
    "wrong type, number": ('hold_back = "soon"\n', ":1", "'soon' is not a number"),
    "bad TOML": ('node = "a"\nlisten :1\n', "line 2", ""),
    "twice": ('node = "a"\nnode = "b"\n', "line 2", ""),
    "out of range": ("hold_back = 0\n", "hold_back", "between 0.01 and 10"),
    "not finite": ("hold_back = nan\n", "hold_back", "between 0.01 and 10"),
    "bad interface": ('interfaces = ["eth0 eth1"]\n', "interfaces", "is not an interface name"),
    "no such evidence": ('evidence = ["sockts"]\n', "evidence", "'sockts' is not one of conf, log, sockets"),
    "bad port": ('service_ports = ["https"]\n', "service_ports", "'https' is not a port number"),
    "port out of range": ('service_ports = ["70000"]\n', "service_ports", "'70000' is not a port number"),
    "bad listen": ('listen = "9965"\n', "listen", "give host:port, [v6 address]:port or :port"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_file_is_named_with_its_place(tmp_path, mistake):
    text, place, message = MISTAKES[mistake]
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path, {}, {})
    told = str(caught.value)
    assert message in told
    assert place in told
    assert "\n" not in told


def test_a_truth_is_no_number(tmp_path):
    with pytest.raises(ConfigError, match="hold_back"):
        load(write(tmp_path, "hold_back = true\n"), {}, {})


def test_a_mistake_of_value_names_the_file_too(tmp_path):
    path = write(tmp_path, "hold_back = 0\n")
    with pytest.raises(ConfigError, match=r"observer\.toml"):
        load(path, {}, {})


def test_no_such_file(tmp_path):
    with pytest.raises(ConfigError, match=r"missing\.toml: No such file"):
        load(str(tmp_path / "missing.toml"), {}, {})
    with pytest.raises(ConfigError, match="directory"):
        load(str(tmp_path), {}, {})


def test_not_text(tmp_path):
    path = tmp_path / "observer.toml"
    path.write_bytes(b'node = "\xff"\n')
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(str(path), {}, {})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("VRRP_OBSERVER_LISTNE", ":1", "VRRP_OBSERVER_LISTNE is not a setting; did you mean 'VRRP_OBSERVER_LISTEN'?"),
        ("VRRP_OBSERVER_HOLD_BACK", "soon", "environment: VRRP_OBSERVER_HOLD_BACK: 'soon' is not a number"),
        ("VRRP_OBSERVER_HOLD_BACK", "11", "between 0.01 and 10"),
        ("VRRP_OBSERVER_LISTEN", "here", "give host:port"),
        ("VRRP_OBSERVER_INTERFACES", "eth0/1", "is not an interface name"),
    ],
)
def test_a_mistake_in_the_environment(name, value, message):
    with pytest.raises(ConfigError) as caught:
        load(None, {name: value}, {})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("listen", "meant"),
    [
        (":9965", ("", 9965)),
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("[::1]:80", ("::1", 80)),
        ("[fe80::1%eth0]:80", ("fe80::1%eth0", 80)),
        ("node.example:0", ("node.example", 0)),
    ],
)
def test_endpoints(listen, meant):
    assert endpoint(listen) == meant


@pytest.mark.parametrize("listen", ["9965", "::1:80", ":65536", ":-1", "[::1]", "a:b", ":", "[nonsense]:80", " :80"])
def test_what_is_no_endpoint(listen):
    with pytest.raises(ConfigError, match="listen is"):
        endpoint(listen)


def test_nothing_is_served_when_told_so():
    assert load(None, {"VRRP_OBSERVER_LISTEN": ""}, {}).listen == ""
