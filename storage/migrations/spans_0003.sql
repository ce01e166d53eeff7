-- spans 0003: whom exchanges are about, as a keyed hash; and what is left of erased ones.
ALTER TABLE exchange ADD COLUMN end_user BLOB;  -- 16 bytes over app and end user as the client named it; NULL: it did not

-- End users of exchanges without a session; sessions have theirs in meta.db.
CREATE INDEX exchange_end_user ON exchange (end_user) WHERE end_user IS NOT NULL AND branch IS NULL;

-- Enough to say that it was, and to derive the seal of its batch; nothing of what it said.
CREATE TABLE erased (
    id           INTEGER PRIMARY KEY,  -- exchange.id, as it was
    exchange_id  ANY     NOT NULL,     -- as in exchange
    app          TEXT    NOT NULL,
    erasure      INTEGER NOT NULL,     -- erasure.id in ledger.db; 0: its time was over, and others of its day are kept
    leaves       BLOB    NOT NULL      -- 32 bytes for each of its records: RFC 6962 leaf hashes
) STRICT;
