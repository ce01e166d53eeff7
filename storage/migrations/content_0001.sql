-- content 0001: contents of one month, deduplicated, compressed, sealed; and the chains that order them.
--
-- Contents are found by keyed hash from the outside and by integer on the inside: whatever points here from another
-- file may outlive this one, so it must name contents by what they are, not only by where they lie. A chain is named
-- by its end's `id` together with its `check_bytes`.
-- Integer primary keys with a unique index beside them: a table clustered on random hashes is a fifth larger.
CREATE TABLE content (
    id      INTEGER PRIMARY KEY,
    cid     BLOB    NOT NULL CHECK (length(cid) = 16),  -- BLAKE3 of the plain bytes under a derived key
    codec   INTEGER NOT NULL CHECK (codec >= 0),        -- 0 as they are, 1 zstd, 2 zstd with dictionary 1
    length  INTEGER NOT NULL CHECK (length >= 0),       -- plain bytes
    sealed  BLOB    NOT NULL                            -- nonce (12), AES-256-GCM ciphertext, tag (16)
) STRICT;

CREATE UNIQUE INDEX content_cid ON content (cid);

-- One row per message of each distinct history: a resent history of forty messages adds only its new ones.
CREATE TABLE conv_state (
    id           INTEGER PRIMARY KEY,
    check_bytes  BLOB    NOT NULL CHECK (length(check_bytes) = 8),  -- keyed hash of (previous check_bytes, cid)
    prev         INTEGER NOT NULL,                                  -- conv_state.id, or 0: nothing came before
    content      INTEGER NOT NULL,                                  -- content.id
    depth        INTEGER NOT NULL CHECK (depth > 0)                 -- 1 for the first message
) STRICT;

-- Both numbers only grow: new rows land side by side, where an index on a hash would scatter them over every page.
CREATE UNIQUE INDEX conv_state_link ON conv_state (prev, content);
