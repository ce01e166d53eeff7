"""The supervisor's model as optimizers ask it: from a thread, by the one caller with its budget and ledger."""

import asyncio
import hmac
from collections.abc import Callable
from typing import Final

from policies.digests import digest
from storage.optimizer_runs import RunBook, Told
from supervisors.caller import Caller, Errand, Unserved
from supervisors.models.interface import Prompt
from supervisors.optimizers import ahead, prompting, written
from supervisors.optimizers.model import Completion, ModelFailed

SECONDS: Final = 120.0
"""For one answer: nobody waits for it but the run."""

MOST_TOKENS: Final = 2048
"""How long one may be."""

SYSTEM: Final = "You help to improve what supervises AI agents. You have no tools. Answer exactly as you are asked to."

REVISION: Final = digest([SYSTEM, prompting.RULES, written.TEMPLATES, ahead.TEMPLATES])
"""Digest of the templates."""

_WORD_BYTES: Final = 16


class AskedModel:
    """Answers one run of one app; what was answered before is not asked again."""

    def __init__(self, caller: Caller, runs: RunBook, app: str, loop: asyncio.AbstractEventLoop) -> None:
        """`loop`: the one the caller lives on, which is not the thread that asks."""
        self._caller = caller
        self._runs = runs
        self._app = app
        self._loop = loop

    def complete(self, prompt: str) -> Completion:
        """See `Model.complete`. Blocks; never call it from the loop."""
        told = self._runs.told(self._app, prompt)
        if told is None:
            told = self._asked(prompt)
            self._runs.tell(self._app, prompt, told)
        return Completion(text=told.text, input_tokens=told.input_tokens, output_tokens=told.output_tokens)

    def _asked(self, prompt: str) -> Told:
        errand = Errand(seat="optimizer", purpose="optimization", clauses=(), app=self._app)
        asked = Prompt(system=SYSTEM, question=prompt, most_tokens=MOST_TOKENS, revision=REVISION)
        calling = self._caller.complete(asked, errand, seconds=SECONDS)
        try:
            answered = asyncio.run_coroutine_threadsafe(calling, self._loop).result()
        except Unserved as unserved:
            raise ModelFailed(unserved.why) from None
        took = answered.consumed
        return Told(
            text=answered.completion.text,
            input_tokens=took.input_tokens or 0,
            output_tokens=took.output_tokens or 0,
        )


def fences_of(secret: bytes) -> Callable[[], str]:
    """Words that nobody can guess who does not know the run's secret; the same again where the run goes on."""
    count = 0

    def next_word() -> str:
        nonlocal count
        count += 1
        return hmac.digest(secret, b"fence %d" % count, "sha256")[:_WORD_BYTES].hex()

    return next_word
