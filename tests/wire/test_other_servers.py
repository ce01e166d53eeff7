"""Servers that tell items apart otherwise than OpenAI does: what they stream leaves as it came, and judged."""

from typing import Any, Final

import pytest
from streams import Driven, by_event, read
from test_one_place import DONE, ENDINGS, HI, LOOKS, SAID, WORD, at, call, delivered, message, text_of, told

from gateway.wire.blocks import Judgement
from gateway.wire.gate import DOUBTFUL, Ending, Needs, Refused, Substituted

Events = list[dict[str, Any]]
Told = tuple[Events, list[dict[str, Any]]]
"""The events of a stream, and its output."""

NEEDS: Final = {
    **LOOKS,
    "text": Needs(text="whole"),
    "reasoning": Needs(reasoning="whole"),
    "tool_call": Needs(tool_call="whole"),
    "server_side": Needs(server_side="whole"),
}
GIVEN: Final = '{"at": "there"}'


def of(name: str, *events: dict[str, Any]) -> Events:
    """Events about an item of this name."""
    return [
        {key: value for key, value in event.items() if key != "item_id"} | {"item": {**event["item"], "id": name}}
        if "item" in event
        else {**event, "item_id": name}
        for event in events
    ]


def named(name: str, item: dict[str, Any]) -> dict[str, Any]:
    return {**item, "id": name}


def speaking(index: int, name: str, said: str) -> Events:
    deltas = [at("output_text.delta", index, content_index=0, delta=letter) for letter in said]
    part = at("content_part.added", index, content_index=0, part=text_of(""))
    return of(name, at("output_item.added", index, item=message()), part, *deltas)


def spoken(index: int, name: str, said: str) -> Events:
    part = at("content_part.done", index, content_index=0, part=text_of(said))
    done = at("output_text.done", index, content_index=0, text=said)
    return of(name, done, part, at("output_item.done", index, item=message(said)))


def thinking(index: int, name: str, said: str) -> Events:
    item = {"type": "reasoning", "summary": [], "content": None}
    part = at("reasoning_part.added", index, content_index=0, part={"type": "reasoning_text", "text": ""})
    deltas = [at("reasoning_text.delta", index, content_index=0, delta=letter) for letter in said]
    return of(name, at("output_item.added", index, item=item), part, *deltas)


def thought(index: int, name: str, said: str) -> Events:
    piece = {"type": "reasoning_text", "text": said}
    item = {"type": "reasoning", "summary": [], "content": [piece]}
    done = at("reasoning_text.done", index, content_index=0, text=said)
    part = at("reasoning_part.done", index, content_index=0, part=piece)
    return of(name, done, part, at("output_item.done", index, item=item))


def reasoning_part(kind: str, said: str) -> Events:
    """Reasoning of which one event about its part, alone, says something else."""
    events = [*thinking(0, "r", "Hm."), *thought(0, "r", "Hm.")]
    for event in events:
        if event["type"] == f"response.reasoning_part.{kind}":
            event["part"] = {**event["part"], "text": said}
    return events


def calling(index: int, name: str, given: str, tool: str = "look") -> Events:
    halves = (given[:4], given[4:])
    return of(
        name,
        at("output_item.added", index, item=call(tool, "", name)),
        *(at("function_call_arguments.delta", index, delta=half) for half in halves),
        at("function_call_arguments.done", index, arguments=given),
        at("output_item.done", index, item=call(tool, given, name)),
    )


def ollama(said: str, *given: str) -> Told:
    """Calls of one reply come each by itself, and all of them where its text stands, which the end leaves out."""
    calls = [event for number, one in enumerate(given) for event in calling(0, f"fc_{number}", one)]
    output = [named(f"fc_{number}", call("look", one, f"fc_{number}")) for number, one in enumerate(given)]
    return [*speaking(0, "msg", said), *calls], output


def vllm(said: str, tool: str, given: str) -> Told:
    """With gpt-oss, what ends an item gives the index of the next one, and the end gives new names to all."""
    begun = at("output_item.added", 2, item=call(tool, ""))
    streamed = of("fc", *(at("function_call_arguments.delta", 2, delta=half) for half in (given[:4], given[4:])))
    item = {"type": "function_call", "name": tool, "arguments": given, "call_id": "other", "item_id": "fc"}
    events = [
        *thinking(1, "msg", said),
        *thought(2, "msg", said),
        *of("msg", begun),
        *streamed,
        *of("fc", at("function_call_arguments.done", 3, arguments=given, name=tool)),
        {**at("output_item.done", 3, item=item)},
    ]
    reasoning = {"type": "reasoning", "id": "r", "summary": [], "content": [{"type": "reasoning_text", "text": said}]}
    return events, [reasoning, named("f", call(tool, given, "third"))]


def vllm_of_others(tool: str, given: str) -> Told:
    """The first piece of what a call is given stands in the item already."""
    events = calling(0, "fc", given, tool)
    events[0]["item"]["arguments"] = given[:4]
    return events, [named("f", call(tool, given))]


def vllm_with_python(said: str, code: str) -> Told:
    item = {"type": "code_interpreter_call", "id": "t", "code": None, "container_id": "auto", "outputs": None}
    whole = {**item, "code": code, "outputs": []}
    ran = of(
        "t",
        at("output_item.added", 2, item=item),
        at("code_interpreter_call_code.delta", 2, delta=code),
        at("code_interpreter_call_code.done", 2, code=code),
        at("code_interpreter_call.completed", 2),
        at("output_item.done", 2, item=whole),
    )
    return [*thinking(1, "msg", said), *thought(2, "msg", said), *ran, *speaking(3, "m", HI), *spoken(4, "m", HI)], []


def hugging_face(brought: str, said: str) -> Told:
    """A text begins at index 0, where the tools of an MCP server stand, and goes on at its own."""
    tools = {"type": "mcp_list_tools", "id": "mcpl", "server_label": "s", "tools": [{"name": brought}]}
    begun, *rest = speaking(1, "msg", said)
    events = [
        at("output_item.added", item={**tools, "tools": []}),
        at("output_item.done", item=tools),
        {**begun, "output_index": 0},
        *rest,
        *spoken(1, "msg", said),
    ]
    return events, [tools, named("msg", message(said))]


def litellm(given: str, said: str) -> Told:
    """A custom tool is given a text; what streams are the arguments of the function that stands for it."""
    item = {"type": "custom_tool_call", "id": "c", "call_id": "c", "name": "patch", "input": ""}
    events = of(
        "c",
        at("output_item.added", 1, item=item),
        at("function_call_arguments.delta", 1, delta=given),
        at("function_call_arguments.done", 1, arguments=given),
        at("output_item.done", 1, item={**item, "input": said}),
    )
    return events, [{**item, "input": said}]


def copilot(streamed: str, given: str) -> Told:
    """What streams is a ciphertext, and each event has another name."""
    events = of("a", at("output_item.added", item=call("look", "")))
    for number, half in enumerate((streamed[:4], streamed[4:])):
        events += of(f"b{number}", at("function_call_arguments.delta", delta=half))
    events += of("d", at("function_call_arguments.done", arguments=given))
    events += of("e", at("output_item.done", item=call("look", given)))
    return events, [named("f", call("look", given))]


def nothing(said: str) -> Told:
    """An event may give no item."""
    none: Events = [at("output_item.added", item=None), at("output_item.done", item=None)]
    return [none[0], *speaking(0, "msg", said), *spoken(0, "msg", said), none[1]], [named("msg", message(said))]


HONEST: Final[dict[str, Told]] = {
    "Ollama": ollama(HI, GIVEN),
    "Ollama, two calls": ollama(HI, GIVEN, "{}"),
    "vLLM": vllm("Hm.", "look", GIVEN),
    "vLLM, other models": vllm_of_others("look", GIVEN),
    "vLLM, a program": vllm_with_python("Hm.", "1 + 1"),
    "Hugging Face": hugging_face("look", HI),
    "LiteLLM": litellm('{"content": "+ a"}', "+ a"),
    "GitHub Copilot": copilot("gAAAAAB", GIVEN),
    "no item": nothing(HI),
}


@pytest.mark.parametrize("need", NEEDS)
@pytest.mark.parametrize("name", HONEST)
def test_what_other_servers_stream_leaves_as_it_came(name: str, need: str) -> None:
    events, output = HONEST[name]
    stream = told(*events, output=tuple(output))
    assert Driven("responses", NEEDS[need]).feed(by_event(stream)).wire == stream


RECORDED: Final[dict[str, list[tuple[str, str | None, str]]]] = {
    "Ollama": [("model_text", None, HI), ("tool_call", "look", GIVEN)],
    "Ollama, two calls": [("model_text", None, HI), ("tool_call", "look", GIVEN), ("tool_call", "look", "{}")],
    "vLLM": [("reasoning", None, "Hm."), ("tool_call", "look", GIVEN)],
    "vLLM, other models": [("tool_call", "look", GIVEN)],
    "vLLM, a program": [
        ("reasoning", None, "Hm."),
        ("tool_call", "code_interpreter", "1 + 1"),
        ("model_text", None, HI),
    ],
    "Hugging Face": [("tool_definitions", "s.look", '{"name":"look"}'), ("model_text", None, HI)],
    "LiteLLM": [("tool_call", "patch", "+ a")],
    "GitHub Copilot": [("tool_call", "look", GIVEN)],
    "no item": [("model_text", None, HI)],
}


@pytest.mark.parametrize("name", RECORDED)
def test_what_other_servers_stream_is_recorded_once(name: str) -> None:
    events, output = HONEST[name]
    recorded = read("responses", told(*events, output=tuple(output)))
    assert [(part.kind, part.tool, part.text) for part in recorded.parts] == RECORDED[name]


ALIKE: Final[dict[str, list[dict[str, Any]]]] = {
    "a call": [call("look", GIVEN), call("look", GIVEN, "d")],
    "a text": [message(HI), message(HI)],
    "the end of a message": [message("Well.", HI), message(HI)],
}


@pytest.mark.parametrize("name", ALIKE)
def test_what_the_last_event_alone_tells_is_recorded_also_where_it_is_like_what_came_before(name: str) -> None:
    first, second = ALIKE[name]
    recorded = read("responses", told(at("output_item.done", item=first), output=(first, second)))
    alone = [read("responses", told(output=(item,))).parts for item in (first, second)]
    assert [(part.kind, part.tool, part.call_id, part.text) for part in recorded.parts] == [
        (part.kind, part.tool, part.call_id, part.text) for parts in alone for part in parts
    ]


GUILTY: Final[dict[str, Told]] = {
    "Ollama, its text": ollama(WORD, GIVEN),
    "Ollama, the first call": ollama(HI, f'{{"at": "{WORD}"}}', "{}"),
    "Ollama, the last call": ollama(HI, "{}", f'{{"at": "{WORD}"}}'),
    "vLLM, its reasoning": vllm(WORD, "look", GIVEN),
    "vLLM, a part of reasoning that begins with more than streams": (reasoning_part("added", WORD), []),
    "vLLM, a part of reasoning that ends with more than streamed": (reasoning_part("done", WORD), []),
    "vLLM, a tool": vllm("Hm.", WORD, GIVEN),
    "vLLM, arguments": vllm("Hm.", "look", f'{{"at": "{WORD}"}}'),
    "vLLM, other models": vllm_of_others("look", f'{{"at": "{WORD}"}}'),
    "vLLM, a program": vllm_with_python("Hm.", WORD),
    "Hugging Face": hugging_face("look", WORD),
    "LiteLLM, what streams": litellm(f'{{"content": "{WORD}"}}', "+ a"),
    "LiteLLM, what it ends as": litellm('{"content": "+ a"}', WORD),
    "GitHub Copilot, what streams": copilot(WORD, GIVEN),
    "GitHub Copilot, what it ends as": copilot("gAAAAAB", f'{{"at": "{WORD}"}}'),
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", GUILTY)
def test_what_is_rejected_does_not_leave_other_servers(name: str, ending: Ending, look: str) -> None:
    events, output = GUILTY[name]
    for repeated in (tuple(output), ()):  # some servers' last event gives no item again
        assert WORD.encode() not in delivered(told(*events, output=repeated), look, ending, SAID | DONE)


HALVES: Final = ('{"at": "her', 'onry"}')
BEGUN: Final = at("output_item.added", item=call("look", ""))
DELTA: Final = "function_call_arguments.delta"
DEL: Final = "delete"
MIXED: Final[dict[str, Events]] = {
    "a call that begins within another": [*of("a", BEGUN, at(DELTA, delta=HALVES[0])), *of("b", BEGUN)],
    "a call that begins behind half of one": [
        *calling(0, "a", HALVES[0]),
        *of("b", BEGUN, at(DELTA, delta=HALVES[1])),
    ],
    "a call that goes on at another index": [
        *of("a", BEGUN, at(DELTA, delta=HALVES[0])),
        *of("b", at("output_item.added", 1, item=call("look", "", "d"))),
        *of("a", at(DELTA, 1, delta=HALVES[1])),
    ],
    "a call that begins under the name of half of one": [
        *of("a", at("output_item.added", item=call("look", HALVES[0]))),
        *of("a", at("output_item.added", 1, item=call("look", "", "d")), at(DELTA, 1, delta=HALVES[1])),
    ],
    "a call that ends where a text stands and goes on at another index": [
        *of("a", at("output_item.added", item=message()), at("output_item.done", item=call("look", HALVES[0]))),
        *of("a", at(DELTA, 1, delta=HALVES[1])),
    ],
    "arguments that come before the call whose name they give, at another index": [
        *of("a", at("function_call_arguments.done", 1, arguments=GIVEN)),
        *of("a", at("output_item.done", item=call("look", ""))),
    ],
    "a call that goes on where another took its index": [
        *calling(0, "a", "{}"),
        *of("b", BEGUN | {"item": call("look", "", "b")}),
        *of("a", at(DELTA, delta=HALVES[1])),
    ],
    "half of what a call is given where it begins": [
        *of("a", at("output_item.added", item=call("look", HALVES[0])), at(DELTA, delta=HALVES[1])),
        *of("a", at("output_item.done", item=call("look", '{"at": "heron"}'))),
    ],
}


@pytest.mark.parametrize("name", MIXED)
def test_what_some_clients_may_put_together_of_two_calls_ends_the_stream(name: str) -> None:
    assert DOUBTFUL.encode() in delivered(told(*MIXED[name]), "whole", Substituted("No."), frozenset())


OTHERWISE: Final[dict[str, Events]] = {
    "that ends with another one": [
        *of("a", at("output_item.added", item=call(DEL, "")), at(DELTA, delta=f'{{"at": "{DEL}"}}')),
        *of("a", at("output_item.done", item=call("look", f'{{"at": "{DEL}"}}'))),
    ],
    "that ends with a longer one": [
        *of("a", at("output_item.added", item=call(DEL, "")), at("output_item.done", item=call(f"{DEL}_not"))),
    ],
    "whose arguments come with another call": [
        *of("a", at("output_item.added", item=call(DEL, ""))),
        *of("b", at("output_item.added", 1, item=call("look", "", "d"))),
        *of("a", at("function_call_arguments.done", 1, arguments=GIVEN)),
    ],
    "whose arguments come where another took its index": [
        *calling(0, "a", "{}", DEL),
        *of("b", BEGUN | {"item": call("look", "", "b")}),
        *of("a", at("function_call_arguments.done", arguments=GIVEN)),
    ],
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_a_call_is_judged_under_each_name_that_a_client_may_take_it_by(name: str) -> None:
    def decide(judgement: Judgement) -> Ending | None:
        part = judgement.part
        return Refused("No.") if part.tool == DEL and (part.text not in ("", "{}") or "longer" in name) else None

    wire = Driven("responses", LOOKS["whole"]).feed([told(*OTHERWISE[name])], decide).wire
    assert DEL.encode() not in wire


def test_texts_of_one_name_are_joined_also_where_a_call_took_their_index() -> None:
    halves = [at("output_text.delta", content_index=0, delta=half) for half in (WORD[:3], WORD[3:])]
    hello = at("output_item.added", item=message())
    stream = told(*of("m", hello, halves[0]), *calling(0, "c", "{}"), *of("m", halves[1]))
    for look in LOOKS:
        assert f'"{WORD[3:]}"'.encode() not in delivered(stream, look, Substituted("No."), SAID)


def test_what_vllm_calls_a_part_of_reasoning_is_judged_as_reasoning() -> None:
    events = [*thinking(0, "r", "Hm."), *thought(0, "r", "Hm.")]
    driven = Driven("responses", LOOKS["whole"]).feed([told(*events)])
    assert [(one.part.kind, one.part.unread, one.part.text) for one in driven.judged] == [("reasoning", None, "Hm.")]
