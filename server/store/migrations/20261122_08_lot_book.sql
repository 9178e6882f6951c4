-- On whose side of the ledger a lot was granted.
-- depends: 20261122_03_billing

-- migrate: apply

-- The book of the chain's side, as in posting: what is taken back of the lot goes back there.
ALTER TABLE lot ADD COLUMN book smallint NOT NULL DEFAULT 2;

-- migrate: rollback

ALTER TABLE lot DROP COLUMN book;
