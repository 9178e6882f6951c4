-- What was sent cannot be called back, but may come back by itself.
-- depends: 20261122_07_instrument 20261130_01_pages

-- migrate: apply

-- How much of it the receipt still asks for, minor units: no more is sent when it has come back.
-- Null is all of it.
ALTER TABLE money_transfer ADD COLUMN ground_minor bigint;

-- migrate: rollback

ALTER TABLE money_transfer DROP COLUMN ground_minor;
