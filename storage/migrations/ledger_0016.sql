-- ledger 0016: why a person labelled a step as they did.
ALTER TABLE label ADD COLUMN reason TEXT;
ALTER TABLE label ADD COLUMN blind BLOB;               -- 16 bytes: under which the log commits to the reason
