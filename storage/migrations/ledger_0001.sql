-- ledger 0001: gateway keys. Never the secret, only its keyed hash.
CREATE TABLE gateway_key (
    id                INTEGER PRIMARY KEY,
    key_id            TEXT    NOT NULL,
    hash              BLOB    NOT NULL CHECK (length(hash) = 32),  -- HMAC-SHA-256 under a derived key
    name              TEXT    NOT NULL,
    role              TEXT    NOT NULL CHECK (role IN ('app', 'viewer', 'auditor', 'operator', 'admin')),
    app               TEXT    NOT NULL,
    hint              TEXT    NOT NULL,
    created_ns        INTEGER NOT NULL,
    expires_ns        INTEGER,
    revoked_ns        INTEGER,
    budget_micro_usd  INTEGER CHECK (budget_micro_usd >= 0),       -- lifetime; NULL: unlimited
    spent_micro_usd   INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE UNIQUE INDEX gateway_key_key_id ON gateway_key (key_id);
CREATE UNIQUE INDEX gateway_key_hash ON gateway_key (hash);
