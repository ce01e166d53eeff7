"""The sections `[app.NAME]`: what holds for the callers of one app."""

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.config.table import Table
from gateway.config.written import Mistake, mistaken


class App(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for the callers of one app (tenant)."""

    name: str
    policy: tuple[str, ...] = ()
    """Policies in force, in order: names of shipped ones, or paths of your own files ending in `.toml`."""

    enforce: bool = False
    """Whether policies act; false lets them observe and flag."""

    unseen: Literal["flag", "reject"] = "flag"
    """What becomes of steps no guard can read (images, encrypted reasoning, server-side history, batches)."""

    audit: Literal["buffered", "strict"] = "buffered"
    """`strict`: the audit log holds a request, durably, before it is forwarded, and a receipt comes with the answer;
    where the log cannot be written the request is refused. `buffered`: nobody waits for the log."""

    search: bool = False
    """Whether recorded contents may be searched for words (`POST /api/search`, roles auditor and above)."""

    export_content: bool = False
    """Whether spans that go to the collector of [telemetry] hold the text of steps. What a clause redacted, held or
    refused never goes."""

    instructions: Annotated[str, Meta(pattern=r"^none$|\.toml$")] = "none"
    """An instruction set that is added to the app's own instructions and that revisions may improve: the path of a
    file of `[[line]]` and `[[choice]]` items, which may be empty; `none`: nothing is ever added. The app has to name a
    policy too."""

    tool_descriptions: Literal["as_sent", "revised"] = "as_sent"
    """`revised`: revisions may describe the app's tools otherwise to the model, which changes what the app does."""


def app_mistakes(app: App, table: Table) -> Iterator[Mistake]:
    """What is wrong beyond the types of the settings."""
    if app.policy:
        return
    for setting, idle in (("instructions", "none"), ("tool_descriptions", "as_sent")):
        if getattr(app, setting) != idle:
            remedy = "Name a policy for it, too: what revisions change begins with one."
            yield mistaken(table.get(setting), f"`{setting}` of app `{app.name}` has no policy beside it", remedy)
