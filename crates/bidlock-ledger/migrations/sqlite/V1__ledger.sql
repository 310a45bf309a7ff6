-- The ledger's first schema. Ids are 16 bytes, times are milliseconds (wall clock unless named boot),
-- money is whole minor units. The file says what it is: 0x6269646c is "bidl".
PRAGMA application_id = 0x6269646c;

-- One row: which ledger this is.
CREATE TABLE ledger (
    one           INTEGER PRIMARY KEY CHECK (one = 1),
    id            BLOB    NOT NULL CHECK (length(id) = 16),
    created_at_ms INTEGER NOT NULL
) STRICT;
INSERT INTO ledger (one, id, created_at_ms)
VALUES (1, randomblob(16), CAST(unixepoch('subsec') * 1000 AS INTEGER));

-- One row that a health check writes to, to see whether a write becomes durable.
CREATE TABLE health (
    one           INTEGER PRIMARY KEY CHECK (one = 1),
    checks        INTEGER NOT NULL,
    checked_at_ms INTEGER NOT NULL
) STRICT;
INSERT INTO health VALUES (1, 0, 0);

-- Short columns first: what scanners ask for never touches the pages of a long proposal.
CREATE TABLE bids (
    n                 INTEGER PRIMARY KEY,
    id                BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    marketplace       TEXT    NOT NULL,
    posting           TEXT    NOT NULL,
    state             TEXT    NOT NULL CHECK (state IN (
        'claimed', 'awaiting_approval', 'approved', 'submitting', 'submitted', 'rejected', 'won', 'lost',
        'withdrawing', 'withdrawn', 'declined', 'unknown', 'abandoned', 'not_submitted')),
    rebid_allowed     INTEGER NOT NULL DEFAULT 0 CHECK (rebid_allowed IN (0, 1)),
    claim_id          BLOB    NOT NULL CHECK (length(claim_id) = 16),
    epoch             INTEGER NOT NULL CHECK (epoch > 0),
    holder            TEXT    NOT NULL,
    instance          BLOB,
    claim_boot        BLOB    NOT NULL,
    claim_until_ms    INTEGER NOT NULL,
    attempts          INTEGER NOT NULL DEFAULT 0,
    idempotency_key   BLOB    NOT NULL,
    external_ref      TEXT,
    approved_until_ms INTEGER,
    unknown_cause     TEXT,
    reason            TEXT,
    first_sent_at_ms  INTEGER,
    last_sent_at_ms   INTEGER,
    created_at_ms     INTEGER NOT NULL,
    updated_at_ms     INTEGER NOT NULL,
    events            INTEGER NOT NULL DEFAULT 1,
    amount_minor      INTEGER,
    currency          TEXT,
    posting_url       TEXT,
    via               TEXT    NOT NULL,
    evaluation        TEXT,
    proposal          TEXT    NOT NULL,
    CHECK ((amount_minor IS NULL) = (currency IS NULL))
) STRICT;

-- The law: one live bid per posting. Claims rely on it (`ON CONFLICT`) and fail without it.
CREATE UNIQUE INDEX bids_live ON bids (marketplace, posting) WHERE NOT rebid_allowed;
-- The earlier bids of a posting; nearly always empty.
CREATE INDEX bids_earlier ON bids (marketplace, posting, epoch) WHERE rebid_allowed;
-- The sweeper, listings by state, counts.
CREATE INDEX bids_state ON bids (state, id);
-- Daily caps.
CREATE INDEX bids_sent ON bids (marketplace, last_sent_at_ms, state) WHERE last_sent_at_ms IS NOT NULL;

-- Each bid's history; `hash` chains a line to the one before it. `n` is the order over all bids.
CREATE TABLE events (
    n          INTEGER PRIMARY KEY,
    bid        BLOB    NOT NULL REFERENCES bids (id),
    seq        INTEGER NOT NULL CHECK (seq > 0),
    at_ms      INTEGER NOT NULL,
    action     TEXT,
    from_state TEXT,
    to_state   TEXT    NOT NULL,
    claim_id   BLOB    NOT NULL,
    epoch      INTEGER NOT NULL,
    actor      TEXT    NOT NULL,
    reason     TEXT,
    detail     TEXT    NOT NULL,
    event_key  TEXT,
    hash       BLOB    NOT NULL,
    UNIQUE (bid, seq)
) STRICT;
-- A repeated request is recorded once.
CREATE UNIQUE INDEX events_key ON events (bid, event_key) WHERE event_key IS NOT NULL;
