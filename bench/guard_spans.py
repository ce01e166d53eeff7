"""What the secrets and PII guards find on labelled files, and what they report beyond.

    python bench/guard_spans.py --data DIR                     # DIR holds spans/ and trajectories/
    python bench/guard_spans.py --data DIR --reports           # also every report on clean tool messages

A gold span is *found* if every byte of it lies in evidence, *touched* if some do. The target (0.95 found) is on
types that a prefix, a shape or a checksum fixes: `FIXED` names them, and they were listed by what the provider
publishes, not by what is found. Samples of one file are near copies, so files are counted too, and intervals are
bootstrapped over files.

What the figures do not say. The gold of the secrets is one tool's judgement and leaves out values that this tool
takes for placeholders: a report beyond gold is not always wrong. The rules in `providers.toml` were written with the
type names and some samples of that set in view; `--upstream` shows what the rules of gitleaks reach alone. The PII
sentences are synthetic.
"""

import argparse
import gzip
import json
import math
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import msgspec

from policies.guards.pii import PiiGuard, PiiSpec
from policies.guards.secrets import SecretsGuard, SecretsSpec, private_keys
from policies.guards.smuggling import SmugglingGuard, SmugglingSpec
from policies.rule_pack import RulePack, load
from policies.trail import Scene, utf8
from policies.views import views
from policies.vocabulary.findings import Hit
from policies.vocabulary.steps import Part

PII = {
    "EMAIL_ADDRESS": "email",
    "IBAN_CODE": "iban",
    "CREDIT_CARD": "card",
    "US_SSN": "ssn",
    "IP_ADDRESS": "ip",
    "PHONE_NUMBER": "phone",
}
"""Gold types of the PII set that the guard has a type for."""

FIXED_PII = frozenset({"EMAIL_ADDRESS", "IBAN_CODE", "CREDIT_CARD", "US_SSN", "IP_ADDRESS"})

NOT_FIXED = frozenset(
    {
        # Values that only their name or place tells.
        "API",
        "Alibaba Multi",
        "AWS Multi",
        "Auth",
        "Basic Authorization",
        "Bearer Authorization",
        "CMD ConvertTo-SecureString",
        "CMD Password",
        "CMD Secret",
        "CMD Token",
        "CURL Options",
        "CURL User Password",
        "Credential",
        "Dropbox App secret",
        "Google Multi",
        "JSON Web Key",
        "JWK",
        "Jira / Confluence PAT token",
        "Key",
        "Nonce",
        "OTP / 2FA Secret",
        "Password",
        "SQL Password",
        "Salt",
        "Secret",
        "Token",
        "UUID",
        "URL Credentials",
        # Names of accounts, applications and hosts: no secrets.
        "AWS S3 Bucket",
        "Firebase Domain",
        "Salesforce Credentials",
        "Tencent WeChat API App ID",
    }
)
"""Gold types of the secrets set that no published format fixes; all others are fixed."""

TARGET = 0.95
RESAMPLES = 2000


class Examiner(Protocol):
    """What is used of a guard."""

    def examine(self, scene: Scene) -> Sequence[Hit]:
        """Its hits."""
        ...


class Row(msgspec.Struct, frozen=True):
    """One labelled text."""

    id: str
    text: str
    spans: tuple[tuple[int, int, str], ...]
    """Bytes, and the gold type."""


class Upstream:
    """The rules of gitleaks as they are, on the same views."""

    def __init__(self) -> None:
        self._pack = RulePack(load((files("policies.guards") / "data" / "gitleaks.toml").read_text()))

    def find(self, text: str) -> list[tuple[int, int, str]]:
        """Places and rule ids."""
        return [
            (*view.origin(found.start, found.end), found.rule)
            for view in views(text)
            for found in (*self._pack.find(view.data), *private_keys(view.data))
        ]


def rows(path: Path) -> Iterator[Row]:
    for raw in lines(path):
        offsets = [0]
        for char in raw["text"]:
            offsets.append(offsets[-1] + len(utf8(char)))
        spans = tuple([(offsets[span["start"]], offsets[span["end"]], span["type"]) for span in raw["spans"]])
        yield Row(raw["id"], raw["text"], spans)


def lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as opened:
        for line in opened:
            yield json.loads(line)


def evidence(guard: Examiner, text: str) -> list[tuple[int, int, str]]:
    scene = Scene(step=Part(kind="tool_result", text=text))
    return [(place.start, place.end, place.label) for hit in guard.examine(scene) for place in hit.evidence]


class Tally(msgspec.Struct):
    """One gold type."""

    spans: int = 0
    found: int = 0
    touched: int = 0
    files: dict[str, list[int]] = msgspec.field(default_factory=dict[str, list[int]])
    """By file: spans, found."""

    def count(self, file: str, *, found: bool, touched: bool) -> None:
        """Add one span."""
        self.spans += 1
        self.found += found
        self.touched += touched
        seen = self.files.setdefault(file, [0, 0])
        seen[0] += 1
        seen[1] += found

    @property
    def recall(self) -> float:
        """Found of all; not a number where there are none."""
        return self.found / self.spans if self.spans else math.nan


def covered(start: int, end: int, places: Sequence[tuple[int, int, str]]) -> tuple[bool, bool]:
    """Whether all and whether some of a range lies in the places."""
    at, touched = start, False
    for low, high, _ in sorted(places):
        if low < end and start < high:
            touched = True
            at = max(at, high) if low <= at else at
    return at >= end, touched


def interval(tallies: Sequence[Tally]) -> tuple[float, float]:
    """95 % of recalls when files are drawn with replacement."""
    by_file = defaultdict[str, list[int]](lambda: [0, 0])
    for tally in tallies:
        for file, (spans, found) in tally.files.items():
            by_file[file][0] += spans
            by_file[file][1] += found
    drawn, groups = random.Random(7), list(by_file.values())
    recalls = []
    for _ in range(RESAMPLES):
        sample = drawn.choices(groups, k=len(groups))
        recalls.append(sum(found for _, found in sample) / sum(spans for spans, _ in sample))
    recalls.sort()
    return recalls[int(RESAMPLES * 0.025)], recalls[int(RESAMPLES * 0.975)]


def measure(
    labelled: Sequence[Row], find: Callable[[str], list[tuple[int, int, str]]], wanted: Callable[[str], str | None]
) -> tuple[dict[str, Tally], Counter[str], Counter[str]]:
    """Recall by gold type; reports by label, and those of them that touch no gold span.

    `wanted` gives the label that a gold type must be found under; None: any.
    """
    tallies = defaultdict[str, Tally](Tally)
    reports, beyond = Counter[str](), Counter[str]()
    for row in labelled:
        places = find(row.text)
        for start, end, kind in row.spans:
            label = wanted(kind)
            fitting = [place for place in places if label is None or place[2] == label]
            found, touched = covered(start, end, fitting)
            tallies[kind].count(row.id, found=found, touched=touched)
        for low, high, label in places:
            reports[label] += 1
            beyond[label] += not any(low < end and start < high for start, end, _ in row.spans)
    return dict(tallies), reports, beyond


def print_recall(title: str, tallies: dict[str, Tally], fixed: Callable[[str], bool]) -> dict[str, Any]:
    print(f"\n{title}\n{'type':42} {'spans':>6} {'files':>6} {'found':>6} {'touched':>8} {'recall':>7}")
    out: dict[str, Any] = {}
    for wanted, group in ((True, "fixed by prefix, shape or checksum"), (False, "others, without a target")):
        named = sorted((kind for kind in tallies if fixed(kind) == wanted), key=lambda kind: -tallies[kind].spans)
        for kind in named:
            tally = tallies[kind]
            print(
                f"{kind:42} {tally.spans:6} {len(tally.files):6} {tally.found:6} {tally.touched:8} {tally.recall:7.3f}"
            )
        chosen = [tallies[kind] for kind in named]
        if not chosen:
            continue
        spans, found = sum(tally.spans for tally in chosen), sum(tally.found for tally in chosen)
        low, high = interval(chosen)
        types = sum(tally.recall for tally in chosen) / len(chosen)
        print(f"= {group}: {found}/{spans} = {found / spans:.3f} [{low:.3f}, {high:.3f}]; mean over types {types:.3f}")
        out[group] = {
            "spans": spans,
            "found": found,
            "recall": found / spans,
            "interval": [low, high],
            "mean_over_types": types,
            "types": {kind: [tallies[kind].spans, tallies[kind].found, tallies[kind].touched] for kind in named},
        }
    return out


def print_precision(reports: Counter[str], beyond: Counter[str]) -> dict[str, Any]:
    total, outside = sum(reports.values()), sum(beyond.values())
    print(f"reports {total}, beyond gold {outside}, precision against gold {1 - outside / max(total, 1):.3f}")
    print(
        "  beyond gold: " + (", ".join(f"{label} {count}" for label, count in beyond.most_common() if count) or "none")
    )
    return {"reports": dict(reports), "beyond_gold": {label: count for label, count in beyond.items() if count}}


def clean_messages(data: Path) -> Iterator[tuple[str, str]]:
    """Every tool result of every run that holds no injected text, with the file it is from."""
    for path in sorted((data / "trajectories").glob("*.jsonl.gz")):
        for run in lines(path):
            contaminated = {span["message"] for span in run["gold"]["contaminated"]}
            for at, message in enumerate(run["messages"]):
                if message["role"] == "tool" and at not in contaminated:
                    yield path.name.partition(".")[0], message["content"] or ""


def print_clean(data: Path, guards: dict[str, Examiner], *, every: bool) -> dict[str, Any]:
    """What is reported on clean tool messages: values, to be judged by hand."""
    messages = Counter[tuple[str, str]](clean_messages(data))
    print(f"\nclean tool messages: {messages.total()}, of which {len(messages)} differ")
    out: dict[str, Any] = {"messages": messages.total(), "different": len(messages)}
    for name, guard in guards.items():
        values = defaultdict[str, Counter[str]](Counter)
        for (_, text), times in messages.items():
            raw = utf8(text)
            for start, end, label in evidence(guard, text):
                values[label][raw[start:end].decode("utf-8", "replace")] += times
        told = {label: (seen.total(), len(seen)) for label, seen in values.items()}
        print(f"{name}: " + (", ".join(f"{k}: {n} reports of {d} values" for k, (n, d) in told.items()) or "no report"))
        out[name] = {label: dict(seen) for label, seen in values.items()}
        if every:
            for label, seen in values.items():
                for value, times in sorted(seen.items()):
                    print(f"    {label} {times:5} {value!r}")
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with spans/ and trajectories/")
    parser.add_argument("--reports", action="store_true", help="print every value reported on clean tool messages")
    parser.add_argument("--upstream", action="store_true", help="also what the rules of gitleaks reach alone")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    out = found_on(options.data, every=options.reports, upstream=options.upstream)
    if options.json:
        options.json.write_text(json.dumps(out, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    short = [name for name, figure in out.get("targets", {}).items() if figure < TARGET]
    if short:
        sys.exit(f"below {TARGET}: {', '.join(short)}")


def found_on(data: Path, *, every: bool, upstream: bool) -> dict[str, Any]:
    secrets, pii = SecretsGuard(SecretsSpec()), PiiGuard(PiiSpec())
    smuggling = SmugglingGuard(SmugglingSpec())
    labelled = list(rows(data / "spans" / "secrets.jsonl.gz"))
    tallies, reports, beyond = measure(labelled, lambda text: evidence(secrets, text), lambda _: None)
    out: dict[str, Any] = {"secrets": print_recall("secrets", tallies, lambda kind: kind not in NOT_FIXED)}
    out["secrets"] |= print_precision(reports, beyond)
    if upstream:
        alone, _, _ = measure(labelled, Upstream().find, lambda _: None)
        out["upstream"] = print_recall("secrets, rules of gitleaks alone", alone, lambda kind: kind not in NOT_FIXED)
    people = list(rows(data / "spans" / "pii.jsonl.gz"))
    tallies, reports, beyond = measure(people, lambda text: evidence(pii, text), lambda kind: PII.get(kind, "none"))
    known = {kind: tally for kind, tally in tallies.items() if kind in PII}
    out["pii"] = print_recall("pii", known, FIXED_PII.__contains__) | print_precision(reports, beyond)
    out["clean"] = print_clean(data, {"secrets": secrets, "pii": pii, "smuggling": smuggling}, every=every)
    group = "fixed by prefix, shape or checksum"
    out["targets"] = {"secrets": out["secrets"][group]["recall"]}
    out["targets"] |= {kind: known[kind].recall for kind in sorted(FIXED_PII) if kind in known}
    return out


if __name__ == "__main__":
    main()
