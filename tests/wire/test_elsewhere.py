"""A request that may cost more than its bytes tell is recognised as one; plain conversations are not."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.wire.elsewhere import asks_beyond_its_bytes
from gateway.wire.interface import RequestView

VIEW = RequestView(operation="chat")

BEYOND: dict[str, Any] = {
    "an image by URL": {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
    "an image in the body": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBOR"}},
    "a document by file id": {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
    "a chat image": {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
    "a chat file": {"type": "file", "file": {"file_id": "file-1"}},
    "a chat recording": {"type": "input_audio", "input_audio": {"data": "AA", "format": "mp3"}},
    "a chat search": {"web_search_options": {}},
    "a responses image": {"type": "input_image", "image_url": "https://x.test/a.png"},
    "a responses file": {"type": "input_file", "file_url": "https://x.test/a.pdf"},
    "a reference": {"type": "item_reference", "id": "msg_1"},
    "a stored prompt": {"prompt": {"id": "pmpt_1"}},
    "web search": {"type": "web_search_20250305", "name": "web_search"},
    "web fetch": {"type": "web_fetch_20250910", "name": "web_fetch"},
    "code execution": {"type": "code_execution_20250825", "name": "code_execution"},
    "code interpreter": {"type": "code_interpreter", "container": {"type": "auto"}},
    "file search": {"type": "file_search", "vector_store_ids": ["vs_1"]},
    "remote tools": {"mcp_servers": [{"type": "url", "url": "https://x.test/mcp"}]},
    "image generation": {"type": "image_generation"},
    "a screenshot": {"type": "computer_call_output", "output": {"type": "computer_screenshot"}},
}


@pytest.mark.parametrize("name", BEYOND)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,\n", " :\t")])
def test_what_is_billed_by_more_than_its_bytes_is_seen(name: str, separators: tuple[str, str]) -> None:
    body = json.dumps({"content": [BEYOND[name]]}, separators=separators).encode()
    assert asks_beyond_its_bytes(body, VIEW)


@pytest.mark.parametrize("name", BEYOND)
def test_spelling_a_key_in_escapes_hides_nothing(name: str) -> None:
    body = json.dumps(BEYOND[name])
    escaped = "".join(f"\\u{ord(letter):04x}" if letter.isalpha() else letter for letter in body)
    assert asks_beyond_its_bytes(escaped.encode(), VIEW)


def test_a_conversation_kept_by_the_provider_is_seen() -> None:
    assert asks_beyond_its_bytes(b"{}", RequestView(operation="chat", previous_response_id="resp_1"))
    assert asks_beyond_its_bytes(b"{}", RequestView(operation="chat", conversation_id="conv_1"))


@given(st.text(max_size=60))
@example("file_id")
@example("item_reference")
def test_words_in_a_text_are_only_words(words: str) -> None:
    texts = [words, f'{words} "type": "image", "file_id": "x" {words}', "https://x.test/image.png"]
    content = [{"type": "text", "text": text} for text in texts] + [{"type": "input_text", "text": words}]
    tools = [{"type": "function", "name": "fetch", "parameters": {"type": "object", "properties": {"u": {}}}}]
    body = json.dumps({"messages": [{"role": "user", "content": content}], "tools": tools}, ensure_ascii=False)
    assert asks_beyond_its_bytes(body.encode("utf-8", "surrogatepass"), VIEW) == ("\\u007f" in body)
