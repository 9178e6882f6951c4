-- Receipts that tills broke off and forwarded: statements, what waits for its sale, quarantine.
-- depends: 20261122_08_lot_book

-- migrate: apply

-- content: packed rewards.outcome.Statement. forward_key_id: of what was acknowledged.
-- base_key_id, base_day: where what was sold is stored. Whoever takes the next ordinal also commits
-- the key of the receipt's turn, so that two cannot.
CREATE TABLE receipt_statement (
    key_id bytea NOT NULL,
    ordinal integer NOT NULL,
    forward_key_id bytea NOT NULL,
    base_key_id bytea NOT NULL,
    base_day integer NOT NULL,
    recorded_at_us bigint NOT NULL,
    content bytea NOT NULL,
    CONSTRAINT receipt_statement__key_id_ordinal__pk PRIMARY KEY (key_id, ordinal)
);

-- A refund or void whose sale is not known yet; what was sent is its receipt row. A row goes when
-- the sale has come, or the time is over.
CREATE TABLE parked_receipt (
    forward_key_id bytea NOT NULL,
    original_key_id bytea NOT NULL,
    day integer NOT NULL,
    until_us bigint NOT NULL,
    CONSTRAINT parked_receipt__forward_key_id__pk PRIMARY KEY (forward_key_id)
);

CREATE INDEX parked_receipt__original_key_id__ix ON parked_receipt (original_key_id);

CREATE INDEX parked_receipt__until_us__ix ON parked_receipt (until_us);

-- state: 1 waiting, 2 mended, 3 dropped. body: the request without values of identifiers.
CREATE TABLE quarantined_receipt (
    quarantine_id bytea NOT NULL,
    chain_id text NOT NULL,
    store_id text NOT NULL,
    till_id text NOT NULL,
    receipt_number text NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    sold_at_us bigint NOT NULL,
    arrived_at_us bigint NOT NULL,
    body bytea NOT NULL,
    size_bytes integer NOT NULL,
    state smallint NOT NULL DEFAULT 1,
    changed_at_us bigint NOT NULL DEFAULT 0,
    changed_by text NOT NULL DEFAULT '',
    note text NOT NULL DEFAULT '',
    CONSTRAINT quarantined_receipt__quarantine_id__pk PRIMARY KEY (quarantine_id)
);

CREATE INDEX quarantined_receipt__arrived_at_us__ix
    ON quarantined_receipt (arrived_at_us, quarantine_id);

CREATE INDEX quarantined_receipt__waiting__ix ON quarantined_receipt (quarantine_id)
 WHERE state = 1;

-- event: 1 broken off, 2 recorded, 3 superseded, 4 quarantined, 5 parked, 6 unparked.
-- late_us: from the sale to the server; -1 where there is none.
CREATE TABLE link_event (
    key_id bytea NOT NULL,
    event smallint NOT NULL,
    recorded_at_us bigint NOT NULL,
    late_us bigint NOT NULL,
    CONSTRAINT link_event__key_id_event__pk PRIMARY KEY (key_id, event)
);

CREATE INDEX link_event__recorded_at_us__ix ON link_event (recorded_at_us);

-- migrate: rollback

DROP TABLE receipt_statement, parked_receipt, quarantined_receipt, link_event;
