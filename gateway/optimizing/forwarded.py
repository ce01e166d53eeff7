"""Forwarded: the body a provider got, made again from the app's own bytes and what was added to them."""

from collections.abc import Callable
from hashlib import sha256

from gateway.config import Config
from gateway.contents import Encoded
from gateway.decoding import Undecoded, decode
from gateway.supervision import overlay_of
from gateway.wire.interface import Dialect, Undecodable
from gateway.wire.overlay import Unplaced, overlaid
from policies.errors import StepwardenError
from policies.vocabulary.exchanges import Exchange
from policies.vocabulary.judgements import Judged
from policies.vocabulary.revisions import Parameters

Find = Callable[[str, str], Parameters | None]
"""Parameters by app and digest, as far as they were ever in force here."""


class NotRebuilt(StepwardenError):
    """What the provider got cannot be made again; its digest is on record all the same."""

    status = 409

    def remedy(self) -> str:
        """What there is instead."""
        return "The record holds the app's own body and the digest of the provider's: `stepwarden exchanges show ID`."


def forwarded(
    exchange: Exchange, judged: Judged | None, body: Encoded, *, dialect: Dialect, config: Config, find: Find
) -> bytes:
    """The decoded body the provider got, held against its recorded digest. Raises `NotRebuilt`."""
    limits = config.limits
    try:
        plain = decode(body.raw, body.encoding, cap=limits.decoded_bytes, ratio=limits.ratio)
        if judged is None or judged.forwarded_sha256 is None:
            return plain  # it is the app's own
        parameters = find(exchange.app, judged.instructed) if judged.instructed else None
        if parameters is None:
            raise NotRebuilt("what clauses changed in it is on record as ranges, and what was added is not kept here")
        view = dialect.read_request(plain, "count_tokens" if exchange.operation == "count_tokens" else "chat")
        after = overlaid(dialect, plain, view, overlay_of(config, parameters))
    except (Undecoded, Undecodable, Unplaced) as error:
        raise NotRebuilt("the recorded body cannot be read as it was") from error
    if sha256(after).digest() != judged.forwarded_sha256:
        raise NotRebuilt("clauses changed it besides, or its app lets revisions add other things by now")
    return after
