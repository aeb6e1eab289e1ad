-- The casebook's counter and ledger, one-time passwords that end, and log-in failures.

CREATE TABLE case_numbers (  -- the last number given on each day of site time; the row lock makes numbers unique and gapless
    day  date PRIMARY KEY,
    last int NOT NULL
);

CREATE TABLE ledger (  -- the entries of all cases in the order of writing, as a chain of its own
    position   bigint PRIMARY KEY,  -- 1, 2, 3, … without gaps
    case_id    bigint NOT NULL,     -- no foreign key: the ledger must outlive what it bears witness of
    seq        int NOT NULL,
    entry_hash bytea NOT NULL,
    hash       bytea NOT NULL,      -- sha256 of the hash before and entry_hash
    UNIQUE (case_id, seq)
);
CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE ON ledger FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ledger_not_emptied BEFORE TRUNCATE ON ledger FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER entries_not_emptied BEFORE TRUNCATE ON entries FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE INDEX cases_unit ON cases (unit, opened_at DESC);
CREATE INDEX cases_terminal ON cases (terminal) WHERE status IN ('dispatched', 'handling');
CREATE INDEX alerts_state ON alerts (state, raised_at DESC, id DESC);
CREATE INDEX alerts_case ON alerts (case_id) WHERE case_id IS NOT NULL;
CREATE INDEX alerts_last_seen ON alerts (fingerprint, last_seen);
CREATE INDEX notices_case ON notices (case_id, id);

ALTER TABLE notices ADD COLUMN contact text NOT NULL DEFAULT '';  -- apprise: which contact of the unit, by a hash of its address

ALTER TABLE accounts ADD COLUMN one_time_used timestamptz;  -- a one-time password is good for one log-in

CREATE INDEX sessions_expires ON sessions (expires);
CREATE INDEX sessions_account ON sessions (account);
CREATE INDEX looks_device ON looks (device, at);

CREATE TABLE login_failures (  -- by the name that was typed, whether there is such an account or not
    name     text PRIMARY KEY,
    failures int NOT NULL,
    last     timestamptz NOT NULL
);
CREATE INDEX login_failures_last ON login_failures (last);
