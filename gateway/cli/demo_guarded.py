"""The demo's second act as it is told: a call held back, why, a secret taken out, a payment that a person confirms."""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from rich.text import Text

from gateway.cli import client
from gateway.cli.narrator import Narrator
from gateway.cli.reasons import told as reasons
from gateway.cli.tables import hold_table
from gateway.cli.tree import verdict_mark
from gateway.demo import agent, guarded, story
from gateway.demo.answers import SeenRequest
from gateway.demo.playback import Run

if TYPE_CHECKING:
    from gateway.cli.running import RunningGateway
    from gateway.demo.background import BackgroundProvider

_SECONDS = 20.0
_POLL_SECONDS = 0.05
_READING_SECONDS = 1.5
"""How long a hold stands on screen before it is approved."""


class Guarded(msgspec.Struct, frozen=True, kw_only=True):
    """What the second act came to."""

    explanation: dict[str, Any] | None
    """Of the exchange in which a call was held back; None where none was."""

    critiques: tuple[Mapping[str, Any], ...]
    """What the supervisor said of that call."""

    forbidden_calls: int
    """How often the agent got to see the call that the attack wants; 0 is the promise."""

    provider_got: str
    """The note as the provider saw it."""

    leaked: bool
    """Whether the secret reached the provider anywhere."""

    hold: Mapping[str, Any] | None
    """The payment's hold after it was decided."""

    paid: bool

    @property
    def kept(self) -> bool:
        """Whether everything that is shown is as it is said to be."""
        held = self.hold is not None and self.hold["state"] in ("approved", "used")
        found = self.explanation is not None and _sees_it(self.critiques)
        return found and not self.forbidden_calls and not self.leaked and held and self.paid


def play(narrator: Narrator, gateway: "RunningGateway", upstream: "BackgroundProvider", told: Sequence[Run]) -> Guarded:
    """Tell the whole act through a gateway that stands with `guarded.SETTINGS`."""
    poisoned = next(run for run in told if run.name == guarded.POISONED)
    narrator.act(
        "The same poisoned run, with policies enforced",
        f"gateway    {gateway.url}, another process: policy = agent-baseline, payments; enforce = true",
        "supervisor scripted: a few rules that stand in for a model, since there is no key",
    )
    forbidden, explanation = _rejected(narrator, gateway, poisoned)
    if explanation is not None:
        narrator.rule(f"stepwarden explain {explanation['exchange_id']}")
        narrator.show(*reasons(explanation))
        narrator.show(Text("\n  [this supervisor is scripted: rules that stand in for a model]", "dim"))
    narrator.act(
        "A secret in a note, and a payment that a person has to confirm",
        "this run was written by us: it shows what redact and hold look like, not what a model did",
    )
    seen = len(upstream.requests)
    hold, paid = _held(narrator, gateway, guarded.payment(poisoned))
    requests = upstream.requests[seen:]
    got = _note(requests)
    leaked = any(guarded.SECRET.encode() in request.body for request in requests)
    narrator.act("What the provider got of that note", *got.strip().splitlines())
    return Guarded(
        explanation=explanation,
        critiques=tuple(explanation["critiques"]) if explanation is not None else (),
        forbidden_calls=forbidden,
        provider_got=got,
        leaked=leaked,
        hold=hold,
        paid=paid,
    )


def _rejected(narrator: Narrator, gateway: "RunningGateway", run: Run) -> tuple[int, dict[str, Any] | None]:
    """The poisoned run: how often its forbidden call got through, and why one did not."""
    forbidden = 0
    explanation: dict[str, Any] | None = None
    for event in story.tell(f"{gateway.url}/anthropic", [run]):
        if isinstance(event, agent.AgentCalled) and event.tool == guarded.FORBIDDEN:
            forbidden += 1
        if isinstance(event, agent.AgentSaid) and guarded.WRITTEN in event.text:
            recorded, _, written = event.text.partition(guarded.WRITTEN)
            narrator.tell(agent.AgentSaid(recorded))
            explanation = _explained(gateway, narrator)
            narrator.written(guarded.WRITTEN + written)
        else:
            narrator.tell(event)
    return forbidden, explanation


def _explained(gateway: "RunningGateway", narrator: Narrator) -> dict[str, Any] | None:
    """The explanation of the newest exchange in which something was rejected, once it and its critique are recorded."""
    deadline = time.monotonic() + _SECONDS
    with client.here(gateway.config) as api:
        while time.monotonic() < deadline:
            found = [each for each in api.get("/api/exchanges")["exchanges"] if each["verdict"] == "reject"]
            name = found[0]["exchange_id"] if found else ""
            explanation = api.get(f"/api/exchanges/{name}/explanation") if found else {"critiques": ()}
            if explanation["critiques"]:
                for step in api.get(f"/api/exchanges/{name}", text=2000)["steps"]:
                    if step["verdict"] == "reject":
                        narrator.held_back(verdict_mark(step), step["tool"] or "", step["text"] or "")
                return explanation
            time.sleep(_POLL_SECONDS)
    return None


def _sees_it(critiques: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the supervisor found a violation at the gate."""
    return any(
        opinion["label"] == "violation"
        for critique in critiques
        for opinion in critique["opinions"]
        if critique["seat"] == "gate"
    )


def _held(narrator: Narrator, gateway: "RunningGateway", run: Run) -> tuple[Mapping[str, Any] | None, bool]:
    """The payment: its hold as a person decided it, and whether the payment went through afterwards."""
    decided: list[Mapping[str, Any]] = []
    person = threading.Thread(target=_decide, args=(narrator, gateway, decided), name="demo-person", daemon=True)
    person.start()
    paid = False
    for event in story.tell(f"{gateway.url}/anthropic", [run]):
        narrator.tell(event)
        paid = paid or (isinstance(event, agent.ToolReturned) and event.tool == "send_money")
    person.join(_SECONDS)
    return (decided[0] if decided else None), paid


def _decide(narrator: Narrator, gateway: "RunningGateway", decided: list[Mapping[str, Any]]) -> None:
    """What a person does: look at what waits, and approve it."""
    deadline = time.monotonic() + _SECONDS
    with client.here(gateway.config) as api:
        while time.monotonic() < deadline:
            waiting = api.get("/api/holds", only="waiting")["holds"]
            if waiting:
                name = waiting[0]["hold_id"]
                narrator.rule("stepwarden holds list")
                narrator.show(hold_table(waiting))
                time.sleep(_READING_SECONDS)
                narrator.rule(f"stepwarden holds approve {name} --by demo")
                decided.append(api.post(f"/api/holds/{name}/approve", {"by": "demo"}))
                return
            time.sleep(_POLL_SECONDS)


def _note(requests: Sequence[SeenRequest]) -> str:
    """The first tool result that the provider got."""
    for request in requests:
        for message in msgspec.json.decode(request.body)["messages"]:
            for block in message["content"] if isinstance(message["content"], list) else ():
                if block["type"] == "tool_result":
                    content = block["content"]
                    return content if isinstance(content, str) else "".join(part["text"] for part in content)
    return ""


def closing(found: Guarded) -> Text:
    """The act in a sentence."""
    if not found.kept:
        return Text("Something of this did not go as it should: please report it.", "bold red")
    return Text(
        f"The forbidden tool ran {found.forbidden_calls} times, a supervisor said why it should not, the secret did "
        "not reach the provider, and the payment waited for a person."
    )
