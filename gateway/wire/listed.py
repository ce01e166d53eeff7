"""Lists that clients fill by index."""


class Listed:
    """What stands in such a list of the official OpenAI SDK, which takes an index for a place (`accumulate_delta`)."""

    def __init__(self) -> None:
        self._indexes: list[int] = []

    def finds(self, index: int) -> bool:
        """Whether what comes under an index goes where what came under it before is; beyond the end it is put there."""
        if index >= len(self._indexes):
            self._indexes.append(index)
            return True
        return self._indexes[index] == index
