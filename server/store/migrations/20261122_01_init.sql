-- Keys, receipts, ledger, customers, rulesets and feeds.
-- depends:

-- migrate: apply

-- Keys of everything that was ever committed: narrow, kept for ever, distributed by key_id alone.
-- kind: 1 checkout, 2 fence (broken off), 3 void, 4 profile submission, 5 basket.
CREATE TABLE commit_key (
    key_id bytea NOT NULL,
    kind smallint NOT NULL,
    fingerprint bytea NOT NULL,
    account_id bigint NOT NULL,
    day integer NOT NULL,
    CONSTRAINT commit_key__key_id__pk PRIMARY KEY (key_id),
    CONSTRAINT commit_key__key_id__ck CHECK (length(key_id) = 16)
);

-- What was asked, what it was decided on, and the answer byte for byte. Partitioned by the day of
-- recording (days since 1970-01-01, UTC) so that old months can be archived whole.
CREATE TABLE receipt (
    key_id bytea NOT NULL,
    day integer NOT NULL,
    account_id bigint NOT NULL,
    ruleset_version bigint NOT NULL,
    evaluated_at_us bigint NOT NULL,
    recorded_at_us bigint NOT NULL,
    request bytea NOT NULL,
    facts bytea NOT NULL,
    answer bytea NOT NULL,
    CONSTRAINT receipt__key_id_day__pk PRIMARY KEY (key_id, day)
) PARTITION BY RANGE (day);

CREATE TABLE receipt_other PARTITION OF receipt DEFAULT;

-- A customer's, or a household's, place in the ledger. Every change of lots bumps the version.
CREATE TABLE account (
    account_id bigint NOT NULL,
    version bigint NOT NULL,
    CONSTRAINT account__account_id__pk PRIMARY KEY (account_id)
) WITH (fillfactor = 70);

CREATE TABLE balance (
    account_id bigint NOT NULL,
    asset_code text NOT NULL,
    amount_minor bigint NOT NULL,
    CONSTRAINT balance__account_id_asset_code__pk PRIMARY KEY (account_id, asset_code)
) WITH (fillfactor = 70);

-- Legs of transfers, never changed. A transfer's legs sum to zero by asset.
-- book: 1 customer (what the issuer owes), 2 issuer (what it has given out; derived, never a
-- total).
CREATE TABLE posting (
    account_id bigint NOT NULL,
    transfer_id bytea NOT NULL,
    leg smallint NOT NULL,
    book smallint NOT NULL,
    party_id text NOT NULL,
    promotion_id text NOT NULL,
    asset_code text NOT NULL,
    amount_minor bigint NOT NULL,
    effective_at_us bigint NOT NULL,
    recorded_at_us bigint NOT NULL,
    recorded_tx xid8 NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT posting__account_id_transfer_id_leg__pk PRIMARY KEY (account_id, transfer_id, leg)
);

-- Points with one start and one expiry; expires_at_us 0 is without end.
CREATE TABLE lot (
    account_id bigint NOT NULL,
    lot_id bytea NOT NULL,
    asset_code text NOT NULL,
    granted_minor bigint NOT NULL,
    remaining_minor bigint NOT NULL,
    active_from_us bigint NOT NULL,
    expires_at_us bigint NOT NULL,
    CONSTRAINT lot__account_id_lot_id__pk PRIMARY KEY (account_id, lot_id),
    CONSTRAINT lot__remaining_minor__ck CHECK (remaining_minor BETWEEN 0 AND granted_minor)
) WITH (fillfactor = 80);

-- What could not be honoured of a fact; kinds as in ExceptionKind of the contract.
CREATE TABLE checkout_exception (
    key_id bytea NOT NULL,
    ordinal smallint NOT NULL,
    account_id bigint NOT NULL,
    kind smallint NOT NULL,
    detail text NOT NULL,
    recorded_at_us bigint NOT NULL,
    CONSTRAINT checkout_exception__key_id_ordinal__pk PRIMARY KEY (key_id, ordinal)
);

-- state: 1 active, 2 earn only, 3 blocked. field_state: field -> [answered_at_us, value or null];
-- the value stands there only for fields with a closed set of answers, which rules may ask about.
CREATE TABLE customer (
    account_id bigint NOT NULL,
    customer_id bigint NOT NULL,
    chain_id text NOT NULL,
    customer_number text NOT NULL,
    state smallint NOT NULL,
    language_code text NOT NULL,
    segments text[] NOT NULL,
    field_state jsonb NOT NULL,
    CONSTRAINT customer__account_id_customer_id__pk PRIMARY KEY (account_id, customer_id)
) WITH (fillfactor = 80);

-- Keyed hash of chain, kind and value; the value itself is not kept here.
CREATE TABLE identifier (
    identifier_hash bytea NOT NULL,
    kind smallint NOT NULL,
    customer_id bigint NOT NULL,
    account_id bigint NOT NULL,
    CONSTRAINT identifier__identifier_hash__pk PRIMARY KEY (identifier_hash),
    CONSTRAINT identifier__identifier_hash__ck CHECK (length(identifier_hash) = 16)
);

-- Every answer ever given; the newest of a field counts.
CREATE TABLE profile_answer (
    account_id bigint NOT NULL,
    customer_id bigint NOT NULL,
    field_code text NOT NULL,
    answered_at_us bigint NOT NULL,
    value text NOT NULL,
    channel smallint NOT NULL,
    key_id bytea NOT NULL,
    cashier_id text NOT NULL,
    CONSTRAINT profile_answer__customer_field_at__pk
        PRIMARY KEY (account_id, customer_id, field_code, answered_at_us)
);

-- Immutable once written; content and compiled are msgpack of `rewards` types.
CREATE TABLE ruleset_version (
    version bigint NOT NULL,
    effective_at_us bigint NOT NULL,
    published_at_us bigint NOT NULL,
    published_by text NOT NULL,
    promotion_count integer NOT NULL,
    content bytea NOT NULL,
    compiled bytea NOT NULL,
    CONSTRAINT ruleset_version__version__pk PRIMARY KEY (version)
);

-- Number of the last change of a feed ('store', 'product'); servers poll it and load what is newer.
CREATE TABLE feed (
    name text NOT NULL,
    change bigint NOT NULL,
    CONSTRAINT feed__name__pk PRIMARY KEY (name)
);

INSERT INTO feed (name, change) VALUES ('store', 0), ('product', 0);

CREATE TABLE store (
    chain_id text NOT NULL,
    store_id text NOT NULL,
    time_zone text NOT NULL,
    currency_code text NOT NULL,
    language_code text NOT NULL,
    zones text[] NOT NULL,
    name text NOT NULL,
    change bigint NOT NULL,
    CONSTRAINT store__chain_id_store_id__pk PRIMARY KEY (chain_id, store_id)
);

CREATE INDEX store__change__ix ON store (change);

CREATE TABLE product (
    chain_id text NOT NULL,
    sku text NOT NULL,
    name text NOT NULL,
    categories text[] NOT NULL,
    brand text NOT NULL,
    properties text[] NOT NULL,
    no_discount boolean NOT NULL,
    no_earn boolean NOT NULL,
    no_cross_sell boolean NOT NULL,
    minimum_price_minor bigint NOT NULL,
    change bigint NOT NULL,
    CONSTRAINT product__chain_id_sku__pk PRIMARY KEY (chain_id, sku)
);

CREATE INDEX product__change__ix ON product (change);

-- Keys of the servers: 'token' signs quotes (old ones are kept for checking), 'identifier' keys the
-- hashes of identifiers (one for ever).
CREATE TABLE server_secret (
    purpose text NOT NULL,
    key_id integer NOT NULL,
    secret bytea NOT NULL,
    created_at_us bigint NOT NULL,
    CONSTRAINT server_secret__purpose_key_id__pk PRIMARY KEY (purpose, key_id)
);

-- migrate: rollback

DROP TABLE server_secret, product, store, feed, ruleset_version, profile_answer, identifier,
    customer, checkout_exception, lot, posting, balance, account, receipt, commit_key;
