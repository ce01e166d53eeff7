-- ledger 0012: what was proposed and how far it came, every version that was ever in force, and which one is.
CREATE TABLE proposal (
    id           INTEGER PRIMARY KEY,
    proposal_id  TEXT    NOT NULL,                       -- digest of its edits: the same suggestion has one
    app          TEXT    NOT NULL,
    state        TEXT    NOT NULL
                 CHECK (state IN ('waiting', 'refused', 'rejected', 'canary', 'active', 'rolled_back')),
    content      BLOB    NOT NULL,                       -- sealed: learned text is nobody's business but the operator's
    climb        BLOB    NOT NULL,                       -- sealed: every decision so far, with its figures
    filed_ns     INTEGER NOT NULL,                       -- Unix epoch, nanoseconds, UTC
    decided_by      TEXT,
    decided_reason  TEXT,
    decided_ns      INTEGER,
    decided_blind   BLOB                                 -- 16 bytes: under which the log commits to the reason
) STRICT;

CREATE INDEX proposal_named ON proposal (proposal_id, id);

CREATE TABLE revision (
    revision_id  TEXT    NOT NULL PRIMARY KEY,           -- digest of what it says
    app          TEXT    NOT NULL,
    parent       TEXT    REFERENCES revision (revision_id),
    content      BLOB    NOT NULL,                       -- sealed: the revision and its parameters
    at_ns        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE revision_in_force (
    app          TEXT    NOT NULL PRIMARY KEY,
    revision_id  TEXT    NOT NULL REFERENCES revision (revision_id)
) STRICT, WITHOUT ROWID;
