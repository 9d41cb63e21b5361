"""Configuration: defaults, file, environment, flags, and what is said of mistakes in each."""

from __future__ import annotations

import pytest

from observer import cli
from observer.agent import reconfigured
from observer.config import KEYS, Configuration, effective, endpoint, load
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
    "port in other digits": ('service_ports = ["٤٤٣"]\n', "service_ports", "'٤٤٣' is not a port number"),
    "port of many digits": (f'service_ports = ["{"9" * 5000}"]\n', "service_ports", "is not a port number"),
    "port out of range": ('service_ports = ["70000"]\n', "service_ports", "'70000' is not a port number"),
    "number beyond all bounds": (f"hold_back = 1{'0' * 400}\n", ":1", "hold_back: the number is too large"),
    "number of too many digits": (f"hold_back = 1{'0' * 5000}\n", "observer.toml", "4300 digits"),
    "lists in lists": (f"interfaces = {'[' * 5000}\n", "observer.toml", "recursion"),
    "NUL": ('tls_cert = "a\\u0000"\n', ":1", "tls_cert: there is a NUL character"),
    "NUL in a list": ('logs = ["a", "b\\u0000"]\n', ":1", "logs: there is a NUL character"),
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
        ("VRRP_OBSERVER_NODE", "m\udcfc", r"environment: node is 'm\udcfc': give UTF-8 text"),
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


@pytest.mark.parametrize("listen", ["9965", "::1:80", ":65536", ":-1", "[::1]", "a:b", ":", "[nonsense]:80", " :80", ":٨٠"])
def test_what_is_no_endpoint(listen):
    with pytest.raises(ConfigError, match="listen is"):
        endpoint(listen)


def test_nothing_is_served_when_told_so():
    assert load(None, {"VRRP_OBSERVER_LISTEN": ""}, {}).listen == ""


# Where each value is from


def test_origins_and_a_file_that_says_the_same(tmp_path):
    path = write(tmp_path, '# ours\nnode = "a \\"b\\"\\n"\n\ninterfaces = ["eth0", "br-ex"]\n')
    found = effective(path, {"VRRP_OBSERVER_HOLD_BACK": "1"}, {"listen": "[::1]:1"})
    origins = {key: found.origins[key] for key in ("node", "interfaces", "hold_back", "listen", "tls_cert")}
    assert origins == {
        "node": f"{path}:2",
        "interfaces": f"{path}:4",
        "hold_back": "VRRP_OBSERVER_HOLD_BACK",
        "listen": "flag",
        "tls_cert": "default",
    }
    again = write(tmp_path, found.toml())
    assert load(again, {}, {}) == found.configuration


def test_the_environment_names_the_file_unless_a_flag_does(tmp_path):
    path = write(tmp_path, 'node = "a"\n')
    assert load(None, {"VRRP_OBSERVER_CONFIG": path}, {}).node == "a"
    assert load(None, {"VRRP_OBSERVER_CONFIG": ""}, {}).node == ""
    assert load(path, {"VRRP_OBSERVER_CONFIG": "/nowhere"}, {}).node == "a"
    with pytest.raises(ConfigError, match="/nowhere: No such file"):
        load(None, {"VRRP_OBSERVER_CONFIG": "/nowhere"}, {})


@pytest.mark.parametrize("key", ["tls_key", "tls_client_ca"])
def test_settings_that_need_another(tmp_path, key):
    path = write(tmp_path, f'\n{key} = "a.pem"\n')
    with pytest.raises(ConfigError, match=rf"observer\.toml:2: {key} is of no use without tls_cert"):
        load(path, {}, {})
    assert load(path, {"VRRP_OBSERVER_TLS_CERT": "b.pem"}, {}).tls_cert == "b.pem"


def test_recordings_go_to_the_state_directory_unless_told_otherwise():
    state = {"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}
    assert load(None, state, {}).recordings == "/var/lib/a/recordings"
    assert load(None, state | {"VRRP_OBSERVER_RECORDINGS": ""}, {}).recordings == ""
    assert load(None, {}, {}).recordings == ""


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("record", '"sometimes"'),
        ("record_before", "1"),
        ("record_size", "0.5"),
        ("record_files", "1.5"),
        ("record_files", "nan"),
    ],
)
def test_what_recordings_cannot_be(tmp_path, key, value):
    with pytest.raises(ConfigError, match=rf"observer\.toml:1: {key} is "):
        load(write(tmp_path, f"{key} = {value}\n"), {}, {})


@pytest.mark.parametrize("value", ["7", "7.0"])
def test_a_count_may_be_written_as_either_number(tmp_path, value):
    assert load(write(tmp_path, f"record_files = {value}\n"), {}, {}).record_files == 7


def test_every_setting_has_a_flag():
    flags = {action.dest for action in cli._parser()._subparsers._group_actions[0].choices["run"]._actions}
    assert set(KEYS) <= flags


SAMPLES = {"listen": "127.0.0.1:1", "evidence": "conf", "service_ports": "9445", "record": "always"}
SAMPLES |= dict.fromkeys(("record_before", "record_after", "record_size"), "30.5") | {"record_files": "30"}
"""Words for settings that take only some."""


@pytest.mark.parametrize("key", KEYS)
def test_every_setting_by_file_environment_and_flag(tmp_path, key):
    """The three say the same in their own words; a key needs its certificate."""
    kind = type(getattr(Configuration(), key))
    word = SAMPLES.get(key, {str: "b.pem", float: "0.5", tuple: "eth7"}[kind])
    needed = {"VRRP_OBSERVER_TLS_CERT": "a.pem"} if key in ("tls_key", "tls_client_ca") else {}
    written = {str: f'"{word}"', float: word, tuple: f'["{word}"]'}[kind]
    (name,) = (
        action.option_strings[-1]
        for action in cli._parser()._subparsers._group_actions[0].choices["run"]._actions
        if action.dest == key
    )
    parsed = cli._parser().parse_args(["run", name, word])
    value = getattr(parsed, key)
    by_flag = load(None, needed, {key: tuple(value) if isinstance(value, list) else value})
    by_file = load(write(tmp_path, f"{key} = {written}\n"), needed, {})
    by_environment = load(None, {**needed, f"VRRP_OBSERVER_{key.upper()}": word}, {})
    assert by_file == by_environment == by_flag != load(None, needed, {})


@pytest.mark.parametrize("key", [key for key in KEYS if isinstance(getattr(Configuration(), key), tuple)])
def test_every_list_may_be_empty_by_file_environment_and_flag(tmp_path, key):
    by_file = load(write(tmp_path, f"{key} = []\n"), {}, {})
    by_environment = load(None, {f"VRRP_OBSERVER_{key.upper()}": ""}, {})
    by_flag = load(None, {}, {key: ("",)})
    assert by_file == by_environment == by_flag
    assert getattr(by_flag, key) == ()


# What a reload changes


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({}, {}, "nothing changed"),
        ({"interfaces": ("a",)}, {"interfaces": ("a", "b")}, 'interfaces is now ["a", "b"]'),
        ({"interfaces": ("a",)}, {"interfaces": ()}, "interfaces is now []"),
        ({"interfaces": ("a", "b")}, {"interfaces": ("a",)}, "nothing changed; interfaces: changed, needs a restart"),
        ({"interfaces": ()}, {"interfaces": ("a",)}, "nothing changed; interfaces: changed, needs a restart"),
        ({}, {"listen": ":1", "node": "x"}, "nothing changed; listen, node: changed, needs a restart"),
        (
            {"interfaces": ("a",)},
            {"interfaces": ("b", "a"), "hold_back": 1.0},
            'interfaces is now ["b", "a"]; hold_back: changed, needs a restart',
        ),
    ],
)
def test_what_a_reload_changes_and_says(before, after, told):
    present, wanted = Configuration(**before), Configuration(**after)
    found, said = reconfigured(present, wanted)
    assert said == told
    assert found.interfaces == (wanted.interfaces if "is now" in told else present.interfaces)
    assert (found.listen, found.node, found.hold_back) == (present.listen, present.node, present.hold_back)
