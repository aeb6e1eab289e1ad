-- How long the desk may take by kind; and cases that were fed back are looked at too, until they are closed.
ALTER TABLE categories
    ADD COLUMN ownership text NOT NULL DEFAULT '',
    ADD COLUMN callback  text NOT NULL DEFAULT '';
DROP INDEX cases_check;
CREATE INDEX cases_check ON cases (check_at) WHERE status NOT IN ('closed', 'void', 'merged') AND check_at IS NOT NULL;
UPDATE cases SET check_at = '-infinity' WHERE status IN ('fed_back', 'verified');
