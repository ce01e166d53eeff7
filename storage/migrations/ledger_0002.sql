-- ledger 0002: holds: steps that wait for a person, and what was decided about them.
CREATE TABLE hold (
    id              INTEGER PRIMARY KEY,
    hold_id         TEXT    NOT NULL,
    binding         BLOB    NOT NULL CHECK (length(binding) = 32),  -- over session, tool, arguments, clause revisions
    ask             BLOB    NOT NULL,          -- MessagePack of what is asked, sealed: it holds arguments
    app             TEXT    NOT NULL,
    state           TEXT    NOT NULL CHECK (state IN ('waiting', 'approved', 'rejected', 'expired', 'used')),
    expires_ns      INTEGER NOT NULL,
    decided_by      TEXT,
    decided_reason  TEXT,
    decided_ns      INTEGER
) STRICT;

CREATE UNIQUE INDEX hold_hold_id ON hold (hold_id);
CREATE INDEX hold_binding ON hold (binding);
