"""What may be shown of recorded text: everything recorded is hostile, and what no eye can see is made seen."""

import re

_HARMFUL = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0 (with escape), delete, C1
    "\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # invisible and direction-changing
    "\ud800-\udfff"  # half characters, which no file can hold
    "\U000e0000-\U000e0fff]"  # tag characters: text no eye can see
)
_SPACES = re.compile(r"[ \t\r\n\f\v]+")


def clean(text: str) -> str:
    """One line of text in which every control, invisible or direction-changing character is shown as U+FFFD."""
    return _HARMFUL.sub("\ufffd", _SPACES.sub(" ", text)).strip()


def clean_lines(text: str) -> str:
    """The same, keeping line breaks."""
    return "\n".join(_HARMFUL.sub("\ufffd", line.replace("\t", "    ")) for line in text.splitlines())
