-- ledger 0014: proposals on live traffic: how far each trial is, every move of a proposal, and what a candidate would have
-- done with which step.
CREATE TABLE proposal_trial (
    proposal     INTEGER NOT NULL PRIMARY KEY REFERENCES proposal (id),
    app          TEXT    NOT NULL,
    content      BLOB    NOT NULL                        -- sealed: stage, tallies, bets, and the session looked at last
) STRICT;

CREATE TABLE proposal_move (
    id           INTEGER PRIMARY KEY,
    proposal     INTEGER NOT NULL REFERENCES proposal (id),
    app          TEXT    NOT NULL,
    state        TEXT    NOT NULL,                       -- of the proposal from then on
    rung         TEXT    NOT NULL,                       -- the last that was asked, what it said and why
    outcome      TEXT    NOT NULL,
    why          TEXT    NOT NULL,
    person       INTEGER NOT NULL,                       -- 1: on a person's word
    at_ns        INTEGER NOT NULL
) STRICT;

CREATE INDEX proposal_move_of ON proposal_move (proposal, id);

CREATE TABLE proposal_would (
    proposal     INTEGER NOT NULL REFERENCES proposal (id),
    step_id      TEXT    NOT NULL,
    session_id   TEXT    NOT NULL,
    was          TEXT    NOT NULL,                       -- verdicts: of what is in force, and of the candidate
    would        TEXT    NOT NULL,
    at_ns        INTEGER NOT NULL,
    PRIMARY KEY (proposal, step_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX proposal_would_session ON proposal_would (session_id);
