"""Everything given, sorted into the tables of the sections; what belongs into none is a mistake."""

from collections.abc import Iterable
from pathlib import Path

from gateway.config.providers import SHIPPED
from gateway.config.sections import NAMED, PLAIN, elsewhere, settings_of
from gateway.config.table import Table
from gateway.config.written import Given, Mistake, Origin, mistaken, nearest

_OF_POLICIES = ("policy", "clause")
_A_FILE = "Move it to a file of its own beside this one, and name that in `policy` of an [app.NAME]: docs/POLICIES.md."


class Tables:
    """One table for each section that stands once, one a name for the others; and the mistakes made in placing."""

    def __init__(self, given: Iterable[Given], here: Path) -> None:
        self.mistakes: list[Mistake] = []
        self.plain = {name: Table() for name in PLAIN}
        self.named: dict[str, dict[str, Table]] = {name: {} for name in NAMED}
        self.named["app"]["default"] = Table()
        shipped = Origin(place="shipped", base=here)
        for name, settings in SHIPPED.items():
            for key, value in settings.items():
                self._sort(Given(path=("provider", name, key), value=value, origin=shipped))
        for item in given:
            self._sort(item)

    def _sort(self, given: Given) -> None:
        section = given.path[0]
        if section in _OF_POLICIES:
            if len(given.path) == 1 or given.text:
                self._say(given, f"[{section}] belongs in a policy's file, not in the configuration", _A_FILE)
        elif section in PLAIN:
            self._sort_plain(given, section)
        elif section in NAMED:
            self._sort_named(given, section)
        elif len(given.path) == 1 or given.text:
            known = (*PLAIN, *NAMED)
            self._say(given, f"unknown section [{section}]", nearest(section, known) + elsewhere(section))

    def _sort_plain(self, given: Given, section: str) -> None:
        if len(given.path) == 1:
            if given.value != {} or given.text:
                self._say(given, f"`{section}` must be a table", f"Write [{section}] on a line of its own.")
            return
        key = given.path[1]
        known = [field.name for field in settings_of(PLAIN[section])]
        if key not in known:
            if len(given.path) == 2 or given.text:  # noqa: PLR2004 - section and key
                self._say(given, f"unknown setting `{key}` in [{section}]", nearest(key, known) + elsewhere(key))
        elif len(given.path) > 2 or given.value == {}:  # noqa: PLR2004 - a table where a value belongs
            if len(given.path) == 2 or given.text:  # noqa: PLR2004 - said once, at its header
                self._say(given, f"`{key}` in [{section}] must be a value, not a table", "Write one value.")
        else:
            self.plain[section].settings[key] = given

    def _sort_named(self, given: Given, section: str) -> None:
        if len(given.path) == 1:
            if given.value != {} or given.text:
                self._say(given, f"`{section}` must be a table", f"Write [{section}.NAME] on a line of its own.")
            return
        name = self._known_name(section, given)
        if len(given.path) == 2:  # noqa: PLR2004 - the header [section.name]
            if given.value != {} or given.text:
                self._say(given, f"`{name}` stands in [{section}] itself", f"Write [{section}.NAME] above it.")
                return
            self.named[section].setdefault(name, Table()).header = given
            return
        key = given.path[2]
        known = [field.name for field in settings_of(NAMED[section])]
        if key not in known or len(given.path) > 3:  # noqa: PLR2004 - section, name, key
            where = f"[{section}.{name}]"
            self._say(given, f"unknown setting `{key}` in {where}", nearest(key, known) + elsewhere(key))
            return
        if not isinstance(given.value, dict):
            self.named[section].setdefault(name, Table()).settings[key] = given
        else:
            self._say(given, f"`{key}` in [{section}.{name}] must be a value, not a table", "Write one value.")

    def _say(self, given: Given, message: str, remedy: str) -> None:
        self.mistakes.append(mistaken(given, message, remedy))

    def _known_name(self, section: str, given: Given) -> str:
        """The table a variable means: no shell lets a variable's name hold the hyphen of `my-provider`."""
        name = given.path[1]
        if given.text and name not in self.named[section]:
            return next((known for known in self.named[section] if known.replace("-", "_") == name), name)
        return name
