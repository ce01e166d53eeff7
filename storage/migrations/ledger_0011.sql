-- ledger 0011: what tool servers said of their tools when that was last accepted, and what they say now.
CREATE TABLE tool_pin (
    server       TEXT    NOT NULL CHECK (server <> ''),
    tool         TEXT    NOT NULL CHECK (tool <> ''),
    fingerprint  BLOB    NOT NULL CHECK (length(fingerprint) = 32),  -- of the definition that was accepted
    definition   BLOB    NOT NULL,                                   -- sealed
    proposed     BLOB    CHECK (length(proposed) = 32),              -- fingerprint of what it is now; NULL: the same
    proposal     BLOB,                                               -- sealed
    seen_ns      INTEGER NOT NULL CHECK (seen_ns > 0),               -- Unix epoch, nanoseconds, UTC
    approved_by  TEXT,
    PRIMARY KEY (server, tool),
    CHECK ((proposed IS NULL) = (proposal IS NULL))
) STRICT, WITHOUT ROWID;
