"""`presidio`: Presidio's recognisers, without a language model. The only file that imports Presidio.

Left to itself Presidio downloads a spaCy model when it has none, fetches the public suffix list on the first e-mail
address it sees, and passes over a pattern that took too long. None of that happens here.
"""

import importlib
import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Final

from policies.guards.presidio import PresidioSpec
from policies.trail import Scene
from policies.vocabulary.findings import Evidence, Hit
from supervisors.adapters.excerpt import byte_ranges, excerpt
from supervisors.adapters.threaded import Examine, Unloadable

EXTRA: Final = "presidio"
"""The optional extra this file needs."""

_VIOLATION: Final = 75


def installed() -> bool:
    """Whether the extra is there; imports nothing."""
    return find_spec("presidio_analyzer") is not None


def load(spec: PresidioSpec) -> Examine:
    """The recognisers, ready to look at steps. Some seconds. Raises `Unloadable`."""
    engine = _engine(spec.language)
    known: set[str] = set(engine.get_supported_entities(language=spec.language))
    unknown = sorted(set(spec.entities) - known)
    if unknown:
        raise Unloadable(f"Presidio has no recogniser without a model for {', '.join(unknown)} in `{spec.language}`")

    def examine(scene: Scene) -> tuple[Hit, ...]:
        shown = excerpt(scene.step.text, spec.max_bytes)
        entities = list(spec.entities) or None
        found = engine.analyze(shown.text, language=spec.language, entities=entities, score_threshold=spec.least / 100)
        return (*_hits(shown.text, found), *shown.tail())

    return examine


def _engine(language: str) -> Any:
    """An analyzer that loads no model and asks nobody."""
    # A pattern that takes longer is passed over without a word; no deadline of ours is as long.
    os.environ["REGEX_TIMEOUT_SECONDS"] = "60"
    presidio: Any = importlib.import_module("presidio_analyzer")
    engines: Any = importlib.import_module("presidio_analyzer.nlp_engine")
    suffixes: Any = importlib.import_module("tldextract.tldextract")
    suffixes.TLD_EXTRACTOR = suffixes.TLDExtract(suffix_list_urls=(), cache_dir=None)
    nothing = engines.NoOpNlpEngine(models=[{"lang_code": language, "model_name": "none"}])
    nothing.load()
    registry = presidio.RecognizerRegistry(supported_languages=[language])
    registry.load_predefined_recognizers(languages=[language], nlp_engine=nothing)
    return presidio.AnalyzerEngine(registry=registry, nlp_engine=nothing, supported_languages=[language])


def _hits(text: str, found: Sequence[Any]) -> list[Hit]:
    """One hit for each type and score, with every place."""
    places: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for one in found:
        score = max(0, min(100, round(float(one.score) * 100)))
        places.setdefault((str(one.entity_type).lower(), score), []).append((int(one.start), int(one.end)))
    return [_hit(label, score, byte_ranges(text, sorted(spans))) for (label, score), spans in places.items()]


def _hit(label: str, score: int, ranges: Sequence[tuple[int, int]]) -> Hit:
    evidence = tuple([Evidence(start=start, end=end, label=label) for start, end in ranges])
    state = "violation" if score >= _VIOLATION else "unsure"
    return Hit(score=score, state=state, evidence=evidence, note=f"{label} found")
