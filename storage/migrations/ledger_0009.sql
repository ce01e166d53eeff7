-- ledger 0009: what the monitor has still to read, what critiques and persons say of steps, whom the monitor distrusts.
CREATE TABLE monitor_state (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    taken  INTEGER NOT NULL              -- exchanges up to this number are in the queue, or were
) STRICT;

CREATE TABLE monitor_queue (
    id             INTEGER PRIMARY KEY,
    step_id        TEXT    NOT NULL,
    session_id     TEXT    NOT NULL,
    app            TEXT    NOT NULL,
    ruleset        TEXT    NOT NULL,
    clauses        TEXT    NOT NULL,     -- JSON array
    risk           INTEGER NOT NULL,
    size           INTEGER NOT NULL,     -- UTF-8 bytes of its text
    since_ns       INTEGER NOT NULL,     -- Unix epoch, nanoseconds, UTC
    attempts       INTEGER NOT NULL DEFAULT 0,
    not_before_ns  INTEGER NOT NULL DEFAULT 0    -- until then its whole session waits
) STRICT;

CREATE UNIQUE INDEX monitor_queue_step ON monitor_queue (step_id);
CREATE INDEX monitor_queue_risk ON monitor_queue (risk DESC, id);
CREATE INDEX monitor_queue_session ON monitor_queue (session_id);
CREATE INDEX monitor_queue_not_before ON monitor_queue (not_before_ns);

CREATE TABLE critique (
    id           INTEGER PRIMARY KEY,
    critique_id  TEXT    NOT NULL,
    app          TEXT    NOT NULL,
    session_id   TEXT,
    from_ns      INTEGER NOT NULL,       -- when the first of its steps began: it goes with that day
    filed        BLOB    NOT NULL,       -- sealed: feedback holds content
    blind        BLOB    NOT NULL CHECK (length(blind) = 16)   -- under which the audit log commits to it
) STRICT;

CREATE UNIQUE INDEX critique_critique_id ON critique (critique_id);
CREATE INDEX critique_session ON critique (session_id);
CREATE INDEX critique_from ON critique (from_ns);

CREATE TABLE critiqued_step (
    step_id   TEXT    NOT NULL,          -- of one judged before it had an id: that of its exchange, and a dot
    critique  INTEGER NOT NULL,
    PRIMARY KEY (step_id, critique)
) STRICT, WITHOUT ROWID;

CREATE INDEX critiqued_step_critique ON critiqued_step (critique);

CREATE TABLE distrust (
    session_id   TEXT    NOT NULL PRIMARY KEY,
    app          TEXT    NOT NULL,
    critique_id  TEXT    NOT NULL,
    clauses      TEXT    NOT NULL,       -- JSON array
    at_ns        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE label (
    id          INTEGER PRIMARY KEY,
    step_id     TEXT    NOT NULL,
    session_id  TEXT,
    app         TEXT    NOT NULL,
    clause      TEXT,
    label       TEXT    NOT NULL CHECK (label IN ('ok', 'violation')),
    by          TEXT    NOT NULL,
    actor       TEXT    NOT NULL,
    at_ns       INTEGER NOT NULL
) STRICT;

CREATE INDEX label_step ON label (step_id);
CREATE INDEX label_session ON label (session_id);
