"""The demo's third act as it is told: what two persons say of calls becomes a change that a third agrees to."""

import http.client
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
from rich.text import Text

from gateway.cli import client
from gateway.cli.following import followed
from gateway.cli.narrator import Narrator
from gateway.cli.proposed import proposal_told
from gateway.demo import refunds, story

if TYPE_CHECKING:
    from gateway.cli.running import RunningGateway

_SECONDS = 20.0
_POLL_SECONDS = 0.05
_AT_A_TIME = 8


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """What the third act came to."""

    labelled: int
    proposal: dict[str, Any] | None
    """The one that was approved; None where none was made."""

    before: tuple[bool, bool]
    """Whether a refund out of goodwill, and one of goods sent back, came through before."""

    after: tuple[bool, bool]

    @property
    def kept(self) -> bool:
        """Whether the change does what it was made for, and no more."""
        return (self.before, self.after) == ((True, True), (False, True)) and self.proposal is not None


def play(narrator: Narrator, gateway: "RunningGateway") -> Learned:
    """Tell the act through a gateway that stands with `refunds.SETTINGS`."""
    narrator.act(
        "What people say of calls becomes a better policy",
        f"gateway    {gateway.url}, a third process; its one clause rejects gifts and flags goodwill",
        "the runs and the labels were written by us: a recorded run holds no labels, and one alone teaches nothing",
    )
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        given = [pool.submit(_refunded, gateway, at, given_away=True) for at in range(refunds.GIVEN_AWAY)]
        others = [pool.submit(_refunded, gateway, 1000 + at, given_away=False) for at in range(refunds.SENT_BACK)]
        before = (all(each.result() for each in given), all(each.result() for each in others))
    with client.here(gateway.config) as api:
        labelled = _labelled(api, refunds.GIVEN_AWAY + refunds.SENT_BACK)
        narrator.show(Text(f"  {labelled} calls labelled by {' and '.join(refunds.PERSONS)}", "dim"))
        found = _proposed(api, narrator)
        if found is None:
            return Learned(labelled=labelled, proposal=None, before=before, after=before)
        number, word = found["number"], {"by": "Eve", "reason": "goodwill is not ours to give", "at_once": True}
        narrator.rule(f"stepwarden proposals approve {number} --at-once --by Eve --reason '{word['reason']}'")
        approved = api.post(f"/api/proposals/{number}/approve", word)
    after = (_refunded(gateway, 2001, given_away=True), _refunded(gateway, 2002, given_away=False))
    for order, note, came_through in zip((2001, 2002), ("goodwill", "sent back"), after, strict=True):
        said = "came through" if came_through else "held back: the agent never saw this call"
        narrator.show(Text(f"  the next runs: refund of order {order}, {note}: {said}"))
    return Learned(labelled=labelled, proposal=approved, before=before, after=after)


def _proposed(api: Any, narrator: Narrator) -> dict[str, Any] | None:
    """The first proposal that waits for a person, shown as an operator sees it."""
    narrator.rule("stepwarden optimize")
    followed(api, "/api/optimize", {}, doing="optimizing", quiet=True)
    waiting = api.get("/api/proposals", only="waiting")["proposals"]
    if not waiting:
        return None
    found = waiting[-1]
    narrator.show(Text(f"  proposals that wait for a person: {len(waiting)}"))
    narrator.rule(f"stepwarden proposals show {found['number']}")
    narrator.show(*proposal_told(found))
    return found


def _refunded(gateway: "RunningGateway", order: int, *, given_away: bool) -> bool:
    """One run of the shop's agent, up to its model's first call; whether that came through."""
    where = urlsplit(gateway.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=_SECONDS)
    headers = {"content-type": "application/json", "x-api-key": story.KEY, "anthropic-version": "2023-06-01"}
    try:
        body = refunds.request(refunds.asked(order, given_away=given_away))
        connection.request("POST", "/anthropic/v1/messages", body, headers)
        answer = msgspec.json.decode(connection.getresponse().read())
    finally:
        connection.close()
    return any(block["type"] == "tool_use" for block in answer.get("content", ()))


def _labelled(api: Any, runs: int) -> int:
    """Two persons in turn label the call of every run, once all are recorded; how many."""
    deadline = time.monotonic() + _SECONDS
    while len(exchanges := api.get("/api/exchanges", limit=2 * runs)["exchanges"]) < runs:
        if time.monotonic() > deadline:
            break
        time.sleep(_POLL_SECONDS)
    given = 0
    for exchange in exchanges:
        steps = api.get(f"/api/exchanges/{exchange['exchange_id']}", text=400)["steps"]
        for step in (each for each in steps if each["kind"] == "tool_call"):
            label = "violation" if "goodwill" in (step["text"] or "") else "ok"
            by = refunds.PERSONS[given % len(refunds.PERSONS)]
            api.post(f"/api/steps/{step['step_id']}/label", {"label": label, "by": by})
            given += 1
    return given


def closing(found: Learned) -> Text:
    """The act in a sentence."""
    if not found.kept:
        return Text("Something of the third act did not go as it should: please report it.", "bold red")
    return Text(
        f"From {found.labelled} labels one clause became stricter, on a named person's word: refunds out of goodwill "
        "come through no longer, and goods sent back are still paid. `stepwarden revisions rollback` takes it back."
    )
