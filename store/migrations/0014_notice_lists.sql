-- The list of notices by state: among very many that were sent, those that wait and those that were given up.
CREATE INDEX notices_unsent ON notices (id) WHERE sent_at IS NULL AND failed_at IS NULL;
CREATE INDEX notices_failed ON notices (id) WHERE failed_at IS NOT NULL;
