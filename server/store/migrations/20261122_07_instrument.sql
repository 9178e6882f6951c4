-- Codes of single-use coupons, gift certificates and gift cards.
-- depends: 20261122_03_billing

-- migrate: apply

-- kind: 101 a coupon, 102 a gift card or certificate. lot_id: of a coupon that only its customer may
-- use; empty is all of a bearer's account. key_id: of the receipt or batch that gave it out. The
-- code itself is not kept, only its keyed hash.
CREATE TABLE instrument (
    code_hash bytea NOT NULL,
    kind smallint NOT NULL,
    account_id bigint NOT NULL,
    lot_id bytea NOT NULL,
    asset_code text NOT NULL,
    key_id bytea NOT NULL,
    CONSTRAINT instrument__code_hash__pk PRIMARY KEY (code_hash)
);

-- A receipt that is undone takes back what it gave out.
CREATE INDEX instrument__key_id__ix ON instrument (key_id);

-- migrate: rollback

DROP TABLE instrument;
