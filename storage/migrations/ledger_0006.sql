-- ledger 0006: erasures, begun and done, and sessions that are kept beyond their time.
CREATE TABLE erasure (
    id        INTEGER PRIMARY KEY,
    scope     TEXT    NOT NULL,   -- as the audit log names it: its kind and a keyed hash
    basis     TEXT    NOT NULL,
    at_ns     INTEGER NOT NULL,   -- Unix epoch, nanoseconds, UTC
    plan      BLOB                -- sealed: what is still to be destroyed; NULL once nothing is
) STRICT;

CREATE TABLE erased_session (     -- so that whoever asks for one by its id learns what became of it
    name           BLOB    NOT NULL PRIMARY KEY CHECK (length(name) = 16),  -- keyed hash of the session's id
    app            TEXT    NOT NULL,
    erasure        INTEGER NOT NULL,
    terminated_ns  INTEGER                                                  -- an ended session stays ended
) STRICT, WITHOUT ROWID;

CREATE TABLE legal_hold (
    id               INTEGER PRIMARY KEY,
    session_id       TEXT    NOT NULL,
    by               TEXT    NOT NULL,
    reason           TEXT    NOT NULL,
    blind            BLOB    NOT NULL,   -- 16 bytes: under which the log commits to the reason
    at_ns            INTEGER NOT NULL,
    released_by      TEXT,
    released_reason  TEXT,
    released_blind   BLOB,
    released_ns      INTEGER             -- NULL: still kept
) STRICT;
