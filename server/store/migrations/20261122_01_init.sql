-- Keys, receipts, ledger, customers, rulesets and feeds.
-- depends:

-- migrate: apply

-- first schema
-- depends:

-- migrate: apply

CREATE TABLE migration_trial (
    id bigint PRIMARY KEY,
    note text NOT NULL
);

-- migrate: rollback

DROP TABLE migration_trial;

-- migrate: rollback

DROP TABLE server_secret, product, store, feed, ruleset_version, profile_answer, identifier,
    customer, checkout_exception, lot, posting, balance, account, receipt, commit_key;
