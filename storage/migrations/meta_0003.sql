-- meta 0003: which sessions an end user took part in.
CREATE TABLE participant (
    end_user    BLOB NOT NULL CHECK (length(end_user) = 16),  -- keyed hash over app and end user
    session_id  TEXT NOT NULL,
    PRIMARY KEY (end_user, session_id)
) STRICT, WITHOUT ROWID;
