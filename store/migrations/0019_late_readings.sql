-- Readings that came long after their time are folded again within some seconds. A worker that starts looks for those that
-- came just before, for the one that ended may not have done so.
CREATE INDEX fixes_late ON fixes (received) WHERE received - at > interval '1 hour';
CREATE INDEX sightings_late ON sightings (received) WHERE received - at > interval '1 hour';
CREATE INDEX samples_late ON samples (received) WHERE received - at > interval '1 hour';
