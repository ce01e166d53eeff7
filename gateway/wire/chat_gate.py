"""Chat Completions streams under judgement: https://platform.openai.com/docs/api-reference/chat-streaming.

Every choice is a turn of its own. Texts of a choice grow side by side with its calls and end with its finish
reason; calls are told apart by their index and may interleave.
"""

from functools import partial
from typing import Any, Final

import msgspec

from gateway.wire.blocks import (
    Block,
    Doubtful,
    Touch,
    beside,
    cannot_be_read,
    close,
    grow,
    rewritten,
    shared,
    touches_edit,
)
from gateway.wire.chat_calls import Calls
from gateway.wire.chat_details import DETAILS, told
from gateway.wire.chat_parts import QUOTED, REASONING, called, is_plain, odd_text
from gateway.wire.chat_sections import Sections
from gateway.wire.chat_shapes import CARRIERS, CHUNK, SPEAKING
from gateway.wire.frames import Frame
from gateway.wire.gate import Answered, Entry, Failed, Refused, StreamGate, Substituted, Turn, TurnEnding, changed
from gateway.wire.jsons import decode, encode, read_with
from gateway.wire.leaves import Step
from gateway.wire.listed import Listed
from gateway.wire.parts import quoted
from gateway.wire.runs import Runs
from gateway.wire.shapes import misfit
from gateway.wire.totals import added
from gateway.wire.values import count, mapping, sequence, text, word
from policies.trail import utf8
from policies.vocabulary.steps import Part

_CALLS: Final = ("tool_calls", "function_call")
_TEXTS: Final = ("content", "refusal")
_KEY_OF: Final = {"pieces": "content", "thinking": "content"}
"""Where what is no text stands, among the texts."""

_Changes = list[tuple[tuple[Step, ...], Any]]


class _Choice:
    """One choice, as its deltas come and as the client has seen it."""

    def __init__(self) -> None:
        self.texts: dict[str, Block] = {}
        self.calls: dict[str, Block] = {}
        self.forms: dict[str, tuple[str, str]] = {}
        """By call, in which of two forms it comes, and the field in it that holds what it is given."""
        self.quoted: dict[str, dict[str, Block]] = {}
        """By the name citations stand under, and by what they say."""
        self.sections: Sections | None = None
        """Reasoning that is told in pieces."""
        self.numbered = Calls()
        self.placed: dict[int, Block] = {}
        """Calls by their place."""
        self.runs: dict[str, Runs] = {}
        self.order: list[Block] = []


class ChatGate(StreamGate):
    """Chunks; each may carry pieces of several choices and of several blocks of each."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._choices: dict[int, _Choice] = {}
        self._listed = Listed()
        self._template: dict[str, Any] = {}
        self._spoken: dict[int, str] = {}
        """By choice, the end of the content the client has seen."""
        self._introduced: set[int] = set()
        """Choices of which the client has seen a role."""
        self._finished: set[int] = set()
        self._seen_usage: Any = None
        """The counts the client has seen last."""
        self._usage: Any = None
        self._before: Any = None
        self._again = False
        self._rethought: dict[int, set[str]] = {}
        """By choice whose reasoning was changed, what tells of it and leaves no more: its pieces, which may be signed.

        Where only they said what was changed, the thought goes with them: clients read it where they find no pieces.
        """
        self._resumed: set[int] = set()
        """Choices whose content a later stream has gone on with."""

    def keepalive(self) -> bytes:
        """An empty delta of this reply; nothing before its first chunk, whose id it needs, nor behind its last.

        SDKs take the usage of the last chunk that comes, so servers' running counts are repeated.
        """
        summed_up, finished = self._seen_usage is not None, 0 in self._finished
        if self.ended or not self._template or (summed_up and finished):
            return b""
        more = {"usage": self._seen_usage} if summed_up else {}
        return self._chunk([] if finished else [_choice(0, {})], more)

    def _is_keepalive(self, frame: Frame) -> bool:
        return frame.event is None

    # Reading

    def _misfit(self, frame: Frame, value: dict[str, Any]) -> str | None:  # noqa: ARG002 - names count for nothing here
        found = misfit(value, SPEAKING if value.get("choices") or value.get("error") else CHUNK)
        return found or self._misnumbered([mapping(one).get("index") for one in sequence(value.get("choices"))])

    def _misnumbered(self, indexes: list[Any]) -> str | None:
        """Why clients may take a choice of a chunk for another than the gate does; None where they do not."""
        for given in indexes:
            index = count(given)
            if index is None and (given is not None or any(self._choices)):
                return "a choice whose index is none"
            if not self._listed.finds(index or 0):
                return "a choice that clients take for another"
        return "a choice that comes twice" if len({count(one) or 0 for one in indexes}) < len(indexes) else None

    def _says_more(self, frame: Frame, value: dict[str, Any]) -> bool:  # noqa: ARG002 - likewise
        return not value.get("choices") and not value.get("error") and any(value.get(name) for name in CARRIERS)

    def _read(self, frame: Frame, value: dict[str, Any]) -> Entry | None:
        data = frame.event.data if frame.event is not None else b""
        if data.startswith(b"[DONE]"):
            self._end_open()
            return Entry(frame, {"[DONE]": True})
        if value.get("error"):
            self._break_off()
            return Entry(frame, value)
        if type(value.get("usage")) is dict:
            self._usage = value["usage"]
        touches: list[Touch] = []
        for at, item in enumerate(sequence(value.get("choices"))):
            touches += self._read_choice(mapping(item), at)
        if any(value.get(key) for key in QUOTED):
            touches += self._read_quoted(self._choices.setdefault(0, _Choice()), 0, value, ())
        return Entry(frame, value, tuple(touches))

    def _read_choice(self, item: dict[str, Any], at: int) -> list[Touch]:
        index = count(item.get("index")) or 0
        choice = self._choices.setdefault(index, _Choice())
        self._turn(index)
        delta = mapping(item.get("delta"))
        path: tuple[Step, ...] = ("choices", at, "delta")
        touches: list[Touch] = []
        thought = self._read_reasoning(choice, index, delta, path)
        touches += thought
        if self._needs.reasoning != "idle":
            touches += self._read_details(choice, index, delta, path, thought[0] if thought else None)
        for key in _TEXTS:
            if delta.get(key):
                touches += self._read_text(choice, index, key, delta[key], (*path, key))
        if audio := mapping(delta.get("audio")):
            touches.append(self._grown(choice, index, "audio", text(audio.get("transcript")), (*path, "audio")))
        touches += self._read_quoted(choice, index, delta, path)
        if said := text(mapping(item.get("message")).get("content")):
            touches += self._read_sum(choice, said, ("choices", at, "message", "content"))
        if function := mapping(delta.get("function_call")):
            touches.append(self._read_call(choice, index, "function_call", {"function": function}, path))
        for place, call in enumerate(sequence(delta.get("tool_calls"))):
            touches.append(self._read_numbered(choice, index, mapping(call), (*path, "tool_calls", place)))
        if item.get("finish_reason"):
            touches += self._end_choice(index, choice)
        return touches

    def _read_sum(self, choice: _Choice, said: str, path: tuple[Step, ...]) -> list[Touch]:
        """Some servers (Perplexity) give in every chunk what its deltas add up to by then."""
        block = choice.texts.get("content")
        if self._needs.text == "idle":
            return []
        if block is None or not block.says(utf8(said)):
            raise Doubtful("a message that its deltas do not add up to")
        return [Touch(block, 0, len(block.text), path)]

    def _read_reasoning(
        self, choice: _Choice, index: int, delta: dict[str, Any], path: tuple[Step, ...]
    ) -> list[Touch]:
        """Reasoning, which some servers give under two names: clients read one of them, or both."""
        given = [key for key in REASONING if delta.get(key)]
        if not given:
            return []
        key, *others = given
        if self._needs.reasoning != "idle":
            if any(delta[other] != delta[key] for other in others):
                raise Doubtful("two texts in the place of one")
            form = _text_form(delta[key])
            choice.runs.setdefault("reasoning", Runs()).take(*(f"{one} {form}" for one in given))
        touches = self._read_text(choice, index, key, delta[key], (*path, key))
        said = touches[0]
        return [*touches, *(Touch(said.block, said.start, said.end, (*path, other)) for other in others)]

    def _read_details(
        self, choice: _Choice, index: int, delta: dict[str, Any], path: tuple[Step, ...], thought: Touch | None
    ) -> list[Touch]:
        """Reasoning told in pieces, as far as it says more than the thought beside it."""
        pieces = list(told(delta.get(DETAILS)))
        if not pieces and thought is None:
            return []
        if choice.sections is None:
            choice.sections = Sections(partial(self._section, choice, index))
        sealed = bool(delta.get(DETAILS)) and not pieces
        return choice.sections.take(pieces, thought, (*path, DETAILS), sealed=sealed)

    def _section(self, choice: _Choice, index: int, place: int | None) -> Block:
        pointer = f"/choices/{index}/message/{DETAILS}"
        part = Part(kind="reasoning", pointer=pointer if place is None else f"{pointer}/{place}")
        block = self._block(part, index)
        choice.order.append(block)
        return block

    def _read_text(self, choice: _Choice, index: int, key: str, content: Any, path: tuple[Step, ...]) -> list[Touch]:
        if isinstance(content, list) and key not in REASONING:
            pieces = sequence(content)
            return [self._read_piece(choice, index, key, one, (*path, at, "text")) for at, one in enumerate(pieces)]
        if isinstance(content, str):
            return [self._grown(choice, index, key, content, path)]
        return [self._read_odd(choice, index, "reasoning" if key in REASONING else "pieces", key, content)]

    def _read_piece(self, choice: _Choice, index: int, key: str, piece: Any, path: tuple[Step, ...]) -> Touch:
        """A piece of a content that comes as a list."""
        if is_plain(piece):
            return self._grown(choice, index, key, piece["text"], path)
        thinks = mapping(piece).get("type") in ("thinking", "reasoning")
        return self._read_odd(choice, index, "thinking" if thinks else "pieces", key, piece)

    def _read_odd(self, choice: _Choice, index: int, name: str, key: str, piece: Any) -> Touch:
        """What is no text, and what clients that read texts alone do not put into one."""
        block = self._text(choice, index, name, key)
        cannot_be_read(block, "not a text")
        return grow(block, read_with(odd_text, piece), None)

    def _grown(self, choice: _Choice, index: int, key: str, said: str, path: tuple[Step, ...]) -> Touch:
        """A text goes on. Clients that read strings leave out pieces of lists, and the other way round."""
        block = self._text(choice, index, "reasoning" if key in REASONING else key, key)
        if key not in REASONING and block.need != "idle":
            choice.runs.setdefault(key, Runs()).take("a string" if path[-1] == key else "a piece")
        return grow(block, said, path)

    def _text(self, choice: _Choice, index: int, name: str, key: str) -> Block:
        """The block of a text, which may begin here."""
        block = choice.texts.get(name)
        if block is None:
            part = Part(
                kind="reasoning" if name in ("reasoning", "thinking") else "model_text",
                pointer=f"/choices/{index}/message/{key}",
                unread="audio" if key == "audio" else None,
            )
            block = choice.texts[name] = self._block(part, index, whole=key == "audio")
            choice.order.append(block)
        return block

    def _read_quoted(self, choice: _Choice, index: int, holder: dict[str, Any], path: tuple[Step, ...]) -> list[Touch]:
        """Citations beside a text; some servers repeat them all in every chunk."""
        touches: list[Touch] = []
        for key in QUOTED:
            known = choice.quoted.setdefault(key, {})
            for at, citation in enumerate(sequence(holder.get(key))):
                part = read_with(quoted, citation, f"/choices/{index}/message/{key}/{len(known)}")
                block = known.get(part.text)
                if block is None:
                    block = known[part.text] = self._block(part, index, whole=True)
                touches.append(self._quoted(block, citation, (*path, key, at)))
        return touches

    def _read_numbered(self, choice: _Choice, index: int, fields: dict[str, Any], path: tuple[Step, ...]) -> Touch:
        """A piece of one of several calls."""
        if self._needs.tool_call == "idle":
            place = count(fields.get("index")) or 0
        else:
            place = choice.numbered.place(fields, called(fields)[1], choice.placed)
        touch = self._read_call(choice, index, f"tool_calls/{place}", fields, path)
        choice.placed[place] = touch.block
        return touch

    def _read_call(
        self, choice: _Choice, index: int, key: str, fields: dict[str, Any], path: tuple[Step, ...]
    ) -> Touch:
        kind, function = called(fields)
        block = choice.calls.get(key)
        if block is None:
            block = choice.calls[key] = self._block(
                Part(kind="tool_call", pointer=f"/choices/{index}/message/{key}"), index
            )
            choice.order.append(block)
        part = block.part
        named = word(function.get("name"))
        if block.need != "idle" and part.tool is not None and named and named != part.tool:
            raise Doubtful("a call that is named twice")
        if (part.tool is None and function.get("name")) or (part.call_id is None and fields.get("id")):
            block.part = msgspec.structs.replace(
                part, tool=part.tool or word(function.get("name")), call_id=part.call_id or word(fields.get("id"))
            )
        form = _form(kind, function)
        if function and block.need != "idle" and choice.forms.setdefault(key, form) != form:
            raise Doubtful("a call in two forms")
        field = form[1]
        said = text(function.get(field))
        inner = (*path, key, field) if key == "function_call" else (*path, kind, field)
        return grow(block, said, inner) if said else beside(block)

    def _end_choice(self, index: int, choice: _Choice) -> list[Touch]:
        """A choice said why it ends: all its blocks are whole."""
        self._turn(index).over = True
        choice.numbered.end(choice.placed)
        for block in choice.order:
            close(block)
        return [beside(block, closes=True) for block in choice.order]

    def _end_open(self) -> None:
        """`[DONE]`: some servers say no finish reason."""
        for index, choice in self._choices.items():
            if not self._turn(index).over:
                self._end_choice(index, choice)

    def _drop_rest(self, turn: Turn) -> None:
        """Content goes on between calls; what of it waits behind a rejected one goes with it."""
        for block in turn.blocks:
            block.dropped = True

    # Writing

    def _render(self, entry: Entry) -> bytes:
        value = entry.value
        if "[DONE]" in value:
            return self._render_done(entry)
        if value.get("error"):
            self.ended = True
            return entry.frame.raw
        if not self._template and (value.get("choices") or value.get("id")):
            self._template = {key: value[key] for key in ("id", "object", "created", "model") if key in value}
            self._opening = entry.frame.raw
        if entry.unknown or (
            not self._again
            and not self._rejected()
            and not self._rethought
            and not any(one.block.edits for touch in entry.touches for one in shared(touch))
        ):
            self._note(value)
            return entry.frame.raw
        return self._render_changed(entry)

    def _rejected(self) -> bool:
        return bool(self._rejections)

    def _note(self, value: dict[str, Any]) -> None:
        """Remember what the client has seen."""
        if type(value.get("usage")) is dict:
            self._seen_usage = value["usage"]
        for item in sequence(value.get("choices")):
            choice = mapping(item)
            index = count(choice.get("index")) or 0
            delta = mapping(choice.get("delta"))
            if delta.get("role"):
                self._introduced.add(index)
            if said := text(delta.get("content")):
                self._spoken[index] = said[-2:]
            if choice.get("finish_reason"):
                self._finished.add(index)
                self._turn(index).ended = True

    def _render_changed(self, entry: Entry) -> bytes:
        """A chunk of which something is taken out, or whose words are changed."""
        value, lead = entry.value, b""
        given = sequence(value.get("choices"))
        kept: list[Any] = []
        for at, item in enumerate(given):
            choice = mapping(item)
            changed_choice = self._render_choice(choice, [touch for touch in entry.touches if _at(touch) == at])
            index = count(choice.get("index")) or 0
            ending = self._turn(index).ending
            if choice.get("finish_reason") and ending is not None and not self._turn(index).ended:
                said, last = self._end(index, changed_choice or {"index": index, "delta": {}}, ending)
                lead += said
                changed_choice = last
            if changed_choice is not None:
                kept.append(changed_choice)
        usage = self._summed(value.get("usage"))
        if self._pausing() and (usage is not None or not kept):
            usage = None
            if not kept:
                return lead
        if given and not kept and usage is None:
            return lead
        changes: _Changes = []
        if kept != given:
            changes.append((("choices",), encode(kept)))
        if self._again and "id" in value:
            changes.append((("id",), self._template.get("id")))
        if usage != value.get("usage"):
            changes.append((("usage",), usage))
        changes += self._beside_choices(entry)
        self._note({"choices": kept, "usage": usage})
        return lead + changed(entry.frame, changes)

    def _beside_choices(self, entry: Entry) -> _Changes:
        """What becomes of citations that stand beside the choices."""
        touches = [touch for touch in entry.touches if touch.path is not None and _at(touch) is None]
        gone = {str(touch.path[0]) for touch in touches if touch.path is not None and touch.block.dropped}
        return [
            *(((key,), []) for key in sorted(gone)),
            *((path, new) for path, new in self._changes(entry) if path[0] != "choices" and path[0] not in gone),
        ]

    def _render_choice(self, choice: dict[str, Any], touches: list[Touch]) -> dict[str, Any] | None:
        """A choice of a chunk as it leaves; None where nothing is left of it."""
        index = count(choice.get("index")) or 0
        choice, changed_texts = self._rewrite(choice, index, touches)
        delta = dict(mapping(choice.get("delta")))
        taken = self._take_out(index, delta)
        if taken and "message" in choice:
            choice = {key: value for key, value in choice.items() if key != "message"}
        for key in {DETAILS} if self._again else self._rethought.get(index, ()):
            taken = delta.pop(key, None) is not None or taken
        if self._again and index in self._introduced and delta.pop("role", None) is not None:
            taken = True
        if self._again and delta.get("content") and self._lacks_break(index):
            delta = {**delta, "content": _after_break(delta["content"])}
            changed_texts = True
        if not taken and not changed_texts:
            return choice
        if taken and not choice.get("finish_reason") and not any(delta.values()):
            return None
        whole = {**choice, "delta": delta}
        if changed_texts and whole.get("logprobs"):
            whole["logprobs"] = None
        return whole

    def _rewrite(self, choice: dict[str, Any], index: int, touches: list[Touch]) -> tuple[dict[str, Any], bool]:
        """A choice with the changed texts in it, and whether there were any."""
        changed_texts = False
        for touch in touches:
            self._rethink(index, [one.block for one in shared(touch) if touches_edit(one)])
            if touch.path is None or touch.block.dropped or not touches_edit(touch):
                continue
            said = rewritten(touch)
            choice = _put(choice, touch.path[2:], decode(said) if isinstance(said, bytes) else said)
            changed_texts = True
        return choice, changed_texts

    def _rethink(self, index: int, blocks: list[Block]) -> None:
        """What tells of a thought that was changed in these blocks leaves no more, whatever is put there."""
        thoughts = [block.part.pointer for block in blocks if block.kind == "reasoning"]
        if thoughts:
            apart = any(f"/{DETAILS}" in pointer for pointer in thoughts)
            self._rethought.setdefault(index, set()).update((DETAILS, *REASONING) if apart else (DETAILS,))

    def _take_out(self, index: int, delta: dict[str, Any]) -> bool:
        """Remove the pieces of dropped blocks from a delta; whether there were any."""
        choice = self._choices.get(index)
        if choice is None or self._turn(index).ending is None:
            return False
        gone = {_KEY_OF.get(name, name) for name, block in choice.texts.items() if block.dropped}
        gone.update(key for key, blocks in choice.quoted.items() if any(block.dropped for block in blocks.values()))
        if choice.sections is not None and any(block.dropped for block in choice.sections.blocks):
            gone.add(DETAILS)
        keys = {key for key in delta if ("reasoning" if key in REASONING else key) in gone}
        if any(block.dropped for block in choice.calls.values()):
            keys.update(key for key in _CALLS if key in delta)
        for key in keys:
            del delta[key]
        taken = bool(keys)
        if taken:
            delta.pop(DETAILS, None)
        return taken

    def _lacks_break(self, index: int) -> bool:
        """Whether content would go on right behind that of an earlier stream."""
        first = index in self._spoken and index not in self._resumed
        self._resumed.add(index)
        return first and not self._spoken[index].endswith("\n")

    def _end(self, index: int, choice: dict[str, Any], ending: TurnEnding) -> tuple[bytes, dict[str, Any] | None]:
        """Our words, and the choice that says why it ended; None where its end is put off."""
        self._turn(index).ended = True
        if isinstance(ending, Answered):
            left = {key: value for key, value in mapping(choice.get("delta")).items() if value}
            return b"", ({**choice, "delta": left, "finish_reason": None} if left else None)
        reason = "content_filter" if isinstance(ending, Refused) else "stop"
        return self._say(index, ending.notice), {**choice, "finish_reason": reason}

    def _say(self, index: int, notice: str) -> bytes:
        """Our words as a chunk of content."""
        if not notice:
            return b""
        delta: dict[str, Any] = {} if index in self._introduced else {"role": "assistant"}
        spoken = self._spoken.get(index)
        delta["content"] = f"\n\n{notice}" if spoken and not spoken.endswith("\n") else notice
        self._introduced.add(index)
        self._spoken[index] = notice[-2:]
        return self._chunk([_choice(index, delta)])

    def _chunk(self, choices: list[dict[str, Any]], more: dict[str, Any] | None = None) -> bytes:
        chunk = {"object": "chat.completion.chunk", **self._template, "choices": choices, **(more or {})}
        return b"data: " + encode(chunk) + b"\n\n"

    def _summed(self, usage: Any) -> Any:
        return added(self._before, usage) if self._before and type(usage) is dict else usage

    def _pausing(self) -> bool:
        """Whether this stream's end is put off: its choice is to be answered."""
        return any(isinstance(ending, Answered) for ending in self._rejections)

    def _render_done(self, entry: Entry) -> bytes:
        lead = self._close()
        if self._pausing():
            self._pause()
            return lead
        self.ended = True
        return lead + entry.frame.raw

    def _pause(self) -> None:
        self._before = added(self._before, self._usage)
        self._usage = None
        self.paused = True

    def _close(self) -> bytes:
        """The ends of rejected choices whose own never came."""
        sent = b""
        for index, turn in self._turns.items():
            ending = turn.ending
            if ending is None or turn.ended:
                continue
            turn.ended = True
            if not isinstance(ending, Answered):
                sent += self._whole_end(index, ending)
        return sent

    def _whole_end(self, index: int, ending: Substituted | Refused) -> bytes:
        reason = "content_filter" if isinstance(ending, Refused) else "stop"
        return self._say(index, ending.notice) + self._chunk([{**_choice(index, {}), "finish_reason": reason}])

    def _finish(self) -> bytes:
        if not self._rejected() or self.paused:
            return b""
        if not all(turn.ending is not None or turn.ended for turn in self._turns.values()):
            return b""
        sent = self._close()
        if self._pausing():
            self._pause()
            return sent
        self.ended = True
        return sent + b"data: [DONE]\n\n"

    def _end_after_pause(self, ending: Substituted | Refused) -> bytes:
        self.ended = True
        taken = [index for index, turn in self._turns.items() if isinstance(turn.ending, Answered)]
        sent = b"".join(self._whole_end(index, ending) for index in taken or [0])
        if self._before:
            sent += self._chunk([], {"usage": self._before})
        return sent + b"data: [DONE]\n\n"

    def _begin_again(self) -> None:
        self._choices.clear()
        self._listed = Listed()
        self._resumed.clear()
        self._again = True

    def _error(self, failed: Failed) -> bytes:
        body = self._dialect.error_body(400, failed.message, self._exchange_id, code=failed.code)
        return b"data: " + body + b"\n\n"


def _text_form(content: Any) -> str:
    """The form of a text: clients that read strings leave out what is none."""
    return "as a string" if isinstance(content, str) else "as pieces"


def _form(kind: str, function: dict[str, Any]) -> tuple[str, str]:
    """The form of a call, and its field for what the call is given: clients that read one put together only that."""
    usual, other = ("input", "arguments") if kind == "custom" else ("arguments", "input")
    return kind, other if function.get(other) else usual


def _choice(index: int, delta: dict[str, Any]) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}


def _at(touch: Touch) -> int | None:
    """Which of a chunk's choices a touch is about."""
    if touch.path is None or touch.path[0] != "choices":
        return None
    at = touch.path[1]
    return at if isinstance(at, int) else None


def _put(holder: dict[str, Any], path: tuple[Step, ...], value: str) -> dict[str, Any]:
    """The object with the value at a path replaced; what is not on the path is shared."""
    copy: Any = dict(holder)
    at: Any = copy
    for step in path[:-1]:
        at[step] = dict(at[step]) if isinstance(at[step], dict) else list(at[step])
        at = at[step]
    at[path[-1]] = value
    return copy


def _after_break(content: Any) -> Any:
    """Content with an empty line before it."""
    return f"\n\n{content}" if isinstance(content, str) else content
