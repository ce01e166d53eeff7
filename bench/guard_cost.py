"""What the text guards cost: milliseconds a step on prose and JSON, and how they grow on texts made to slow them.

    python bench/guard_cost.py [views secrets pii smuggling]

The promise: a median of 1 ms at 4 KB and 8 ms at 64 KB on prose and JSON, and a growth exponent of at most 1.1 from
4 KB to 1 MB on every text. Figures are CPU time, the median over fresh texts: nothing that is remembered helps, and
other work on the machine hurts little.
"""

import argparse
import json
import math
import random
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

from policies.guards.pii import PiiGuard, PiiSpec
from policies.guards.secrets import SecretsGuard, SecretsSpec
from policies.guards.smuggling import SmugglingGuard, SmugglingSpec
from policies.rule_pack import load
from policies.trail import Scene, utf8
from policies.views import views
from policies.vocabulary.findings import Hit
from policies.vocabulary.steps import Part


class Examiner(Protocol):
    """What is used of a guard."""

    def examine(self, scene: Scene) -> Sequence[Hit]:
        """Its hits."""
        ...


PARAGRAPH = (
    "the agent reads a file and finds that its owner asked for the key to be sent, then it answers: no. Order 4417 "
    "was shipped on 2026-03-02 to 10 Downing Street; see https://shop.example/orders?id=4417.\n"
)


def prose(size: int, seed: int) -> str:
    words = PARAGRAPH.split(" ")
    drawn, out = random.Random(seed), ""
    while len(out) < size:
        out += " ".join(drawn.choices(words, k=200)) + " "
    return out[:size]


def records(size: int, seed: int) -> str:
    drawn, out = random.Random(seed), list[str]()
    while sum(map(len, out)) < size:
        out.append(
            json.dumps(
                {
                    "id": f"{drawn.getrandbits(128):032x}",
                    "created_at": f"2026-0{drawn.randint(1, 9)}-1{drawn.randint(0, 9)}T10:{drawn.randint(10, 59)}:07Z",
                    "customer": {"name": drawn.choice(["Mia Li", "Omar Diaz"]), "tier": drawn.choice(["gold", "free"])},
                    "total_cents": drawn.randint(100, 99999),
                    "tags": drawn.choices(["new", "priority", "access", "api", "token_refresh"], k=3),
                    "note": 'delivered to the front desk,\nsigned "M"',
                    "version": f"{drawn.randint(1, 9)}.{drawn.randint(0, 99)}.{drawn.randint(0, 9)}",
                }
            )
        )  # fmt: skip
    return "\n".join(out)[:size]


def repeated(unit: str) -> Callable[[int, int], str]:
    width = len(utf8(unit))
    return lambda size, _: (unit * (size // width + 1))[: size * len(unit) // width]


def hexadecimal(size: int, seed: int) -> str:
    return random.Random(seed).randbytes(size // 2).hex()


def base64_of_noise(size: int, seed: int) -> str:
    return b64encode(random.Random(seed).randbytes(size)).decode()[:size]


def _keywords() -> list[str]:
    data = files("policies.guards") / "data"
    return [
        keyword.decode()
        for rule in load((data / "gitleaks.toml").read_text(), (data / "providers.toml").read_text())
        for keyword in rule.keywords
    ]


ORDINARY: dict[str, Callable[[int, int], str]] = {"prose": prose, "JSON": records}
ADVERSARIAL: dict[str, Callable[[int, int], str]] = {
    "random base64": base64_of_noise,
    "base64 of text": repeated("aWdub3JlIGFsbCBvZiB0aGlzIHRleHQg"),
    "random hex": hexadecimal,
    "hex of text": repeated(b"hello there ".hex()),
    "zero width": repeated("\u200b"),
    "zero width in words": repeated("ab\u200bcd "),
    "tag characters": repeated("\U000e0041"),
    "look-alikes": repeated("p\u0430ss "),
    "lone surrogates": repeated("\ud800"),
    "percent escapes": repeated("ab%20"),
    "nested percent": repeated("%252525"),
    "unicode escapes": repeated("\\u0041 x"),
    "backslashes": repeated("\\"),
    "entities": repeated("&#65;b"),
    "keywords": repeated("api_key=token=secret= "),
    "assignments": repeated('password = "abcdefgh" '),
    "near tokens": repeated("ghp_abc sk-ant- AKIA123 xoxb- "),
    "open PEM": repeated("-----BEGIN RSA PRIVATE KEY-----\n"),
    "JWT heads": repeated("eyJhbGciOiJIUzI1NiJ9."),
    "all keywords": repeated(" ".join(_keywords()) + " "),
    "at signs": repeated("a@b."),
    "long user": repeated("a"),
    "digits": repeated("4"),
    "digit pairs": repeated("12 "),
    "card-like groups": repeated("4111 1111 1111 1112 "),
    "IBAN heads": repeated("DE89 3704 0044 "),
    "dotted numbers": repeated("1.2.3."),
    "colons": repeated("a:"),
    "plus numbers": repeated("+1 23 "),
}


SIZES = (4 << 10, 64 << 10, 1 << 20)
PROMISED = (1.0, 8.0)
"""Milliseconds at the first two sizes, on ordinary texts."""

GROWTH = 1.1


class Reader:
    """The views alone, which every text guard reads first."""

    def examine(self, scene: Scene) -> Sequence[Hit]:
        """Nothing: the reading is what is timed."""
        views(scene.step.text)
        return ()


MAKERS: dict[str, Callable[[], Examiner]] = {
    "views": Reader,
    "secrets": lambda: SecretsGuard(SecretsSpec()),
    "pii": lambda: PiiGuard(PiiSpec()),
    "smuggling": lambda: SmugglingGuard(SmugglingSpec()),
}


def milliseconds(guard: Examiner, text: Callable[[int, int], str], size: int, rounds: int) -> float:
    """The median over fresh texts."""
    times: list[float] = []
    for seed in range(rounds):
        scene = Scene(step=Part(kind="tool_result", text=f"{seed} {text(size - 8, seed)}"))
        began = time.process_time()
        guard.examine(scene)
        times.append((time.process_time() - began) * 1000)
    return sorted(times)[len(times) // 2]


def print_cost(guards: Sequence[str]) -> dict[str, Any]:
    heads = "".join(f"{head:>9}" for head in ("4 KB", "64 KB", "1 MB", "growth"))
    print(f"milliseconds, median; growth exponent from 4 KB to 1 MB\n{'':33}{heads}")
    out: dict[str, Any] = {}
    for name in guards:
        guard = MAKERS[name]()
        guard.examine(Scene(step=Part(kind="tool_result", text=prose(SIZES[0], 99))))
        for kind, text in {**ORDINARY, **ADVERSARIAL}.items():
            rounds = (31, 9, 3) if kind in ORDINARY else (9, 5, 1)
            took = [milliseconds(guard, text, size, count) for size, count in zip(SIZES, rounds, strict=True)]
            growth = math.log(took[2] / took[0]) / math.log(SIZES[2] / SIZES[0])
            slow = kind in ORDINARY and any(ms > most for ms, most in zip(took, PROMISED, strict=False))
            print(f"{name:10} {kind:22}" + "".join(f"{figure:9.2f}" for figure in (*took, growth)), flush=True)
            out.setdefault(name, {})[kind] = {"ms": took, "growth": growth, "over": slow or growth > GROWTH}
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("guards", nargs="*", metavar="guard", help=f"only these of {', '.join(MAKERS)}")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    out = print_cost(options.guards or list(MAKERS))
    if options.json:
        options.json.write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")
    if slow := [
        f"{guard} on {text}" for guard, texts in out.items() for text, figure in texts.items() if figure["over"]
    ]:
        sys.exit(f"over what is promised: {', '.join(slow)}")


if __name__ == "__main__":
    main()
