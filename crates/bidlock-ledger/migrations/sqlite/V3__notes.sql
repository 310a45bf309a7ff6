-- What the ledger knows of what is around it: a replaced system beside which it is kept. The highest version of a name
-- counts; the earlier ones tell who said what, and when.
CREATE TABLE notes (
    name    TEXT    NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    value   TEXT    NOT NULL,
    actor   TEXT    NOT NULL,
    at_ms   INTEGER NOT NULL,
    PRIMARY KEY (name, version)
) STRICT;
