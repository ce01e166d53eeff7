"""At the gate: proposed steps of one worker, put to the supervisor that the keeper has for all of them."""

from collections.abc import Sequence

from gateway.keeper import Keeper
from policies.asking import Answer
from policies.errors import StepwardenError
from policies.guards.judge import Case

KEEPER_LOST = "keeper_lost"
"""Why there is no answer where the link to the keeper broke."""


class AtTheGate:
    """Satisfies `Judge`."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    async def judge(self, case: Case) -> Sequence[Answer]:
        """See `Judge.judge`."""
        try:
            return await self._keeper.supervise(case)
        except StepwardenError:
            return [Answer(failure=KEEPER_LOST) for _ in case.charges]
