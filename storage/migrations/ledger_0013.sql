-- ledger 0013: steps with a known label that were put before the supervisor, and what it made of each. No content.
CREATE TABLE canary (
    id        INTEGER PRIMARY KEY,
    at_ns     INTEGER NOT NULL CHECK (at_ns > 0),        -- Unix epoch, nanoseconds, UTC
    seat      TEXT    NOT NULL CHECK (seat IN ('gate', 'monitor')),
    app       TEXT    NOT NULL,
    clause    TEXT    NOT NULL,                          -- 'policy/clause' whose example it is
    expected  TEXT    NOT NULL CHECK (expected IN ('violation', 'ok')),
    score     INTEGER NOT NULL CHECK (score BETWEEN 0 AND 100),
    missed    INTEGER NOT NULL CHECK (missed IN (0, 1)), -- 1: judged otherwise than its author decided
    model     TEXT    NOT NULL,                          -- as configured
    prompt    TEXT    NOT NULL                           -- digest of the templates
) STRICT;

CREATE INDEX canary_by_seat ON canary (seat, model, id);
