-- Requests that ask for a dataset again.

-- The tree that is asked for again; NULL for every other request.
ALTER TABLE request ADD COLUMN rerun_of BLOB;
