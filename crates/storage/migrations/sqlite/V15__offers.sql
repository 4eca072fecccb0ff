-- Offers: which version of a capability is on offer follows the suppliers that are there.

-- The deployed version that new requests get; NULL for the newest.
ALTER TABLE contract ADD COLUMN offered_version INTEGER;
