"""Small parameters that tests of revisions change."""

from typing import Any

from policies.loader import load
from policies.vocabulary.revisions import Parameters

CLAUSE = """
[[clause]]
id = "{id}"
text = "No secret words."
severity = "high"
steps = ["tool_call"]
guards = [{{ kind = "pattern", rules = [{{ id = "bad", pattern = "bad", score = 80 }}] }}]
action = [{{ at = {at}, do = "reject" }}]
reason = "action_not_allowed"
on_error = "reject"
protected = {protected}
{more}
[[clause.example]]
expect = "violation"
steps = [{{ kind = "tool_call", tool = "send", args = {{ text = "bad" }} }}]
[[clause.example]]
expect = "ok"
steps = [{{ kind = "tool_call", tool = "send", args = {{ text = "good" }} }}]
"""


def clause(name: str = "rule", at: int = 75, *, protected: bool = False, more: str = "") -> str:
    return CLAUSE.format(id=name, at=at, protected=str(protected).lower(), more=more)


def parameters(*clauses: str, **fields: Any) -> Parameters:
    text = '[policy]\nid = "p"\ndescription = ""\n' + "".join(clauses or (clause(),))
    return Parameters(app="shop", policies=(load(text, "p.toml").policy,), **fields)
