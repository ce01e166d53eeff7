-- meta 0004: what clauses said of a session, to find it by. Strengths are those of `policies/vocabulary/verdicts.py`:
-- 0 allow, 1 flag, 2 redact, 3 rewrite, 4 hold, 5 reject, 6 terminate.
ALTER TABLE session ADD COLUMN verdict INTEGER;  -- of its strongest verdict; NULL where all of it is from before this column
ALTER TABLE session ADD COLUMN shadow INTEGER;   -- the strongest that clauses out of force would have given

CREATE TABLE session_clause (
    session_id  TEXT    NOT NULL,
    clause      TEXT    NOT NULL,  -- policy/clause
    exchanges   INTEGER NOT NULL,  -- in which it found something
    PRIMARY KEY (session_id, clause)
) STRICT, WITHOUT ROWID;

CREATE INDEX session_clause_clause ON session_clause (clause, session_id);
