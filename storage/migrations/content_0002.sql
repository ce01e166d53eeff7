-- content 0002: each content lies under the keys of its scope (`keys.db`), and is named under them.
ALTER TABLE content ADD COLUMN scope INTEGER NOT NULL DEFAULT 0;  -- scope_key.id; 0: one key a month, as before
