"""Statements are judged in every dialect."""

import logging
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.guards.code.sql import looks_like_sql, matches


def found(text: str) -> dict[str, int]:
    return {match.label: match.score for match in matches(text, 0, len(text))}


@pytest.mark.parametrize(
    ("text", "label", "score"),
    [
        ("DROP TABLE users", "sql_drop", 90),
        ("drop/**/table users", "sql_drop", 90),
        ("/*!50000DROP*/ TABLE users", "sql_drop", 90),
        ("DROP DATABASE shop", "sql_drop", 95),
        ("DROP VIEW v", "sql_drop", 60),
        ("TRUNCATE TABLE logs", "sql_truncate", 90),
        ("ALTER TABLE t DROP COLUMN c", "sql_alter", 75),
        ("ALTER TABLE t ADD c int", "sql_alter", 50),
        ("GRANT ALL ON *.* TO 'u'", "sql_privileges", 90),
        ("GRANT SELECT ON t TO u", "sql_privileges", 75),
        ("CREATE USER u IDENTIFIED BY 'p'", "sql_privileges", 75),
        ("ALTER ROLE u SUPERUSER", "sql_privileges", 75),
        ("DELETE FROM t", "sql_unbounded_delete", 90),
        ("DELETE FROM `a`.`t`;", "sql_unbounded_delete", 90),
        ("DELETE FROM [dbo].[t]", "sql_unbounded_delete", 90),
        ("UPDATE t SET a = 1", "sql_unbounded_update", 75),
        ("WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d", "sql_unbounded_delete", 90),
        ("DELETE FROM t WHERE 1=1", "sql_unbounded_where", 75),
        ("DELETE FROM t WHERE a = 2 OR 'x' = 'x'", "sql_unbounded_where", 75),
        ("UPDATE t SET a = 1 WHERE TRUE", "sql_unbounded_where", 75),
        ("DELETE FROM t WHERE a LIKE '%'", "sql_unbounded_where", 75),
        ("SELECT 1; INSERT INTO t VALUES (1)", "sql_stacked", 60),
        ("SELECT * FROM t WHERE a = '\\'; DROP TABLE t; --'", "sql_drop", 90),
        ("DO $$ BEGIN DROP TABLE t; END $$", "sql_drop", 90),
        ("EXEC('DROP TABLE t')", "sql_drop", 90),
        ("PREPARE s FROM 'DROP TABLE t'", "sql_drop", 90),
        ("COPY t TO PROGRAM 'sh'", "sql_external", 90),
        ("SELECT load_file('/etc/passwd')", "sql_external", 90),
        ("SELECT a INTO OUTFILE '/x' FROM t", "sql_external", 90),
        ("EXEC xp_cmdshell 'dir'", "sql_external", 90),
    ],
)
def test_harm_is_found(text: str, label: str, score: int) -> None:
    assert looks_like_sql(text) or text.startswith("/*!")
    assert found(text)[label] == score


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM orders WHERE id = 5",
        "DELETE FROM sessions WHERE expires < now()",
        "DELETE FROM a USING b WHERE a.id = b.id",
        "DELETE a FROM a JOIN b ON a.id = b.id",
        "UPDATE t SET a = 1 WHERE id IN (SELECT id FROM u)",
        "UPDATE t SET a = b.a FROM b WHERE b.id = t.id",
        "UPDATE t SET a = 1 LIMIT 5",
        "BEGIN; UPDATE t SET a = 1 WHERE b = 2; COMMIT",
        "INSERT INTO t VALUES ('DROP TABLE t; DELETE FROM t')",
        "SELECT * FROM t -- DROP TABLE t",
        "CREATE TABLE t (id int)",
        "DROP TEMPORARY TABLE t",
        "DROP TABLE IF EXISTS tmp_import",
        "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE",
        "EXPLAIN SELECT 1",
    ],
)
def test_bounded_work_is_not(text: str) -> None:
    assert looks_like_sql(text)
    assert max(found(text).values(), default=0) <= 40


@pytest.mark.parametrize(
    "text",
    [
        "delete the file",
        "update the docs",
        "drop me a line",
        "grant access",
        "with love",
        "copy that",
        "kill process",
        "drop table syntax in postgres",
        "alter table",
        "delete from my account the second item",
        "grant access to users",
        "",
    ],
)
def test_prose_is_no_statement(text: str) -> None:
    assert not looks_like_sql(text)
    assert found(text) == {}


def test_what_no_dialect_parses_is_judged_by_its_words() -> None:
    assert found("DELETE FROM t RETURNING ??? !!") == {"sql_unbounded_write": 60}
    assert found("DELETE FROM t WHERE ??? !!") == {}
    assert found("DELETE FROM t USING u" + ", u" * 2000) == {"sql_unbounded_write": 75}


def test_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        found("UPDATE t SET a = 1 WHERE FROBNICATE; ALTER USER u SUPERUSER")
    assert caplog.records == []


@pytest.mark.parametrize(
    "unit", ["(", "DELETE FROM t WHERE a=(", "'", ";", "a.", "/*", "$$a", "UPDATE t SET a=", "NOT ", "x -> "]
)
def test_hostile_statements_stay_fast(unit: str) -> None:
    began = time.process_time()
    found("DELETE FROM t WHERE " + unit * (60_000 // len(unit)))
    assert time.process_time() - began < 2


@given(st.text() | st.text(alphabet="DROPTABLEdeltfrom ;'\"`$()-/*=1"))
def test_any_text_is_judged_without_failing(text: str) -> None:
    found(text)
    looks_like_sql(text)
