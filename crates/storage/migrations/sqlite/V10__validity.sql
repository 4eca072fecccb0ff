-- Validity: what drifts, and how often.

-- In how many datasets the contract was the first that did not hold any more, when they were set aside.
ALTER TABLE contract ADD COLUMN drifted INTEGER NOT NULL DEFAULT 0;
