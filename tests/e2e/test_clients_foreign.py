"""Clients in environments of their own, unmodified, through a gateway process."""

from collections.abc import Callable

import pytest

from tests.e2e.programs import FOREIGN
from tests.e2e.promises import Run, check_bytes, check_endings, check_results

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
RunOf = Callable[[str], Run]
every_client = pytest.mark.parametrize("client", sorted(FOREIGN))


@every_client
def test_a_client_returns_and_raises_what_it_does_without_the_gateway(run_of: RunOf, client: str) -> None:
    check_results(run_of(client))


@every_client
def test_every_byte_of_a_client_passes_both_ways(run_of: RunOf, client: str) -> None:
    check_bytes(run_of(client))


@pytest.mark.parametrize("client", ["anthropic-typescript", "openai-typescript"])
def test_a_stream_the_provider_did_not_finish_is_an_error_to_an_sdk(run_of: RunOf, client: str) -> None:
    assert check_endings(run_of(client)) >= 2
