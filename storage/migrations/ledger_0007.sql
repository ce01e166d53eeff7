-- ledger 0007: on whose word the audit log was handed over to another key, and why. Rows are only ever added.
CREATE TABLE key_rotation (
    vkey    TEXT PRIMARY KEY CHECK (vkey <> ''),         -- the key that signs from there on
    who     TEXT NOT NULL CHECK (who <> ''),
    reason  TEXT NOT NULL CHECK (reason <> ''),
    blind   BLOB NOT NULL CHECK (length(blind) = 16)     -- under which the audit log commits to the reason
) STRICT;
