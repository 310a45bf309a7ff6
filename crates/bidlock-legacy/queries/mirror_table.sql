-- Which rows of `bids` are mirrored bids of bidlock, and of which claim: so that they are told from those of the
-- replaced system, and that only their own claim changes them. Drop it when the last old instance has gone.
CREATE TABLE IF NOT EXISTS bidlock_mirror (
    marketplace TEXT NOT NULL,
    job_id      TEXT NOT NULL,
    status      TEXT NOT NULL,
    claim       TEXT NOT NULL,
    epoch       BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (marketplace, job_id)
);
-- Each outcome looks for the rows of its claim.
CREATE INDEX IF NOT EXISTS bidlock_mirror_claim ON bidlock_mirror (claim);
