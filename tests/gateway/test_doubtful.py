"""What parsers read differently passes in neither direction where a clause acts, over the wire."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.demo.answers import Answer
from gateway.demo.turns import Turn
from tests.fakes.provider import always, say
from tests.gateway.house import DIALECTS, Dialect, House, fresh, standing
from tests.gateway.test_policies import asked, settings

every_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder: Path = tmp_path_factory.mktemp("doubtful")
    with standing(folder, more=settings(folder)) as house:
        yield house


@pytest.fixture
def strict(one: House) -> House:
    return fresh(one)


@every_dialect
@pytest.mark.parametrize("name", [b'"messages"', b'"input"', b'"role"', b'"content"'])
def test_a_name_in_other_letters_is_refused(strict: House, dialect: Dialect, name: bytes) -> None:
    body = dialect.request_body(stream=False)
    got = strict.ask(dialect.call(body=body.replace(name, name.title())))
    assert got.status == (400 if name in body else 200)
    assert (b"ambiguous_json" in got.body) == (name in body)


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@every_dialect
def test_a_reply_that_clients_read_differently_is_refused_and_recorded_so(
    strict: House, dialect: Dialect, *, stream: bool
) -> None:
    answer = say(dialect.name, Turn(text="All is well."), streamed=stream)
    pieces = [piece if isinstance(piece, bytes) else piece.data for piece in answer.body]  # type: ignore[union-attr]
    field = b"content" if dialect.name == "chat" else b"delta" if stream and dialect.name == "responses" else b"text"
    twice = [re.sub(rb'"%s": ?"' % field, rb'"%s": "bluebird-1234", \g<0>' % field, piece) for piece in pieces]
    assert twice != pieces
    kept = tuple([pair for pair in answer.headers if pair[0] != b"content-length"])
    strict.provider.script = always(Answer(status=200, headers=kept, body=tuple(twice)))
    got = asked(strict, dialect, stream=stream, text="Well?")
    assert b"bluebird" not in got.body
    assert b"may be read otherwise than it was checked" in got.body
    assert got.status == (200 if stream else 502)
    assert strict.facts(got.exchange)["verdict"] == "reject"
    judged = json.loads(strict.control(f"/api/exchanges/{got.exchange}")[1])["judged"]
    assert judged["unread"] == "reply"
