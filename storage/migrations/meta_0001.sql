-- meta 0001: sessions, branches and joining states: what spans add up to. Rebuilt from the day files
-- from `progress` onwards when a crash came between the two.
CREATE TABLE session (
    id              INTEGER PRIMARY KEY,
    session_id      TEXT    NOT NULL,
    app             TEXT    NOT NULL,
    key_id          TEXT,
    name            TEXT,              -- the id the client itself gave it
    derived         INTEGER NOT NULL,
    agent           TEXT,
    client          TEXT,
    models          TEXT    NOT NULL,  -- JSON array, sorted
    started_ns      INTEGER NOT NULL,
    last_ns         INTEGER NOT NULL,
    exchanges       INTEGER NOT NULL,
    steps           INTEGER NOT NULL,
    input_tokens    INTEGER,           -- NULL while no exchange said
    output_tokens   INTEGER,
    cost_micro_usd  INTEGER,
    unpriced        INTEGER NOT NULL,
    terminated_ns   INTEGER
) STRICT;

CREATE UNIQUE INDEX session_session_id ON session (session_id);
CREATE INDEX session_last ON session (last_ns);

CREATE TABLE branch (
    id                 INTEGER PRIMARY KEY,
    session_id         TEXT    NOT NULL,
    branch_id          TEXT    NOT NULL,
    parent_branch_id   TEXT,
    agent_name         TEXT,
    evidence           TEXT    NOT NULL,
    relation           TEXT    NOT NULL,
    first_exchange_id  ANY     NOT NULL,  -- as in joining_state
    trace_id           BLOB    NOT NULL CHECK (length(trace_id) = 16),
    span_id            BLOB    NOT NULL CHECK (length(span_id) = 8),   -- of its `invoke_agent` span
    started_ns         INTEGER NOT NULL,
    last_ns            INTEGER NOT NULL,
    exchanges          INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX branch_of_session ON branch (session_id, branch_id);

CREATE TABLE joining_state (
    id                 INTEGER PRIMARY KEY,
    branch             INTEGER NOT NULL,  -- branch.id
    state              BLOB,              -- 16 bytes; NULL where only a response id can lead here
    exchange_id        ANY     NOT NULL,  -- ULID in 16 bytes, or any other id as text
    response           BLOB,              -- 16 bytes of BLAKE3 over the provider's id of the response
    reply_fingerprint  BLOB,
    depth              INTEGER NOT NULL,
    complete           INTEGER NOT NULL,
    derived            INTEGER NOT NULL,
    at_ns              INTEGER NOT NULL
) STRICT;

CREATE INDEX joining_state_state ON joining_state (state) WHERE state IS NOT NULL;
CREATE INDEX joining_state_response ON joining_state (response) WHERE response IS NOT NULL;

-- Where readers of the record stand (OTLP export, ...).
CREATE TABLE export_cursor (
    name   TEXT NOT NULL PRIMARY KEY,
    value  TEXT NOT NULL
) STRICT;

-- One row: the last exchange these tables include, and what tells this directory's seal key from another.
CREATE TABLE progress (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    exchange    INTEGER NOT NULL,                          -- exchange.id of the day files
    seal_check  BLOB    NOT NULL CHECK (length(seal_check) = 32)
) STRICT;
