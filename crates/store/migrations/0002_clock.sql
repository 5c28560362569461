-- The control plane's clock goes on from what was stored last: what it said, the time since boot beside it, which boot.
ALTER TABLE meta ADD COLUMN clock_at      INTEGER;
ALTER TABLE meta ADD COLUMN since_boot_ms INTEGER;
ALTER TABLE meta ADD COLUMN boot          TEXT;
