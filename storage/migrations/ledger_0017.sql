-- ledger 0017: what authorization servers gave the gateway, so that it can ask tool servers.
CREATE TABLE tool_grant (
    server  TEXT    NOT NULL PRIMARY KEY,
    content BLOB    NOT NULL,              -- sealed: tokens, and all that renews them
    at_ns   INTEGER NOT NULL               -- Unix epoch, nanoseconds, UTC
) STRICT, WITHOUT ROWID;
