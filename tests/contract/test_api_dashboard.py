"""What the dashboard asks of the control plane: pages, filters, sign-in, and its own files."""

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import msgspec
import pytest

from gateway.api.answers import Step, TurnStep
from gateway.api.assets import POLICY, dashboard_routes, shipped
from gateway.api.control import control_app
from policies.vocabulary.audit import ApiKeyRevoked, ContentRead
from policies.vocabulary.exchanges import Recording
from tests.contract.api_store import HOSTILE, MATCHED, PORT, REQUEST, Plane, ask, asked, judged, recorded, session_of

HERE = f"http://127.0.0.1:{PORT}"


def reads(plane: Plane) -> list[str]:
    """What the audit log says was read."""
    entries = [msgspec.json.decode(entry) for _, entry in plane.store.audit.entries(1 << 40, 1000)]
    return [each["what"] for each in entries if each["type"] == "content.read"]


def test_turns_come_a_page_at_a_time_and_without_a_word_of_content(plane: Plane) -> None:
    first = plane.recordings[0]
    more = [
        msgspec.structs.replace(
            recorded(), exchange=msgspec.structs.replace(recorded().exchange, join=first.exchange.join)
        )
        for _ in range(2)
    ]
    plane.store.append(more)
    path = f"/api/sessions/{session_of(first)}/turns"
    page = ask(plane.app, f"{path}?limit=2")
    rest = ask(plane.app, f"{path}?limit=2&after={page.json()['next']}").json()
    ids = [turn["exchange_id"] for turn in (*page.json()["turns"], *rest["turns"])]
    assert ids == [each.exchange.exchange_id for each in (first, *more)]
    assert rest["next"] is None
    steps = page.json()["turns"][0]["steps"]
    assert [step["kind"] for step in steps] == [step.kind for step in first.steps]
    assert set(steps[0]) == set(TurnStep.__struct_fields__)
    assert "<script>" not in page.text
    assert reads(plane) == [], "nothing was shown, so there is nothing to log"


def test_texts_of_some_turns_are_read_and_logged(plane: Plane) -> None:
    session = session_of(plane.recordings[0])
    steps = ask(plane.app, f"/api/sessions/{session}/steps?turns=1&text=5").json()["steps"]
    assert [step["text"] for step in steps][:1] == ["You a"]
    assert reads(plane) == ["steps"]
    later = plane.store.number(plane.recordings[0].exchange.exchange_id)
    assert ask(plane.app, f"/api/sessions/{session}/steps?after={later}").json()["steps"] == []


@pytest.mark.parametrize("what", ["holds", "proposals"])
def test_whoever_reads_what_waits_is_in_the_log(plane: Plane, what: str) -> None:
    assert ask(plane.app, f"/api/{what}").status_code == 200
    assert reads(plane) == [what]


def test_a_turn_says_what_was_done_with_each_step(plane: Plane) -> None:
    stopped = judged(recorded())
    plane.store.append([stopped])
    (turn,) = ask(plane.app, f"/api/sessions/{session_of(stopped)}/turns").json()["turns"]
    assert (turn["verdict"], turn["steps"][-1]["verdict"], turn["steps"][-1]["findings"]) == ("reject", "reject", 2)
    listed = ask(plane.app, "/api/sessions?verdict=reject").json()["sessions"]
    assert [each["session_id"] for each in listed] == [session_of(stopped)]
    assert ask(plane.app, "/api/sessions?verdict=angry").status_code == 400
    clauses = ask(plane.app, "/api/facets").json()["clauses"]
    assert clauses == ["agent-baseline/no-orders-from-data", "agent-baseline/no-secrets-in-data"]
    found = {each["name"]: each for each in ask(plane.app, "/api/clauses").json()["apps"][0]["clauses"]}
    assert (found[clauses[0]]["fired"], found[clauses[0]]["stopped"]) == (1, 1)
    assert (found[clauses[1]]["fired"], found[clauses[1]]["stopped"]) == (1, 0)


def test_places_of_findings_are_those_of_the_text_that_is_shown(plane: Plane) -> None:
    stopped = judged(recorded())
    plane.store.append([stopped])
    path = f"/api/exchanges/{stopped.exchange.exchange_id}"
    text = ask(plane.app, f"{path}?text=100000").json()["steps"][-1]["text"]
    assert text.encode()[MATCHED[0] : MATCHED[1]] == b"<script>alert(1)"
    halves = Step.of(recorded().steps[0], "a\ud800b\udfffc", longest=100).text or ""
    assert halves == "a\ufffdb\ufffdc"
    assert len(halves.encode()) == len("a\ud800b\udfffc".encode("utf-8", "surrogatepass"))


def test_usage_is_of_the_apps_one_may_see(plane: Plane) -> None:
    keys = plane.keys(app="other")
    assert ask(plane.app, "/api/usage?since=1h", key=keys["admin"]).json()["total"]["exchanges"] == 3
    mine = ask(plane.app, "/api/usage?since=1h&slots=4", key=keys["viewer"]).json()
    assert mine["total"]["exchanges"] == 1
    assert mine["total"]["cost_micro_usd"] is None
    assert (len(mine["slots"]), [each["app"] for each in mine["models"]]) == (4, ["other"])
    assert ask(plane.app, "/api/usage?since=32d", key=keys["admin"]).status_code == 400


def test_entries_come_newest_first_without_those_of_other_apps(plane: Plane) -> None:
    keys = plane.keys(app="other")
    plane.store.audit.note(*[ApiKeyRevoked(actor="owner", key=f"key_{n}") for n in range(300)])
    plane.store.audit.note(ContentRead(actor="owner", tenant="other", what="live"))
    page = ask(plane.app, "/api/audit/entries?limit=5", key=keys["admin"]).json()
    assert [line["index"] for line in page["entries"]] == list(range(page["size"] - 1, page["size"] - 6, -1))
    after = ask(plane.app, f"/api/audit/entries?limit=1&before={page['next']}", key=keys["admin"]).json()
    assert after["entries"][0]["index"] == page["entries"][-1]["index"] - 1
    exact = ask(plane.app, f"/api/audit/entries/{page['entries'][0]['index']}", key=keys["admin"]).text
    assert page["entries"][0]["entry"] == exact
    kinds = ask(plane.app, "/api/audit/entries?kind=content.", key=keys["admin"]).json()["entries"]
    assert {msgspec.json.decode(line["entry"])["type"] for line in kinds} == {"content.read"}
    mine = ask(plane.app, "/api/audit/entries", key=keys["auditor"]).json()
    assert {msgspec.json.decode(line["entry"])["tenant"] for line in mine["entries"]} == {"other"}
    assert mine["next"] is None


def continued(recording: Recording, **fields: Any) -> Recording:
    """A later exchange of the same branch, with something otherwise in its request."""
    made = recorded(**fields)
    return msgspec.structs.replace(
        made, exchange=msgspec.structs.replace(made.exchange, join=recording.exchange.join, app=recording.exchange.app)
    )


def test_what_a_request_asks_otherwise_than_the_one_before_is_told_and_noted(plane: Plane) -> None:
    first = plane.recordings[0]
    messages = [{"role": "user", "content": "rewritten"}, *REQUEST["messages"][1:], {"role": "user", "content": "new"}]
    later = continued(first, system="You are quick.", metadata={"user_id": "ada@example.org"}, messages=messages)
    plane.store.append([later])
    key = plane.keys()["viewer"]
    path = f"/api/exchanges/{later.exchange.exchange_id}/changes"
    found = ask(plane.app, path, key=key).json()
    assert found["since"] == first.exchange.exchange_id
    assert (found["instructions"]["before"], found["instructions"]["after"]) == ("You are careful.", "You are quick.")
    assert [(each["name"], each["withheld"], each["after"]) for each in found["settings"]] == [("metadata", True, None)]
    assert [(each["before"], each["after"], each["place"]) for each in found["history"]] == [(HOSTILE, "rewritten", 0)]
    assert (found["kept"], found["appended"], found["tools"], found["history_changes"]) == (2, 1, [], 1)
    assert reads(plane)[:2] == ["request", "request"]
    short = ask(plane.app, f"{path}?text=3", key=key).json()["instructions"]
    assert (short["before"], short["cut"]) == ("You", True)
    opening = ask(plane.app, f"/api/exchanges/{first.exchange.exchange_id}/changes", key=key).json()
    assert (opening["since"], opening["history"]) == (None, [])
    named = ask(plane.app, f"{path}?since={plane.recordings[1].exchange.exchange_id}", key=key).json()
    assert named["instructions"]["after"] == "You are quick."


def test_nobody_compares_with_what_it_may_not_see_or_what_cannot_be_compared(plane: Plane) -> None:
    mine, other = plane.recordings[0].exchange, plane.recordings[2].exchange
    message = continued(plane.recordings[0])
    plane.store.append(
        [msgspec.structs.replace(message, exchange=msgspec.structs.replace(message.exchange, operation="other"))]
    )
    path = f"/api/exchanges/{mine.exchange_id}/changes?since="
    key = plane.keys()["viewer"]
    assert ask(plane.app, f"{path}{other.exchange_id}", key=key).status_code == 404
    refused = ask(plane.app, f"{path}{message.exchange.exchange_id}", key=key)
    assert (refused.status_code, refused.json()["error"]["type"]) == (400, "not_comparable")
    assert ask(plane.app, path.replace("?since=", ""), key=plane.keys()["app"]).status_code == 403
    assert reads(plane) == []


def test_the_signing_keys_are_those_of_the_log(plane: Plane) -> None:
    (vkey,) = ask(plane.app, "/api/audit/keys").json()["vkeys"]
    head = ask(plane.app, "/api/audit/head")
    assert vkey.split("+")[0] == head.text.splitlines()[0]
    assert head.headers["content-type"] == "text/plain; charset=utf-8"


def test_an_auditor_sees_what_waits_and_decides_nothing(plane: Plane) -> None:
    keys = plane.keys()
    hold = plane.store.holds.join(asked(plane.recordings[0]), now_ns=1, expires_ns=time.time_ns() + 10**12)
    assert ask(plane.app, "/api/holds", key=keys["auditor"]).json()["holds"][0]["text"] == HOSTILE
    assert ask(plane.app, "/api/holds", key=keys["viewer"]).status_code == 403
    path = f"/api/holds/{hold.hold_id}/approve"
    assert ask(plane.app, path, method="POST", key=keys["auditor"], body={}).status_code == 403


def test_of_two_operators_who_answer_at_once_one_is_heard_and_the_other_is_told_who(plane: Plane) -> None:
    hold = plane.store.holds.join(asked(plane.recordings[0]), now_ns=1, expires_ns=time.time_ns() + 10**12)
    key, both = plane.keys()["operator"], threading.Barrier(2)

    def answer(word: str) -> httpx.Response:
        both.wait(10)
        body = {"by": f"{word} it", "reason": "a reason"}
        return ask(plane.app, f"/api/holds/{hold.hold_id}/{word}", method="POST", key=key, body=body)

    with ThreadPoolExecutor(2) as operators:
        answers = sorted(operators.map(answer, ("approve", "reject")), key=lambda each: each.status_code)
    assert [each.status_code for each in answers] == [200, 409]
    decided = plane.store.holds.get(hold.hold_id)
    assert answers[0].json()["decided_by"] == decided.decided_by
    assert decided.state in answers[1].json()["error"]["message"]


def signed_in(plane: Plane, role: str = "operator", **headers: str) -> tuple[dict[str, str], dict[str, Any]]:
    """The headers of a browser that is signed in, and who it is."""
    answer = ask(plane.app, "/api/sign-in", method="POST", body={"key": plane.keys()[role]}, headers=headers)
    assert answer.status_code == 200, answer.text
    cookie = answer.headers["set-cookie"].partition(";")[0]
    return {"cookie": cookie, **headers}, answer.json()


def test_a_cookie_stands_for_its_key_and_changes_need_the_pages_own_word(plane: Plane) -> None:
    cookie, me = signed_in(plane)
    assert (me["role"], me["name"]) == ("operator", "operator")
    assert ask(plane.app, "/api/me", headers=cookie).json() == me
    path = f"/api/sessions/{session_of(plane.recordings[0])}/terminate"
    for said in ({}, {"stepwarden-csrf": ""}, {"stepwarden-csrf": me["csrf"][:-1]}, {"stepwarden-csrf": "x"}):
        answer = ask(plane.app, path, method="POST", headers=cookie | said)
        assert (answer.status_code, answer.json()["error"]["type"]) == (403, "not_our_page")
    assert ask(plane.app, path, method="POST", headers={**cookie, "stepwarden-csrf": me["csrf"]}).status_code == 200
    assert ask(plane.app, "/api/keys", headers=cookie).status_code == 403


def test_a_cookie_ends_with_its_key_its_sign_out_and_its_time(plane: Plane) -> None:
    cookie, me = signed_in(plane, "viewer")
    own = {**cookie, "stepwarden-csrf": me["csrf"]}
    out = ask(plane.app, "/api/sign-out", method="POST", headers=own)
    assert "Max-Age=0" in out.headers["set-cookie"]
    assert ask(plane.app, "/api/me", headers=cookie).status_code == 401
    cookie, me = signed_in(plane, "viewer")
    plane.store.keys.revoke(me["key_id"], 5)
    assert ask(plane.app, "/api/me", headers=cookie).status_code == 401
    now, hour = time.time_ns(), 3600 * 10**9
    _, secret = plane.store.keys.create(name="short", role="viewer", app="default", now_ns=now, expires_ns=now + hour)
    answer = ask(plane.app, "/api/sign-in", method="POST", body={"key": secret})
    short = {"cookie": answer.headers["set-cookie"].partition(";")[0]}
    assert ask(plane.app, "/api/me", headers=short).status_code == 200
    later = plane.application(now_ns=lambda: now + 2 * hour)
    assert ask(later, "/api/me", headers=short).status_code == 401


def test_the_log_says_who_signed_in_and_out_and_never_with_what(plane: Plane) -> None:
    cookie, me = signed_in(plane, "auditor")
    ask(plane.app, "/api/sign-out", method="POST", headers={**cookie, "stepwarden-csrf": me["csrf"]})
    lines = [entry.decode() for _, entry in plane.store.audit.entries(plane.store.audit.size, 50)]
    said = [line for line in lines if '"access.' in line]
    assert ["signed_out" in said[0], "signed_in" in said[1], len(said)] == [True, True, 2]
    assert all(f'"actor":"{me["key_id"]}"' in line for line in said)
    assert cookie["cookie"].partition("=")[2] not in "".join(lines)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ({"key": "swk_unknown"}, {}, 401),
        ({"key": ""}, {}, 400),
        ({}, {}, 400),
        ({"key": "x" * 500}, {}, 400),
        ({"key": "k", "role": "admin"}, {}, 400),
        ({"key": "k"}, {"origin": "https://evil.example"}, 403),
        ({"key": "k"}, {"sec-fetch-site": "cross-site"}, 403),
        ({"key": "k"}, {"sec-fetch-site": "same-site"}, 403),
        ({"key": "k"}, {"host": "evil.example"}, 403),
    ],
)
def test_what_is_no_sign_in_is_refused(plane: Plane, body: Any, headers: dict[str, str], status: int) -> None:
    answer = ask(plane.app, "/api/sign-in", method="POST", body=body, headers=headers)
    assert answer.status_code == status
    assert "set-cookie" not in answer.headers


def test_an_agents_key_opens_no_dashboard(plane: Plane) -> None:
    answer = ask(plane.app, "/api/sign-in", method="POST", body={"key": plane.keys()["app"]})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_away_from_loopback_the_cookie_is_for_tls_and_this_host_alone(plane: Plane) -> None:
    app = plane.application(allowed_hosts=["gateway.example"])
    answer = ask(
        app, "/api/sign-in", method="POST", body={"key": plane.keys()["viewer"]}, headers={"host": "gateway.example"}
    )
    assert answer.headers["set-cookie"].startswith("__Host-stepwarden=")
    assert "; Secure" in answer.headers["set-cookie"]
    plain = answer.headers["set-cookie"].partition(";")[0].replace("__Host-", "")
    assert ask(app, "/api/me", headers={"host": "gateway.example", "cookie": plain}).status_code == 401


def test_a_foreign_page_reads_nothing_with_the_cookie(plane: Plane) -> None:
    cookie, _ = signed_in(plane, "viewer")
    for site in ("cross-site", "same-site"):
        assert ask(plane.app, "/api/sessions", headers={**cookie, "sec-fetch-site": site}).status_code == 403


@pytest.fixture
def pages(plane: Plane) -> Any:
    return control_app([dashboard_routes(), *plane.routes()])


def test_the_page_lets_only_its_own_files_run(pages: Any) -> None:
    answer = ask(pages, "/", headers={"host": "anything.example"})
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"] == POLICY
    for word in ("unsafe", "*", "http", "blob"):
        assert word not in POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    named = set(re.findall(r'(?:src|href)="/assets/([^"]+)"', answer.text))
    named |= {name for each in shipped().values() for name in re.findall(r'from "\./([^"]+)"', each.raw.decode())}
    assert named <= set(shipped())
    assert set(shipped()) - named == {"index.html"}


def test_a_page_names_every_module_at_once_so_that_none_is_found_late(pages: Any) -> None:
    named = re.findall(r'rel="modulepreload" href="/assets/([^"]+)"', ask(pages, "/").text)
    assert named == sorted(name for name in shipped() if name.endswith(".js") and name != "app.js")


def test_files_are_sent_packed_and_once(pages: Any) -> None:
    answer: httpx.Response = ask(pages, "/assets/app.js", headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.content == shipped()["app.js"].raw
    assert ask(pages, "/assets/app.js", headers={"if-none-match": answer.headers["etag"]}).status_code == 304
    for missing in ("x.js", "..%2f..%2fprices.toml", "__init__.py"):
        assert ask(pages, f"/assets/{missing}").status_code == 404
    assert "Load the page at / anew" in ask(pages, "/assets/of-an-older-page.js").text


def test_all_of_it_is_small() -> None:
    assert sum(len(each.packed) for each in shipped().values()) < 100_000
