"""A tool is what it was accepted as, over restarts too, and every change of that is in the log."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from policies.vocabulary.holds import Review
from policies.vocabulary.pins import Defined, Listing, Pinned
from storage.errors import PinNotFound
from storage.ledger import Ledger
from storage.secret import Secret
from storage.tool_pins import ToolPins

ANN = Review(actor="owner", by="Ann")


class Desk:
    """Pins over files, which can be closed and opened again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ledger = Ledger(folder)
        self.pins = ToolPins(self.ledger, Secret(bytes(32)))

    def reopen(self) -> None:
        self.ledger.close()
        self.ledger = Ledger(self._folder)
        self.pins = ToolPins(self.ledger, Secret(bytes(32)))

    def see(self, server: str = "mail", *, beside: tuple[str, ...] = (), **tools: str) -> Pinned:
        defined = tuple(
            Defined(tool=name, fingerprint=sha256(text.encode()).digest(), definition=text)
            for name, text in tools.items()
        )
        return self.pins.see(Listing(server=server, app="shop", exchange_id="E1", tools=defined, beside=beside), 7)

    def entries(self) -> list[str]:
        lines = self.ledger.entries(0, 1000).lines
        kinds = [msgspec.json.decode(line)["type"] for line in lines]
        return [kind for kind in kinds if kind.startswith("tool.")]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.ledger.close()


def test_what_is_first_seen_is_accepted_and_what_differs_later_waits(desk: Desk) -> None:
    assert desk.see(add="Adds.", look="Looks.").changed == ()
    assert desk.see(add="Adds.", look="Looks.").changed == ()
    assert desk.see(add="Adds and tells.", look="Looks.").changed == ("add",)
    assert desk.pins.is_changed("mail", "add")
    assert not desk.pins.is_changed("mail", "look")
    assert not desk.pins.is_changed("other", "add")
    assert desk.entries() == ["tool.pinned", "tool.pinned", "tool.changed"]


def test_a_restart_changes_nothing(desk: Desk) -> None:
    desk.see(add="Adds.")
    desk.see(add="Adds and tells.")
    desk.reopen()
    assert desk.pins.is_changed("mail", "add")
    (pin,) = desk.pins.list()
    assert (pin.state, pin.definition, pin.proposed) == ("changed", "Adds.", "Adds and tells.")
    desk.pins.approve("mail", "add", ANN, 9)
    desk.reopen()
    assert not desk.pins.is_changed("mail", "add")
    (pin,) = desk.pins.list()
    assert (pin.state, pin.definition, pin.proposed, pin.approved_by) == ("pinned", "Adds and tells.", None, "Ann")
    assert desk.see(add="Adds.").changed == ("add",)
    assert desk.entries() == ["tool.pinned", "tool.changed", "tool.approved", "tool.changed"]


def test_the_same_change_is_logged_once_and_another_again(desk: Desk) -> None:
    desk.see(add="Adds.")
    for text in ("One.", "One.", "Two."):
        assert desk.see(add=text).changed == ("add",)
    assert desk.entries().count("tool.changed") == 2


def test_a_tool_that_is_again_what_it_was_waits_for_nobody(desk: Desk) -> None:
    desk.see(add="Adds.")
    desk.see(add="Other.")
    assert desk.see(add="Adds.").changed == ()
    with pytest.raises(PinNotFound):
        desk.pins.approve("mail", "add", ANN, 9)


def test_definitions_and_names_do_not_lie_open(desk: Desk, tmp_path: Path) -> None:
    desk.see(add="An uncommon word: bluebird.")
    desk.ledger.close()
    assert b"bluebird" not in b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    desk.reopen()


def test_names_of_other_servers_are_found_in_names_and_in_words(desk: Desk) -> None:
    desk.see(send_email="Sends.")
    assert desk.see("notes", beside=("mail",), send_email="Sends too.").shadowing == (("send_email", "mail"),)
    assert desk.see("notes", beside=("mail",), jot="Before send_email, call this.").shadowing == (("jot", "mail"),)
    assert desk.see("notes", beside=("mail",), jot="Before you resend_emails.").shadowing == ()
    assert desk.see("notes", send_email="Sends too.").shadowing == ()


def test_a_server_that_lists_without_end_fills_no_disk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.tool_pins._MOST", 2)
    assert desk.see(a="A.", b="B.", c="C.").changed == ("c",)
    assert [pin.tool for pin in desk.pins.list()] == ["a", "b"]
