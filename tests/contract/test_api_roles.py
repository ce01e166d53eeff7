import httpx
import pytest
from litestar import get

from gateway.api.access import EVERY_APP, SUFFICES, over_socket, role_of
from gateway.api.control import control_app
from policies.vocabulary.keys import ROLES
from tests.contract.api_store import PORT, Plane, ask

ROUTES = {
    ("GET", "/api/sessions"): "viewer",
    ("GET", "/api/sessions/{session_id:str}"): "viewer",
    ("GET", "/api/sessions/{session_id:str}/steps"): "viewer",
    ("GET", "/api/sessions/{session_id:str}/reported"): "viewer",
    ("GET", "/api/sessions/{session_id:str}/turns"): "viewer",
    ("GET", "/api/sessions/{session_id:str}/branches"): "viewer",
    ("GET", "/api/facets"): "viewer",
    ("GET", "/api/usage"): "viewer",
    ("GET", "/api/search"): "overseer",
    ("POST", "/api/search"): "overseer",
    ("POST", "/api/sign-in"): "visitor",
    ("POST", "/api/sign-out"): "viewer",
    ("GET", "/api/me"): "viewer",
    ("GET", "/api/audit/entries"): "auditor",
    ("GET", "/api/audit/keys"): "auditor",
    ("POST", "/api/sessions/{session_id:str}/terminate"): "operator",
    ("GET", "/api/sessions/{session_id:str}/critiques"): "viewer",
    ("POST", "/api/sessions/{session_id:str}/critique"): "operator",
    ("POST", "/api/sessions/{session_id:str}/trust"): "operator",
    ("POST", "/api/steps/{step_id:str}/label"): "operator",
    ("GET", "/api/labels"): "viewer",
    ("GET", "/api/supervision"): "viewer",
    ("GET", "/api/sessions/{session_id:str}/marks"): "viewer",
    ("GET", "/api/exchanges"): "viewer",
    ("GET", "/api/exchanges/{exchange_id:str}"): "viewer",
    ("GET", "/api/exchanges/{exchange_id:str}/changes"): "viewer",
    ("GET", "/api/exchanges/{exchange_id:str}/request"): "auditor",
    ("GET", "/api/exchanges/{exchange_id:str}/response"): "auditor",
    ("GET", "/api/exchanges/{exchange_id:str}/forwarded"): "auditor",
    ("GET", "/api/exchanges/{exchange_id:str}/explanation"): "app",
    ("GET", "/api/exchanges/{exchange_id:str}/receipt"): "auditor",
    ("POST", "/api/erasures"): "admin",
    ("POST", "/api/sessions/{session_id:str}/hold"): "admin",
    ("POST", "/api/sessions/{session_id:str}/release"): "admin",
    ("GET", "/api/audit/head"): "auditor",
    ("POST", "/api/audit/rotate"): "admin",
    ("GET", "/api/audit/witnesses"): "auditor",
    ("POST", "/api/audit/verify"): "auditor",
    ("GET", "/api/audit/entries/{index:int}"): "auditor",
    ("GET", "/api/audit/proof/{index:int}"): "auditor",
    ("GET", "/api/audit/export"): "auditor",
    ("GET", "/api/clauses"): "viewer",
    ("POST", "/api/clauses/mode"): "operator",
    ("GET", "/api/clauses/wrongs"): "viewer",
    ("POST", "/api/backtests"): "operator",
    ("POST", "/api/proposals/{number:int}/backtest"): "operator",
    ("POST", "/api/optimize"): "operator",
    ("GET", "/api/proposals"): "overseer",
    ("GET", "/api/proposals/{number:int}"): "overseer",
    ("POST", "/api/proposals/{number:int}/approve"): "operator",
    ("POST", "/api/proposals/{number:int}/reject"): "operator",
    ("GET", "/api/revisions"): "viewer",
    ("GET", "/api/revisions/{name:str}"): "viewer",
    ("GET", "/api/revisions/{name:str}/diff"): "overseer",
    ("POST", "/api/revisions/{name:str}/activate"): "operator",
    ("POST", "/api/rollback"): "operator",
    ("GET", "/api/holds"): "overseer",
    ("POST", "/api/holds/{hold_id:str}/approve"): "operator",
    ("POST", "/api/holds/{hold_id:str}/reject"): "operator",
    ("GET", "/api/mcp/tools"): "auditor",
    ("POST", "/api/mcp/tools/{server:str}/{tool:str}/approve"): "admin",
    ("POST", "/api/mcp/servers/{server:str}/login"): "admin",
    ("POST", "/api/mcp/servers/{server:str}/login/finish"): "admin",
    ("POST", "/api/mcp/servers/{server:str}/logout"): "admin",
    ("GET", "/api/keys"): "auditor",
    ("POST", "/api/keys"): "admin",
    ("POST", "/api/keys/{key_id:str}/revoke"): "admin",
    ("GET", "/api/status"): "viewer",
    ("GET", "/metrics"): "viewer",
    ("GET", "/api/live"): "viewer",
    ("GET", "/api/openapi.json"): "viewer",
    ("GET", "/healthz"): "anyone",
    ("GET", "/readyz"): "anyone",
    ("HEAD", "/healthz"): "anyone",
    ("HEAD", "/readyz"): "anyone",
}
"""Every route of the control plane and the role it needs: a new route is a decision made here too."""


def walked(plane: Plane) -> dict[tuple[str, str], object]:
    return {
        (method, route.path): handler
        for route in plane.app.routes
        for handler in route.route_handlers  # type: ignore[union-attr]
        for method in handler.http_methods
        if method != "OPTIONS"
    }


def filled(plane: Plane, path: str) -> str:
    exchange = plane.recordings[0].exchange
    assert exchange.join is not None
    return (
        path.replace("{session_id:str}", exchange.join.session_id)
        .replace("{index:int}", "0")
        .replace("{number:int}", "1")
        .replace("{name:str}", "unknown")
        .replace("{exchange_id:str}", exchange.exchange_id)
        .replace("{key_id:str}", "key_unknown")
        .replace("{hold_id:str}", "hold_unknown")
    )


def test_the_router_holds_these_routes_with_these_roles_and_no_others(plane: Plane) -> None:
    assert {place: role_of(handler) for place, handler in walked(plane).items()} == ROUTES  # type: ignore[arg-type]


OF_EVERY_APP = ("/metrics", "/api/mcp/tools")
"""What is counted, and what tool servers offer, is shared by all apps."""


def test_every_role_meets_the_expected_status_on_every_route(plane: Plane) -> None:
    mine, every = plane.keys(), plane.keys(app=EVERY_APP)
    for (method, path), needs in ROUTES.items():
        if path == "/api/live":
            continue  # never ends; its door is the same, see below
        keys = every if path in OF_EVERY_APP else mine
        for role in ROLES:
            answer = ask(
                plane.app, filled(plane, path), method=method, key=keys[role], body={} if method == "POST" else None
            )
            allowed = role in SUFFICES[needs]  # type: ignore[index]
            assert (answer.status_code not in (401, 403)) is allowed, (method, path, role, answer.text)
            assert answer.status_code < 500
        if needs not in ("anyone", "visitor"):
            assert ask(plane.app, filled(plane, path), method=method).status_code == 401


def test_an_auditor_sees_keys_and_tools_as_far_as_its_app_goes(plane: Plane) -> None:
    mine, every = plane.keys(), plane.keys(app=EVERY_APP)
    listed = [ask(plane.app, "/api/keys", key=keys["auditor"]).json()["keys"] for keys in (mine, every)]
    assert {key["app"] for key in listed[0]} == {"default"}
    assert len(listed[1]) == len(plane.store.keys.list()) > len(listed[0])
    assert ask(plane.app, "/api/mcp/tools", key=every["auditor"]).status_code == 200
    refused = ask(plane.app, "/api/mcp/tools", key=mine["auditor"])
    assert (refused.status_code, refused.json()["error"]["type"]) == (403, "one_apps_key")


@pytest.mark.parametrize("role", ["app", None])
def test_the_live_feed_has_the_same_door(plane: Plane, role: str | None) -> None:
    keys = plane.keys()
    answer = ask(plane.app, "/api/live", key=keys[role] if role else None)
    assert answer.status_code == (403 if role else 401)


def test_a_route_without_a_role_is_refused_to_everyone(plane: Plane) -> None:
    @get("/api/forgotten", sync_to_thread=False)
    def forgotten() -> str:
        return "open"

    from gateway.api import control  # noqa: PLC0415 - changed for this test alone

    kept = control.ROUTES
    control.ROUTES = (*kept, forgotten)  # type: ignore[misc]
    try:
        app = plane.application()
    finally:
        control.ROUTES = kept
    for key in plane.keys().values():
        assert ask(app, "/api/forgotten", key=key).status_code == 403
    assert ask(over_socket(app), "/api/forgotten").status_code == 403


def test_options_and_unknown_methods_say_nothing(plane: Plane) -> None:
    assert ask(plane.app, "/api/sessions", method="OPTIONS").status_code in (401, 403)
    assert ask(plane.app, "/api/sessions", method="DELETE").status_code == 405


def test_without_any_key_loopback_is_the_one_local_principal(plane: Plane) -> None:
    assert ask(plane.app, "/api/keys").status_code == 200
    assert ask(plane.app, "/api/keys", client=("10.0.0.5", 1)).status_code == 401
    for header in ("x-forwarded-for", "forwarded", "via"):
        assert ask(plane.app, "/api/keys", headers={header: "10.0.0.5"}).status_code == 401


def test_a_revoked_or_expired_key_neither_works_nor_opens_loopback_again(plane: Plane) -> None:
    keys = plane.store.keys
    key, secret = keys.create(name="a", role="admin", app="default", now_ns=1)
    _, expired = keys.create(name="b", role="admin", app="default", now_ns=1, expires_ns=2)
    keys.revoke(key.key_id, 3)
    for shown in (secret, expired, "swk_unknown", "", None):
        answer = ask(plane.app, "/api/status", key=shown)
        assert answer.status_code == 401
        assert not shown or shown not in answer.text


def test_a_key_may_also_come_in_its_own_header(plane: Plane) -> None:
    secret = plane.keys()["viewer"]
    assert ask(plane.app, "/api/status", headers={"stepwarden-key": secret}).status_code == 200


def test_the_control_socket_is_the_admin(plane: Plane) -> None:
    plane.keys()
    assert ask(over_socket(plane.app), "/api/keys", headers={"host": "anything"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": f"evil.example:{PORT}"},
        {"host": "127.0.0.1"},
        {"host": f"127.0.0.1:{PORT}.evil.example"},
        {"host": f"127x0.0.1:{PORT}"},
        {"host": f"evil.localhost:{PORT}"},
        {"host": f"localhost.:{PORT}"},
        {"origin": f"http://evil.localhost:{PORT}"},
        {"host": ""},
        {"host": "evil.example", "x-forwarded-host": f"127.0.0.1:{PORT}"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": f"http://127.0.0.1:{PORT}.evil.example"},
        {"origin": f"ftp://127.0.0.1:{PORT}"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_foreign_host_or_origin_is_refused_on_loopback_and_with_a_key(plane: Plane, headers: dict[str, str]) -> None:
    assert ask(plane.app, "/api/sessions", headers=headers).status_code == 403
    assert ask(plane.app, "/api/sessions", headers=headers, key=plane.keys()["admin"]).status_code == 403


@pytest.mark.parametrize("host", [f"localhost:{PORT}", f"[::1]:{PORT}", f"LOCALHOST:{PORT}"])
def test_loopback_has_its_names(plane: Plane, host: str) -> None:
    headers = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
    assert ask(plane.app, "/api/sessions", headers=headers).status_code == 200


def test_an_allowed_host_is_reached_with_a_key_only(plane: Plane) -> None:
    app = plane.application(allowed_hosts=("gateway.example.com",))
    headers = {"host": "gateway.example.com"}
    assert ask(app, "/api/sessions", headers=headers).status_code == 401
    assert ask(app, "/api/sessions", headers=headers, key=plane.keys()["viewer"]).status_code == 200


def test_beyond_loopback_there_is_no_local_principal(plane: Plane) -> None:
    app = plane.application(host="10.0.0.1")
    headers = {"host": f"10.0.0.1:{PORT}"}
    assert ask(app, "/api/sessions", headers=headers, client=("10.0.0.2", 1)).status_code == 401
    assert ask(app, "/api/sessions", client=("10.0.0.2", 1)).status_code == 403


def test_a_key_sees_only_its_own_app(plane: Plane) -> None:
    keys = plane.keys(app="other")
    mine, foreign = plane.recordings[2].exchange, plane.recordings[0].exchange
    assert mine.join is not None
    assert foreign.join is not None
    for role in ("viewer", "auditor", "operator"):
        listed = ask(plane.app, "/api/sessions", key=keys[role]).json()["sessions"]
        assert [each["session_id"] for each in listed] == [mine.join.session_id]
        exchanges = ask(plane.app, "/api/exchanges", key=keys[role]).json()["exchanges"]
        assert [each["exchange_id"] for each in exchanges] == [mine.exchange_id]
        assert ask(plane.app, f"/api/sessions/{foreign.join.session_id}", key=keys[role]).status_code == 404
        assert ask(plane.app, f"/api/sessions/{foreign.join.session_id}/steps", key=keys[role]).status_code == 404
        assert ask(plane.app, f"/api/exchanges/{foreign.exchange_id}", key=keys[role]).status_code == 404
        assert ask(plane.app, "/api/sessions?app=default", key=keys[role]).status_code == 403
    assert ask(plane.app, f"/api/exchanges/{foreign.exchange_id}/request", key=keys["auditor"]).status_code == 404
    terminate = f"/api/sessions/{foreign.join.session_id}/terminate"
    assert ask(plane.app, terminate, method="POST", key=keys["operator"]).status_code == 404
    assert len(ask(plane.app, "/api/sessions", key=keys["admin"]).json()["sessions"]) == 3


def test_a_beginning_shared_with_another_apps_id_tells_nothing_of_it(plane: Plane) -> None:
    """Ids begin with the same digits of time: an ambiguous one would tell of exchanges in other apps."""
    viewer, admin = plane.keys(app="other")["viewer"], plane.keys()["admin"]
    mine = plane.recordings[2].exchange
    assert mine.join is not None
    for path in (f"/api/exchanges/{mine.exchange_id[:4]}", f"/api/sessions/{mine.join.session_id[:4]}"):
        assert ask(plane.app, path, key=admin).status_code == 404
        assert ask(plane.app, path, key=viewer).status_code == 200


def test_every_answer_forbids_caching_sniffing_and_framing(plane: Plane) -> None:
    answers: list[httpx.Response] = [
        ask(plane.app, path) for path in ("/api/sessions", "/api/nothing", "/healthz", "/readyz", "/api/sessions/none")
    ]
    answers.append(ask(plane.app, "/api/sessions", headers={"host": "evil.example"}))
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_an_application_of_its_own_answers_problems_in_json(plane: Plane) -> None:
    answer = ask(control_app(()), "/api/sessions")
    assert answer.status_code == 404
    assert set(answer.json()["error"]) == {"type", "message", "remedy"}
    assert ask(plane.app, "/api/sessions?limit=0").status_code == 400
