"""Refusals: what the gateway says no to where spans are sent."""

from gateway.refusals import Refused


class NotOtlp(Refused):
    """A media type that no exporter of OTLP sends."""

    status = 415
    code = "unsupported_media_type"


class OnlyPost(Refused):
    """Another method than POST."""

    status = 405
    code = "method_not_allowed"
    headers = ((b"allow", b"POST"),)


class Unreadable(Refused):
    """The body cannot be read; sending it again changes nothing."""

    code = "malformed_report"
