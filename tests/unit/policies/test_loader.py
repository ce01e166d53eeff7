"""Loading of policies: every mistake, with its line and what to do."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.loader import LARGEST, Loaded, load
from policies.mistakes import BadPolicy, Mistake

VALID = """[policy]
id = "mail-agent"
description = "What our mail agent may do."

[[clause]]
id = "no-keys"
text = "No key leaves."
severity = "critical"
steps = ["tool_call", "model_text"]
tools = { tags = ["outbound"] }
guards = [{ kind = "pattern", rules = [{ id = "key", pattern = 'sk-[a-z0-9]{20}', score = 90 }] }]
action = [{ at = 75, do = "redact" }]
reason = "sensitive_data"
on_error = "reject"
protected = true
taxonomy = ["OWASP-LLM02", "OWASP-ASI02", "AML.T0051.001"]

[[clause.example]]
expect = "violation"
steps = [{ kind = "tool_call", tool = "send_email", args = { body = "sk-abcdefghij0123456789" } }]

[[clause.example]]
expect = "ok"
steps = [{ kind = "tool_call", tool = "send_email", args = { body = "hello" } }]
"""


def mistakes(text: str) -> tuple[Mistake, ...]:
    with pytest.raises(BadPolicy) as caught:
        load(text, "mail.toml")
    assert caught.value.remedy()
    assert all(each.remedy and each.place == "mail.toml" for each in caught.value.mistakes)
    return caught.value.mistakes


def tried(text: str) -> tuple[Mistake, ...]:
    """The mistakes of a text that may as well have none."""
    try:
        loaded = load(text, "x")
    except BadPolicy as error:
        return error.mistakes
    assert isinstance(loaded, Loaded)
    return ()


def only(text: str) -> Mistake:
    found = mistakes(text)
    assert len(found) == 1, [str(each) for each in found]
    return found[0]


def changed(old: str, new: str) -> str:
    assert old in VALID
    return VALID.replace(old, new, 1)


def test_a_whole_policy_is_read() -> None:
    loaded = load(VALID, "mail.toml")
    assert loaded.policy.policy.id == "mail-agent"
    (clause,) = loaded.policy.clause
    assert (clause.id, clause.mode, clause.recover, len(clause.example)) == ("no-keys", "enforce", "answered", 2)
    assert loaded.mistake(("clause", 0, "on_error"), "x", "y").line == 14


@pytest.mark.parametrize(
    ("old", "new", "line", "message", "remedy"),
    [
        ('description = "', 'descripton = "', 3, "unknown key `descripton`", "`description`"),
        ('id = "mail-agent"', 'id = "Mail agent"', 2, "`id`: expected", "a-z"),
        ("[[clause]]", "[[clauses]]\n[[clause]]", 5, "unknown key `clauses`", "`clause`"),
        ('severity = "critical"', 'severity = "criticl"', 8, "`severity` cannot be `criticl`", "`critical`"),
        ('severity = "critical"\n', "", 5, "`severity` is missing", "info, low"),
        ('["tool_call", "model_text"]', '["tool_cal"]', 9, "`steps[0]` cannot be `tool_cal`", "`tool_call`"),
        ("{ tags = ", "{ tag = ", 10, "unknown key `tag`", "`tags`"),
        ('tags = ["outbound"]', 'tags = ["outbond"]', 10, "cannot be `outbond`", "`outbound`"),
        ('tags = ["outbound"]', "tags = []", 10, "selects nothing", "Give `tags`"),
        ('{ tags = ["outbound"] }', "3", 10, "`tools` is not a table", "{ key = value }"),
        ('kind = "pattern"', 'kind = "patern"', 11, "there is no kind `patern`", "`pattern`"),
        ('kind = "pattern", ', "", 11, "`kind` is missing", "pattern"),
        ("score = 90", "score = 900", 11, "expected `int` <= 100", "at most 100"),
        ("pattern = 'sk-", "patern = 'sk-", 11, "unknown key `patern`", "`pattern`"),
        ("'sk-[a-z0-9]{20}'", "'(?<=a)b'", 11, "is not an RE2 expression", "Guards"),
        ("'sk-[a-z0-9]{20}'", "'a*'", 11, "matches the empty text", "Guards"),
        ('action = [{ at = 75, do = "redact" }]', "action = []", 12, "`action`", "at least one entry"),
        ('do = "redact"', 'do = "redct"', 12, "cannot be `redct`", "`redact`"),
        ('do = "redact"', 'do = "judge"', 12, "`judge` needs `else`", "no judge"),
        ('do = "redact"', 'do = "hold", else = "flag"', 12, "`else` belongs to `judge`", "Remove"),
        ('do = "redact" }', 'do = "hold" }, { at = 75, do = "flag" }', 12, "two bands begin at 75", "own"),
        ('do = "redact" }', 'do = "hold" }, { at = 90, do = "flag" }', 12, "more mildly", "stronger"),
        ('do = "redact"', 'do = "rewrite"', 12, "cannot be done to tool_call", "another action"),
        ('"model_text"]', '"reasoning"]', 12, "cannot be done to reasoning", "another action"),
        ('"sensitive_data"', '"sensitive"', 13, "`reason` cannot be `sensitive`", "`sensitive_data`"),
        ('on_error = "reject"', 'on_error = "redact"', 14, "`on_error` cannot be `redact`", "reject"),
        ('on_error = "reject"\n', "", 5, "`on_error` is missing", "allow, flag, hold, reject, terminate"),
        ("protected = true", 'protected = "yes"', 15, "`protected`: expected `bool`", "true or false"),
        ("protected = true", "when = \"step.knd == 'x'\"", 15, "no fact `step.knd`", "`step.kind`"),
        ('"OWASP-LLM02"', '"LLM02"', 16, "`LLM02` is no id", "OWASP-LLM01"),
        ('"OWASP-LLM02"', '"OWASP-LLM11"', 16, "`OWASP-LLM11` is no id", "OWASP-LLM01"),
        ('expect = "violation"', 'expect = "bad"', 19, "`expect` cannot be `bad`", "ok"),
        ('expect = "violation"', 'expect = "ok"', 5, "without a violating example", "[[clause.example]]"),
        ('expect = "ok"', 'expect = "violation"', 5, "without a passing example", "shadow"),
        ('args = { body = "hello" }', 'arg = { body = "hello" }', 24, "unknown key `arg`", "`args`"),
        ('args = { body = "hello" }', 'args = {}, text = "x"', 24, "either `args` or `text`", "Remove one"),
        ('tool = "send_email", args = { body = "hello" }', "args = {}", 24, "needs `tool`", "Add tool"),
        (
            '{ kind = "tool_call", tool = "send_email", args = { body = "hello" } }',
            '{ kind = "user_input", text = "x" }',
            24,
            "does not judge",
            "tool_call",
        ),
        (
            '{ kind = "tool_call", tool = "send_email", args = { body = "hello" } }',
            '{ kind = "model_text", text = "x", args = {} }',
            24,
            "has no `args`",
            "tool_call",
        ),
    ],
)
def test_a_mistake_has_its_line_and_a_remedy(old: str, new: str, line: int, message: str, remedy: str) -> None:
    found = mistakes(changed(old, new))
    assert (found[0].line, found[0].severity) == (line, "error"), str(found[0])
    assert message in found[0].message
    assert remedy in found[0].remedy


def test_all_mistakes_are_shown_at_once_in_the_order_of_the_file() -> None:
    text = changed('severity = "critical"', 'severity = "grave"').replace('do = "redact"', 'do = "erase"')
    text = text.replace("description = ", "text = ")
    found = mistakes(text)
    assert [each.line for each in found] == [1, 3, 8, 12]


def test_mistakes_of_sense_are_shown_beside_mistakes_of_form() -> None:
    second = VALID.split("[[clause]]", 1)[1].replace('id = "no-keys"', 'id = "other"').replace("'sk-", "'(sk-")
    text = changed('reason = "sensitive_data"', 'reason = "because"') + "\n[[clause]]" + second
    assert len(mistakes(text)) == 2


def test_an_id_can_be_given_once() -> None:
    text = VALID + "\n[[clause]]" + VALID.split("[[clause]]", 1)[1]
    assert "the id is taken" in only(text).message


def test_a_shadow_clause_needs_no_examples() -> None:
    text = changed("protected = true", 'mode = "shadow"').split("[[clause.example]]", 1)[0]
    assert load(text, "x").policy.clause[0].example == ()


def test_selectors_belong_to_steps_of_tools() -> None:
    text = changed('["tool_call", "model_text"]', '["model_text"]').replace(
        'kind = "tool_call", tool = "send_email", args = { body = ', 'kind = "model_text", text = ('
    )
    text = text.replace('("sk-abcdefghij0123456789" }', '"sk"').replace('("hello" }', '"hello"')
    assert "no meaning for these steps" in only(text).message


def test_a_guard_that_cannot_judge_a_step_is_refused_with_the_reason() -> None:
    guards = next(line for line in VALID.splitlines() if line.startswith("guards"))
    text = changed(guards, 'guards = [{ kind = "schema" }]').replace('do = "redact"', 'do = "reject"')
    found = only(text)
    assert found.line == 9
    reason = "only calls and definitions have a schema"
    assert found.message == f"clause `no-keys`: no guard of this clause can judge model_text: {reason}"
    both = VALID.replace('["tool_call", "model_text"]', '["model_text"]').replace("tools =", "# tools =")
    both = both.replace("guards = [", 'guards = [{ kind = "schema" }, ').replace('do = "redact"', 'do = "reject"')
    assert f"`schema` cannot judge model_text: {reason}" in [each.message.split(": ", 1)[1] for each in mistakes(both)]


def test_changes_need_guards_that_find_ranges() -> None:
    text = changed("guards = [{", 'guards = [{ kind = "schema" }, {')
    assert "needs ranges of text, and `schema` finds none" in only(text).message


@pytest.mark.parametrize("text", ["= 1", "[policy", 'a = "\n', "[a]\n[a]", "a = " + "9" * 5000, "a = 1979-13-99"])
def test_text_that_is_no_toml_says_where(text: str) -> None:
    assert only(text).message.startswith("is not TOML")


def test_a_text_that_is_too_large_is_not_read() -> None:
    assert "too large" in only("#" * (LARGEST + 1)).message


@pytest.mark.parametrize("text", ["", "clause = 3", "clause = [3]", "policy = []", "[[policy]]", "[clause]"])
def test_other_shapes_are_mistakes_and_no_crash(text: str) -> None:
    assert mistakes(text)


def test_a_digest_names_the_content_and_not_the_look() -> None:
    one = load(VALID, "a.toml")
    same = load(VALID.replace("id = ", "id   =   ") + "\n# a comment\n", "b.toml")
    assert one.digest == same.digest
    assert one.digest != load(changed("score = 90", "score = 91"), "a.toml").digest


def test_a_mistake_reads_as_one_line() -> None:
    assert str(only(changed('do = "redact"', 'do = "redct"'))) == (
        "mail.toml:12: clause `no-keys`: `do` cannot be `redct`. Did you mean `redact`?"
    )


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "kind", "at", "do", "steps", "guards", "rules", "text", "x"]), inner)
    ),
    max_leaves=8,
)


def written(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {written(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(written(each) for each in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value % 2**63)
    kept = "".join(char for char in str(value) if char.isalnum())
    return f'"{kept}"'


@given(st.sampled_from([line.split(" = ")[0] for line in VALID.splitlines()[5:16]]), values)
def test_any_value_for_any_setting_is_read_or_a_mistake(key: str, value: Any) -> None:
    lines = [f"{key} = {written(value)}" if line.startswith(f"{key} = ") else line for line in VALID.splitlines()]
    text = "\n".join(lines)
    tomllib.loads(text)
    assert all(each.line for each in tried(text))


@given(st.text())
def test_no_text_raises_anything_but_bad_policy(text: str) -> None:
    with pytest.raises(BadPolicy):
        load(text, "x")


def test_a_byte_order_mark_before_a_policy_is_no_part_of_it() -> None:
    assert load("\ufeff" + VALID, "marked").digest == load(VALID, "plain").digest
