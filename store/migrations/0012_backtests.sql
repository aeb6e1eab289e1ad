-- Backtests that people asked for, with what they showed.
CREATE TABLE backtests (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule     text NOT NULL,
    wishes   jsonb NOT NULL,        -- the thresholds to try, as they were written
    since    timestamptz NOT NULL,
    until    timestamptz NOT NULL,
    asked_by text NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT now(),
    state    text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done', 'failed')),
    progress real NOT NULL DEFAULT 0,
    seen_at  timestamptz,           -- when it last said that it still runs
    result   jsonb,
    error    text NOT NULL DEFAULT ''
);
