"""Supervision: from the policies an operator names to the clauses in force, app by app."""

import time
from collections.abc import Mapping
from pathlib import Path

from gateway.config import App, Config
from gateway.config_file import key_lines
from gateway.notice_key import notice_key
from gateway.stations.judge import Bench, Supervision
from policies.analysis import analyse
from policies.evaluate import Ruleset, Settings
from policies.examples import run_examples
from policies.loader import Loaded, load
from policies.mistakes import BadPolicy, Mistake, nearest
from policies.shipped import shipped


def policies_of(config: Config) -> dict[str, Loaded]:
    """Every policy that an app names, by the name it is named by. Raises `BadPolicy` with all mistakes found."""
    found: dict[str, Loaded] = {}
    mistakes: list[Mistake] = []
    for name in dict.fromkeys(name for app in config.apps.values() for name in app.policy):
        try:
            found[name] = load(*_text(name, config))
        except BadPolicy as bad:
            mistakes += bad.mistakes
    if mistakes:
        raise BadPolicy(mistakes)
    return found


def examined(config: Config) -> tuple[Mistake, ...]:
    """All that is to be said of the policies in force: mistakes, failed examples, what static analysis finds."""
    try:
        policies = policies_of(config)
    except BadPolicy as bad:
        return bad.mistakes
    found = [mistake for loaded in policies.values() for mistake in run_examples(loaded)]
    tags = {name: tool.tags for name, tool in config.tools.items()}
    place = str(config.file or "configuration")
    sets = dict.fromkeys(app.policy for app in config.apps.values() if app.policy)
    for names in sets:
        found += analyse([policies[name] for name in names], tags, place=place)
    return tuple(dict.fromkeys(found))


def open_supervision(config: Config) -> Supervision:
    """The clauses in force. Raises `BadPolicy` where a policy does not check, its own examples included."""
    wrong = [mistake for mistake in examined(config) if mistake.severity == "error"]
    if wrong:
        raise BadPolicy(wrong)
    policies = policies_of(config)
    tags = {name: frozenset[str](tool.tags) for name, tool in config.tools.items()}
    key = notice_key(config)
    return Supervision({name: _bench(app, policies, tags, key) for name, app in config.apps.items()})


def rulesets_of(config: Config) -> dict[str, Ruleset]:
    """The clauses that would be in force for every app that names any. Raises `BadPolicy`."""
    policies = policies_of(config)
    tags = {name: frozenset[str](tool.tags) for name, tool in config.tools.items()}
    return {name: _compiled(app, policies, tags) for name, app in config.apps.items() if app.policy}


def _bench(app: App, policies: Mapping[str, Loaded], tags: Mapping[str, frozenset[str]], key: bytes) -> Bench | None:
    if not app.policy:
        return None

    def compiled() -> Ruleset:
        return _compiled(app, policies, tags)

    return Bench(compiled(), heavy=compiled, clock=time.monotonic_ns, notice_key=key)


def _compiled(app: App, policies: Mapping[str, Loaded], tags: Mapping[str, frozenset[str]]) -> Ruleset:
    settings = Settings(app=app.name, enforce=app.enforce, unseen=app.unseen)
    return Ruleset.compile([policies[name].policy for name in app.policy], tags=tags, settings=settings)


def _text(name: str, config: Config) -> tuple[str, str]:
    """The text of a policy and what to call it. Raises `BadPolicy` where there is none."""
    if not name.endswith(".toml"):
        text = shipped().get(name)
        if text is None:
            remedy = f"{nearest(name, shipped())} A file of your own is named by its path, ending in .toml."
            place = str(config.file or "configuration")
            raise BadPolicy([Mistake(place=place, line=_line(name, config), message=_unknown(name), remedy=remedy)])
        return text, name
    path = Path(name)
    if not path.is_absolute():
        path = (config.file.parent if config.file else Path.cwd()) / path
    try:
        return path.read_text("utf-8"), str(path)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise BadPolicy(
            [Mistake(place=str(path), message=f"cannot be read: {why}", remedy="Name a file that is there.")]
        ) from None


def _line(name: str, config: Config) -> int | None:
    """Where the configuration file names a policy; None where somebody else does."""
    app = next((app.name for app in config.apps.values() if name in app.policy), None)
    if config.file is None or app is None:
        return None
    try:
        return key_lines(config.file.read_text("utf-8")).get(("app", app, "policy"))
    except (OSError, UnicodeDecodeError):
        return None


def _unknown(name: str) -> str:
    return f"no shipped policy is called `{name[:64]}`"
