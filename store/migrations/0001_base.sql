-- The base schema. Times are timestamptz; places degrees WGS-84; unknown numbers NaN in hot tables, NULL elsewhere.

CREATE EXTENSION IF NOT EXISTS timescaledb;

-- ── The site ────────────────────────────────────────────────────────────────────────────────────────────────────────
CREATE TABLE areas (
    code     text PRIMARY KEY CHECK (code ~ '^[0-9]{12}(-[0-9A-Z]{2,4})?$'),
    name     text NOT NULL,
    name_en  text NOT NULL,
    level    text NOT NULL CHECK (level IN ('district', 'street', 'community', 'grid')),
    parent   text REFERENCES areas DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE units (
    code     text PRIMARY KEY,
    name     text NOT NULL,
    name_en  text NOT NULL,
    area     text NOT NULL REFERENCES areas,
    contacts text[] NOT NULL DEFAULT '{}'
);
CREATE TABLE zones (
    code       text PRIMARY KEY,
    kind       text NOT NULL CHECK (kind IN ('no_fishing', 'restricted', 'patrol', 'checkpoint', 'crowd_watch', 'water')),
    name       text NOT NULL,
    name_en    text NOT NULL,
    area       text NOT NULL REFERENCES areas,
    geometry   jsonb NOT NULL,
    capacity   int NOT NULL DEFAULT 0 CHECK (capacity >= 0),
    season     jsonb,
    properties jsonb NOT NULL DEFAULT '{}'
);
CREATE TABLE devices (
    id         int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- dense: the index of the detectors' arrays
    code       text NOT NULL UNIQUE,
    kind       text NOT NULL CHECK (kind IN ('terminal', 'camera', 'sensor', 'vessel')),
    role       text NOT NULL DEFAULT '',
    name       text NOT NULL,
    name_en    text NOT NULL,
    area       text NOT NULL REFERENCES areas,
    share      text NOT NULL,
    unit       text REFERENCES units,
    interval_s double precision NOT NULL DEFAULT 0 CHECK (interval_s >= 0),
    lon        double precision,
    lat        double precision,
    aliases    text[] NOT NULL DEFAULT '{}',
    active     boolean NOT NULL DEFAULT true,
    properties jsonb NOT NULL DEFAULT '{}'
);
CREATE TABLE rules (
    code   text PRIMARY KEY,
    body   jsonb NOT NULL,  -- alerts.rules.Rule
    active boolean NOT NULL DEFAULT true
);
CREATE TABLE duties (  -- the duty matrix: who is responsible for which kind of event where
    category text NOT NULL,
    area     text NOT NULL REFERENCES areas,
    unit     text NOT NULL REFERENCES units,
    PRIMARY KEY (category, area)
);
CREATE TABLE site_facts (key text PRIMARY KEY, value jsonb NOT NULL);  -- the site's name, when it was loaded

-- ── Readings ────────────────────────────────────────────────────────────────────────────────────────────────────────
CREATE TABLE fixes (
    device   int NOT NULL,
    at       timestamptz NOT NULL,
    received timestamptz NOT NULL,
    lon      float8 NOT NULL,
    lat      float8 NOT NULL,
    speed    float4 NOT NULL,
    heading  float4 NOT NULL,
    accuracy float4 NOT NULL,
    battery  float4 NOT NULL,
    flags    int2 NOT NULL
);
SELECT create_hypertable('fixes', by_range('at', INTERVAL '1 day'), create_default_indexes => false);
CREATE UNIQUE INDEX fixes_device_at ON fixes (device, at);
CREATE INDEX fixes_at ON fixes USING brin (at) WITH (pages_per_range = 32);

CREATE TABLE sightings (
    device     int NOT NULL,
    at         timestamptz NOT NULL,
    received   timestamptz NOT NULL,
    label      text NOT NULL,
    count      int4 NOT NULL,
    confidence float4 NOT NULL,
    track      text NOT NULL,
    lon        float8 NOT NULL,
    lat        float8 NOT NULL,
    snapshot   text NOT NULL
);
SELECT create_hypertable('sightings', by_range('at', INTERVAL '1 day'), create_default_indexes => false);
CREATE UNIQUE INDEX sightings_key ON sightings (device, at, label, track);
CREATE INDEX sightings_at ON sightings USING brin (at) WITH (pages_per_range = 32);

CREATE TABLE samples (
    device   int NOT NULL,
    at       timestamptz NOT NULL,
    received timestamptz NOT NULL,
    quantity text NOT NULL,
    value    float8 NOT NULL
);
SELECT create_hypertable('samples', by_range('at', INTERVAL '7 days'), create_default_indexes => false);
CREATE UNIQUE INDEX samples_key ON samples (device, quantity, at);
CREATE INDEX samples_at ON samples USING brin (at) WITH (pages_per_range = 32);

CREATE TABLE last_positions (
    device   int PRIMARY KEY,
    at       timestamptz NOT NULL,
    received timestamptz NOT NULL,
    lon      float8 NOT NULL,
    lat      float8 NOT NULL,
    speed    float4 NOT NULL,
    heading  float4 NOT NULL,
    accuracy float4 NOT NULL,
    battery  float4 NOT NULL,
    flags    int2 NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE visits (
    device  int NOT NULL,
    zone    text NOT NULL,
    entered timestamptz NOT NULL,
    "left"  timestamptz,  -- NULL while inside
    PRIMARY KEY (device, zone, entered)
);
CREATE INDEX visits_entered ON visits (entered);

CREATE TABLE rejects (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest      bytea NOT NULL UNIQUE,  -- sha256 over topic, payload and reason: a redelivery is the same reject
    topic       text NOT NULL,
    payload     bytea NOT NULL,
    reason      text NOT NULL,
    detail      text NOT NULL,
    received    timestamptz NOT NULL,
    last_seen   timestamptz NOT NULL,
    times       int NOT NULL DEFAULT 1,
    replayed_at timestamptz
);
CREATE INDEX rejects_last_seen ON rejects (last_seen);

-- ── The casebook ────────────────────────────────────────────────────────────────────────────────────────────────────
CREATE TABLE cases (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    number    text NOT NULL UNIQUE,  -- what people say on the phone: PG-20261122-0007
    category  text NOT NULL,
    title     text NOT NULL,
    title_en  text NOT NULL,
    severity  text NOT NULL CHECK (severity IN ('low', 'medium', 'high')),
    status    text NOT NULL CHECK (status IN
        ('reported', 'opened', 'dispatched', 'handling', 'fed_back', 'verified', 'closed', 'void', 'merged')),
    area      text REFERENCES areas,
    unit      text REFERENCES units,  -- NULL: ownership unclear
    owner     bigint,                 -- accounts.id
    terminal  int,                    -- the dispatched terminal's device id
    lon       float8,
    lat       float8,
    opened_at timestamptz NOT NULL,
    due_at    timestamptz NOT NULL,
    closed_at timestamptz,
    outcome   text NOT NULL DEFAULT '',
    version   int NOT NULL DEFAULT 1
);
CREATE INDEX cases_open ON cases (due_at) WHERE status NOT IN ('closed', 'void', 'merged');
CREATE INDEX cases_opened ON cases (opened_at DESC);

CREATE TABLE alerts (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule        text NOT NULL,
    kind        text NOT NULL,
    subject     text NOT NULL,
    zone        text NOT NULL,
    fingerprint text NOT NULL,         -- rule|subject|zone
    episode     timestamptz NOT NULL,  -- since of the first finding
    severity    text NOT NULL CHECK (severity IN ('low', 'medium', 'high')),
    state       text NOT NULL CHECK (state IN ('open', 'acknowledged', 'cleared', 'void')),
    historical  boolean NOT NULL DEFAULT false,
    raised_at   timestamptz NOT NULL,
    first_seen  timestamptz NOT NULL,
    last_seen   timestamptz NOT NULL,
    count       int NOT NULL DEFAULT 1,
    lon         float8 NOT NULL,
    lat         float8 NOT NULL,
    score       float8 NOT NULL,
    sentence_zh text NOT NULL,
    sentence_en text NOT NULL,
    evidence    jsonb NOT NULL,
    area        text,
    case_id     bigint REFERENCES cases,
    acked_by    text,
    acked_at    timestamptz,
    UNIQUE (fingerprint, episode)
);
CREATE INDEX alerts_live ON alerts (fingerprint) WHERE state IN ('open', 'acknowledged');
CREATE INDEX alerts_raised ON alerts (raised_at DESC);

CREATE TABLE entries (
    case_id   bigint NOT NULL REFERENCES cases,
    seq       int NOT NULL,
    at        timestamptz NOT NULL,
    actor     text NOT NULL,
    action    text NOT NULL,
    note      text NOT NULL,
    data      jsonb NOT NULL DEFAULT '{}',
    prev_hash bytea NOT NULL,
    hash      bytea NOT NULL,
    PRIMARY KEY (case_id, seq)
);
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '% is append-only: write a new entry instead', TG_TABLE_NAME; END $$;
CREATE TRIGGER entries_append_only BEFORE UPDATE OR DELETE ON entries FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TABLE notices (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id   bigint REFERENCES cases,
    channel   text NOT NULL,        -- 'terminal' (an MQTT command) or 'apprise'
    target    text NOT NULL,        -- a device code, or a unit code
    reason    text NOT NULL,        -- why it was sent
    body      jsonb NOT NULL,
    created   timestamptz NOT NULL DEFAULT now(),
    attempts  int NOT NULL DEFAULT 0,
    next_try  timestamptz NOT NULL DEFAULT now(),
    sent_at   timestamptz,
    failed_at timestamptz,          -- given up, with the reason in error
    acked_at  timestamptz,
    accepted  boolean,
    error     text NOT NULL DEFAULT '',
    dedupe    text NOT NULL UNIQUE  -- one notice per reason, however often it is asked for
);
CREATE INDEX notices_due ON notices (next_try) WHERE sent_at IS NULL AND failed_at IS NULL;

-- ── People ──────────────────────────────────────────────────────────────────────────────────────────────────────────
CREATE TABLE accounts (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text NOT NULL UNIQUE,
    display       text NOT NULL,
    password_hash text NOT NULL,
    role          text NOT NULL CHECK (role IN ('viewer', 'operator', 'unit', 'supervisor', 'admin')),
    unit          text REFERENCES units,
    area          text REFERENCES areas,
    one_time      boolean NOT NULL DEFAULT false,  -- the password must be changed at first log-in
    active        boolean NOT NULL DEFAULT true,
    created       timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE sessions (
    token_hash bytea PRIMARY KEY,
    account    bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
    created    timestamptz NOT NULL DEFAULT now(),
    expires    timestamptz NOT NULL
);
CREATE TABLE looks (  -- who looked at an officer's track
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account bigint NOT NULL REFERENCES accounts,
    at      timestamptz NOT NULL DEFAULT now(),
    device  int NOT NULL,
    since   timestamptz NOT NULL,
    until   timestamptz NOT NULL
);
