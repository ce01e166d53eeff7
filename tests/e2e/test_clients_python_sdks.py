"""The vendors' Python SDKs through a gateway process: in the fast suite, as they are what most people use."""

from collections.abc import Callable

import pytest

from tests.e2e.programs import PYTHON_SDKS
from tests.e2e.promises import Run, check_bytes, check_endings, check_results

pytestmark = pytest.mark.parametrize("client", sorted(PYTHON_SDKS))
RunOf = Callable[[str], Run]


def test_an_sdk_returns_and_raises_what_it_does_without_the_gateway(run_of: RunOf, client: str) -> None:
    check_results(run_of(client))


def test_every_byte_of_an_sdk_passes_both_ways(run_of: RunOf, client: str) -> None:
    check_bytes(run_of(client))


def test_a_stream_the_provider_did_not_finish_is_an_error_to_an_sdk(run_of: RunOf, client: str) -> None:
    assert check_endings(run_of(client)) >= 2
