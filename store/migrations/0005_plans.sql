-- Patrol plans: what patrols are to do in which windows. ``body`` is devices.site.Plan as its file says it.
-- ``position`` is the place in the file; NULL: no longer in the site, kept because history names it.
CREATE TABLE plans (
    code     text PRIMARY KEY,
    area     text NOT NULL REFERENCES areas,
    body     json NOT NULL,
    position int
);
