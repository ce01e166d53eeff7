"""Destinations are listed as operators write them."""

import pytest

from policies.destinations import BadDestination, Destinations

LIST = Destinations(
    [
        "api.example.com",
        "*.corp.example",
        "10.0.0.0/8",
        "192.0.2.1",
        "@mail.example",
        "@*.mail.example",
        "Boss@home.example",
    ]
)


@pytest.mark.parametrize(
    "host", ["api.example.com", "a.corp.example", "a.b.corp.example", "10.1.2.3", "192.0.2.1", "[::ffff:10.0.0.1]"][:-1]
)
def test_what_is_listed_is_covered(host: str) -> None:
    assert LIST.cover(host)


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "x.api.example.com",
        "corp.example",
        "evilcorp.example",
        "corp.example.evil.io",
        "11.0.0.1",
        "010.0.0.1",
        "[::ffff:10.0.0.1]",
    ],
)
def test_what_is_not_listed_is_not_covered(host: str) -> None:
    assert not LIST.cover(host)


def test_an_address_that_may_be_listed_is_touched() -> None:
    assert LIST.touch("010.0.0.1")
    assert LIST.touch("[::ffff:10.0.0.1]")
    assert not LIST.touch("11.0.0.1")


def test_mail_goes_to_domains_and_mailboxes() -> None:
    assert LIST.mailbox("any", "mail.example")
    assert LIST.mailbox("any", "EU.mail.example")
    assert LIST.mailbox("boss", "home.example")
    assert not LIST.mailbox("other", "home.example")
    assert not LIST.mailbox("any", "mail.example.evil.io")
    assert not LIST.mailbox("any", "api.example.com")


def test_a_list_says_what_it_is_about() -> None:
    assert (Destinations(["a.example"]).of_hosts, Destinations(["a.example"]).of_mail) == (True, False)
    assert (Destinations(["@a.example"]).of_hosts, Destinations(["@a.example"]).of_mail) == (False, True)
    assert (Destinations([]).of_hosts, Destinations([]).of_mail) == (False, False)


@pytest.mark.parametrize(
    "entry",
    ["", " ", "https://a.example", "a.example/x", "a b", "*", "*.", "@", "a@", "10.0.0.0/99", "a.example:80", "*.*.x"],
)
def test_what_is_no_destination_is_refused(entry: str) -> None:
    with pytest.raises(BadDestination):
        Destinations([entry])
