-- Fewer pages for each customer: with tens of millions they no longer fit into memory.
-- depends: 20261128_03_outbox
-- transaction: false

-- migrate: apply

-- A look-up of an identifier wants nothing else: it reads the index alone. It is built beside the
-- old one, which sales read meanwhile; what a build that was broken off has left goes.
DROP INDEX CONCURRENTLY IF EXISTS identifier__identifier_hash__new;
CREATE UNIQUE INDEX CONCURRENTLY identifier__identifier_hash__new
    ON identifier (identifier_hash) INCLUDE (customer_id, account_id);
ALTER TABLE identifier
    DROP CONSTRAINT identifier__identifier_hash__pk,
    ADD CONSTRAINT identifier__identifier_hash__pk
        PRIMARY KEY USING INDEX identifier__identifier_hash__new;

-- A tenth of a page takes the new versions of a dozen rows until the old ones are pruned. Counts
-- for pages that are filled from now on.
ALTER TABLE account SET (fillfactor = 90);
ALTER TABLE balance SET (fillfactor = 90);
ALTER TABLE customer SET (fillfactor = 90);

-- migrate: rollback

ALTER TABLE customer SET (fillfactor = 80);
ALTER TABLE balance SET (fillfactor = 70);
ALTER TABLE account SET (fillfactor = 70);
ALTER TABLE identifier
    DROP CONSTRAINT identifier__identifier_hash__pk,
    ADD CONSTRAINT identifier__identifier_hash__pk PRIMARY KEY (identifier_hash);
