-- ledger 0008: calls to a supervisor's model. A row is here before anything is sent; one that never ended counts at its
-- ceiling. Ids, counts and names of ours only: what was asked and answered is not here.
CREATE TABLE supervisor_call (
    call_id            TEXT    NOT NULL PRIMARY KEY,
    at_ns              INTEGER NOT NULL CHECK (at_ns > 0),
    seat               TEXT    NOT NULL CHECK (seat IN ('gate', 'monitor')),
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

CREATE INDEX supervisor_call_at ON supervisor_call (at_ns);
CREATE INDEX supervisor_call_session ON supervisor_call (session_id);

CREATE TABLE supervisor_account (      -- what budgets are held against: the sums of the calls above, kept with them
    account    TEXT    NOT NULL PRIMARY KEY,              -- day:DAY, app:DAY:APP, session:ID
    at_ns      INTEGER NOT NULL,                          -- of its last call
    tokens     INTEGER NOT NULL,
    micro_usd  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
