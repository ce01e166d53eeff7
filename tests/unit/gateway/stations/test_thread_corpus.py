"""Every scenario of tests/corpus/threads, told as a transcript and checked step by step.

A `do` either asks (`say`), ends an earlier request (`finish`) or restarts the gateway (`restart`). A message is
"voice: text" (s, u, a, t); "@e1" stands for the messages of request e1 followed by its reply. `choices` are the
other choices of the reply. `expect` names sessions, branches and parents by labels: equal labels must be equal ids,
different labels different ids.
"""

import tomllib
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.stations.asks import Ask, Done
from gateway.stations.states import scope_of
from gateway.stations.thread import Threader
from gateway.wire.fingerprint import is_telling
from policies.vocabulary.sessions import Join
from policies.vocabulary.steps import Part

CORPUS = Path(__file__).parents[3] / "corpus" / "threads"
VOICES = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
ASK_FIELDS = {
    "provider", "explicit_session", "agent_session", "agent_id", "parent_agent_id", "agent_name", "conversation_id",
    "previous_response_id", "user_id", "session_hint", "prompt_cache_key", "retry",
}  # fmt: skip
DO_FIELDS = ASK_FIELDS | {
    "id", "at", "app", "key", "say", "lead", "trace", "results", "expect", "finish", "reply", "failed", "broken",
    "choices", "calls", "offered", "response_id", "reply_conversation", "restart", "capacity",
}  # fmt: skip


def digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16).digest()


def words(text: str) -> bytes:
    return digest(" ".join(text.split()))


class Row(msgspec.Struct, frozen=True, kw_only=True):
    state: bytes
    session_id: str
    branch_id: str
    parent_branch_id: str | None
    exchange_id: str
    reply_fingerprint: bytes | None
    complete: bool
    taken: bool
    derived: bool
    name: str | None
    at_ns: int
    app: str
    key_id: str | None
    agent_name: str | None
    trace_id: bytes
    branch_span_id: bytes


def _stood_on(old: Row, new: Row) -> Row:
    branch = (new.session_id, new.branch_id)
    taken = old.taken or (old.complete and (old.session_id, old.branch_id) == branch)
    return msgspec.structs.replace(old, taken=taken)


class Shelf:
    """A store that keeps its rows in a list."""

    def __init__(self) -> None:
        self.rows: list[tuple[Row, str | None]] = []
        self.asked: list[int] = []

    def put(self, row: Row, response_id: str | None) -> None:
        if row.complete:
            self.rows = [(_stood_on(old, row), given) for old, given in self.rows]
        self.rows.append((row, response_id))

    def find_states(self, states: Sequence[bytes]) -> list[Row]:
        self.asked.append(len(states))
        return [row for row, _ in reversed(self.rows) if row.state in states]

    def find_response(self, response_id: str) -> Row | None:
        return next((row for row, given in reversed(self.rows) if given == response_id), None)

    def find_named(self, session_id: str) -> Row | None:
        return next((row for row, _ in self.rows if row.session_id == session_id), None)


class Play:
    """One scenario on stage."""

    def __init__(self) -> None:
        self.shelf = Shelf()
        self.count = 0
        self.capacity = 1000
        self.labels: dict[tuple[str, str], Any] = {}
        self.told: dict[str, list[str]] = {}
        self.asked: dict[str, tuple[Ask, Join, bytes, dict[str, Any]]] = {}
        self.rise()

    def rise(self) -> None:
        self.threader = Threader(
            self.shelf, new_id=self.new_id, new_span=lambda size: self.new_id().encode().rjust(size, b"0")[-size:],
            capacity=self.capacity,
        )  # fmt: skip

    def new_id(self) -> str:
        self.count += 1
        return f"id{self.count:06d}"

    def messages(self, said: list[str]) -> Iterator[str]:
        for line in said:
            if line.startswith("@"):
                yield from self.told[line[1:]]
            else:
                yield line

    def ask(self, do: dict[str, Any], name: str) -> None:
        lines = list(self.messages(do.get("say", [])))
        voices = tuple(VOICES[line[0]] for line in lines)
        texts = [line[3:] for line in lines]
        run = [at for at, voice in enumerate(voices) if voice == "assistant"]
        first = run[-1] if run else 0
        while first and voices[first - 1] == "assistant":
            first -= 1
        opening = next((text for text, voice in zip(texts, voices, strict=True) if voice == "user"), None)
        ask = Ask(
            exchange_id=name,
            at_ns=int(do.get("at", len(self.asked)) * 10**9),
            scope=scope_of(do.get("app", "app"), do.get("key", "key")),
            dialect="any",
            trace=(words(do["trace"]), b"parentid") if "trace" in do else None,
            voices=voices,
            digests=tuple(digest(line) for line in lines),
            lead=digest(do["lead"]) if do.get("lead") else b"",
            last_run=(first, words(" ".join(texts[first : run[-1] + 1]))) if run else None,
            opening=words(opening) if opening is not None and not run else None,
            results=tuple(do.get("results", ())),
            **{field: do[field] for field in ASK_FIELDS & do.keys()},
        )
        join, state = self.threader.join(ask)
        assert len(state) == 16
        self.told[name] = lines
        self.asked[name] = (ask, join, state, do)
        if "expect" in do:
            self.check(name, join, do["expect"])
        if "reply" in do or do.get("failed") or do.get("broken"):
            self.finish(do, name)

    def finish(self, do: dict[str, Any], name: str) -> None:
        reply = do.get("reply")
        ask, join, state, asked = self.asked[name]
        complete = not do.get("broken")
        fingerprints = tuple(words(text) for text in (reply, *do.get("choices", ())) if text is not None)
        self.threader.finish(
            Done(
                exchange_id=name,
                complete=complete,
                failed=bool(do.get("failed")),
                fingerprints=fingerprints,
                telling=len(fingerprints) == 1 and is_telling([Part(kind="model_text", text=reply or "")]),
                response_id=do.get("response_id"),
                conversation_id=do.get("reply_conversation"),
                calls=tuple(do.get("calls", ())),
                offered=tuple(words(text) for text in do.get("offered", ())),
            )
        )
        if reply is not None:
            self.told[name] = [*self.told[name], f"a: {reply}"]
        row = Row(
            state=state, session_id=join.session_id, branch_id=join.branch_id, parent_branch_id=join.parent_branch_id,
            exchange_id=name, reply_fingerprint=b"".join(fingerprints) or None,
            complete=complete and not do.get("failed"), taken=False, derived=join.derived, name=join.name,
            at_ns=ask.at_ns, app=asked.get("app", "app"), key_id=asked.get("key", "key"), agent_name=join.agent_name,
            trace_id=join.trace_id, branch_span_id=join.branch_span_id,
        )  # fmt: skip
        self.shelf.put(row, do.get("response_id"))

    def check(self, name: str, join: Join, expect: dict[str, Any]) -> None:
        told = f"{name}: {join}"
        for field, value in expect.items():
            if field in ("session", "branch", "parent", "span", "trace"):
                kind = {"parent": "branch"}.get(field, field)
                found = {
                    "session": join.session_id, "branch": join.branch_id, "parent": join.parent_branch_id,
                    "span": join.branch_span_id, "trace": join.trace_id,
                }[field]  # fmt: skip
                if value == "":
                    assert found is None, told
                    continue
                assert self.labels.setdefault((kind, value), found) == found, (field, value, told)
                same = [label for (of, label), known in self.labels.items() if of == kind and known == found]
                assert same == [value], (field, same, told)
            elif field == "replaces":
                assert list(join.replaces) == value, told
            else:
                assert getattr(join, field) == value, (field, value, told)

    def run(self, steps: list[dict[str, Any]]) -> None:
        for number, do in enumerate(steps, 1):
            assert do.keys() <= DO_FIELDS, do.keys() - DO_FIELDS
            if do.get("restart"):
                self.capacity = do.get("capacity", self.capacity)
                self.rise()
            elif "finish" in do:
                self.finish(do, do["finish"])
            else:
                self.ask(do, do.get("id", f"e{number}"))


def scenarios() -> list[Any]:
    return [pytest.param(path, id=path.stem) for path in sorted(CORPUS.glob("*.toml"))]


@pytest.mark.parametrize("path", scenarios())
def test_each_conversation_becomes_the_expected_tree(path: Path) -> None:
    scenario = tomllib.loads(path.read_text())
    assert scenario["promise"]
    assert any("expect" in do for do in scenario["do"])
    Play().run(scenario["do"])


def test_the_corpus_is_there() -> None:
    assert len(scenarios()) >= 25
