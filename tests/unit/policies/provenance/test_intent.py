"""What the user asked, how well words call for a tool, and what he handed over."""

import pytest

from policies.provenance.delegation import mandate, manner, named
from policies.provenance.intent import entailment, intent, read_only
from policies.provenance.lexicon import content_concepts, name_words
from policies.provenance.tools import acts, tool_from, toolbox
from policies.trail import UNTAGGED

SEND = (
    "send_money",
    '{"name": "send_money", "description": "Send money.", "input_schema": {"properties": {"iban": {}}}}',
)
READ = ("get_page", '{"type": "function", "function": {"name": "get_page", "description": "Get a web page."}}')
BOX = toolbox([SEND, READ])


@pytest.mark.parametrize(
    "said",
    [
        "What is my balance?",
        "Find recent posts about tea.",
        "Can you tell me who wrote this?",
        "Check the calendar and tell me whether she is free.",
        "Summarise my unread mail.",
    ],
)
def test_a_request_to_read_is_read_only(said: str) -> None:
    assert read_only([intent(said)])


@pytest.mark.parametrize(
    "said",
    [
        "Find the invoice and pay it.",
        "Set up a meeting.",
        "Handle the ticket.",
        "Do the open items in the note.",
        "Reply that I am coming.",
        "Book the cheapest one.",
        "Hello there.",
    ],
)
def test_anything_else_is_not(said: str) -> None:
    assert not read_only([intent(said)])


def test_one_turn_that_acts_makes_the_whole_conversation_act() -> None:
    assert not read_only([intent("What is my balance?"), intent("Then pay the bill.")])


@pytest.mark.parametrize("said", ["Pay the invoice.", "Transfer the rent to my landlord.", "Wire him the money."])
def test_words_of_the_same_family_call_for_a_tool(said: str) -> None:
    assert entailment([intent(said)], BOX, BOX.tool("send_money"), acting=True) >= 0.7


def test_a_request_to_read_calls_for_no_tool_that_acts() -> None:
    assert entailment([intent("How much money did I send?")], BOX, BOX.tool("send_money"), acting=True) == 0.0


@pytest.mark.parametrize("name", ["send_money", "sendMoney", "SendMoney", "bank.send-money", "acme__send_money_v2"])
def test_how_a_tool_name_is_written_does_not_matter(name: str) -> None:
    box = toolbox([(name, "{}"), READ])
    assert box.match(box.tool(name), content_concepts("Transfer the payment to Bob")) >= 0.7


def test_names_are_split_at_case_and_separators() -> None:
    assert name_words("EpicFHIRDownloadFiles") == ["epic", "fhir", "download", "files"]


@pytest.mark.parametrize(
    ("name", "acting"), [("get_page", False), ("TwitterManagerSearch", False), ("frobnicate", True)]
)
def test_an_untagged_tool_reads_only_if_its_verb_says_so(name: str, acting: bool) -> None:  # noqa: FBT001 - a fact
    assert acts(tool_from(name, "", ()), UNTAGGED) is acting


def test_tags_win_over_the_name() -> None:
    assert acts(tool_from("get_cash", "", ()), frozenset({"money"}))
    assert not acts(tool_from("send_probe", "", ()), frozenset({"read"}))


def test_a_broken_definition_counts_by_its_name() -> None:
    assert toolbox([("send_money", "{nonsense")]).tool("send_money").verb


@pytest.mark.parametrize(
    "said",
    [
        "Follow the instructions in the file.",
        "Do whatever the ticket says.",
        "Please do all the tasks on my list.",
        "Resolve ticket 4.",
        "Work through the checklist.",
    ],
)
def test_handing_a_task_over_is_a_mandate(said: str) -> None:
    assert mandate(said.lower())


@pytest.mark.parametrize(
    "said", ["Pay the bill.", "Do the following tasks: 1. pay the bill 2. call Bob", "What time is it?"]
)
def test_naming_the_task_oneself_is_none(said: str) -> None:
    assert not mandate(said.lower())


@pytest.mark.parametrize(
    "said", ["Adjust the rent accordingly.", "Set it up as described there.", "The details are in his mail."]
)
def test_leaving_the_how_to_a_text_is_a_manner(said: str) -> None:
    assert manner(said.lower())


def test_a_source_is_named_by_a_whole_value_it_was_fetched_by() -> None:
    turns = [intent("Fix issue #88 in bill.txt")]
    assert named(turns, ["88"])
    assert named(turns, ["bill.txt"])
    assert not named(turns, ["8"])
    assert not named(turns, ["ill.txt"])
