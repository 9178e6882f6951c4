-- Budgets of promotions: what is leased of them, by whom, and what receipts have used.
-- depends: 20261122_03_billing

-- migrate: apply

-- What binds a promotion over all receipts, or all of a store (store_id), in one period.
-- leased: chunks of open leases, and what receipts used of closed ones. returned: what voids and
-- refunds gave back. What is left is the limit less leased plus returned. most: the limit by the
-- newest program that was met, -1 without limit; who leases brings the limit with them.
CREATE TABLE budget (
    budget_id bytea NOT NULL,
    chain_id text NOT NULL,
    promotion_id text NOT NULL,
    store_id text NOT NULL,
    period text NOT NULL,
    most_times bigint NOT NULL,
    most_minor bigint NOT NULL,
    leased_times bigint NOT NULL DEFAULT 0,
    leased_minor bigint NOT NULL DEFAULT 0,
    returned_times bigint NOT NULL DEFAULT 0,
    returned_minor bigint NOT NULL DEFAULT 0,
    CONSTRAINT budget__budget_id__pk PRIMARY KEY (budget_id),
    CONSTRAINT budget__returned_times__ck CHECK (returned_times >= 0),
    CONSTRAINT budget__returned_minor__ck CHECK (returned_minor >= 0)
) WITH (fillfactor = 80);

CREATE INDEX budget__chain_id_promotion_id__ix ON budget (chain_id, promotion_id);

-- A chunk of a budget that one server deals out; -1 without limit. Receipts use it up only while
-- it is open, in the transaction that writes them.
CREATE TABLE budget_lease (
    budget_id bytea NOT NULL,
    lease_id bytea NOT NULL,
    server_id text NOT NULL,
    times bigint NOT NULL,
    amount_minor bigint NOT NULL,
    used_times bigint NOT NULL DEFAULT 0,
    used_minor bigint NOT NULL DEFAULT 0,
    is_open boolean NOT NULL DEFAULT true,
    expires_at_us bigint NOT NULL,
    CONSTRAINT budget_lease__budget_id_lease_id__pk PRIMARY KEY (budget_id, lease_id),
    CONSTRAINT budget_lease__used_times__ck CHECK (times < 0 OR used_times <= times),
    CONSTRAINT budget_lease__used_minor__ck CHECK (amount_minor < 0 OR used_minor <= amount_minor)
) WITH (fillfactor = 50);

CREATE INDEX budget_lease__expires_at_us__ix ON budget_lease (expires_at_us) WHERE is_open;

-- What a receipt used, and what a return of it (key_id) gave back, negative. Never changed.
-- lease_id: empty for what is overrun or given back.
CREATE TABLE budget_use (
    receipt_id bytea NOT NULL,
    key_id bytea NOT NULL,
    budget_id bytea NOT NULL,
    lease_id bytea NOT NULL,
    is_overrun boolean NOT NULL,
    times bigint NOT NULL,
    amount_minor bigint NOT NULL,
    recorded_at_us bigint NOT NULL,
    CONSTRAINT budget_use__receipt_id_key_id_budget_id_lease_id_overrun__pk
        PRIMARY KEY (receipt_id, key_id, budget_id, lease_id, is_overrun)
);

CREATE INDEX budget_use__budget_id__ix ON budget_use (budget_id) WHERE is_overrun;

-- migrate: rollback

DROP TABLE budget_use, budget_lease, budget;
