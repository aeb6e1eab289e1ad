-- Alerts: what keeps one from being told, groups, severity that rises, ends, and two that turn out to be one.

ALTER TABLE alerts
    ADD COLUMN armed_at      timestamptz NOT NULL DEFAULT now(),  -- since when it waits for somebody
    ADD COLUMN escalated_at  timestamptz,
    ADD COLUMN ending_zh     text,                                -- what said that it is over
    ADD COLUMN ending_en     text,
    ADD COLUMN suppressed_by text CHECK (suppressed_by IN ('silence', 'maintenance', 'inhibition')),
    ADD COLUMN suppressor    bigint,                              -- id in silences, maintenance or alerts
    ADD COLUMN suppressed_zh text NOT NULL DEFAULT '',
    ADD COLUMN suppressed_en text NOT NULL DEFAULT '',
    ADD COLUMN group_key     text NOT NULL DEFAULT '',
    ADD COLUMN group_id      bigint,                              -- the first alert of the group, itself too; NULL: no group
    ADD COLUMN merged_into   bigint REFERENCES alerts;            -- of the same episode; such a one is cleared for good
UPDATE alerts SET armed_at = raised_at WHERE state IN ('open', 'acknowledged');

DROP INDEX alerts_live, alerts_raised;
CREATE INDEX alerts_raised ON alerts (raised_at DESC, id DESC);
CREATE INDEX alerts_live ON alerts (rule, subject) WHERE state IN ('open', 'acknowledged');
CREATE INDEX alerts_active ON alerts (raised_at DESC, id DESC) WHERE state IN ('open', 'acknowledged');
CREATE INDEX alerts_active_cased ON alerts (raised_at DESC, id DESC)
    WHERE state IN ('open', 'acknowledged') AND case_id IS NOT NULL;
CREATE INDEX alerts_cased ON alerts (raised_at DESC, id DESC) WHERE case_id IS NOT NULL;
CREATE INDEX alerts_area ON alerts (area, raised_at DESC, id DESC);
CREATE INDEX alerts_subject ON alerts (subject, raised_at DESC, id DESC);
CREATE INDEX alerts_zone ON alerts (zone, raised_at DESC, id DESC) WHERE zone <> '';
CREATE INDEX alerts_suppressed ON alerts (id) WHERE suppressed_by IS NOT NULL AND state IN ('open', 'acknowledged');
CREATE INDEX alerts_grouping ON alerts (group_key, last_seen DESC) WHERE group_key <> '';
CREATE INDEX alerts_group ON alerts (group_id, raised_at, id) WHERE group_id IS NOT NULL;

CREATE TABLE alert_events (  -- what happened to an alert, whether it has a case or not; never changed
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id bigint NOT NULL,
    at       timestamptz NOT NULL,
    actor    text NOT NULL,
    what     text NOT NULL,
    note     text NOT NULL DEFAULT '',
    zh       text NOT NULL DEFAULT '',
    en       text NOT NULL DEFAULT ''
);
CREATE INDEX alert_events_alert ON alert_events (alert_id, id);

CREATE TABLE silences (  -- never deleted: who kept what silent, why and until when
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    reason     text NOT NULL CHECK (reason <> ''),
    starts     timestamptz NOT NULL,
    ends       timestamptz NOT NULL CHECK (ends > starts),
    rule       text,
    kind       text,
    subject    text,
    zone       text,
    area       text,
    scope      text,  -- the area it lies in, for who may see and make it; NULL: the whole site
    ended_by   text,
    ended_at   timestamptz,
    CHECK (num_nonnulls(rule, kind, subject, zone, area) > 0)
);
CREATE INDEX silences_ends ON silences (ends);

CREATE TABLE maintenance (  -- planned work; never deleted
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_by    text NOT NULL,
    created_at    timestamptz NOT NULL,
    reason        text NOT NULL CHECK (reason <> ''),
    starts        timestamptz NOT NULL,
    ends          timestamptz NOT NULL CHECK (ends > starts),  -- of the first time
    devices       text[] NOT NULL DEFAULT '{}',
    zones         text[] NOT NULL DEFAULT '{}',
    areas         text[] NOT NULL DEFAULT '{}',
    weekly        boolean NOT NULL DEFAULT false,
    repeats_until timestamptz,
    scopes        text[],  -- the areas it lies in; NULL: the whole site
    ended_by      text,
    ended_at      timestamptz
);
