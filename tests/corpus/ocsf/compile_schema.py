"""Compile one JSON Schema out of a checkout of the OCSF schema, for the classes that are exported.

    git clone --branch v1.8.0 https://github.com/ocsf/ocsf-schema
    python tests/corpus/ocsf/compile_schema.py ocsf-schema > tests/corpus/ocsf/ocsf-1.8.0.schema.json

What OCSF says in its own form is kept: inheritance, the dictionary's types with their patterns and ranges, enums,
required attributes, `at_least_one` and `just_one`, no attribute that is not defined, profiles only where
`metadata.profiles` names them, and the arithmetic of `class_uid` and `type_uid`. Texts, recommendations, deprecations,
observables and extensions (linux, macos, windows) are left out.
"""

import json
import sys
from pathlib import Path
from typing import Any

CLASSES = ("application/api_activity", "findings/detection_finding", "iam/entity_management")
_BASES = {
    "boolean_t": "boolean",
    "float_t": "number",
    "integer_t": "integer",
    "long_t": "integer",
    "string_t": "string",
}


class Compiler:
    """Reads definitions as they are needed and keeps every object that something refers to."""

    def __init__(self, root: Path) -> None:
        self.root = root
        dictionary = self.load("dictionary")
        self.attributes: dict[str, Any] = dictionary["attributes"]
        self.types: dict[str, Any] = dictionary["types"]["attributes"]
        self.categories: dict[str, Any] = self.load("categories")["attributes"]
        self.events = {self._name(path): path for path in (root / "events").rglob("*.json")}
        self.objects = {self._name(path): path for path in (root / "objects").glob("*.json")}
        self.definitions: dict[str, Any] = {}

    def load(self, path: str | Path) -> Any:
        file = path if isinstance(path, Path) else self.root / f"{path}.json"
        return json.loads(file.read_text("utf-8"))

    def _name(self, path: Path) -> str:
        return str(self.load(path)["name"])

    def schema(self) -> dict[str, Any]:
        version = self.load("version")["version"]
        classes = [self.event(name) for name in CLASSES]
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"ocsf-{version}",
            "$comment": f"Compiled from ocsf-schema {version} by compile_schema.py; Apache-2.0, see LICENSE.md.",
            "type": "object",
            "required": ["class_uid"],
            "properties": {"class_uid": {"enum": [each["properties"]["class_uid"]["const"] for each in classes]}},
            "allOf": [
                {"if": {"properties": {"class_uid": each["properties"]["class_uid"]}}, "then": each} for each in classes
            ],
            "$defs": dict(sorted(self.definitions.items())),
        }

    def event(self, name: str) -> dict[str, Any]:
        leaf = self.load(f"events/{name}")
        merged = self.inherited(leaf, self.events)
        schema = self.closed(merged)
        category = self.categories[merged["category"]]["uid"]
        uid = category * 1000 + leaf["uid"]
        activities = schema["properties"]["activity_id"]["enum"]
        schema["properties"]["category_uid"] = {"const": category}
        schema["properties"]["class_uid"] = {"const": uid}
        schema["properties"]["type_uid"] = {"enum": [uid * 100 + each for each in activities]}
        schema["allOf"] = [
            *schema.get("allOf", []),
            *[
                {
                    "if": {"properties": {"activity_id": {"const": each}}},
                    "then": {"properties": {"type_uid": {"const": uid * 100 + each}}},
                }
                for each in activities
            ],
        ]
        return schema

    def inherited(self, leaf: dict[str, Any], kinds: dict[str, Path]) -> dict[str, Any]:
        """A definition with what it extends, attribute by attribute; profiles are marked on what they bring."""
        parent = leaf.get("extends")
        base: dict[str, Any] = self.inherited(self.load(kinds[parent]), kinds) if parent else {"attributes": {}}
        attributes = {name: dict(value) for name, value in base["attributes"].items()}
        own = dict(leaf.get("attributes", {}))
        for include in own.pop("$include", []):
            profile = self.load(self.root / include)
            for name, value in profile["attributes"].items():
                if name not in attributes:
                    attributes[name] = {**value, "profile": profile["name"]}
        for name, value in own.items():
            before = attributes.get(name, {})
            enum = {**before.get("enum", {}), **value.get("enum", {})}
            attributes[name] = {**before, **value, **({"enum": enum} if enum else {})}
        constraints = {**base.get("constraints", {}), **leaf.get("constraints", {})}
        return {**base, **leaf, "attributes": attributes, "constraints": constraints}

    def closed(self, merged: dict[str, Any]) -> dict[str, Any]:
        """The JSON Schema of an event or an object: these attributes and no others."""
        properties: dict[str, Any] = {}
        required: list[str] = []
        rules: list[dict[str, Any]] = []
        for name, said in sorted(merged["attributes"].items()):
            properties[name] = self.attribute(name, said)
            if said.get("profile"):
                rules.append(_only_with(name, said["profile"]))
            elif said.get("requirement") == "required":
                required.append(name)
        for kind, key in (("at_least_one", "anyOf"), ("just_one", "oneOf")):
            names = merged["constraints"].get(kind)
            if names:
                rules.append({key: [{"required": [name]} for name in names]})
        schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
        if required:
            schema["required"] = required
        if rules:
            schema["allOf"] = rules
        return schema

    def attribute(self, name: str, said: dict[str, Any]) -> dict[str, Any]:
        known = self.attributes[name]
        kind = said.get("type", known["type"])
        enum = {**known.get("enum", {}), **said.get("enum", {})}
        schema = self.enumerated(kind, enum) if enum else self.typed(kind)
        array = said.get("is_array", known.get("is_array", False))
        return {"type": "array", "items": schema} if array else schema

    def enumerated(self, kind: str, enum: dict[str, Any]) -> dict[str, Any]:
        whole = self.base(kind) == "integer"
        return {"enum": sorted(int(each) for each in enum)} if whole else {"enum": sorted(enum)}

    def typed(self, kind: str) -> dict[str, Any]:
        if kind == "json_t":
            return {}
        if kind in self.types:
            return self.scalar(kind)
        if kind == "object":
            return {"type": "object"}
        if kind not in self.definitions:
            self.definitions[kind] = {}  # objects refer to themselves
            self.definitions[kind] = self.closed(self.inherited(self.load(self.objects[kind]), self.objects))
        return {"$ref": f"#/$defs/{kind}"}

    def base(self, kind: str) -> str:
        return _BASES.get(kind) or self.base(self.types[kind]["type"])

    def scalar(self, kind: str) -> dict[str, Any]:
        said = self.types[kind]
        schema: dict[str, Any] = {"type": self.base(kind)}
        if "regex" in said:
            schema["pattern"] = said["regex"]
        if "max_len" in said:
            schema["maxLength"] = said["max_len"]
        if "range" in said:
            schema["minimum"], schema["maximum"] = said["range"]
        return schema


def _only_with(name: str, profile: str) -> dict[str, Any]:
    """An attribute of a profile, only where the event says that it applies that profile."""
    named = {"properties": {"profiles": {"contains": {"const": profile}}}, "required": ["profiles"]}
    return {"if": {"required": [name]}, "then": {"properties": {"metadata": named}}}


if __name__ == "__main__":
    json.dump(Compiler(Path(sys.argv[1])).schema(), sys.stdout, separators=(",", ":"), sort_keys=True)
    sys.stdout.write("\n")
