"""The language: what keepalived.conf(5) promises of comments, quotes, definitions, conditions, sequences and includes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from observer.keepalived import Configuration, load, parse_text
from observer.model.errors import ConfigError

AROUND = "vrrp_instance a {{\n interface eth0\n virtual_router_id 1\n{}\n}}\n"


def addresses(body: str, before: str = "", config_id: str | None = None) -> list[str]:
    text = before + AROUND.format(f"virtual_ipaddress {{\n{body}\n}}")
    (instance,) = parse_text(text, config_id=config_id).instances
    return [item.address for item in instance.addresses]


def priority(body: str, before: str = "", config_id: str | None = None) -> int:
    (instance,) = parse_text(before + AROUND.format(body), config_id=config_id).instances
    return instance.priority


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("priority 7", 7),
        ("priority 7 # eight", 7),
        ("priority 7!8", 7),
        ('priority "7"', 7),
        ('priority " 7"', 7),
        ("\tpriority\t7\r", 7),
        ("# priority 7", 100),
        ("! priority 7", 100),
        ("priority 0", 100),
        ("priority 256", 100),
        ("priority seven", 100),
        ("priority", 100),
        ("priority 7 8", 7),
        ("priority 7\npriority 9", 9),
        ("@one priority 7", 7),
        ("@two priority 7", 100),
        ("@^one priority 7", 100),
        ("@^two priority 7", 7),
        ("@one", 100),
    ],
)
def test_lines(line: str, value: int) -> None:
    assert priority(line, config_id="one") == value


def test_conditions_without_an_id_never_match_and_their_negation_always_does() -> None:
    assert priority("@one priority 7") == 100
    assert priority("@^one priority 7") == 7


@pytest.mark.parametrize(
    ("before", "use", "value"),
    [
        ("$P=7\n", "priority $P", 7),
        ("$P=7\n", "priority ${P}", 7),
        ("$P=7\n", "priority ${P}1", 71),
        ("$P=7\n", "priority $P1", 100),
        ("  $P= 7 # why\n", "priority $P", 7),
        ("$P=$Q\n$Q=7\n", "priority $P", 7),
        ("$P=7\n$P=8\n", "priority $P", 8),
        ("@one $P=7\n@two $P=8\n", "priority $P", 7),
        ("$IF=@one\n", "$IF priority 7", 7),
        ("$IF=@two\n", "$IF priority 7", 100),
        ("$L=priority 7\n", "$L", 7),
        ("$L= \\\npriority 7 \\\n# a comment\nadvert_int 2\n", "$L", 7),
        ("$E=\n", "priority 7$E\npriority 7 $E", 7),
        ("", "priority $P", 100),
        ("$P=7\n", "priority ${_INSTANCE}\npriority $P", 7),
    ],
)
def test_definitions(before: str, use: str, value: int) -> None:
    assert priority(use, before, "one") == value


def test_definitions_of_several_lines_within_each_other_keep_their_order() -> None:
    before = "$IN=10.0.0.1 \\\n10.0.0.2 \\\n10.0.0.3\n\n$OUT=$IN \\\n10.0.0.4 \\\n10.0.0.5\n\n"
    assert addresses("$OUT", before) == [f"10.0.0.{last}" for last in range(1, 6)]


def test_a_blank_line_ends_a_definition_and_a_comment_does_not() -> None:
    before = "$D=10.0.0.1 \\\n# a comment\n10.0.0.2 \\\n\n$E=10.0.0.3\n"
    assert addresses("$D\n$E", before) == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("~SEQ(A, 3) 10.0.0.$A", [1, 2, 3]),
        ("~SEQ(A, 5, 7) 10.0.0.$A", [5, 6, 7]),
        ("~SEQ(A, 7, 5) 10.0.0.$A", [7, 6, 5]),
        ("~SEQ(A, 5, 2, 10) 10.0.0.${A}", [5, 7, 9]),
        ("~SEQ (A,0x10,020) 10.0.0.$A", [16]),
        ("~SEQ(A,1,2)~SEQ(B,3,4) 10.0.0.${A}${B}", [13, 14, 23, 24]),
        ("~LST(A, 3, 1, 3) 10.0.0.$A", [3, 1, 3]),
        ("~LST({A,B}, {1,2}, {3, 4}) 10.0.0.${A}${B}", [12, 34]),
        ("~LST({A,B}, {1}, 3) 10.0.0.${A}${B}", [1, 3]),
        ("$N=2\n~SEQ(A, 1, $N) 10.0.0.$A", [1, 2]),
        ("$S=~SEQ(A, 1, 2) 10.0.0.${A}\n$S", [1, 2]),
    ],
)
def test_sequences(lines: str, expected: list[int]) -> None:
    assert addresses(lines) == [f"10.0.0.{last}" for last in expected]


def test_hexadecimal_sequence_and_predefined_names() -> None:
    assert addresses("~SEQx(A, 14, 17) fe80::$A") == ["fe80::e", "fe80::f", "fe80::10", "fe80::11"]
    assert addresses("fe80::${_INSTANCE}", config_id="5") == ["fe80::5"]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("vrrp_instance a {\n", 1, "not closed"),
        ("\nvrrp_instance a {\n}\n}\n", 4, "too many"),
        ("{\n}\n", 1, "without a keyword"),
        ('a "b\n', 1, "quote"),
        ("~SEQ(A) a\n", 1, "~SEQ"),
        ("~SEQ(A, 1, 0, 5) a\n", 1, "step"),
        ("~SEQ(A, 1, -1, 5) a\n", 1, "step"),
        ("~SEQx(A, -1, 5) a\n", 1, "positive"),
        ("~SEQ(A, x) a\n", 1, "numbers"),
        ("~LST(A) a\n", 1, "~LST"),
        ("~LST(A, {1, 2}) a\n", 1, "~LST"),
        ("~MAP(A, 1) a\n", 1, "~SEQ, ~SEQx and ~LST"),
        ("$A=$A\n\n$A\n", 3, "without end"),
        ("$A=x${A}\n${A}\n", 2, "without end"),
        ("$A=a \\\n$A\n\n$A\n", 4, "lines after expansion"),
        ("$A=1 \\\n2\n~SEQ(B, $A\n", 3, "~SEQ"),
        ("\n~SEQ(A, 999999999) ~SEQ(B, 999999999) a\n", 2, "lines after expansion"),
        ("includer nothing.conf\n", 1, "no file"),
        ("a {\n" * 40, 33, "deeply"),
    ],
)
def test_broken_files_are_named_with_their_line(text: str, line: int, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_text(text, "here/my.conf")
    message = str(raised.value)
    assert re.fullmatch(rf"here/my\.conf:{line}: [^;\n]+; [^\n]+", message)
    assert says in message


def test_an_error_in_an_include_names_that_file(tmp_path: Path) -> None:
    (tmp_path / "main.conf").write_text("\ninclude parts/*.conf\n")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "one.conf").write_text("\n\n}\n")
    with pytest.raises(ConfigError, match=r"parts/one\.conf:3: "):
        load(tmp_path / "main.conf")


def test_an_include_of_itself_ends(tmp_path: Path) -> None:
    (tmp_path / "main.conf").write_text("include main.conf\n")
    with pytest.raises(ConfigError, match=r"main\.conf:1: .*too deep"):
        load(tmp_path / "main.conf")


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.conf: No such file.*; check"):
        load(tmp_path / "nowhere.conf")
    with pytest.raises(ConfigError, match=r"Is a directory.*; check"):
        load(tmp_path)
    (tmp_path / "main.conf").write_text("include a*{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}\n")
    with pytest.raises(ConfigError, match=r"main\.conf:1: include: the pattern"):
        load(tmp_path / "main.conf")


def test_files_are_listed_in_the_order_read(tmp_path: Path) -> None:
    includes = 'include b.conf\ninclude "a.conf"\n# include c.conf\ninclude nothing*\n'
    (tmp_path / "main.conf").write_text(includes + AROUND.format(""))
    (tmp_path / "a.conf").write_text("")
    (tmp_path / "b.conf").write_text("include a.conf\n")
    found = load(tmp_path / "main.conf", "")
    assert [Path(name).name for name in found.files] == ["main.conf", "b.conf", "a.conf", "a.conf"]
    (problem,) = found.problems
    assert problem.endswith("main.conf:4: include matches no file; nothing was included")


def test_keywords_of_others_are_counted_and_do_no_harm() -> None:
    text = "virtual_server 10.0.0.1 80 {\n delay_loop 6\n real_server 10.0.0.2 80 {\n  weight 1\n }\n}\n" + AROUND.format(
        " priority 7\n brand_new {\n  priority 9\n }\n another one"
    )
    found = parse_text(text)
    assert found.instances[0].priority == 7
    assert found.ignored == 4 + 3
    assert found.problems == ()


def test_line_numbers() -> None:
    found = parse_text("\n# one\nvrrp_script s {\n}\n\nvrrp_sync_group g { group { a }\n}\n" + AROUND.format(""), "x.conf")
    places = [(item.file, item.line) for item in (*found.checks, *found.sync_groups, *found.instances)]
    assert places == [("x.conf", 3), ("x.conf", 6), ("x.conf", 8)]


def test_an_empty_file_says_nothing() -> None:
    assert parse_text("") == Configuration((), (), (), 2, None, ("keepalived.conf",), 0, ())


def test_a_random_value_is_a_problem_and_not_a_number_to_trust() -> None:
    found = parse_text(AROUND.format(" priority ${_RANDOM 10 20}"))
    assert found.instances[0].priority == 10
    assert "_RANDOM" in found.problems[0]
