"""A gateway's own critiques against what persons said of the same steps (`stepwarden label`). Asks no model.

Of the monitor's critiques alone: what the gate says of a call names no recorded step.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from bench.supervisor_scores import kappa
from gateway.cli.client import ApiClient
from policies.reliability import wilson

Json: TypeAlias = dict[str, Any]

_MOST: Final = 10_000
_VIOLATION: Final = 75


class Pair(msgspec.Struct, frozen=True):
    """One labelled step: what the supervisor gave it, and whether a person called it a violation."""

    score: int
    bad: bool


def pairs_of(labels: Iterable[Json], critiques: Mapping[str, Sequence[Json]]) -> list[Pair]:
    """Every label that a critique answers, by the newest that does; `critiques` by session, oldest first."""
    found: list[Pair] = []
    for label in labels:
        scores = [
            _score(opinion, label["step_id"])
            for critique in critiques.get(label["session_id"] or "", ())
            if label["step_id"] in critique["steps"] and critique["failure"] is None
            for opinion in critique["opinions"]
            if label["clause"] in (None, opinion["clause"])
        ]
        if scores:
            worst = max(scores) if label["clause"] is None else scores[-1]
            found.append(Pair(worst, label["label"] == "violation"))
    return found


def _score(opinion: Json, step_id: str) -> int:
    """What an opinion on several steps says of one of them: nothing where it means another one."""
    meant = {quote["step_id"] for quote in opinion["quotes"]} | {opinion["first_bad_step"]}
    return opinion["score"] if opinion["label"] == "ok" or step_id in meant else 0


def agreement(labels: Sequence[Json], pairs: Sequence[Pair]) -> Json:
    """Agreement, precision and recall at the anchor of a likely violation, over the labelled steps."""
    said = [(pair.score >= _VIOLATION, pair.bad) for pair in pairs]
    hits = sum(one and other for one, other in said)
    called, bad = sum(one for one, _ in said), sum(other for _, other in said)
    return {
        "labels": len(labels),
        "answered": len(pairs),
        "violations": bad,
        "kappa": kappa(said),
        "precision": _share(hits, called),
        "recall": _share(hits, bad),
    }


def _share(hits: int, of: int) -> Json:
    return {"hits": hits, "of": of, "share": hits / of if of else None, "interval": wilson(hits, of)}


def read(api: ApiClient) -> tuple[list[Json], dict[str, list[Json]]]:
    """Labels and critiques of a gateway."""
    labels: list[Json] = api.get("/api/labels", limit=_MOST)["labels"]
    sessions = {label["session_id"] for label in labels if label["session_id"]}
    return labels, {name: api.get(f"/api/sessions/{name}/critiques")["critiques"] for name in sorted(sessions)}
