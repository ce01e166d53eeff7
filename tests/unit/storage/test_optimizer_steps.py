"""Steps of optimizers: each is kept with its audit entry, read in order, and goes with the record."""

import json
from pathlib import Path

import msgspec

from policies.vocabulary.revisions import LineEnds
from storage.ledger import Ledger
from storage.optimizer_steps import Heard, StepBook, expired_steps
from storage.revisions import RevisionBook
from storage.secret import Secret

HEARD = Heard(
    run=b"r" * 16, app="shop", optimizer="gaps", proposals=1, known=2, failures=0, calls=3, tokens=40,
    began_ns=5, ended_ns=9,
)  # fmt: skip


def test_each_step_is_kept_with_its_entry_and_read_in_order(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    book = StepBook(ledger)
    for name in ("gaps", "lines", "patterns"):
        book.keep(msgspec.structs.replace(HEARD, optimizer=name))
    first, second = book.after(0, 2)
    assert first == msgspec.structs.replace(HEARD, number=1)
    assert (second.optimizer, [each.optimizer for each in book.after(2, 9)]) == ("lines", ["patterns"])
    told = [json.loads(line) for line in ledger.entries(0, 100).lines]
    heard = [each for each in told if each["type"] == "optimizer.heard"]
    assert [each["optimizer"] for each in heard] == ["gaps", "lines", "patterns"]
    assert (heard[0]["tenant"], heard[0]["calls"], heard[0]["tokens"]) == ("shop", 3, 40)
    ledger.write(expired_steps(9), entries=())
    assert len(book.after(0, 9)) == 3
    ledger.write(expired_steps(10), entries=())
    assert book.after(0, 9) == []
    ledger.close()


def test_how_sessions_ended_with_each_line_is_as_it_was_counted_last(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    book = RevisionBook(ledger, Secret(b"k" * 32))
    book.count("shop", [LineEnds(line="a", helped=1, hurt=2), LineEnds(line="b", helped=3)], now_ns=1)
    book.count("other", [LineEnds(line="a", hurt=9)], now_ns=1)
    assert book.counted("shop") == (LineEnds(line="a", helped=1, hurt=2), LineEnds(line="b", helped=3))
    book.count("shop", [LineEnds(line="b", helped=4)], now_ns=2)
    assert book.counted("shop") == (LineEnds(line="b", helped=4),)
    assert book.counted("other") == (LineEnds(line="a", hurt=9),)
    ledger.close()
