-- What rules ask of customers and articles, and imported price lists.
-- depends: 20261122_01_init

-- migrate: apply

-- Receipts so far, and the local day of the last one (proleptic ordinal, 0 is none): counted by
-- every checkout, taken back by its void.
ALTER TABLE account
    ADD COLUMN purchases bigint NOT NULL DEFAULT 0,
    ADD COLUMN last_purchase_day integer NOT NULL DEFAULT 0;

-- Day 719163 is 1970-01-01. Receipts from before know only their day of recording, by UTC.
UPDATE account a
   SET purchases = counted.purchases,
       last_purchase_day = counted.last_day + 719163
  FROM (SELECT account_id,
               greatest(0, count(*) FILTER (WHERE kind = 1) - count(*) FILTER (WHERE kind = 3))
                   AS purchases,
               max(day) FILTER (WHERE kind = 1) AS last_day
          FROM commit_key
         WHERE account_id <> 0
           AND kind IN (1, 3)
         GROUP BY account_id) AS counted
 WHERE a.account_id = counted.account_id
   AND counted.last_day IS NOT NULL;

-- birth_day: month * 100 + day of the answer to birth_date, without the year; null is not known.
-- counters: counter -> count; offers: [[offer, amount_from_minor, [category]]]; null is none.
ALTER TABLE customer
    ADD COLUMN tier text NOT NULL DEFAULT '',
    ADD COLUMN birth_day smallint,
    ADD COLUMN counters jsonb,
    ADD COLUMN offers jsonb;

UPDATE customer c
   SET birth_day = (substr(born.value, 6, 2) || substr(born.value, 9, 2))::smallint
  FROM (SELECT DISTINCT ON (account_id, customer_id) account_id, customer_id, value
          FROM profile_answer
         WHERE field_code = 'birth_date'
         ORDER BY account_id, customer_id, answered_at_us DESC) AS born
 WHERE c.account_id = born.account_id
   AND c.customer_id = born.customer_id
   AND born.value ~ '^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$';

ALTER TABLE product
    ADD COLUMN weighed boolean NOT NULL DEFAULT false,
    ADD COLUMN list_price_minor bigint NOT NULL DEFAULT 0;

-- One price of a list. entry_key is a hash of chain, list, article and for whom it is, so that one
-- look-up by one column finds all that could count on a receipt.
-- scope: 1 a customer (scope_name is the customer's id), 2 a segment, 3 a zone, 4 everybody.
CREATE TABLE price_list_entry (
    entry_key bytea NOT NULL,
    chain_id text NOT NULL,
    list_code text NOT NULL,
    sku text NOT NULL,
    scope smallint NOT NULL,
    scope_name text NOT NULL,
    unit smallint NOT NULL,
    price_minor bigint NOT NULL,
    CONSTRAINT price_list_entry__entry_key__pk PRIMARY KEY (entry_key),
    CONSTRAINT price_list_entry__entry_key__ck CHECK (length(entry_key) = 16),
    CONSTRAINT price_list_entry__price_minor__ck CHECK (price_minor >= 0)
);

-- migrate: rollback

DROP TABLE price_list_entry;
ALTER TABLE product DROP COLUMN weighed, DROP COLUMN list_price_minor;
ALTER TABLE customer DROP COLUMN tier, DROP COLUMN birth_day, DROP COLUMN counters,
    DROP COLUMN offers;
ALTER TABLE account DROP COLUMN purchases, DROP COLUMN last_purchase_day;
