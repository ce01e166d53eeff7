-- spans 0001: exchanges that started on one UTC day, with their steps. Times: Unix epoch, nanoseconds, UTC;
-- columns named `_after` count nanoseconds from the exchange's own `started_ns`.
--
-- What hardly changes from one exchange to the next stands in `common` and `branch` and is referred to. Both are
-- written from memory, without a look-up: the same facts may stand there twice, and no index costs every insert.
CREATE TABLE common (
    id                 INTEGER PRIMARY KEY,
    app                TEXT    NOT NULL,
    key_id             TEXT,
    provider           TEXT    NOT NULL,
    dialect            TEXT    NOT NULL,
    operation          TEXT    NOT NULL,
    method             TEXT    NOT NULL,
    path               TEXT    NOT NULL,
    stream             INTEGER NOT NULL,
    status             INTEGER,
    upstream_status    INTEGER,
    error_type         TEXT,
    model_requested    TEXT,
    model              TEXT,
    price_version      TEXT,
    client             TEXT,
    verdict            TEXT    NOT NULL,
    settings           TEXT    NOT NULL,     -- JSON: finish reasons, sampling, tags, as far as not their defaults
    evidence           TEXT,                 -- NULL where the exchange carries no steps; so are the next three
    relation           TEXT,
    derived            INTEGER,
    lead_known         INTEGER,
    -- 'absent': only length and digest were kept. 'whole': one content. 'framed': a frame content, with the
    -- pieces in two chains of that month's content file.
    request_form       TEXT    NOT NULL CHECK (request_form IN ('absent', 'whole', 'framed')),
    request_type       TEXT,
    request_encoding   TEXT,
    response_form      TEXT    NOT NULL CHECK (response_form IN ('absent', 'whole')),
    response_type      TEXT,
    response_encoding  TEXT
) STRICT;

CREATE TABLE branch (
    id                INTEGER PRIMARY KEY,
    session_id        TEXT    NOT NULL,
    branch_id         TEXT    NOT NULL,
    parent_branch_id  TEXT,
    name              TEXT,
    agent_name        TEXT,
    trace_id          BLOB    NOT NULL,
    branch_span_id    BLOB    NOT NULL
) STRICT;

CREATE INDEX branch_session ON branch (session_id);

CREATE TABLE exchange (
    id                      INTEGER PRIMARY KEY,  -- order of insertion over all day files; never reused
    exchange_id             ANY     NOT NULL,     -- ULID in 16 bytes, or any other id as text
    common                  INTEGER NOT NULL,     -- common.id
    branch                  INTEGER,              -- branch.id; NULL where the exchange carries no steps
    outcome                 TEXT    NOT NULL,
    started_ns              INTEGER NOT NULL,
    upstream_started_after  INTEGER,
    first_byte_after        INTEGER,
    first_token_after       INTEGER,
    ended_after             INTEGER NOT NULL,
    response_id             TEXT,
    cost_micro_usd          INTEGER,
    server_span_id          BLOB    NOT NULL,
    client_span_id          BLOB    NOT NULL,
    parent_span_id          BLOB,
    known                   INTEGER,
    input_tokens            INTEGER,              -- NULL where the provider did not say, never 0 for unknown
    output_tokens           INTEGER,
    cache_read_tokens       INTEGER,
    cache_write_tokens      INTEGER,
    facts                   BLOB,                 -- MessagePack: every other fact that differs from its default
    steps                   BLOB,                 -- MessagePack: an array of arrays (`storage/step_rows.py`)
    depth                   INTEGER NOT NULL,     -- messages in the request
    joining_state           BLOB,                 -- 16 bytes: state after the request's messages
    reply_fingerprint       BLOB,                 -- 16 bytes for each choice of the reply
    request_length          INTEGER NOT NULL,     -- bytes on the wire
    request_sha256          BLOB    NOT NULL CHECK (length(request_sha256) = 32),
    request_content         BLOB,                 -- cid of the body or its frame
    request_lead            BLOB,                 -- end of chain: pieces that stand apart from the conversation
    request_state           BLOB,                 -- end of chain: the conversation's messages
    response_length         INTEGER NOT NULL,
    response_sha256         BLOB    NOT NULL CHECK (length(response_sha256) = 32),
    response_content        BLOB
) STRICT;

CREATE UNIQUE INDEX exchange_exchange_id ON exchange (exchange_id);
CREATE INDEX exchange_branch ON exchange (branch, id) WHERE branch IS NOT NULL;
