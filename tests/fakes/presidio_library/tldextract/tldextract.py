"""Where a name's public suffix ends: from a list that is fetched, unless there is nowhere to fetch it."""

from collections.abc import Sequence


class TLDExtract:
    def __init__(
        self, *, suffix_list_urls: Sequence[str] = ("https://publicsuffix.example/",), cache_dir: None
    ) -> None:
        self.urls = suffix_list_urls
        self.cache_dir = cache_dir

    def __call__(self, text: str) -> str:
        if self.urls:
            raise AssertionError("the list would be fetched")
        return text


TLD_EXTRACTOR = TLDExtract(cache_dir=None)
