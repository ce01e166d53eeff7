-- keys 0001: the keys that contents lie under, one row a scope and month. Whoever deletes a row, here and in every
-- backup of this file, has destroyed what was sealed under it.
CREATE TABLE scope_key (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,          -- never given again: contents refer to it
    name     BLOB NOT NULL CHECK (length(name) = 16),    -- keyed hash of the scope and the month
    month    TEXT NOT NULL,                              -- YYYYMM: keys go with the month's contents
    wrapped  BLOB NOT NULL                               -- two keys of 32 bytes, sealed under one derived from seal.key
) STRICT;

CREATE UNIQUE INDEX scope_key_name ON scope_key (name);
