-- Codes of single-use coupons, gift certificates and gift cards.
-- depends: 20261122_03_billing

-- migrate: apply

-- kind: 101 a coupon, 102 a gift card or certificate. lot_id: of a coupon that only its customer
-- may use; empty is all of a bearer's account. key_id: of the receipt or batch that gave it out.
-- The code itself is not kept, only its keyed hash.
CREATE TABLE instrument (
    code_hash bytea NOT NULL,
    kind smallint NOT NULL,
    account_id bigint NOT NULL,
    lot_id bytea NOT NULL,
    asset_code text NOT NULL,
    key_id bytea NOT NULL,
    CONSTRAINT instrument__code_hash__pk PRIMARY KEY (code_hash)
);

-- A receipt that is undone takes back what it gave out.
CREATE INDEX instrument__key_id__ix ON instrument (key_id);

-- What an account bought on a local day (proleptic ordinal): only for programs with tier rules.
CREATE TABLE turnover (
    account_id bigint NOT NULL,
    day integer NOT NULL,
    amount_minor bigint NOT NULL,
    receipts integer NOT NULL,
    CONSTRAINT turnover__account_id_day__pk PRIMARY KEY (account_id, day)
) WITH (fillfactor = 80);

-- Money that promotions send to accounts of customers. state: 1 requested, 2 sent, 3 done,
-- 4 returned, 5 cancelled; turn counts its changes, each of which is kept.
CREATE TABLE money_transfer (
    transfer_id bytea NOT NULL,
    chain_id text NOT NULL,
    customer_id bigint NOT NULL,
    promotion_id text NOT NULL,
    destination_code text NOT NULL,
    amount_minor bigint NOT NULL,
    state smallint NOT NULL,
    turn integer NOT NULL,
    changed_at_us bigint NOT NULL,
    CONSTRAINT money_transfer__transfer_id__pk PRIMARY KEY (transfer_id),
    CONSTRAINT money_transfer__amount_minor__ck CHECK (amount_minor > 0)
);

CREATE INDEX money_transfer__chain_id_state_transfer_id__ix
    ON money_transfer (chain_id, state, transfer_id);

CREATE TABLE money_transfer_change (
    transfer_id bytea NOT NULL,
    turn integer NOT NULL,
    state smallint NOT NULL,
    changed_at_us bigint NOT NULL,
    note text NOT NULL,
    CONSTRAINT money_transfer_change__transfer_id_turn__pk PRIMARY KEY (transfer_id, turn)
);

-- migrate: rollback

DROP TABLE instrument, turnover, money_transfer, money_transfer_change;
