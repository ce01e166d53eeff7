"""As much of Presidio's interface as the adapter uses, obeyed as the real one is; e2e tests use the real one."""

import re
from collections.abc import Sequence
from typing import Any

import tldextract.tldextract as suffixes

_PATTERNS = {"IBAN_CODE": (r"\bDE[0-9]{20}\b", 1.0), "US_SSN": (r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b", 0.5)}


class RecognizerResult:
    def __init__(self, entity_type: str, start: int, end: int, score: float) -> None:
        self.entity_type, self.start, self.end, self.score = entity_type, start, end, score


class RecognizerRegistry:
    def __init__(self, *, supported_languages: Sequence[str]) -> None:
        self.languages = supported_languages
        self.recognizers: list[str] = []

    def load_predefined_recognizers(self, *, languages: Sequence[str], nlp_engine: Any) -> None:
        assert nlp_engine.loaded
        self.recognizers = list(_PATTERNS) if "en" in languages else []


class AnalyzerEngine:
    def __init__(self, *, registry: RecognizerRegistry, nlp_engine: Any, supported_languages: Sequence[str]) -> None:
        del nlp_engine
        if not registry.recognizers:
            raise ValueError(f"no recognizers for {supported_languages}")
        self.registry = registry

    def get_supported_entities(self, language: str) -> list[str]:
        del language
        return self.registry.recognizers

    def analyze(
        self, text: str, *, language: str, entities: Sequence[str] | None, score_threshold: float
    ) -> list[RecognizerResult]:
        assert language == "en"
        suffixes.TLD_EXTRACTOR(text)
        return [
            RecognizerResult(name, *found.span(), score)
            for name in entities or self.registry.recognizers
            for pattern, score in [_PATTERNS[name]]
            if score >= score_threshold
            for found in re.finditer(pattern, text)
        ]
