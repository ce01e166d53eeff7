-- ledger 0004: clauses taken out of force for a while by a named person, and put back. Rows are only ever added: the
-- newest about a clause of an app counts, and ends by itself at `until_ns`.
CREATE TABLE clause_mode (
    id        INTEGER PRIMARY KEY,
    clause    TEXT    NOT NULL CHECK (clause <> ''),  -- policy/clause
    app       TEXT    NOT NULL CHECK (app <> ''),     -- '*': every app
    mode      TEXT    NOT NULL CHECK (mode IN ('shadow', 'enforce')),
    at_ns     INTEGER NOT NULL CHECK (at_ns > 0),
    until_ns  INTEGER CHECK (until_ns > at_ns),       -- NULL for enforce
    who       TEXT    NOT NULL CHECK (who <> ''),
    key_id    TEXT,
    reason    TEXT    NOT NULL CHECK (reason <> ''),
    blind     BLOB    NOT NULL CHECK (length(blind) = 16),  -- under which the audit log commits to the reason
    CHECK ((mode = 'shadow') = (until_ns IS NOT NULL))
) STRICT;
