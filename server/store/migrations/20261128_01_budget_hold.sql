-- A lease may be a basket's: what a Quote has taken for it out of the lease of its server.
-- depends: 20261122_05_budget

-- migrate: apply

-- hold_id: of the basket that holds it, null for a server's. It is used by the Checkout of that
-- basket alone, at any server, and expires with the hold.
ALTER TABLE budget_lease ADD COLUMN hold_id bytea;

CREATE INDEX budget_lease__hold_id__ix ON budget_lease (hold_id)
    WHERE is_open AND hold_id IS NOT NULL;

-- migrate: rollback

DROP INDEX budget_lease__hold_id__ix;

ALTER TABLE budget_lease DROP COLUMN hold_id;
