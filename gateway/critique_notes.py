"""Critique notes: what the gate says on its way to the record, off the path of the call it is about."""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from policies.errors import StepwardenError
from policies.vocabulary.critiques import Critique
from policies.vocabulary.monitoring import Filed
from storage.store import Store

log = logging.getLogger("stepwarden.supervisor")


class Submit(Protocol):
    """Runs a job on the writer thread."""

    def __call__(self, job: Callable[[], None]) -> Future[None]:
        """The job's future."""
        ...


class CritiqueNotes:
    """Keeps critiques of the gate; what followed from them stands with their exchange."""

    def __init__(self, store: Store, submit: Submit) -> None:
        self._store = store
        self._submit = submit

    def note(self, critique: Critique) -> None:
        """Keep one; returns at once."""
        self._submit(lambda: self._keep(critique))

    def _keep(self, critique: Critique) -> None:
        session_id = critique.session_id
        if session_id is not None and self._store.erased_session(session_id) is not None:
            return
        try:
            self._store.critiques.add(Filed(critique=critique))
        except StepwardenError as error:
            log.warning("a critique of the gate is not kept", extra={"reason": str(error)})
