-- A site comes out of the database as it went in: in the order of its files, and with the order of keys people wrote.
-- ``position`` is the place in the file; NULL: no longer in the site, kept because history names it.
ALTER TABLE areas ADD COLUMN position int;
ALTER TABLE units ADD COLUMN position int;
ALTER TABLE zones ADD COLUMN position int, ALTER COLUMN properties DROP DEFAULT;
ALTER TABLE devices ADD COLUMN position int, ALTER COLUMN properties DROP DEFAULT;
ALTER TABLE rules ADD COLUMN position int;
ALTER TABLE duties ADD COLUMN position int;

-- jsonb sorts keys and rewrites numbers; json keeps the text.
ALTER TABLE zones ALTER COLUMN properties TYPE json, ALTER COLUMN properties SET DEFAULT '{}';
ALTER TABLE devices ALTER COLUMN properties TYPE json, ALTER COLUMN properties SET DEFAULT '{}';
ALTER TABLE rules ALTER COLUMN body TYPE json;
