"""Components: the parts of the parameters that a model may be asked to edit, one at a time."""

import msgspec

from policies.gate.memory import component
from policies.parameters import clauses
from policies.vocabulary.revisions import Edit, Parameters

INSTRUCTIONS = "instructions"


class Component(msgspec.Struct, frozen=True):
    """One part: the app's instructions, or an unprotected clause with its guidance and bands."""

    name: str
    """`instructions`, or `policy/clause`."""

    def text(self, parameters: Parameters) -> str:
        """As a model is shown it."""
        if self.name == INSTRUCTIONS:
            return "\n".join(f"- [{line.id}] {line.text}" for line in parameters.instructions) or "(empty)"
        clause = clauses(parameters)[self.name]
        lines = next((each.lines for each in parameters.guidance if each.clause == self.name), ())
        bands = ", ".join(f"{band.at}: {band.do}" for band in clause.action)
        return "\n".join([clause.text.strip(), f"bands: {bands}", *[f"- [{line.id}] {line.text}" for line in lines]])

    def owns(self, edit: Edit) -> bool:
        """Whether an edit is of this component."""
        return component(edit) == self.name


def components_of(parameters: Parameters) -> tuple[Component, ...]:
    """Every component that may be edited; protected clauses are none."""
    open_clauses = [name for name, clause in clauses(parameters).items() if not clause.protected]
    return (Component(INSTRUCTIONS), *[Component(name) for name in open_clauses])
