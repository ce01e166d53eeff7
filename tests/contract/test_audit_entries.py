"""Every type of audit entry is described, and nothing is described that does not exist."""

import re
from pathlib import Path

from policies.vocabulary import audit

DOCUMENT = Path(__file__).parents[2] / "docs" / "AUDIT-ENTRIES.md"


def entry_types() -> dict[str, type[audit.Entry]]:
    found = [each for each in vars(audit).values() if isinstance(each, type) and issubclass(each, audit.Entry)]
    return {
        str(each.__struct_config__.tag): each
        for each in found
        if not each.__name__.startswith("_") and each.__struct_config__.tag
    }


def rows() -> dict[str, str]:
    """What the table of types says: fields by type."""
    table = DOCUMENT.read_text("utf-8").split("## Types")[1].split("\n\n")[1]
    found: dict[str, str] = {}
    for line in table.splitlines()[2:]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        for name in re.findall(r"`([^`]+)`", cells[0]):
            found[name] = cells[2]
    return found


def test_every_type_has_its_row_and_every_row_its_type() -> None:
    assert set(rows()) == set(entry_types())


def test_every_field_is_named() -> None:
    common = set(audit.Entry.__struct_fields__)
    before = ""
    for name, fields in rows().items():
        said = before if fields == "the same" else fields
        before = said
        own = set(entry_types()[name].__struct_fields__) - common
        missing = {field for field in own if f"`{field}`" not in said} - {"exchange"}
        assert not missing, (name, missing)
