-- The cells of an hour and area in one value: a day of a county is millions of them, a second to read as rows.

DROP TABLE heat;
CREATE TABLE heat (
    hour  timestamptz NOT NULL,
    area  text NOT NULL,  -- the devices' area as it was when the hour was counted: who may see them
    cells bytea NOT NULL  -- four int4 each: y, x, terminals that were in the cell, fixes; see store/heat.py
);
ALTER TABLE heat ALTER cells SET STORAGE EXTERNAL;
SELECT create_hypertable('heat', by_range('hour', INTERVAL '7 days'), create_default_indexes => false);
CREATE UNIQUE INDEX heat_key ON heat (hour, area);
DELETE FROM heat_hours;
