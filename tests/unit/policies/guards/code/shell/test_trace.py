"""What a script would run, and what flows where."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.guards.code.shell.syntax import HOME, UNKNOWN
from policies.guards.code.shell.trace import trace, trace_program


def runs(text: str) -> list[list[str]]:
    return [[each.name, *(field.text for field in each.args)] for each in trace(text).invocations]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x=a; y=$x; z $y${y}b", ["z", "aab"]),
        ("x='a b'; z $x \"$x\"", ["z", "a", "b", "a b"]),
        ("x=a; x+=b; z $x", ["z", "ab"]),
        ("a=(p 'q r'); z \"${a[@]}\"", ["z", "p", "q r"]),
        ("z {a,b}{1..3}", ["z", "a1", "a2", "a3", "b1", "b2", "b3"]),
        ("z ~/a \"$HOME\" '~'", ["z", f"{HOME}/a", HOME, "\ue006"]),
        ("z $unset a$unset", ["z", UNKNOWN, f"a{UNKNOWN}"]),
        ("z ${u:-d} ${u:+e}", ["z", "d", "e"]),
        ("x=abcdef; z ${x:1:2} ${x#ab} ${x%ef} ${x/cd/X} ${x^^}", ["z", "bc", "cdef", "abcd", "abXef", "ABCDEF"]),
        ("z $(echo a; echo b)", ["z", "a", "b"]),
        ("z \"$(printf '%s-%s' a b)\"", ["z", "a-b"]),
        ("z $(echo 6869 | xxd -r -p) $(echo aGk= | base64 -d) $(echo ih | rev) $(echo uv | tr a-z n-za-m)", None),
        ("z $(which a) $(command -v b)", ["z", "a", "b"]),
        ("z $'\\x61\\142\\u0063\\n'", ["z", "abc\n"]),
    ],
)
def test_values_are_followed(text: str, expected: list[str] | None) -> None:
    (found,) = [run for run in runs(text) if run[0] == "z"]
    assert found == (expected or ["z", "hi", "hi", "hi", "hi"])


@pytest.mark.parametrize(
    "text",
    [
        "sudo -u root -E z a",
        "env -u X A=1 B=2 z a",
        "env -S 'z a'",
        "nohup nice -n 5 ionice -c 3 z a",
        "timeout -s KILL 5 z a",
        "command -p z a",
        "exec -a name z a",
        "busybox z a",
        "xargs -n 1 -I{} z a",
        "stdbuf -oL setsid time -p z a",
        "/usr/bin/z a",
        "find . -name x -exec z a \\;",
        "sh -c 'z a'",
        "bash -lc 'z a'",
        "bash -o pipefail -c 'z a'",
        "su root -c 'z a'",
        "ssh -p 22 host z a",
        "docker exec -it web sh -c 'z a'",
        "kubectl exec pod -- z a",
        "watch -n 1 z a",
        "trap 'z a' EXIT",
        "eval z a",
        "echo z a | sh",
        "sh <<< 'z a'",
        "sh -s <<'E'\nz a\nE",
        "echo z a > f; . ./f",
        "x() { z $1; }; x a",
        "coproc z a",
        "! z a",
    ],
)
def test_whatever_starts_a_program_is_taken_away(text: str) -> None:
    assert ["z", "a"] in [run[:2] for run in runs(text)]


def test_a_program_started_without_a_shell_takes_its_words_as_they_are() -> None:
    (found,) = trace_program(["z", "*", "$x", "a b"]).invocations
    assert found.words == ["*", "$x", "a b"]


@pytest.mark.parametrize(
    ("text", "taint"),
    [
        ("curl x | z", "download"),
        ("z $(curl x)", "download"),
        ("x=$(wget -qO- y); z $x", "download"),
        ("curl x -o f; cat f | z", "download"),
        ("curl x > f; z < f", "download"),
        ("(curl x; ls) | grep a | z", "download"),
        ("while read l; do curl $l; done | z", "download"),
        ("cat ~/.ssh/id_rsa | gzip | z", "secret"),
        ("cp ~/.aws/credentials k; z -T k", "secret"),
        ("z < /etc/shadow", "secret"),
        ("env | z", "environment"),
        ("set | z", "environment"),
        ("cat .env | z", "settings"),
        ("base64 -d f | z", "decoded"),
    ],
)
def test_what_flows_into_a_program_is_known(text: str, taint: str) -> None:
    found = next(each for each in trace(text).invocations if each.name == "z")
    assert taint in found.stdin.taints | found.taints


@pytest.mark.parametrize(
    "text", ["curl -o f x | z", "cat id_rsa.pub | z", "env A=1 y | z", "set -e | z", "cat f > g | z"]
)
def test_what_does_not_flow_is_not_said_to(text: str) -> None:
    found = next(each for each in trace(text).invocations if each.name == "z")
    assert not found.stdin.taints | found.taints


GROWING = ["a=$a$a;", "f(){ g; g; };g(){ f; f; };f;", "cat a a >> b; cat b b >> a;", 'x=abcdefgh; eval "$x";']
GROWING += ["for a in 1 2 3 4 5 6 7 8; do ", "{a,b}", "$(a)", "echo a | xargs ", "a | ", "sh -c ", "`a`", "a;"]


@pytest.mark.parametrize("unit", GROWING)
def test_no_script_makes_values_grow_without_end(unit: str) -> None:
    short, long = unit * (1024 // len(unit)), unit * (8192 // len(unit))
    assert spent(long) < 8 * 4 * max(spent(short), 0.004)


def spent(text: str) -> float:
    """Seconds of CPU, the best of three."""
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        trace(text)
        best = min(best, time.process_time() - began)
    return best


@given(st.text(alphabet="abz $(){}[]'\"`\\;|&<>\n=#*?!~-/1", max_size=80))
def test_any_script_is_followed_without_failing(text: str) -> None:
    trace(text)
