-- ledger 0015: optimizers ask a model too, by the same ledger of calls; and a run of theirs that was cut short goes on.
CREATE TABLE supervisor_call_new (
    call_id            TEXT    NOT NULL PRIMARY KEY,
    at_ns              INTEGER NOT NULL CHECK (at_ns > 0),
    seat               TEXT    NOT NULL CHECK (seat IN ('gate', 'monitor', 'optimizer')),
    purpose            TEXT    NOT NULL,
    view               TEXT,
    clauses            TEXT    NOT NULL,                  -- JSON array of policy/clause
    app                TEXT    NOT NULL,
    session_id         TEXT,                              -- NULL outside of a session, and once it is erased
    exchange_id        TEXT,
    model              TEXT    NOT NULL,
    prompt             TEXT    NOT NULL,                  -- revision of the prompt
    ceiling_tokens     INTEGER NOT NULL CHECK (ceiling_tokens >= 0),
    ceiling_micro_usd  INTEGER CHECK (ceiling_micro_usd >= 0),
    state              TEXT    NOT NULL CHECK (state IN ('begun', 'done', 'failed')),
    why                TEXT,
    answered_by        TEXT,
    input_tokens       INTEGER,
    cached_tokens      INTEGER,
    output_tokens      INTEGER,
    cost_micro_usd     INTEGER,
    micros             INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

INSERT INTO supervisor_call_new SELECT * FROM supervisor_call;

DROP TABLE supervisor_call;

ALTER TABLE supervisor_call_new RENAME TO supervisor_call;

CREATE INDEX supervisor_call_at ON supervisor_call (at_ns);
CREATE INDEX supervisor_call_session ON supervisor_call (session_id);

CREATE TABLE optimizer_run (           -- what is under way: one an app, gone once it is over
    app      TEXT    NOT NULL PRIMARY KEY,
    subject  TEXT    NOT NULL,                            -- digest of what it is about; of another it is none
    secret   BLOB    NOT NULL,                            -- sealed: what its fences and lots are drawn from
    since    INTEGER NOT NULL                             -- the newest proposal there was when it began
) STRICT, WITHOUT ROWID;

CREATE TABLE optimizer_answer (        -- what it was told so far, so that nothing is asked twice
    app       TEXT    NOT NULL REFERENCES optimizer_run (app) ON DELETE CASCADE,
    question  BLOB    NOT NULL,                           -- keyed digest
    answer    BLOB    NOT NULL,                           -- sealed
    PRIMARY KEY (app, question)
) STRICT, WITHOUT ROWID;
