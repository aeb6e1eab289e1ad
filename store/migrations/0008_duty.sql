-- Kinds of event, who supervises, what was changed in the duty matrix, and when a case has to be looked at again.

CREATE TABLE categories (  -- alerts.categories.Category; an empty cell is that of the kind '*', or the usual
    code      text PRIMARY KEY,
    name      text NOT NULL,
    name_en   text NOT NULL,
    severity  text NOT NULL CHECK (severity IN ('low', 'medium', 'high')),
    high      text NOT NULL DEFAULT '',
    medium    text NOT NULL DEFAULT '',
    low       text NOT NULL DEFAULT '',
    remind    text NOT NULL DEFAULT '',
    supervise text NOT NULL DEFAULT '',
    position  int NOT NULL
);

CREATE TABLE supervisors (  -- alerts.supervisors.Supervisor
    area     text NOT NULL REFERENCES areas,
    unit     text REFERENCES units,     -- NULL: of all units
    name     text NOT NULL,
    name_en  text NOT NULL,
    account  text NOT NULL DEFAULT '',  -- by name; it may be made later
    office   text REFERENCES units,     -- whose contacts get what goes to this person
    position int NOT NULL
);

CREATE TABLE duty_changes (  -- every line of the matrix, the kinds and the supervisors that was ever changed, and by whom
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT now(),
    actor   text NOT NULL,
    how     text NOT NULL CHECK (how IN ('site', 'import', 'edit', 'decision')),
    case_id bigint,                     -- of a decision on ownership that was to be remembered
    tab     text NOT NULL,
    what    text NOT NULL CHECK (what IN ('added', 'changed', 'removed')),
    key     text[] NOT NULL,
    before  text NOT NULL,
    after   text NOT NULL
);
CREATE TRIGGER duty_changes_append_only BEFORE UPDATE OR DELETE ON duty_changes
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE INDEX duties_category ON duties (category);
CREATE INDEX duties_unit ON duties (unit);

-- When a case has to be looked at again for a reminder or a step of supervision; NULL: not before it changes.
-- A change of what that rests on makes it due at once.
ALTER TABLE cases ADD COLUMN check_at timestamptz DEFAULT '-infinity';
CREATE INDEX cases_check ON cases (check_at)
    WHERE status IN ('reported', 'opened', 'dispatched', 'handling') AND check_at IS NOT NULL;
CREATE INDEX cases_unclear ON cases (opened_at, id)
    WHERE unit IS NULL AND status IN ('reported', 'opened', 'dispatched', 'handling');
CREATE FUNCTION look_again() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN NEW.check_at := '-infinity'; RETURN NEW; END $$;
CREATE TRIGGER cases_look_again BEFORE UPDATE OF status, unit, due_at, supervision ON cases
    FOR EACH ROW EXECUTE FUNCTION look_again();

-- What was dealt with near a place: who had the like before.
CREATE INDEX cases_place ON cases (lat, lon) WHERE lat IS NOT NULL AND unit IS NOT NULL;
