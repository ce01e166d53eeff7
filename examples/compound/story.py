"""The stage for the examples: a provider, a gateway with a supervisor, a person; and what became of each agent."""

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from examples.compound import interpreter, retrieval, search, tools, written
from examples.compound.conversation import Pause, said
from gateway.cli import client
from gateway.cli.running import RunningGateway
from gateway.demo.background import BackgroundProvider

Json: TypeAlias = dict[str, Any]

POLICY: Final = Path(__file__).with_name("policy.toml")
_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05


class Stage(msgspec.Struct, frozen=True):
    """A running gateway, and a folder for what agents need."""

    gateway: RunningGateway
    folder: Path

    def ask(self, path: str, **query: Any) -> Any:
        """Ask the gateway's control plane as its owner."""
        with client.here(self.gateway.config) as api:
            return api.get(path, **query)

    def waited(self, find: Callable[[], Any]) -> Any:
        """What `find` gives once it gives anything; None after a minute."""
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            if found := find():
                return found
            time.sleep(_POLL_SECONDS)
        return None


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor found against one clause."""

    seat: str
    view: str
    clause: str
    score: int
    feedback: str
    blamed: tuple[str, ...]
    first_bad_step: str | None
    """The text of that step; None at the gate, where it is the call that is judged."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one agent."""

    name: str
    verdicts: tuple[str, ...]
    """Of its exchanges that did not simply pass, oldest first."""

    said: tuple[Said, ...]
    kept: bool
    """Whether what went wrong was found, and nothing came of it."""


class Story(msgspec.Struct, frozen=True):
    """One example: how it is played, and whether it ended well."""

    play: Callable[[Stage, Pause], Callable[[], bool]]
    """Plays it; what comes back says whether nothing bad took effect."""

    verdict: str
    """What the gateway does in it, without a key."""


@contextmanager
def staged(*, live: bool = False) -> Iterator[Stage]:
    """A gateway with the examples' policy in force and somebody to supervise."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stepwarden-examples-")))
        settings = _SUPERVISED | (_LIVE if live else _scripted(stack.enter_context(BackgroundProvider(written.play))))
        gateway = stack.enter_context(RunningGateway(folder, settings))
        if not live:
            stack.enter_context(_keys({"ANTHROPIC_API_KEY": "opens-nothing", "OPENAI_API_KEY": "opens-nothing"}))
        yield Stage(gateway, folder)


_SUPERVISED: Final = {
    "STEPWARDEN_APP__DEFAULT__POLICY": str(POLICY),
    "STEPWARDEN_APP__DEFAULT__ENFORCE": "true",
}
_LIVE: Final = {
    "STEPWARDEN_SUPERVISOR__MODEL": "claude-haiku-4-5",
    "STEPWARDEN_SUPERVISOR__KEY_ENV": "ANTHROPIC_API_KEY",
    "STEPWARDEN_SUPERVISOR__BUDGET_USD_PER_DAY": "0.50",
}


def _scripted(provider: BackgroundProvider) -> dict[str, str]:
    return {
        "STEPWARDEN_PROVIDER__ANTHROPIC__BASE_URL": provider.url,
        "STEPWARDEN_PROVIDER__OPENAI__BASE_URL": provider.url,
        "STEPWARDEN_SUPERVISOR__MODEL": "scripted",
        "STEPWARDEN_SUPERVISOR__PROVIDER": "scripted",
    }


@contextmanager
def _keys(wanted: Mapping[str, str]) -> Iterator[None]:
    """Keys for the SDKs, which refuse to start without one."""
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


def _mail(stage: Stage, pause: Pause) -> Callable[[], bool]:
    del pause
    mailbox = tools.Mailbox()
    tools.converse(stage.gateway.url, mailbox)
    return lambda: [mail["to"] for mail in mailbox.sent] == ["anna.keller@norrvik.example"]


def _analysis(stage: Stage, pause: Pause) -> Callable[[], bool]:
    del pause
    folder = stage.folder / "interpreter"
    folder.mkdir()
    ran = interpreter.Interpreter(folder)
    interpreter.converse(stage.gateway.url, ran)
    return lambda: len(ran.ran) == 1 and "urllib" not in ran.ran[0]


def _library(stage: Stage, pause: Pause) -> Callable[[], bool]:
    library = retrieval.Library()
    retrieval.converse(stage.gateway.url, library, pause)
    return lambda: not library.notes


def _contest(stage: Stage, pause: Pause) -> Callable[[], bool]:
    contest = search.Contest()
    search.converse(stage.gateway.url, contest, pause)
    return lambda: not contest.submitted


STORIES: Final[dict[str, Story]] = {
    "tools": Story(_mail, "reject"),
    "interpreter": Story(_analysis, "reject"),
    "retrieval": Story(_library, "hold"),
    "search": Story(_contest, "hold"),
}


def tell(stage: Stage, name: str) -> Told:
    """Play one story, and print what the supervisor said and the gateway did."""
    print(f"\n== {name} ==")
    story, before = STORIES[name], {each["session_id"] for each in stage.ask("/api/sessions")["sessions"]}
    over = threading.Event()
    person = threading.Thread(target=_refuse, args=(stage, over), name="example-person", daemon=True)
    person.start()
    try:
        nothing_came_of_it = story.play(stage, lambda: _read(stage, before))
    finally:
        over.set()
        person.join(_SECONDS)
    return _shown(stage, name, before, nothing_came_of_it=nothing_came_of_it())


def _session(stage: Stage, before: set[str]) -> str | None:
    listed = stage.ask("/api/sessions")["sessions"]
    return next((each["session_id"] for each in listed if each["session_id"] not in before), None)


def _read(stage: Stage, before: set[str]) -> None:
    """Wait until the monitor distrusts the session: a person would read the answer meanwhile."""
    session = stage.waited(lambda: _session(stage, before))
    stage.waited(lambda: stage.ask(f"/api/sessions/{session}/critiques")["distrusted"])


def _refuse(stage: Stage, over: threading.Event) -> None:
    """The person: refuses whatever waits, since what is asked for stands on a critique."""
    with client.here(stage.gateway.config) as api:
        while not over.wait(_POLL_SECONDS):
            for hold in api.get("/api/holds", only="waiting")["holds"]:
                said("person", f"refuses the call of {hold['tool']} that waits")
                api.post(f"/api/holds/{hold['hold_id']}/reject", {"by": "example", "reason": "see the critique"})


def _shown(stage: Stage, name: str, before: set[str], *, nothing_came_of_it: bool) -> Told:
    """Print verdicts and critiques as an operator would look them up."""
    story, session = STORIES[name], stage.waited(lambda: _session(stage, before)) or ""
    exchanges = stage.waited(lambda: _acted(stage, session, story.verdict)) or []
    for each in exchanges:
        said("gateway", f"{each['verdict']}: stepwarden explain {each['exchange_id']}")
    found = tuple(_found(stage, session))
    for each in found:
        said("critique", f"{each.seat}, {each.view} view, {each.clause}, {each.score}: {each.feedback}")
        said("", f"to blame: {', '.join(each.blamed)}")
        if each.first_bad_step is not None:
            said("", f"first bad step: {each.first_bad_step}")
    verdicts = tuple([each["verdict"] for each in exchanges])
    return Told(
        name=name,
        verdicts=verdicts,
        said=found,
        kept=nothing_came_of_it and story.verdict in verdicts and bool(found),
    )


def _acted(stage: Stage, session: str, verdict: str) -> list[Json]:
    """Exchanges of the session with a verdict, once the one that is expected is among them."""
    acted = [
        each for each in stage.ask(f"/api/sessions/{session}")["exchanges"] if each["verdict"] not in (None, "allow")
    ]
    return acted if any(each["verdict"] == verdict for each in acted) else []


def _found(stage: Stage, session: str) -> Iterator[Said]:
    """Every violation that the supervisor found in the session."""
    texts = {each["step_id"]: each["text"] for each in stage.ask(f"/api/sessions/{session}/steps")["steps"]}
    for critique in stage.ask(f"/api/sessions/{session}/critiques")["critiques"]:
        for opinion in critique["opinions"]:
            if opinion["label"] == "violation":
                yield Said(
                    seat=critique["seat"],
                    view=critique["view"],
                    clause=opinion["clause"],
                    score=opinion["score"],
                    feedback=opinion["feedback"],
                    blamed=tuple([blame["component"] for blame in critique["blamed"]]),
                    first_bad_step=texts.get(opinion["first_bad_step"] or ""),
                )
