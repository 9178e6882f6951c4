-- Debts, the history of lots, holds, and what a customer's promotions have been used.
-- depends: 20261122_02_rule_facts

-- migrate: apply

-- kind: 1 a customer's, 2 a household's, 3 a bearer's (a coupon, a certificate, a gift card).
-- merged_into: where everything of the account went; 0 is nowhere.
ALTER TABLE account
    ADD COLUMN kind smallint NOT NULL DEFAULT 1,
    ADD COLUMN merged_into bigint NOT NULL DEFAULT 0;

-- amount_minor: what is left in lots of value, less what is left of debts (debt_minor).
ALTER TABLE balance
    ADD COLUMN debt_minor bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT balance__debt_minor__ck CHECK (debt_minor >= 0);

-- kind: 1 value, 2 debt. funding: [[party, minor units]] of those who paid for it; null is the
-- chain alone. A lot keeps its id when its account is merged into another.
ALTER TABLE lot
    ADD COLUMN kind smallint NOT NULL DEFAULT 1,
    ADD COLUMN promotion_id text NOT NULL DEFAULT '',
    ADD COLUMN funding jsonb;

UPDATE lot l
   SET promotion_id = p.promotion_id
  FROM posting p
 WHERE p.account_id = l.account_id
   AND p.transfer_id = l.lot_id
   AND p.leg = 0
   AND p.promotion_id <> '';

CREATE INDEX lot__expires_at_us__ix ON lot (expires_at_us)
    WHERE remaining_minor > 0 AND expires_at_us > 0;

-- book 1 customer, 2 issuer, 3 funding party, 4 breakage, 5 clearing, 6 debt (what the customer
-- owes), 7 overrun.

-- What each transfer took from a lot or gave back to it; a lot's granted_minor and the sum of its
-- changes are its remaining_minor.
CREATE TABLE lot_change (
    account_id bigint NOT NULL,
    transfer_id bytea NOT NULL,
    lot_id bytea NOT NULL,
    change_minor bigint NOT NULL,
    CONSTRAINT lot_change__account_id_transfer_id_lot_id__pk
        PRIMARY KEY (account_id, transfer_id, lot_id)
);

-- Lots that voids emptied before changes were kept.
INSERT INTO lot_change (account_id, transfer_id, lot_id, change_minor)
SELECT account_id, lot_id, lot_id, remaining_minor - granted_minor
  FROM lot
 WHERE remaining_minor <> granted_minor;

-- Amounts of an account's lots that a basket has reserved; one that has lapsed holds nothing.
CREATE TABLE hold (
    account_id bigint NOT NULL,
    hold_id bytea NOT NULL,
    asset_code text NOT NULL,
    amount_minor bigint NOT NULL,
    lot_ids bytea[] NOT NULL,
    lot_minors bigint[] NOT NULL,
    expires_at_us bigint NOT NULL,
    CONSTRAINT hold__account_id_hold_id_asset_code__pk
        PRIMARY KEY (account_id, hold_id, asset_code),
    CONSTRAINT hold__amount_minor__ck CHECK (amount_minor > 0)
);

CREATE INDEX hold__hold_id__ix ON hold (hold_id);

-- How often a promotion has fired for an account in a period of its limit, and what it gave.
CREATE TABLE promotion_use (
    account_id bigint NOT NULL,
    promotion_id text NOT NULL,
    period text NOT NULL,
    times bigint NOT NULL,
    amount_minor bigint NOT NULL,
    CONSTRAINT promotion_use__account_id_promotion_id_period__pk
        PRIMARY KEY (account_id, promotion_id, period),
    CONSTRAINT promotion_use__times__ck CHECK (times >= 0)
) WITH (fillfactor = 80);

-- migrate: rollback

DROP TABLE promotion_use, hold, lot_change;
DROP INDEX lot__expires_at_us__ix;
ALTER TABLE lot DROP COLUMN kind, DROP COLUMN promotion_id, DROP COLUMN funding;
ALTER TABLE balance DROP COLUMN debt_minor;
ALTER TABLE account DROP COLUMN kind, DROP COLUMN merged_into;
