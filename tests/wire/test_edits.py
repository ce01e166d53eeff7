"""A part is changed at the leaves it was read from, and nothing else is."""

import json
import random
from typing import Any

import msgspec
import pytest
from corpus_words import exchanges
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_json import GONE, SECRET, STRUCTURE, planted, ranges_of, strings, written

from gateway.wire.dialects import dialects
from gateway.wire.edits import PartEdit, Replacement, Uneditable, edit_reply, edit_request, replace_ranges
from gateway.wire.interface import Dialect, RequestView, TooDeep, Undecodable
from gateway.wire.leaves import Tree, decoded, replaced, spelled
from gateway.wire.spelling import Spelling
from policies.vocabulary.steps import Part

EXCHANGES = exchanges()
DIALECTS = dialects()
ESCAPED = json.dumps(SECRET, ensure_ascii=False)[1:-1]


def dialect(name: str) -> Dialect:
    return getattr(DIALECTS, EXCHANGES[name]["dialect"])


def parts_of(wire: Dialect, body: bytes, view: RequestView) -> list[tuple[int, Part]]:
    return [(cut, part) for cut in range(len(view.cuts)) for part in wire.parts(body, view, cut)]


def leaving_out(part: Part) -> PartEdit | None:
    """The edit that takes the secret out of a part, written plainly or inside JSON; None where it holds none."""
    found = [*ranges_of(part.text), *ranges_of(part.text, ESCAPED)]
    ranges = tuple(Replacement(start, end, GONE) for start, end in found)
    return PartEdit(pointer=part.pointer, ranges=ranges) if ranges else None


def gone(text: str) -> str:
    return text.replace(ESCAPED, GONE).replace(SECRET, GONE)


def sealed(value: Any, path: tuple[Any, ...]) -> bool:
    """Whether something beside what stands at `path`, or beside what holds it, is signed or encrypted."""
    for key in path:
        if isinstance(value, dict) and ("signature" in value or any(name.startswith("encrypted") for name in value)):
            return True
        value = value[key]
    return False


def leaf_cases(side: str) -> list[tuple[str, tuple[Any, ...]]]:
    return [
        (name, path)
        for name, exchange in EXCHANGES.items()
        for path, text in strings(exchange[side])
        if path[-1] not in STRUCTURE and text
    ]


CASES = leaf_cases("request")
REPLIES = leaf_cases("reply")


@settings(max_examples=200)
@given(st.sampled_from(CASES), st.integers(0, 60), st.integers(0, 1 << 30))
def test_a_secret_planted_anywhere_in_a_request_is_taken_out_and_nothing_else_changes(
    case: tuple[str, tuple[Any, ...]], at: int, seed: int
) -> None:
    name, path = case
    wire = dialect(name)
    body = written(planted(EXCHANGES[name]["request"], path, at), random.Random(seed)).encode()
    view = wire.read_request(body, "chat")
    before = parts_of(wire, body, view)
    edits = [msgspec.structs.replace(edit, cut=cut) for cut, part in before if (edit := leaving_out(part)) is not None]
    try:
        after = edit_request(wire, body, view, edits)
    except Uneditable:
        assert sealed(EXCHANGES[name]["request"], path) or path[-1] == "arguments"
        return
    seen = wire.read_request(after, "chat")
    assert [(cut, msgspec.structs.replace(part, text=gone(part.text), tool=None)) for cut, part in before] == [
        (cut, msgspec.structs.replace(part, tool=None)) for cut, part in parts_of(wire, after, seen)
    ]
    changed = {edit.cut for edit in edits}
    assert len(seen.cuts) == len(view.cuts)
    for cut, (old, new) in enumerate(zip(view.cuts, seen.cuts, strict=True)):
        assert cut in changed or body[old[0] : old[1]] == after[new[0] : new[1]]
    assert len(edits) == 1 or not edits
    if edits:
        start, end, _ = view.cuts[edits[0].cut]
        assert (body[:start], body[end:]) == (after[:start], after[len(after) - len(body) + end :])
    else:
        assert after == body


@settings(max_examples=150)
@given(st.sampled_from(REPLIES), st.integers(0, 60), st.integers(0, 1 << 30))
def test_a_secret_planted_anywhere_in_a_reply_is_taken_out_of_what_is_read(
    case: tuple[str, tuple[Any, ...]], at: int, seed: int
) -> None:
    name, path = case
    wire = dialect(name)
    body = written(planted(EXCHANGES[name]["reply"], path, at), random.Random(seed)).encode()
    before = read(wire, body)
    edits = [edit for part in before if (edit := leaving_out(part)) is not None]
    try:
        after = edit_reply(wire, body, edits)
    except Uneditable:
        assert sealed(EXCHANGES[name]["reply"], path) or path[-1] == "arguments"
        return
    assert [gone(part.text) for part in before] == [part.text for part in read(wire, after)]
    assert bool(edits) or after == body


def read(wire: Dialect, body: bytes) -> tuple[Part, ...]:
    reader = wire.reply_reader("chat", stream=False)
    reader.feed(body, 1)
    return reader.close(1).parts


@pytest.mark.parametrize("name", EXCHANGES)
def test_an_edit_of_nothing_returns_the_body(name: str) -> None:
    body = json.dumps(EXCHANGES[name]["request"], indent=1).encode()
    view = dialect(name).read_request(body, "chat")
    edits = [PartEdit(cut=cut, pointer=part.pointer, ranges=()) for cut, part in parts_of(dialect(name), body, view)]
    assert edit_request(dialect(name), body, view, edits) == body


@pytest.mark.parametrize("name", EXCHANGES)
def test_pointers_name_one_part_of_a_cut(name: str) -> None:
    body = json.dumps(EXCHANGES[name]["request"]).encode()
    view = dialect(name).read_request(body, "chat")
    found = [(cut, part.pointer) for cut, part in parts_of(dialect(name), body, view)]
    assert len(set(found)) == len(found)


def edit_message(wire: Dialect, message: str, pointer: str, *ranges: tuple[int, int, str]) -> str:
    key = "input" if wire is DIALECTS.responses else "messages"
    body = ('{"' + key + '":[' + message + "]}").encode()
    view = wire.read_request(body, "chat")
    edit = PartEdit(cut=0, pointer=pointer, ranges=tuple(Replacement(*one) for one in ranges))
    return edit_request(wire, body, view, [edit])[len(key) + 5 : -2].decode()


def test_escapes_outside_the_range_stay_as_they_were_written() -> None:
    message = '{"role" : "user","content":"\\u0061\\/b \\ud83d\\ude00 key=abc \\u00e9"}'
    text = "a/b 😀 key=abc é"
    start = len(text[: text.index("abc")].encode())
    assert edit_message(DIALECTS.chat, message, "/content", (start, start + 3, '"x"')) == message.replace(
        "abc", '\\"x\\"'
    )


def test_a_range_that_cuts_a_character_takes_it_whole() -> None:
    message = '{"role":"user","content":"a\\ud83d\\ude00b😀c"}'
    assert edit_message(DIALECTS.chat, message, "/content", (2, 7, "-")) == '{"role":"user","content":"a-c"}'


def test_a_key_given_twice_is_changed_in_both_places() -> None:
    message = '{"role":"user","content":{"decoy":1},"content":"my secret"}'
    changed = edit_message(DIALECTS.chat, message, "/content", (3, 9, "*"))
    assert changed == '{"role":"user","content":"my *","content":"my *"}'


def test_a_holder_given_twice_is_not_edited() -> None:
    message = '{"role":"user","content":[{"type":"text","text":"hidden"}],"content":[{"type":"text","text":"secret"}]}'
    with pytest.raises(Uneditable, match="twice"):
        edit_message(DIALECTS.anthropic, message, "/content/0", (0, 6, "*"))


@pytest.mark.parametrize(
    "body",
    [
        '{"messages":[{"role":"user","content":"a key"}],"messages":[{"role":"user","content":"a key"}]}',
        '{"metadata":{"messages":[{"role":"user","content":"a key"}]},"messages":[{"role":"user","content":"a key"}]}',
        '{"system":"a key","system":"a key","messages":[]}',
    ],
)
def test_a_look_alike_is_not_edited_in_place_of_what_decides(body: str) -> None:
    view = DIALECTS.anthropic.read_request(body.encode(), "chat")
    pointer = "" if "system" in body else "/content"
    edit = PartEdit(pointer=pointer, ranges=(Replacement(2, 5, "*"),))
    with pytest.raises(Uneditable):
        edit_request(DIALECTS.anthropic, body.encode(), view, [edit])


def test_a_range_across_the_blocks_of_a_tool_result_changes_each() -> None:
    message = (
        '{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":'
        '[{"type":"text","text":"ab"}, {"type":"text", "text":"cd"}]}]}'
    )
    changed = edit_message(DIALECTS.anthropic, message, "/content/0", (1, 4, "*"))
    assert changed == message.replace('"ab"', '"a*"').replace('"cd"', '"*d"')


def test_a_document_is_changed_in_its_title_and_in_its_body() -> None:
    message = (
        '{"role":"user","content":[{"type":"document","title":"key one",'
        '"source":{"type":"text","media_type":"text/plain","data":"key two"}}]}'
    )
    changed = edit_message(DIALECTS.anthropic, message, "/content/0", (0, 3, "*"), (8, 11, "*"))
    assert changed == message.replace("key one", "* one").replace("key two", "* two")


def test_arguments_of_a_value_keep_their_spacing_and_order() -> None:
    message = (
        '{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"n",'
        '"input":{ "b" : "q\\u0022key",  "a": [1.50, "type"], "type": "key"}}]}'
    )
    text = '{"b":"q\\"key","a":[1.5,"type"],"type":"key"}'
    first, second = text.index("key"), text.rindex("key")
    changed = edit_message(
        DIALECTS.anthropic, message, "/content/0", (first, first + 3, "*"), (second, second + 3, "*")
    )
    assert changed == message.replace("key", "*")


@pytest.mark.parametrize("wanted", ["4111", "card", '"card":4111', "true"])
def test_a_number_or_a_key_is_not_edited(wanted: str) -> None:
    message = '{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"n","input":{"card":4111,"x":true}}]}'
    text = '{"card":4111,"x":true}'
    start = text.index(wanted)
    with pytest.raises(Uneditable):
        edit_message(DIALECTS.anthropic, message, "/content/0", (start, start + len(wanted), "*"))


def test_a_key_between_two_strings_stays_and_the_strings_change() -> None:
    message = '{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"n","input":{"to":"eve","re":"hi"}}]}'
    text = '{"to":"eve","re":"hi"}'
    changed = edit_message(DIALECTS.anthropic, message, "/content/0", (text.index("eve"), text.index("hi") + 2, "*"))
    assert changed == message.replace("eve", "*").replace('"hi"', '"*"')


def test_arguments_that_were_json_stay_json() -> None:
    call = '{"id":"c","type":"function","function":{"name":"n","arguments":"{\\"card\\":4111,\\"to\\":\\"eve\\"}"}}'
    message = '{"role":"assistant","content":null,"tool_calls":[' + call + "]}"
    text = '{"card":4111,"to":"eve"}'
    with pytest.raises(Uneditable, match="JSON"):
        edit_message(DIALECTS.chat, message, "/tool_calls/0", (8, 12, "[x]"))
    at = text.index("eve")
    assert edit_message(DIALECTS.chat, message, "/tool_calls/0", (at, at + 3, "[x]")) == message.replace("eve", "[x]")


@pytest.mark.parametrize(
    ("name", "message", "pointer"),
    [
        (
            "anthropic",
            '{"role":"assistant","content":[{"type":"thinking","thinking":"plan","signature":"x"}]}',
            "/content/0",
        ),
        (
            "responses",
            '{"type":"reasoning","summary":[{"type":"summary_text","text":"plan"}],"encrypted_content":"x"}',
            "",
        ),
        ("chat", '{"role":"assistant","reasoning":"plan","reasoning_details":[{"data":"x"}]}', "/reasoning"),
        ("chat", '{"role":"assistant","audio":{"id":"a","transcript":"plan"}}', "/audio"),
        ("chat", '{"role":"user","content":"plan"}', "/nowhere"),
    ],
)
def test_what_is_signed_is_not_edited(name: str, message: str, pointer: str) -> None:
    with pytest.raises(Uneditable):
        edit_message(getattr(DIALECTS, name), message, pointer, (0, 4, "*"))


def test_reasoning_under_two_names_is_changed_under_both() -> None:
    message = '{"role":"assistant","reasoning_content":"a key","reasoning":"a \\u006bey","content":"x"}'
    changed = edit_message(DIALECTS.chat, message, "/reasoning_content", (2, 5, "*"))
    assert json.loads(changed) == {
        "role": "assistant",
        "reasoning_content": "a *",
        "reasoning": "a *",
        "content": "x",
    }


@pytest.mark.parametrize(
    ("name", "reply", "pointer", "expected"),
    [
        (
            "chat",
            '{"choices":[{"index":0,"message":{"content":"a key"},"logprobs":{"content":[{"token":"key"}]}}]}',
            "/choices/0/message/content",
            '{"choices":[{"index":0,"message":{"content":"a *"},"logprobs":null}]}',
        ),
        (
            "responses",
            '{"output":[{"type":"message","content":[{"type":"output_text","text":"a key","logprobs":[{"t":1}]}]}]}',
            "/output/0/content/0",
            '{"output":[{"type":"message","content":[{"type":"output_text","text":"a *","logprobs":[]}]}]}',
        ),
    ],
)
def test_token_probabilities_go_with_the_text_they_repeat(name: str, reply: str, pointer: str, expected: str) -> None:
    edit = PartEdit(pointer=pointer, ranges=(Replacement(2, 5, "*"),))
    assert edit_reply(getattr(DIALECTS, name), reply.encode(), [edit]).decode() == expected


@pytest.mark.parametrize("found", [(-1, 2), (0, 99), (3, 2)])
def test_a_range_outside_of_the_text_is_refused(found: tuple[int, int]) -> None:
    with pytest.raises(Uneditable, match="outside"):
        edit_message(DIALECTS.chat, '{"role":"user","content":"abcd"}', "/content", (*found, "*"))


def test_text_that_spells_our_marks_is_text() -> None:
    message = (
        '{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"n","input":{"\\ue0000\\ue000":"key"}}]}'
    )
    text = '{"\ue0000\ue000":"key"}'
    at = len(text[: text.index("key")].encode())
    assert edit_message(DIALECTS.anthropic, message, "/content/0", (at, at + 3, "*")) == message.replace("key", "*")


@given(st.text(), st.integers(0, 1 << 30), st.data())
def test_offsets_map_both_ways(text: str, seed: int, data: st.DataObject) -> None:
    inside = written(text, random.Random(seed)).encode()[1:-1]
    spelling = Spelling(inside)
    raw = text.encode()
    assert spelling.length == len(raw)
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, len(raw)))
    first, last = spelling.written(start, up=False), spelling.written(end, up=True)
    piece = decoded(b'"' + inside[first:last] + b'"').encode()
    assert raw[start:end] in piece
    assert len(piece) <= end - start + 6
    assert spelling.meant(first, up=False) <= start
    assert spelling.meant(last, up=True) >= end
    changed = decoded(b'"' + spelling.edited([(start, end, "é\n")]) + b'"')
    assert changed == replace_ranges(text, [Replacement(start, end, "é\n")])


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_can_be_spelled_and_read_again(text: str) -> None:
    assert decoded(b'"' + spelled(text) + b'"').encode("utf-16", "surrogatepass") == text.encode(
        "utf-16", "surrogatepass"
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


@given(json_values, st.integers(0, 1 << 30))
def test_every_value_is_found_where_it_stands(value: Any, seed: int) -> None:
    raw = written(value, random.Random(seed)).encode()
    tree = Tree(raw)
    assert json.loads(tree.token(tree.root)) == value
    for path, text in strings(value):
        node = tree.root.at(*path)
        assert node is not None
        assert decoded(tree.token(node)) == text
        assert json.loads(replaced(raw, [(path, 7)])) == put(value, path, 7)


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(value[path[0]], path[1:], new)
    return copy


@given(st.binary())
def test_any_bytes_are_a_tree_or_a_value_error(data: bytes) -> None:
    try:
        Tree(data)
    except ValueError:
        return


def test_a_large_message_is_edited_in_little_time() -> None:
    blocks = ",".join('{"type":"text","text":"a key"}' for _ in range(20_000))
    message = '{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[' + blocks + "]}]}"
    changed = edit_message(DIALECTS.anthropic, message, "/content/0", (2, 5, "*"), (8, 11, "*"))
    assert changed.count("a *") == 2


@given(st.sampled_from(CASES), st.integers(0, 400), st.integers(0, 40), st.text(max_size=4))
def test_any_range_is_made_or_refused(case: tuple[str, tuple[Any, ...]], start: int, length: int, new: str) -> None:
    wire = dialect(case[0])
    body = json.dumps(EXCHANGES[case[0]]["request"]).encode()
    try:
        view = wire.read_request(body, "chat")
    except Undecodable:
        return
    for cut, part in parts_of(wire, body, view):
        edit = PartEdit(cut=cut, pointer=part.pointer, ranges=(Replacement(start, start + length, new),))
        try:
            after = edit_request(wire, body, view, [edit])
        except Uneditable:
            continue
        again = parts_of(wire, after, wire.read_request(after, "chat"))
        assert [one for _, one in again if one.pointer != part.pointer] == [
            one for _, one in parts_of(wire, body, view) if one.pointer != part.pointer
        ]


@pytest.mark.parametrize("depth", [300, 900, 1100, 50_000])
def test_nesting_of_any_depth_is_edited_or_refused(depth: int) -> None:
    given_input = '{"a":' * depth + '"key"' + "}" * depth
    message = '{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"n","input":' + given_input + "}]}"
    at = 5 * depth + 1
    try:
        changed = edit_message(DIALECTS.anthropic, message, "/content/0", (at, at + 3, "*"))
    except (Uneditable, TooDeep):
        assert depth > 900
        return
    assert changed == message.replace("key", "*")
