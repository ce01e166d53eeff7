-- meta 0002: which exchange of a branch was the last that ended well: whatever else continues an older one leaves it.
ALTER TABLE branch ADD COLUMN newest ANY;  -- exchange_id as in joining_state; NULL where none did, or before this column
