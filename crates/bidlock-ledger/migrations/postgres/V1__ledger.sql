-- The ledger's first schema on PostgreSQL. Everything is in the schema `bidlock`, beside whatever else the database
-- holds. Times are milliseconds since 1970 by the server's clock, money is whole minor units.

-- The one clock of the ledger. A test may set `bidlock.clock_ms`; nothing else does, and a health check tells.
CREATE FUNCTION bidlock.now_ms() RETURNS BIGINT LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(nullif(current_setting('bidlock.clock_ms', true), '')::BIGINT,
                    floor(extract(epoch FROM clock_timestamp()) * 1000)::BIGINT)
$$;

-- One row: which ledger this is.
CREATE TABLE bidlock.ledger (
    one           SMALLINT PRIMARY KEY CHECK (one = 1),
    id            UUID     NOT NULL,
    created_at_ms BIGINT   NOT NULL
);
INSERT INTO bidlock.ledger (one, id, created_at_ms) VALUES (1, gen_random_uuid(), bidlock.now_ms());

-- One row that a health check writes to, to see whether a write becomes durable.
CREATE TABLE bidlock.health (
    one           SMALLINT PRIMARY KEY CHECK (one = 1),
    checks        BIGINT   NOT NULL,
    checked_at_ms BIGINT   NOT NULL
);
INSERT INTO bidlock.health VALUES (1, 0, 0);

-- Identities compare byte for byte, whatever the database's collation is.
CREATE TABLE bidlock.bids (
    id                UUID    PRIMARY KEY,
    marketplace       TEXT    COLLATE "C" NOT NULL,
    posting           TEXT    COLLATE "C" NOT NULL,
    state             TEXT    COLLATE "C" NOT NULL CHECK (state IN (
        'claimed', 'awaiting_approval', 'approved', 'submitting', 'submitted', 'rejected', 'won', 'lost',
        'withdrawing', 'withdrawn', 'declined', 'unknown', 'abandoned', 'not_submitted')),
    rebid_allowed     BOOLEAN NOT NULL DEFAULT FALSE,
    claim_id          UUID    NOT NULL,
    epoch             BIGINT  NOT NULL CHECK (epoch > 0),
    holder            TEXT    NOT NULL,
    instance          UUID,
    claim_until_ms    BIGINT  NOT NULL,
    attempts          BIGINT  NOT NULL DEFAULT 0,
    idempotency_key   UUID    NOT NULL,
    external_ref      TEXT,
    approved_until_ms BIGINT,
    unknown_cause     TEXT,
    reason            TEXT,
    first_sent_at_ms  BIGINT,
    last_sent_at_ms   BIGINT,
    created_at_ms     BIGINT  NOT NULL,
    updated_at_ms     BIGINT  NOT NULL,
    events            BIGINT  NOT NULL DEFAULT 1,
    amount_minor      BIGINT,
    currency          TEXT,
    posting_url       TEXT,
    via               TEXT    NOT NULL,
    evaluation        TEXT,
    proposal          TEXT    NOT NULL,
    CHECK ((amount_minor IS NULL) = (currency IS NULL))
);

-- The law: one live bid per posting. Claims rely on it (`ON CONFLICT`) and fail without it.
CREATE UNIQUE INDEX bids_live ON bidlock.bids (marketplace, posting) WHERE NOT rebid_allowed;
-- The earlier bids of a posting; nearly always empty.
CREATE INDEX bids_earlier ON bidlock.bids (marketplace, posting, epoch) WHERE rebid_allowed;
-- The sweeper, listings by state, counts.
CREATE INDEX bids_state ON bidlock.bids (state, id);
-- Daily caps.
CREATE INDEX bids_sent ON bidlock.bids (marketplace, last_sent_at_ms, state) WHERE last_sent_at_ms IS NOT NULL;

-- A new row's epoch follows every earlier one of its posting, also one that was freed after the statement that
-- inserts had taken its snapshot. The caller runs the statement again.
CREATE FUNCTION bidlock.epoch_must_grow() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM bidlock.bids AS e
        WHERE e.marketplace = NEW.marketplace AND e.posting = NEW.posting AND e.rebid_allowed
            AND e.epoch >= NEW.epoch)
    THEN
        RAISE EXCEPTION 'the epoch of a claim is behind an earlier one' USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER bids_epoch_grows AFTER INSERT ON bidlock.bids
    FOR EACH ROW WHEN (NOT NEW.rebid_allowed) EXECUTE FUNCTION bidlock.epoch_must_grow();

-- Each bid's history; `hash` chains a line to the one before it. The statement that writes a line is in the
-- transaction that made or moved its bid, so a foreign key would only cost.
CREATE TABLE bidlock.events (
    bid        UUID   NOT NULL,
    seq        BIGINT NOT NULL CHECK (seq > 0),
    at_ms      BIGINT NOT NULL,
    action     TEXT,
    from_state TEXT,
    to_state   TEXT   NOT NULL,
    claim_id   UUID   NOT NULL,
    epoch      BIGINT NOT NULL,
    actor      TEXT   NOT NULL,
    reason     TEXT,
    detail     TEXT   NOT NULL,
    event_key  TEXT,
    hash       BYTEA  NOT NULL,
    PRIMARY KEY (bid, seq)
);
-- A repeated request is recorded once.
CREATE UNIQUE INDEX events_key ON bidlock.events (bid, event_key) WHERE event_key IS NOT NULL;
