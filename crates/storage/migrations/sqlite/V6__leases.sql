-- Leases: who has taken one away.

-- The name of the token; `note` then says why.
ALTER TABLE lease ADD COLUMN revoked_by TEXT;
