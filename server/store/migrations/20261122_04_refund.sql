-- What has come back of a receipt: one row for each refund of it.
-- depends: 20261122_03_billing

-- migrate: apply

-- content: what later refunds must know of this one, packed (rewards.settling.ReturnRecord).
-- refund_key_id: of the refund, or of the sale whose RETURN lines it is.
-- Whoever takes the next ordinal also commits the turn's key, so that two cannot.
CREATE TABLE receipt_refund (
    original_key_id bytea NOT NULL,
    ordinal integer NOT NULL,
    refund_key_id bytea NOT NULL,
    recorded_at_us bigint NOT NULL,
    content bytea NOT NULL,
    CONSTRAINT receipt_refund__original_key_id_ordinal__pk PRIMARY KEY (original_key_id, ordinal)
);

-- migrate: rollback

DROP TABLE receipt_refund;
