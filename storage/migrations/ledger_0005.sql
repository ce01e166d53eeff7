-- ledger 0005: the sequencer's entries a group a row: what was committed together is read and leaves together.
CREATE TABLE audit_group (
    first  INTEGER PRIMARY KEY,   -- leaf index of its first entry: from 0, without gaps
    count  INTEGER NOT NULL CHECK (count > 0),
    lines  BLOB NOT NULL          -- the leaves' exact bytes with a line feed, which none of them holds, between each two
) STRICT;

INSERT INTO audit_group SELECT seq, 1, entry FROM audit_entry;

DROP TABLE audit_entry;
