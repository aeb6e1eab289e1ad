-- Notices: who hears what and when, what was held back or gathered, contacts that do not work. Exports of cases.

CREATE TABLE contacts (  -- alerts.contacts.Contact; its other cells as they stand in the file
    target   text NOT NULL,             -- a unit's code, "@" and the name of a person, or "@desk"
    address  text NOT NULL DEFAULT '',  -- Apprise; '': what holds for the contacts in units
    name     text NOT NULL DEFAULT '',
    severity text NOT NULL DEFAULT '',
    kinds    text NOT NULL DEFAULT '',
    quiet    text NOT NULL DEFAULT '',
    digest   text NOT NULL DEFAULT '',
    position int NOT NULL
);
CREATE INDEX contacts_target ON contacts (target);

ALTER TABLE notices
    ADD COLUMN severity   text NOT NULL DEFAULT '' CHECK (severity IN ('', 'low', 'medium', 'high')),
    ADD COLUMN via        text NOT NULL DEFAULT '',                 -- what the contact is called
    ADD COLUMN held_until timestamptz,                              -- by quiet hours
    ADD COLUMN gathers    boolean NOT NULL DEFAULT false,           -- it is a digest
    ADD COLUMN digest     bigint REFERENCES notices;                -- the digest in which it goes
DROP INDEX notices_due;
CREATE INDEX notices_due ON notices (next_try) WHERE sent_at IS NULL AND failed_at IS NULL AND digest IS NULL;
CREATE INDEX notices_waiting ON notices (contact) WHERE sent_at IS NULL AND failed_at IS NULL AND contact <> '';
CREATE INDEX notices_sent ON notices (contact, sent_at) WHERE contact <> '' AND digest IS NULL;
CREATE INDEX notices_digest ON notices (digest) WHERE digest IS NOT NULL;
CREATE INDEX notices_target ON notices (target, id);

CREATE TABLE contact_failures (  -- contacts whose last notice was given up; a row goes when one is taken again
    contact  text PRIMARY KEY,  -- alerts.contacts.contact_key
    target   text NOT NULL,
    via      text NOT NULL,
    since    timestamptz NOT NULL,
    last     timestamptz NOT NULL,
    times    int NOT NULL DEFAULT 1,
    error    text NOT NULL
);

ALTER TABLE looks ADD COLUMN case_id bigint;  -- the case with whose export the track was given out
