-- ledger 0003: the audit log's sequencer. What is committed here is acknowledged; what is published leaves.
CREATE TABLE audit_entry (
    seq    INTEGER PRIMARY KEY,   -- leaf index: from 0, without gaps
    entry  BLOB NOT NULL          -- the leaf's exact bytes
) STRICT;

CREATE TABLE audit_state (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    first   INTEGER NOT NULL,     -- seq of the oldest entry still kept here
    sealed  INTEGER,              -- highest exchange.id that a step.recorded entry covers; NULL before the first
    origin  TEXT    NOT NULL      -- the log's name
) STRICT;

CREATE TABLE audit_alias (        -- what entries say instead of names; whoever deletes a row makes its alias mean nothing
    alias   TEXT PRIMARY KEY,
    kind    TEXT NOT NULL CHECK (kind IN ('person', 'session')),
    name    TEXT NOT NULL,
    UNIQUE (kind, name)
) STRICT;

ALTER TABLE hold ADD COLUMN decided_blind BLOB;   -- 16 bytes: under which the log commits to decided_reason
