"""Couriers: what can be delivered arrives, signed and in order; what cannot is counted and named nowhere."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from gateway.alerts import letter
from gateway.alerts.courier import Courier
from gateway.alerts.occurrences import Occurrence
from gateway.alerts.watch import Notice
from gateway.config import Alert
from tests.fakes.receiver import Receiver, running_receiver


def notice(number: int = 1) -> Notice:
    return Notice(alert="a", newest=Occurrence(occasion="reject", app=f"app{number}"), count=1)


def delivered(receiver: Receiver, notices: list[Notice], until: Callable[[Courier], bool], **alert: Any) -> Courier:
    """A courier that has carried these, or given up."""
    told = Alert(**{"name": "a", "on": ("reject",), "url_env": "HOOK", "secret_env": "SECRET", **alert})
    environ = {"HOOK": receiver.url, "SECRET": "whsec_c2VjcmV0"}

    async def carry() -> Courier:
        courier = Courier(told, environ, lambda: "https://g.example", pauses=(0.01, 0.01))
        for each in notices:
            courier.put(each)
        running = asyncio.create_task(courier.run())
        async with asyncio.timeout(60):
            while not until(courier):  # noqa: ASYNC110 - what it counts is all a courier shows
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await courier.close()
        return courier

    return asyncio.run(carry())


def test_a_webhook_arrives_signed_over_the_very_bytes() -> None:
    with running_receiver() as receiver:
        delivered(receiver, [notice(1), notice(2)], lambda courier: courier.delivered == 2)
        headers, body = receiver.received[0]
        signed = letter.signature("whsec_c2VjcmV0", headers["webhook-id"], int(headers["webhook-timestamp"]), body)
        assert headers["webhook-signature"] == signed
        assert [b'"app":"app%d"' % n in each for n, (_, each) in enumerate(receiver.received, 1)] == [True, True]


def test_it_is_tried_again_under_the_same_id_while_that_can_help() -> None:
    with running_receiver(500, 429, 200) as receiver:
        courier = delivered(receiver, [notice()], lambda courier: courier.delivered == 1)
        assert len({headers["webhook-id"] for headers, _ in receiver.received}) == 1
        assert (len(receiver.received), courier.lost) == (3, 0)


@pytest.mark.parametrize(("statuses", "tries"), [((404,), 1), ((503,), 3), ((302,), 3)])
def test_what_cannot_be_delivered_is_counted_and_its_address_named_nowhere(
    statuses: tuple[int, ...], tries: int, caplog: pytest.LogCaptureFixture
) -> None:
    with running_receiver(*statuses) as receiver, caplog.at_level(logging.WARNING):
        courier = delivered(receiver, [notice()], lambda courier: courier.lost == 1)
        assert (courier.delivered, len(receiver.received)) == (0, tries)
        told = "".join(
            f"{record.getMessage()} {vars(record)}" for record in caplog.records if record.name == "stepwarden.alerts"
        )
        assert "not delivered" in told
        assert receiver.url not in told


def test_slack_gets_text_and_no_signature() -> None:
    with running_receiver() as receiver:
        delivered(receiver, [notice()], lambda courier: courier.delivered == 1, to="slack")
        headers, body = receiver.received[0]
        assert "webhook-signature" not in headers
        assert body.startswith(b'{"text":"*Stepwarden* rejected in app1')


def test_a_bag_that_is_full_loses_the_oldest_and_counts_it() -> None:
    with running_receiver() as receiver:
        courier = delivered(receiver, [notice(n) for n in range(205)], lambda courier: courier.delivered == 200)
        assert courier.lost == 5
        assert b'"app":"app5"' in receiver.received[0][1]


def test_without_an_address_it_is_lost_at_once() -> None:
    with running_receiver() as receiver:
        assert delivered(receiver, [notice()], lambda courier: courier.lost == 1, url_env="NOTHING").delivered == 0


def test_a_notice_that_cannot_be_written_does_not_keep_the_next_ones_back(caplog: pytest.LogCaptureFixture) -> None:
    broken = Notice(alert="a", newest=Occurrence(occasion="reject", app="\ud800"), count=1)
    with running_receiver() as receiver, caplog.at_level(logging.ERROR):
        courier = delivered(receiver, [broken, notice(2)], lambda courier: courier.delivered == 1)
        assert courier.lost == 1
        assert b'"app":"app2"' in receiver.received[0][1]
