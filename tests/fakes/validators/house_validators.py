"""Validators of the house, as an operator would write them: they run with the real library and with its fake."""

import threading
from typing import Any

from guardrails import validator_base
from guardrails.validator_base import FailResult, PassResult, Validator

ErrorSpan: Any = validator_base.ErrorSpan  # type: ignore[attr-defined]
register: Any = getattr(validator_base, "register_validator", lambda **_: lambda cls: cls)


@register(name="house/no-word", data_type="string")
class NoWord(Validator):
    """Fails a text that holds a word, and names where; `spans=False`: offers a text without it instead."""

    def __init__(self, word: str = "probe-7", *, spans: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.word, self.spans = word, spans

    def _validate(self, value: Any, metadata: dict[str, Any]) -> Any:
        word = metadata.get("word", self.word)
        start = self._inference(value).find(word)
        if start < 0:
            return PassResult()
        spans = [ErrorSpan(start=start, end=start + len(word), reason=f"holds {word}")] if self.spans else None
        fixed = value.replace(word, "***")
        return FailResult(error_message=f"{value} holds {word}", fix_value=fixed, error_spans=spans)

    def _inference_local(self, model_input: Any) -> Any:
        return model_input


@register(name="house/remote", data_type="string")
class Remote(NoWord):
    """Would rather validate at somebody else's place."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.use_local = False


@register(name="house/odd", data_type="string")
class Odd(Validator):
    """Does what its argument says instead of validating."""

    entered, release = threading.Event(), threading.Event()

    def __init__(self, way: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if way == "unmakeable":
            raise RuntimeError("secret of the arguments")
        self.way = way

    def _validate(self, value: Any, metadata: dict[str, Any]) -> Any:
        del metadata
        if self.way == "raises":
            raise RuntimeError(f"cannot read {value}")
        if self.way == "answers nonsense":
            return "fine"
        if self.way == "names a range beyond the text":
            return FailResult(error_message="", error_spans=[ErrorSpan(start=0, end=len(value) + 1, reason="")])
        if self.way == "waits" and value == "wait":
            self.entered.set()
            self.release.wait(20)
        return PassResult()


not_a_validator = "a word"
