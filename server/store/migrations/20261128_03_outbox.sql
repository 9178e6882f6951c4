-- The outbox: messages to customers, every state they were in, and what gateways said of them.
-- depends: 20261122_08_lot_book

-- migrate: apply

-- A message that was decided with its receipt. state: 1 queued, 2 sending, 3 sent, 4 delivered,
-- 5 failed, 6 expired, 7 stopped, 8 no phone. due_at_us: when somebody is to look at it next;
-- whoever claims it puts it off, so that a process that dies gives it back. claim_id: whose it is.
-- attempt counts submissions, resends those whose fate before was not known, retries those that
-- were refused for the time being. figures: msgpack of what there is to tell. body, part_count and
-- reference: of the last attempt; nothing personal. stop_note: why it is not to be sent again.
CREATE TABLE outbox_message (
    message_id bytea NOT NULL,
    receipt_id bytea NOT NULL,
    chain_id text NOT NULL,
    store_id text NOT NULL,
    customer_id bigint NOT NULL,
    ruleset_version bigint NOT NULL,
    template_code text NOT NULL,
    figures bytea NOT NULL,
    sold_at_us bigint NOT NULL,
    arrived_at_us bigint NOT NULL,
    window_end_us bigint NOT NULL,
    is_late boolean NOT NULL,
    state smallint NOT NULL,
    turn integer NOT NULL,
    changed_at_us bigint NOT NULL,
    due_at_us bigint NOT NULL,
    claim_id bytea NOT NULL DEFAULT '',
    attempt integer NOT NULL DEFAULT 0,
    resends integer NOT NULL DEFAULT 0,
    retries integer NOT NULL DEFAULT 0,
    body text NOT NULL DEFAULT '',
    part_count smallint NOT NULL DEFAULT 0,
    reference integer NOT NULL DEFAULT 0,
    phone_hash bytea NOT NULL DEFAULT '',
    begun_at_us bigint NOT NULL DEFAULT 0,
    stop_note text NOT NULL DEFAULT '',
    CONSTRAINT outbox_message__message_id__pk PRIMARY KEY (message_id),
    CONSTRAINT outbox_message__message_id__ck CHECK (length(message_id) = 16)
);

CREATE INDEX outbox_message__due_at_us__ix ON outbox_message (due_at_us) WHERE state <= 3;
CREATE INDEX outbox_message__receipt_id__ix ON outbox_message (receipt_id);
CREATE INDEX outbox_message__customer_id__ix ON outbox_message (customer_id);
CREATE INDEX outbox_message__phone_hash__ix ON outbox_message (phone_hash)
    WHERE state = 2 OR resends > 0;
CREATE INDEX outbox_message__chain_id_arrived_at_us__ix
    ON outbox_message (chain_id, arrived_at_us, message_id);

-- The states that a message came into after it was queued, each with who or what brought it there.
CREATE TABLE outbox_change (
    message_id bytea NOT NULL,
    turn integer NOT NULL,
    state smallint NOT NULL,
    changed_at_us bigint NOT NULL,
    note text NOT NULL,
    CONSTRAINT outbox_change__message_id_turn__pk PRIMARY KEY (message_id, turn)
);

-- What a gateway took of a message, part by part. provider_id: how it calls the part, in small
-- letters without zeros in front. state: 1 accepted, 2 delivered, 3 undeliverable.
CREATE TABLE outbox_part (
    message_id bytea NOT NULL,
    part smallint NOT NULL,
    attempt integer NOT NULL,
    provider_id text NOT NULL,
    phone_hash bytea NOT NULL,
    state smallint NOT NULL,
    changed_at_us bigint NOT NULL,
    CONSTRAINT outbox_part__message_id_part_attempt__pk PRIMARY KEY (message_id, part, attempt)
);

CREATE INDEX outbox_part__provider_id__ix ON outbox_part (provider_id);

-- Delivery receipts that came before the part they are about was recorded, or after a crash in
-- which it never was; kept until they find it.
CREATE TABLE outbox_receipt (
    provider_id text NOT NULL,
    phone_hash bytea NOT NULL,
    state smallint NOT NULL,
    received_at_us bigint NOT NULL,
    note text NOT NULL,
    CONSTRAINT outbox_receipt__provider_id_phone_hash_state__pk
        PRIMARY KEY (provider_id, phone_hash, state)
);

CREATE INDEX outbox_receipt__phone_hash__ix ON outbox_receipt (phone_hash);

-- Phones that nothing is sent to; by keyed hash of the number.
CREATE TABLE outbox_stop (
    chain_id text NOT NULL,
    phone_hash bytea NOT NULL,
    stopped_at_us bigint NOT NULL,
    note text NOT NULL,
    CONSTRAINT outbox_stop__chain_id_phone_hash__pk PRIMARY KEY (chain_id, phone_hash)
);

-- migrate: rollback

DROP TABLE outbox_stop, outbox_receipt, outbox_part, outbox_change, outbox_message;
