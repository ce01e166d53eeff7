-- spans 0002: what clauses said of an exchange: verdicts, findings, coverage. Never content.
ALTER TABLE exchange ADD COLUMN judged BLOB;  -- deflated MessagePack of `Judged`; NULL where no policy was in force
