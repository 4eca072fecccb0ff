-- Suppliers under development: versions of their own, and one live session of a domain in a channel.

-- Of versions that were registered in a channel; NULL for deployed ones.
ALTER TABLE contract_version ADD COLUMN channel TEXT;
-- The oldest version of the channel that this one can be asked about.
ALTER TABLE contract_version ADD COLUMN since INTEGER;
-- The deployed version whose suppliers can check and undo what this one has made.
ALTER TABLE contract_version ADD COLUMN stands_in_for INTEGER;

-- A supplier under development never takes the place of a deployed one, whatever it calls itself.
DROP INDEX session_live;
CREATE UNIQUE INDEX session_live ON session (environment, domain, instance) WHERE status = 0 AND channel IS NULL;
-- In a channel the younger of two sessions of a domain takes the place of the older; also, who is live in a channel.
CREATE UNIQUE INDEX session_live_in_channel ON session (environment, channel, domain)
    WHERE status = 0 AND channel IS NOT NULL;
