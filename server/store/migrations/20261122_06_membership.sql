-- Whose account is whose: chains, members of accounts; what has expired, and closed periods.
-- depends: 20261122_03_billing

-- migrate: apply

-- An account belongs to one chain: reports read the chain of a posting from here.
-- merged_at_us: since when what happened to a merged account is told as the other one's.
ALTER TABLE account
    ADD COLUMN chain_id text NOT NULL DEFAULT '',
    ADD COLUMN merged_at_us bigint NOT NULL DEFAULT 0;

CREATE INDEX account__merged_into__ix ON account (merged_into) WHERE merged_into <> 0;

UPDATE account a
   SET chain_id = c.chain_id
  FROM customer c
 WHERE c.account_id = a.account_id;

-- Where a customer's account is, for those whose account is not their own id any more: they were
-- merged, or joined or left a household.
CREATE TABLE membership (
    customer_id bigint NOT NULL,
    account_id bigint NOT NULL,
    CONSTRAINT membership__customer_id__pk PRIMARY KEY (customer_id)
);

-- An account that moves takes its identifiers with it.
CREATE INDEX identifier__account_id__ix ON identifier (account_id);

-- Many lots expire at one instant, local midnight: the job goes on from the last account.
DROP INDEX lot__expires_at_us__ix;
CREATE INDEX lot__expires_at_us_account_id__ix ON lot (expires_at_us, account_id)
    WHERE remaining_minor > 0 AND expires_at_us > 0;

-- Reports read postings by when they were recorded; rows come in nearly that order.
CREATE INDEX posting__recorded_at_us__ix ON posting USING brin (recorded_at_us);

CREATE INDEX checkout_exception__recorded_at_us__ix ON checkout_exception (recorded_at_us);

-- A closed period of a chain: all postings recorded before end_us by transactions below cut_tx,
-- less those of the periods before. Never changed.
CREATE TABLE ledger_period (
    chain_id text NOT NULL,
    end_us bigint NOT NULL,
    cut_tx xid8 NOT NULL,
    closed_at_us bigint NOT NULL,
    closed_by text NOT NULL,
    CONSTRAINT ledger_period__chain_id_end_us__pk PRIMARY KEY (chain_id, end_us)
);

CREATE TABLE ledger_period_total (
    chain_id text NOT NULL,
    end_us bigint NOT NULL,
    asset_code text NOT NULL,
    book smallint NOT NULL,
    party_id text NOT NULL,
    amount_minor numeric NOT NULL,
    postings bigint NOT NULL,
    CONSTRAINT ledger_period_total__chain_id_end_us_asset_book_party__pk
        PRIMARY KEY (chain_id, end_us, asset_code, book, party_id)
);

-- migrate: rollback

DROP TABLE ledger_period_total, ledger_period, membership;
DROP INDEX account__merged_into__ix, checkout_exception__recorded_at_us__ix,
    posting__recorded_at_us__ix, lot__expires_at_us_account_id__ix, identifier__account_id__ix;
CREATE INDEX lot__expires_at_us__ix ON lot (expires_at_us)
    WHERE remaining_minor > 0 AND expires_at_us > 0;
ALTER TABLE account DROP COLUMN chain_id, DROP COLUMN merged_at_us;
