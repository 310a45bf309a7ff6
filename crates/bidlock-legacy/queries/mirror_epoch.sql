-- Tables of before lack the claim's ordinal among those of its posting: a later claim's row is not taken by an earlier one.
ALTER TABLE bidlock_mirror ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0
