-- How long terminals were where, by hour and cell of 100 m: the heat map, without reading a day of fixes for it.

CREATE TABLE heat (
    hour    timestamptz NOT NULL,
    y       int NOT NULL,      -- the cell, see store/heat.py
    x       int NOT NULL,
    area    text NOT NULL,     -- the devices' area as it was when the hour was counted: who may see them
    devices int NOT NULL,      -- terminals that were in the cell within the hour
    fixes   int NOT NULL
);
SELECT create_hypertable('heat', by_range('hour', INTERVAL '7 days'), create_default_indexes => false);
CREATE UNIQUE INDEX heat_key ON heat (hour, y, x, area);

CREATE TABLE heat_hours (  -- the hours that have been counted, those in which nothing was heard too
    hour       timestamptz PRIMARY KEY,
    counted_at timestamptz NOT NULL
);
CREATE TABLE heat_late (  -- fixes have come for an hour that was over: it is counted again
    id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hour timestamptz NOT NULL
);
