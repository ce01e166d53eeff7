"""Guards of the house, as an operator would write them."""

from collections.abc import Sequence
from typing import Any

from policies.trail import Scene, utf8
from policies.vocabulary.findings import Evidence, Hit


class NoWord:
    """Finds a word wherever it stands."""

    window = 64

    def __init__(self, *, word: str = "probe-7") -> None:
        self._word = utf8(word)

    def examine(self, scene: Scene) -> Sequence[Hit]:
        start = utf8(scene.step.text).find(self._word)
        evidence = (Evidence(start=start, end=start + len(self._word), label="word"),)
        return [Hit(score=80, evidence=evidence)] if start >= 0 else []


class Odd:
    """Does what its argument says."""

    window = None

    def __init__(self, *, way: str) -> None:
        if way == "unmakeable":
            raise RuntimeError("secret of the arguments")
        self._way = way

    def examine(self, scene: Scene) -> Any:
        if self._way == "raises":
            raise RuntimeError("no")
        if self._way == "nonsense":
            return ["bad"]
        if self._way == "score":
            return [Hit(score=200)]
        return [Hit(score=80, evidence=(Evidence(start=0, end=len(scene.step.text) + 1),))]


class Windowless:
    def examine(self, scene: Scene) -> Sequence[Hit]:
        del scene
        return ()


class Wide(Windowless):
    window = 1 << 30
