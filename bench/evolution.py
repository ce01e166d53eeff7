"""Our loop of reflective evolution beside the `gepa` library's engine: the same model, world and number of looks.

    pip install gepa                # it is no dependency
    python -m bench.evolution [--seeds N]

Both get the scripted model's answers and as many noisy looks at episodes; what each ends with goes through no gate.
docs/adr/0007-our-own-evolution.md says what followed from the figures.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from bench.behaviour import RULES, World, line, world
from bench.roles import Scripted
from policies.parameters import EditRefused, apply
from policies.replay import Replay
from policies.vocabulary.episodes import Episode
from policies.vocabulary.ladder import GateSettings
from policies.vocabulary.revisions import Line, Parameters
from supervisors.optimizers.answers import Answer, decode, edits_of
from supervisors.optimizers.components import INSTRUCTIONS, Component
from supervisors.optimizers.interface import Task
from supervisors.optimizers.model import BudgetSpent
from supervisors.optimizers.prompting import described, fresh, quoted, quotes_of, rules
from supervisors.optimizers.written import Reflective

DEV: Final = 50
"""Episodes that candidates are scored on; the library has as many again to draw those from that it reflects on."""

LOOKS: Final = 900
"""At single episodes: what a run may take."""

START: Final = Parameters(app="world", policies=())


def ours(place: World, role: str, seed: int) -> tuple[float, int]:
    """Truth at the end, and calls to the model."""
    dev, model = place.episodes[:DEV], Scripted(role)
    look, looks = place.scorer(dev, random.Random(seed)), 0

    def score(tried: Parameters, places: Sequence[int] | None) -> Sequence[float]:
        nonlocal looks
        looks += DEV if places is None else len(places)
        if looks > LOOKS:
            raise BudgetSpent
        return look(tried, places)

    task = Task(
        parameters=START, dev=Replay(dev), seed=seed, settings=GateSettings(most_edits=32), score=score
    )  # fmt: skip
    found = Reflective(model, _fences(seed), steps=60).propose(task)
    end = apply(START, found.proposals[0].edits) if found.proposals else START
    return place.truth(end), len(model.prompts)


def theirs(place: World, role: str, seed: int) -> tuple[float, int]:
    """The same with `gepa.optimize`, its defaults but for the budget."""
    import gepa  # noqa: PLC0415 - no dependency

    adapter = _adapter(gepa, place, role, seed)
    dev = list(place.episodes[: 2 * DEV])
    result = gepa.optimize(
        seed_candidate={INSTRUCTIONS: "[]"}, trainset=dev[:DEV], valset=dev[DEV:], adapter=adapter,
        custom_candidate_proposer=adapter.propose, max_metric_calls=LOOKS, seed=seed, logger=_Silent(),
    )  # fmt: skip
    return place.truth(_of(result.best_candidate[INSTRUCTIONS])), len(adapter.model.prompts)


class _Silent:
    def log(self, _: str) -> None:
        """Nothing."""


def _adapter(gepa: Any, place: World, role: str, seed: int) -> Any:
    class Adapter:
        """A world as the library needs it."""

        propose_new_texts = None

        def __init__(self) -> None:
            self.model = Scripted(role)
            self._lot = random.Random(seed)
            self._fences = _fences(seed)

        def evaluate(self, batch: list[Episode], candidate: dict[str, str], capture_traces: bool = False) -> Any:  # noqa: FBT001, FBT002 - the library's own signature
            scores = place.look(_of(candidate[INSTRUCTIONS]), batch, self._lot)
            return gepa.EvaluationBatch(outputs=batch, scores=scores, trajectories=batch if capture_traces else None)

        def make_reflective_dataset(
            self, _: dict[str, str], batch: Any, components: list[str]
        ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
            wrong = [each for each, score in zip(batch.trajectories, batch.scores, strict=True) if score < 1]
            return {name: [{"episode": each} for each in wrong or batch.trajectories] for name in components}

        def propose(
            self, candidate: dict[str, str], dataset: Mapping[str, Sequence[Mapping[str, Any]]], _: list[str]
        ) -> dict[str, str]:
            now = _of(candidate[INSTRUCTIONS])
            quotes = [quote for each in dataset[INSTRUCTIONS] for quote in quotes_of(each["episode"])]
            fence = fresh(self._fences, quotes)
            shown = described(now, [Component(INSTRUCTIONS)])
            answer = decode(self.model.complete(f"{rules(fence, 4)}{shown}\n\n{quoted(quotes, fence)}").text)
            try:
                child = apply(now, edits_of(answer)) if isinstance(answer, Answer) else now
            except EditRefused:
                child = now
            return {INSTRUCTIONS: msgspec.json.encode(child.instructions).decode()}

    return Adapter()


def _of(text: str) -> Parameters:
    return msgspec.structs.replace(START, instructions=msgspec.json.decode(text, type=tuple[Line, ...]))


def _fences(seed: int) -> Callable[[], str]:
    lot = random.Random(seed)
    return lambda: f"fence-{lot.getrandbits(64):016x}"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    seeds = range(parser.parse_args().seeds)
    for role in ("helpful", "null", "harmful"):
        for name, loop in (("ours", ours), ("gepa", theirs)):
            began = time.process_time()
            ends = [(world(300, seed), *loop(world(300, seed), role, seed)) for seed in seeds]
            took = (time.process_time() - began) / len(seeds)
            oracle = msgspec.structs.replace(START, instructions=tuple(line(*each) for each in RULES.items()))
            gains = [end - place.truth(START) for place, end, _ in ends]
            best = sum(place.truth(oracle) - place.truth(START) for place, *_ in ends) / len(ends)
            mean = sum(gains) / len(gains)
            half = 2.09 * (sum((gain - mean) ** 2 for gain in gains) / (len(gains) - 1) / len(gains)) ** 0.5
            calls = sum(each[2] for each in ends) / len(ends)
            worse = sum(gain < 0 for gain in gains)
            print(
                f"{role:8} {name:5} gain {100 * mean:6.1f} +- {100 * half:.1f} of {100 * best:.1f} points; "
                f"worse than before in {worse} of {len(ends)}; {calls:.1f} calls; {1000 * took:.0f} ms CPU"
            )


if __name__ == "__main__":
    sys.exit(main())
