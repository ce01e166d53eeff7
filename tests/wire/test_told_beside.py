"""What an item of the Responses says beside what its kind is for, and what unknown events tell of a call."""

import json
from typing import Any, Final

import pytest
from streams import DIALECTS, Driven, by_event, rejecting
from test_lenient_readers import delivered_document
from test_one_place import LOOKS, WORD, at, told

from gateway.wire.blocks import Judgement
from gateway.wire.edits import Replacement
from gateway.wire.gate import DOUBTFUL, Needs, Refused

ITEMS: Final[list[dict[str, Any]]] = [
    {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
    {"type": "custom_tool_call", "call_id": "c", "name": "look", "input": "x"},
    {"type": "mcp_call", "name": "look", "server_label": "s", "arguments": "{}", "output": "x"},
    {"type": "mcp_list_tools", "server_label": "s", "tools": []},
    {"type": "mcp_approval_request", "name": "look", "server_label": "s", "arguments": "{}"},
    {"type": "mcp_approval_response", "approval_request_id": "a", "approve": True},
    {"type": "code_interpreter_call", "code": "1", "outputs": []},
    {"type": "web_search_call", "action": {"query": "x"}},
    {"type": "compaction", "encrypted_content": "gAAA"},
    {"type": "compaction_summary", "encrypted_content": "gAAA"},
    {"type": "tool_search_output", "call_id": "c", "tools": []},
    {"type": "function_call_output", "call_id": "c", "output": "x"},
    {"type": "shell_call_output", "call_id": "c", "result": "x"},
    {"type": "item_reference"},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi."}]},
]
SAID: Final[list[Any]] = [WORD, [{"type": "output_text", "text": WORD}], {"text": WORD}, [WORD]]
FIELDS: Final = (
    *("content", "summary", "text", "delta", "input", "arguments", "code", "result", "results", "outputs", "output"),
)


NO: Final = Refused("No.")


def response(item: dict[str, Any]) -> bytes:
    return json.dumps({"id": "r", "object": "response", "status": "completed", "output": [item]}).encode()


def given(item: dict[str, Any]) -> list[dict[str, Any]]:
    """The item with one thing more, wherever its kind has no place for that."""
    return [{"id": "i", **item, field: said} for field in FIELDS if field not in item for said in SAID]


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item["type"])
def test_what_an_item_says_beside_what_its_kind_is_for_is_judged_in_a_document(item: dict[str, Any]) -> None:
    for whole in given(item):
        assert WORD.encode() not in delivered_document("responses", response(whole)), whole


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item["type"])
def test_what_an_item_says_beside_what_its_kind_is_for_is_judged_in_a_stream(item: dict[str, Any], look: str) -> None:
    for whole in given(item):
        added, done = at("output_item.added", item={"id": "i", **item}), at("output_item.done", item=whole)
        for stream in (
            told(added, done, output=(whole,)),
            told(at("output_item.added", item=whole), done, output=(whole,)),
            told(added, at("output_item.done", item={"id": "i", **item}), output=(whole,)),
        ):
            wire = Driven("responses", LOOKS[look]).feed([stream], rejecting(WORD, NO)).wire
            assert WORD.encode() not in wire, whole


def test_what_a_result_says_beside_its_output_is_data_from_outside() -> None:
    """Clauses look at results in requests, and at nothing the model said before."""
    item = {"type": "function_call_output", "call_id": "c", "output": "x", "content": WORD}
    parts = DIALECTS.responses.parts_of(json.dumps(item).encode(), "message")
    assert [(part.kind, part.text) for part in parts] == [("tool_result", "x"), ("tool_result", WORD)]


SPOKEN: Final[list[dict[str, Any]]] = [
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi."}]},
    {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "Hi."}]},
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hi."}]},
    {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Hi."}]},
]


@pytest.mark.parametrize("field", ["content", "summary", "delta"])
@pytest.mark.parametrize("item", SPOKEN, ids=lambda item: item["type"])
def test_what_a_piece_says_beside_its_text_is_judged_or_does_not_pass(item: dict[str, Any], field: str) -> None:
    holder = "content" if "content" in item else "summary"
    piece = {**item[holder][0], field: WORD}
    whole = {"id": "i", **item, holder: [piece]}
    assert WORD.encode() not in delivered_document("responses", response(whole))
    part = "content_part" if holder == "content" else "reasoning_summary_part"
    begun = at("output_item.added", item={**whole, holder: []})
    for stream in (
        told(begun, at("output_item.done", item=whole), output=(whole,)),
        told(begun, at(f"{part}.added", content_index=0, summary_index=0, part=piece)),
    ):
        assert WORD.encode() not in Driven("responses", LOOKS["whole"]).feed([stream], rejecting(WORD, NO)).wire


FAILED: Final[list[dict[str, Any]]] = [
    {"type": "mcp_call", "id": "i", "name": "look", "server_label": "s", "arguments": "{}", "error": WORD},
    {
        "type": "mcp_call",
        "id": "i",
        "name": "look",
        "server_label": "s",
        "arguments": "{}",
        "output": "",
        "error": WORD,
    },
    {
        "type": "mcp_call",
        "id": "i",
        "name": "look",
        "server_label": "s",
        "arguments": "{}",
        "output": "x",
        "error": WORD,
    },
    {"type": "mcp_list_tools", "id": "i", "server_label": "s", "tools": [], "error": WORD},
    {"type": "mcp_list_tools", "id": "i", "server_label": "s", "tools": [{"name": "look"}], "error": {"message": WORD}},
]


@pytest.mark.parametrize("item", FAILED)
def test_what_a_server_says_went_wrong_is_judged_as_what_it_brought(item: dict[str, Any]) -> None:
    assert WORD.encode() not in delivered_document("responses", response(item))
    begun = at("output_item.added", item={**item, "error": None, "output": None, "tools": []})
    for stream in (told(begun, at("output_item.done", item=item), output=(item,)), told(output=(item,))):
        for needs in (LOOKS["whole"], Needs(server_side="whole")):
            wire = Driven("responses", needs).feed([stream], rejecting(WORD, NO, {"tool_result"})).wire
            assert WORD.encode() not in wire
        honest = stream.replace(WORD.encode(), b"timed out")
        assert Driven("responses", LOOKS["whole"]).feed([honest]).wire == honest


@pytest.mark.parametrize("field", ["arguments", "input", "code"])
def test_what_is_taken_out_of_a_call_leaves_in_no_event_also_where_it_begins_with_all_of_it(field: str) -> None:
    kinds = {"arguments": "function_call", "input": "custom_tool_call", "code": "code_interpreter_call"}
    item = {"type": kinds[field], "id": "i", "call_id": "c", "name": "look", field: json.dumps({"at": WORD})}
    stream = told(at("output_item.added", item=item), at("output_item.done", item=item), output=(item,))

    def hide(judgement: Judgement) -> list[Replacement]:
        start = judgement.part.text.index(WORD)
        return [Replacement(start, start + len(WORD), "*")]

    wire = Driven("responses", LOOKS["whole"]).feed([stream], hide).wire
    assert wire == stream.replace(WORD.encode(), b"*")


def test_an_error_that_is_all_a_tool_brought_is_one_result() -> None:
    item = {"type": "mcp_call", "id": "i", "name": "look", "server_label": "s", "arguments": "{}", "error": "gone"}
    parts = DIALECTS.responses.parts_of(json.dumps(item).encode(), "message")
    assert [(part.kind, part.text) for part in parts] == [("tool_call", "{}"), ("tool_result", "gone")]


# ------------------------------------------------------------------------------------- events that nobody knows

SHELL: Final = {"type": "shell_call", "id": "i", "call_id": "c", "status": "in_progress"}
CALLS: Final[dict[str, dict[str, Any]]] = {
    "a call that the caller runs": SHELL,
    "one that the provider runs": {**SHELL, "execution": "server"},
}


def commands(*said: str) -> dict[str, Any]:
    return {"action": {"commands": [*said]}}


def streamed(item: dict[str, Any], *events: dict[str, Any], whole: dict[str, Any]) -> bytes:
    """A stream in which such events stand between the item's first and last."""
    ended = {**item, **whole, "status": "completed"}
    return told(at("output_item.added", item=item), *events, at("output_item.done", item=ended), output=(ended,))


def telling(said: str, place: int = 0, kind: str = "shell_call_command.delta") -> dict[str, Any]:
    return at(kind, command_index=place, delta=said)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("call", CALLS)
def test_what_a_call_grows_by_leaves_with_it(call: str, look: str) -> None:
    item = CALLS[call]
    stream = streamed(
        item,
        at("shell_call_command.added", command_index=0, command=""),
        telling("ls "),
        telling("-l"),
        at("shell_call_command.done", command_index=0, command="ls -l"),
        *[at("shell_call.progress", text="ls")] * 2,
        at("in_progress", response={"id": "resp_1", "status": "in_progress", "output": [], "instructions": "Look."}),
        telling("p", 1),
        telling("wd", 1),
        telling('{"note": "pwd"}', 2),
        telling('["\\n"]', 3),
        whole=commands("ls -l", "pwd", '["\\n"]'),
    )
    driven = Driven("responses", LOOKS[look]).feed(by_event(stream))
    assert driven.wire == stream
    (asked,) = [json.loads(one.part.text) for one in driven.judged]
    assert asked.get("action", asked) == {"commands": ["ls -l", "pwd", '["\\n"]']}


HALVES: Final = (WORD[:3], WORD[3:])
TOLD: Final[dict[str, tuple[dict[str, Any], ...]]] = {
    "in one piece": (telling(WORD),),
    "in pieces": tuple(map(telling, HALVES)),
    "in pieces around another's": (telling(HALVES[0]), telling("ls", 1), telling(HALVES[1])),
    "in the end": (telling(WORD, kind="shell_call_command.done"),),
    "as a command": (at("shell_call_command.done", command_index=0, command=WORD),),
    "as a change": (at("shell_call_operation_diff.done", diff=WORD),),
    "in sum": (at("shell_call.progress", summary=WORD),),
    "as a value": (telling(json.dumps({"do": WORD})),),
    "as an object": (at("shell_call_command.delta", command_index=0, input={"do": WORD}),),
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", TOLD)
def test_what_is_told_of_a_call_and_what_it_does_not_end_as_does_not_pass(name: str, call: str, look: str) -> None:
    item = CALLS[call]
    begun = at("output_item.added", item=item)
    failed = at("failed", response={"id": "resp_1", "status": "failed", "error": None, "output": []})
    for stream in (
        streamed(item, *TOLD[name], whole=commands("ls")),
        streamed(item, *TOLD[name], whole=commands(*HALVES)),
        told(begun, *TOLD[name]),
        told(begun, *TOLD[name], {"type": "error", "message": "x"}),
        told(begun, *TOLD[name], failed),
    ):
        wire = Driven("responses", LOOKS[look]).feed(by_event(stream)).wire
        assert HALVES[1].encode() not in wire
        assert DOUBTFUL.encode() in wire


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("call", CALLS)
def test_what_a_call_does_is_judged_also_where_it_streams_as_another_kind_of_call(call: str, look: str) -> None:
    begun, ended = CALLS[call], {**CALLS[call], **commands(WORD), "status": "completed"}
    added, piece = at("output_item.added", item=begun), at("function_call_arguments.delta", delta="{}")
    for stream in (
        told(added, piece, output=(ended,)),
        told(added, piece, at("output_item.done", item=ended)),
        told(piece, at("output_item.done", item=ended)),
        told(added, piece, at("output_item.done", item=begun), output=(ended,)),
    ):
        wire = Driven("responses", LOOKS[look]).feed(by_event(stream), rejecting(WORD, NO, {"tool_call"})).wire
        assert WORD.encode() not in wire


def test_a_summary_in_an_event_is_judged_or_does_not_pass() -> None:
    for event in (at("novelty", summary=WORD), at("output_text.delta", content_index=0, delta="Hi.", summary=WORD)):
        assert WORD.encode() not in Driven("responses", LOOKS["whole"]).feed([told(event)], rejecting(WORD, NO)).wire


def test_an_error_passes_with_its_code() -> None:
    """https://platform.openai.com/docs/api-reference/responses-streaming/error."""
    failed = {"type": "error", "code": "rate_limit_exceeded", "message": "Slow down.", "param": None}
    stream = told(failed)
    whole = stream[: stream.rindex(b"event: ")]
    assert Driven("responses", LOOKS["whole"]).feed([whole]).wire == whole


def test_a_patch_passes_as_it_came() -> None:
    patch = {"type": "apply_patch_call", "id": "i", "call_id": "c", "status": "in_progress"}
    operation = {"type": "update_file", "path": "a.py", "diff": ""}
    diff = "@@ -1 +1 @@\n-a\n+b"
    stream = streamed(
        {**patch, "operation": operation},
        *(at("apply_patch_call_operation_diff.delta", delta=piece, obfuscation="x") for piece in (diff[:5], diff[5:])),
        at("apply_patch_call_operation_diff.done", diff=diff),
        whole={"operation": {**operation, "diff": diff}},
    )
    assert Driven("responses", LOOKS["whole"]).feed(by_event(stream)).wire == stream


UNREAD: Final[list[dict[str, Any]]] = [
    {**ITEMS[0], "note": WORD},
    {**ITEMS[2], "note": WORD},
    {"type": "code_interpreter_call", "code": "1", "outputs": [{"type": "logs", "logs": "1", "note": WORD}]},
    {"type": "file_search_call", "queries": [], "results": [{"filename": "a", "text": "b", "note": WORD}]},
    {**SHELL, "created_by": WORD},
]


@pytest.mark.parametrize("item", UNREAD, ids=lambda item: item["type"])
def test_what_is_told_of_a_call_has_to_stand_in_what_is_judged_of_it(item: dict[str, Any]) -> None:
    stream = streamed({"id": "i", **item}, at(f"{item['type']}.progress", text=WORD), whole={})
    assert DOUBTFUL.encode() in Driven("responses", LOOKS["whole"]).feed([stream]).wire


def test_what_is_told_of_a_call_does_not_leave_where_what_it_brought_is_rejected() -> None:
    item = {"type": "code_interpreter_call", "id": "i", "code": "1"}
    brought = {"outputs": [{"type": "logs", "logs": WORD}]}
    stream = streamed(item, at("code_interpreter_call.progress", text=WORD), whole=brought)
    wire = Driven("responses", LOOKS["whole"]).feed(by_event(stream), rejecting(WORD, NO, {"tool_result"})).wire
    assert WORD.encode() not in wire


@pytest.mark.parametrize("call", CALLS)
def test_what_is_told_of_a_call_behind_its_end_is_judged(call: str) -> None:
    ended = {**CALLS[call], **commands("ls"), "status": "completed"}
    begun, done = at("output_item.added", item=CALLS[call]), at("output_item.done", item=ended)
    for output in ((), (ended,)):
        stream = told(begun, done, telling(WORD), output=output)
        wire = Driven("responses", LOOKS["whole"]).feed(by_event(stream), rejecting(WORD, NO)).wire
        assert WORD.encode() not in wire


def test_what_is_told_of_a_call_passes_where_no_clause_looks_at_calls() -> None:
    begun = at("output_item.added", item=SHELL)
    for stream in (streamed(SHELL, telling(WORD), whole=commands("ls")), told(begun, telling(WORD))):
        assert Driven("responses", Needs(text="whole")).feed(by_event(stream)).wire == stream


def test_the_name_of_a_call_may_be_told_of_it() -> None:
    item = {"type": "function_call", "id": "i", "call_id": "c", "name": "look", "arguments": ""}
    stream = streamed(item, at("function_call.named", text="look"), whole={"arguments": "{}"})
    assert Driven("responses", LOOKS["whole"]).feed(by_event(stream)).wire == stream


def test_a_call_of_which_too_many_texts_are_told_does_not_pass() -> None:
    """Each would have to be looked for in all of the call."""
    events = [telling("l", place) for place in range(300)]
    assert (
        DOUBTFUL.encode()
        in Driven("responses", LOOKS["whole"]).feed([streamed(SHELL, *events, whole=commands("l"))]).wire
    )
