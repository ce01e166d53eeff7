-- ledger 0010: who is signed in at the dashboard. Never the cookie, only its keyed hash; rows go once they are over.
CREATE TABLE sign_in (
    id          INTEGER PRIMARY KEY,
    hash        BLOB    NOT NULL CHECK (length(hash) = 32),  -- HMAC-SHA-256 under a derived key
    key_id      TEXT    NOT NULL,                            -- the gateway key that was shown
    created_ns  INTEGER NOT NULL,                            -- Unix epoch, nanoseconds, UTC
    expires_ns  INTEGER NOT NULL CHECK (expires_ns > created_ns)
) STRICT;

CREATE UNIQUE INDEX sign_in_hash ON sign_in (hash);
