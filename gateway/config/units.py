"""What settings are counted in, with the range each takes."""

from typing import Annotated, TypeAlias

from msgspec import Meta

Seconds: TypeAlias = Annotated[float, Meta(gt=0, le=86_400)]
Bytes: TypeAlias = Annotated[int, Meta(ge=1024, le=1 << 40)]
Dollars: TypeAlias = Annotated[float, Meta(ge=0, le=1_000_000)]
Tokens: TypeAlias = Annotated[int, Meta(ge=0, le=1 << 50)]
