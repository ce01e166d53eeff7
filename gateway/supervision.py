"""Supervision: from the policies an operator names to the clauses in force, app by app."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from gateway.asking import lacking
from gateway.config import Config
from gateway.config.written import key_lines
from gateway.notice_key import notice_key
from gateway.stations.bench import Bench
from gateway.stations.benches import Supervision
from gateway.wire.overlay import Overlay
from policies.analysis import analyse
from policies.evaluate import Ruleset, Settings
from policies.examples import ask_examples, run_examples
from policies.guards.judge import Judge
from policies.instruction_sets import InstructionSet, load_instructions
from policies.loader import Loaded, load
from policies.mistakes import BadPolicy, Mistake, nearest
from policies.parameters import guidance, tags
from policies.shipped import shipped
from policies.vocabulary.revisions import Parameters
from supervisors.panel import Panel

_parameters = msgspec.msgpack.Decoder(Parameters).decode


class Revisions(Protocol):
    """Where the content of revisions comes from; `gateway.keeper.Keeper` fits."""

    async def parameters(self, revision: str) -> bytes:
        """What a revision puts in force, encoded."""
        ...


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
    return _examined(config, policies)


def _examined(config: Config, policies: Mapping[str, Loaded]) -> tuple[Mistake, ...]:
    found = [*lacking(policies.values()), *_sets_at_fault(config)]
    found += [mistake for loaded in policies.values() for mistake in run_examples(loaded)]
    tags = {name: tool.tags for name, tool in config.tools.items()}
    place = str(config.file or "configuration")
    sets = dict.fromkeys(app.policy for app in config.apps.values() if app.policy)
    for names in sets:
        found += analyse([policies[name] for name in names], tags, place=place)
    return tuple(dict.fromkeys(found))


def _sets_at_fault(config: Config) -> Iterator[Mistake]:
    """What is wrong with the instruction sets that apps name."""
    for name in dict.fromkeys([app.instructions for app in config.apps.values() if app.instructions != "none"]):
        try:
            load_instructions(*_text(name, config))
        except BadPolicy as bad:
            yield from bad.mistakes


async def asked(config: Config, panel: Panel, judge: Judge | None = None) -> tuple[Mistake, ...]:
    """What the examples of clauses with guards that are asked come to, with those asked who answer for them."""
    try:
        policies = policies_of(config)
    except BadPolicy as bad:
        return bad.mistakes
    return tuple([mistake for loaded in policies.values() for mistake in await ask_examples(loaded, panel, judge)])


def open_supervision(
    config: Config, panel: Panel | None = None, judge: Judge | None = None, revisions: Revisions | None = None
) -> Supervision:
    """The clauses in force. Raises `BadPolicy` where a policy does not check, its own examples included.

    `panel` answers for guards that are asked, `judge` for the gate; without them nothing can be judged by them.
    `revisions`: where the keeper says that one is in force; without them the policy files alone are.
    """
    policies = policies_of(config)
    wrong = [mistake for mistake in _examined(config, policies) if mistake.severity == "error"]
    if wrong:
        raise BadPolicy(wrong)
    key = notice_key(config)
    benches = {
        name: None if not app.policy else _bench(base_of(config, name, policies), config, key, panel, judge)
        for name, app in config.apps.items()
    }
    if revisions is None:
        return Supervision(benches)

    async def revise(app: str, revision: str) -> Bench:
        parameters = _parameters(await revisions.parameters(revision))
        made = await asyncio.to_thread(_bench, parameters, config, key, panel, judge)
        base = benches.get(app)
        return made if base is None else made.remembering(base)

    return Supervision(benches, revise)


def rulesets_of(config: Config) -> dict[str, Ruleset]:
    """The clauses that would be in force for every app that names any. Raises `BadPolicy`."""
    return {name: compiled(config, base) for name, base in bases(config).items()}


def bases(config: Config) -> dict[str, Parameters]:
    """What the policy files alone put in force, for every app that names any. Raises `BadPolicy`."""
    policies = policies_of(config)
    return {name: base_of(config, name, policies) for name, app in config.apps.items() if app.policy}


def base_of(config: Config, app: str, policies: Mapping[str, Loaded]) -> Parameters:
    """What the files put in force for one app. Raises `BadPolicy` where its instruction set does not check."""
    named = config.apps[app].policy
    return Parameters(
        app=app,
        policies=tuple([policies[name].policy for name in named]),
        instructions=instruction_set(config, app).lines,
    )


def instruction_set(config: Config, app: str) -> InstructionSet:
    """What the file holds that an app names for its instructions; nothing where it names none. Raises `BadPolicy`."""
    name = config.apps[app].instructions
    return InstructionSet() if name == "none" else load_instructions(*_text(name, config))


def overlay_of(config: Config, parameters: Parameters) -> Overlay:
    """What of parameters is added to the requests of their app: as much as its configuration lets revisions change."""
    settings = config.apps[parameters.app]
    lines = () if settings.instructions == "none" else tuple([line.text for line in parameters.instructions])
    notes = {note.tool: note.description for note in parameters.tools}
    return Overlay(
        lines=lines,
        tools=notes if settings.tool_descriptions == "revised" else {},
        parameters=parameters.digest,
    )


def compiled(config: Config, parameters: Parameters) -> Ruleset:
    """The clauses of parameters, as they are judged by for their app."""
    app = config.apps[parameters.app]
    tagged = tags(parameters, {name: frozenset[str](tool.tags) for name, tool in config.tools.items()})
    settings = Settings(
        app=app.name, enforce=app.enforce, unseen=app.unseen, supervised=config.supervisor.model is not None
    )
    return Ruleset.compile(parameters.policies, tags=tagged, settings=settings, guidance=guidance(parameters))


def _bench(parameters: Parameters, config: Config, key: bytes, panel: Panel | None, judge: Judge | None) -> Bench:
    def heavy() -> Ruleset:
        return compiled(config, parameters)

    ruleset = heavy()
    if panel is not None:
        panel.expect(ruleset.asked)
    return Bench(
        ruleset,
        heavy=heavy,
        clock=time.monotonic_ns,
        notice_key=key,
        asker=panel,
        judge=judge,
        overlay=overlay_of(config, parameters),
    )


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
