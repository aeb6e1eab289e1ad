-- Intake beside detection: grid workers, photos, who reported what, requests that come twice, what happened at a place.

ALTER TABLE accounts DROP CONSTRAINT accounts_role_check,
    ADD CONSTRAINT accounts_role_check CHECK (role IN ('viewer', 'operator', 'unit', 'supervisor', 'admin', 'grid'));

CREATE TABLE attachments (  -- pictures; the bytes are files in media_dir, named by their hash
    sha256 bytea PRIMARY KEY CHECK (octet_length(sha256) = 32),
    type   text NOT NULL CHECK (type IN ('image/jpeg', 'image/png', 'image/webp')),
    bytes  int NOT NULL CHECK (bytes > 0),
    width  int NOT NULL CHECK (width > 0),
    height int NOT NULL CHECK (height > 0)
);
CREATE TABLE uploads (  -- who sent which; one may only attach what one has sent
    sha256  bytea NOT NULL REFERENCES attachments ON DELETE CASCADE,
    account bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
    at      timestamptz NOT NULL,
    PRIMARY KEY (sha256, account)
);
CREATE INDEX uploads_at ON uploads (at);
CREATE TABLE case_attachments (  -- which entry shows which; the entry's data name them too, and those are in the chain
    sha256  bytea NOT NULL REFERENCES attachments,
    case_id bigint NOT NULL,
    seq     int NOT NULL,
    PRIMARY KEY (sha256, case_id, seq),
    FOREIGN KEY (case_id, seq) REFERENCES entries
);
CREATE INDEX case_attachments_entry ON case_attachments (case_id, seq);

CREATE TABLE reporters (  -- who reported a case, each in an entry
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id  bigint NOT NULL REFERENCES cases,  -- the case that goes on
    home     bigint NOT NULL,                   -- the one that was reported: a split gives it back
    seq      int NOT NULL,                      -- of the entry of home
    account  bigint,                            -- accounts.id of who sent it
    name     text NOT NULL DEFAULT '',          -- of a caller without an account; blanked some time after the case ended
    contact  text NOT NULL DEFAULT '',
    origin   text NOT NULL CHECK (origin IN ('desk', 'phone', 'api')),
    at       timestamptz NOT NULL,              -- when it was seen, by the reporter's clock
    received timestamptz NOT NULL,
    lon      float8,
    lat      float8,
    accuracy float8,                            -- metres
    UNIQUE (home, seq),
    FOREIGN KEY (home, seq) REFERENCES entries
);
CREATE INDEX reporters_case ON reporters (case_id, id);
CREATE INDEX reporters_account ON reporters (account, id);
CREATE INDEX reporters_named ON reporters (case_id) WHERE name <> '' OR contact <> '';
INSERT INTO reporters (case_id, home, seq, account, origin, at, received, lon, lat)
    SELECT c.id, c.id, 1, c.owner, c.origin, c.opened_at, c.opened_at, c.lon, c.lat
    FROM cases c JOIN entries e ON e.case_id = c.id AND e.seq = 1 WHERE e.action = 'report' AND c.origin <> 'alert';

CREATE TABLE answers (  -- to requests with an idempotency key: the same request gets the same answer
    account bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
    key     text NOT NULL CHECK (length(key) BETWEEN 8 AND 100),
    request bytea NOT NULL,  -- sha256 of what was asked
    answer  json,            -- as it was given, to the letter; NULL only within the transaction that works it out
    at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account, key)
);
CREATE INDEX answers_at ON answers (at);

ALTER TABLE alerts ADD COLUMN case_home bigint;  -- the case it opened or joined, while that is merged into case_id
CREATE INDEX alerts_case_home ON alerts (case_home) WHERE case_home IS NOT NULL;

-- What happened near a place: among a million cases by a strip of latitude, what is open by a smaller one.
DROP INDEX cases_place;
CREATE INDEX cases_place ON cases (lat, lon, opened_at) WHERE lat IS NOT NULL;
CREATE INDEX cases_place_open ON cases (lat, lon) WHERE lat IS NOT NULL AND status NOT IN ('closed', 'void', 'merged');
