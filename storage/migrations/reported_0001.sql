-- reported 0001: spans applications told of themselves, that began on one UTC day by their clocks. Times: Unix epoch,
-- nanoseconds, UTC. Sessions are not named: spans come before and after what they belong to, and are joined when read.
CREATE TABLE span (
    id              INTEGER PRIMARY KEY,
    app             TEXT    NOT NULL,
    trace_id        BLOB    NOT NULL CHECK (length(trace_id) = 16),
    span_id         BLOB    NOT NULL CHECK (length(span_id) = 8),
    parent_span_id  BLOB             CHECK (length(parent_span_id) = 8),
    name            TEXT    NOT NULL,
    kind            TEXT    NOT NULL,
    status          TEXT    NOT NULL,
    started_ns      INTEGER NOT NULL,
    ended_ns        INTEGER NOT NULL,
    received_ns     INTEGER NOT NULL,
    operation       TEXT,
    provider        TEXT,
    model           TEXT,
    tool            TEXT,
    agent           TEXT,
    conversation    TEXT,
    input_tokens    INTEGER,
    output_tokens   INTEGER,
    shortened       INTEGER NOT NULL,
    scope           INTEGER,  -- scope_key.id in keys.db: the app's; NULL where no detail was kept
    codec           INTEGER,
    length          INTEGER,  -- bytes of the detail
    detail          BLOB      -- compressed, then sealed, bound to trace_id and span_id
) STRICT;

-- What was told first stands: a span that comes again is the retry of an exporter.
CREATE UNIQUE INDEX span_span_id ON span (trace_id, span_id, app);
CREATE INDEX span_conversation ON span (conversation) WHERE conversation IS NOT NULL;
