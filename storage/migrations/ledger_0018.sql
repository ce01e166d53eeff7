-- ledger 0018: what runs of optimizers came to, optimizer by optimizer, and how sessions ended with each learned line.
CREATE TABLE optimizer_step (
    id        INTEGER NOT NULL PRIMARY KEY,
    run       BLOB    NOT NULL,            -- 16 random bytes: of the steps of one run
    app       TEXT    NOT NULL,
    optimizer TEXT    NOT NULL,
    proposals INTEGER NOT NULL,            -- that it filed
    known     INTEGER NOT NULL,            -- that were made before, and not again
    failures  INTEGER NOT NULL,
    calls     INTEGER NOT NULL,            -- to a model
    tokens    INTEGER NOT NULL,
    began_ns  INTEGER NOT NULL,            -- Unix epoch, nanoseconds, UTC
    ended_ns  INTEGER NOT NULL
) STRICT;

CREATE TABLE line_end (
    app    TEXT    NOT NULL,
    line   TEXT    NOT NULL,
    helped INTEGER NOT NULL,               -- sessions with it in which nothing was a violation
    hurt   INTEGER NOT NULL,
    at_ns  INTEGER NOT NULL,
    PRIMARY KEY (app, line)
) STRICT, WITHOUT ROWID;
