"""Laws: whatever the bytes, only ConfigError; passwords go nowhere; comments and white space mean nothing."""

from __future__ import annotations

import contextlib
import pickle
import re
from dataclasses import FrozenInstanceError, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from keepalived_configs import CONFIGURATIONS

from observer.keepalived import Configuration, explain_step, faulting, load, parse_text
from observer.keepalived.blocks import Statement, statements
from observer.keepalived.lines import Line
from observer.model.errors import ConfigError
from observer.model.observations import Authentication, Family

if TYPE_CHECKING:
    import random
    from pathlib import Path

SINGLE = sorted(name for name, (files, _) in CONFIGURATIONS.items() if len(files) == 1 and "definitions" not in name)

WORDS = """
    vrrp_instance vrrp_script vrrp_sync_group track_file vrrp_track_process bfd_instance global_defs { } { }
    interface virtual_router_id priority advert_int version native_ipv6 virtual_ipaddress virtual_ipaddress_excluded unicast_peer
    authentication auth_type auth_pass track_script track_interface track_process track_bfd weight reverse group state MASTER
    1 2 3 -5 255 0.5 1.2.3.4 1.2.3.4/24 fe80::1 fe80::1%eth0 a b c eth0 dev label @a @^a $A=1 $A= $A ${A} ${_RANDOM 1} $A=\\ \\
    ~SEQ(A,3) ~SEQx(A,1,2) ~LST(A,1,2) ~LST({A,B},{1,2}) ~X include includer nowhere* " ' # ! \x00 \r preempt_delay nopreempt
    interval timeout rise fall garp_master_delay vrrp_garp_master_delay vrrp_version use_vmac unicast_src_ip ${_PWD} \u0663
"""
TEXTS = st.lists(st.tuples(st.sampled_from(WORDS.split()), st.sampled_from([" ", " ", "\n", "\n", "", "\t"])), max_size=60).map(
    lambda pieces: "".join(word + between for word, between in pieces)
)


def harmless(text: str, config_id: str | None = None) -> None:
    try:
        found = parse_text(text, "x.conf", config_id)
        said = found.problems
    except ConfigError as error:
        found, said = parse_text(""), (str(error),)
    assert all(re.fullmatch(r"x\.conf:\d+: [^\n]+; [^\n]+", message) for message in said)
    for instance in found.instances:
        assert 1 <= instance.vrid <= 255
        assert 1 <= instance.priority <= 255
        assert instance.interval > 0
        assert instance.version in (2, 3)
        assert found.instance(instance.vrid, instance.family, instance.interface) in (*found.instances, None)
        explain_step(found, instance, instance.priority, 1)
        faulting(instance)
    hash(found)


@given(TEXTS)
@example("vrrp_instance x\ny {\nvirtual_router_id 1\n}")
@example("vrrp_instance {\nvirtual_router_id 1\ninterface\n}")
@example("vrrp_script {\n}")
@example("include")
@example("~SEQ(A, 099) $A")
@settings(max_examples=400)
def test_any_words_give_a_configuration_or_one_line(text: str) -> None:
    harmless(text, "a")


@given(st.binary(max_size=300))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_of_a_file_give_a_configuration_or_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.conf"
    path.write_bytes(content)
    with contextlib.suppress(ConfigError):
        load(path, "a")


@given(st.sampled_from(SINGLE), st.data())
@settings(max_examples=200)
def test_any_change_of_a_real_file_gives_a_configuration_or_one_line(name: str, data: st.DataObject) -> None:
    files, config_id = CONFIGURATIONS[name]
    text = next(iter(files.values()))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 20)))
    put = data.draw(st.text(alphabet="{}\"'\\#!$@~ \n\x00aé0", max_size=4))
    harmless(text[:start] + put + text[end:], config_id)


SECRET = "hunter2"  # noqa: S105
PASSWORDS = st.lists(st.sampled_from([SECRET, SECRET, *"{}\"'\\#!$@~ =\n", "x "]), min_size=1, max_size=6).map("".join)


@given(PASSWORDS, st.booleans(), st.integers(0, 4))
@example("${P", False, 0)
@example("\n" + SECRET, False, 0)
@example("x}" + SECRET, False, 2)
@example("x{" + SECRET, False, 0)
@settings(max_examples=400)
def test_passwords_are_nowhere(password: str, quoted: bool, cut: int) -> None:
    written = f'"{password}"' if quoted else password
    lines = [
        f"$P={written}",
        "vrrp_instance a {",
        " interface eth0",
        " virtual_router_id 1",
        " authentication {",
        "  auth_type PASS",
        f"  auth_pass {written}",
        "  auth_pass $P",
        f"  auth_hmac sha256 {written}",
        " }",
        " virtual_ipaddress { 10.0.0.1 }",
        "}",
    ]
    try:
        found = parse_text("\n".join(lines[: len(lines) - cut]), "x.conf")
    except ConfigError as error:
        said = f"{error!r} {error} {error.__cause__!r} {error.__context__!r}"
    else:
        said = f"{found!r} {found.problems} {pickle.dumps(found)!r}"
    assert SECRET not in said


def test_a_password_leaves_only_its_kind() -> None:
    text = "vrrp_instance a {\n virtual_router_id 1\n authentication {\n auth_type PASS\n auth_pass hunter2\n }\n}\n"
    found = parse_text(text)
    assert found.instances[0].authentication is Authentication.SIMPLE
    assert SECRET not in repr(found)
    assert found == parse_text(text.replace(SECRET, "another"))


@given(PASSWORDS)
def test_passwords_do_not_even_become_statements(password: str) -> None:
    text = f"vrrp_instance a {{\nauthentication {{\nauth_pass {password}\n}}\n}}\nauth_pass {password}\n"
    found: list[Statement] = []
    with contextlib.suppress(ConfigError):
        found = statements(Line(piece, "x", 1) for piece in re.split(r"([{}])|\n", text) if piece and piece.strip())
    within = [line for top in found for block in top.block for line in block.block]
    assert SECRET not in repr([line.words for line in within])
    assert SECRET not in repr([top.words for top in found if top.keyword == "auth_pass"])


def content(found: Configuration) -> Configuration:
    """The configuration without where it was written."""
    return replace(
        found,
        instances=tuple(replace(item, file="", line=0) for item in found.instances),
        checks=tuple(replace(item, file="", line=0) for item in found.checks),
        sync_groups=tuple(replace(item, file="", line=0) for item in found.sync_groups),
        problems=tuple(problem.partition(" ")[2] for problem in found.problems),
    )


@given(st.sampled_from(SINGLE), st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_comments_and_white_space_mean_nothing(name: str, chance: random.Random) -> None:
    files, config_id = CONFIGURATIONS[name]
    text = next(iter(files.values()))

    def changed(line: str) -> str:
        ending = "\r" * line.endswith("\r")
        body = line.removesuffix("\r").strip(" \t")
        before = "".join(chance.choices([" ", "\t"], k=chance.randrange(4)))
        after = chance.choice(["", "", " ", "\t", " # { a comment", "!} another", '# "quotes"'])
        blank = chance.choice(["", "", "", "\n", " # }\n", "\t\n"])
        if body.endswith("{") and not set(body) & set('"#!') and chance.random() < 0.3:
            body = body.removesuffix("{") + "\n{"
        return blank + before + body + after + ending

    assert content(parse_text("\n".join(changed(line) for line in text.split("\n")), config_id=config_id)) == content(
        parse_text(text, config_id=config_id)
    )


def test_configurations_are_values() -> None:
    found = parse_text(CONFIGURATIONS["openshift-api"][0]["keepalived.conf"])
    instance = found.instances[0]
    with pytest.raises(FrozenInstanceError):
        instance.priority = 1  # type: ignore[misc]
    assert hash(found) == hash(pickle.loads(pickle.dumps(found)))  # noqa: S301
    assert found.instance(147, Family.IPV4) is instance
    assert found.instance(147, Family.IPV4, "br-ex") is instance
    assert found.instance(147, Family.IPV6) is None


def test_an_instance_is_found_only_where_there_is_no_doubt() -> None:
    text = "".join(f"vrrp_instance {name} {{\n interface {name}\n virtual_router_id 1\n}}\n" for name in ("eth0", "eth1"))
    found = parse_text(text)
    assert found.instance(1, Family.IPV4) is None
    assert found.instance(1, Family.IPV4, "eth1") is found.instances[1]
    assert found.instance(1, Family.IPV4, "eth2") is None
