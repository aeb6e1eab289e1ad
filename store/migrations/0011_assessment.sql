-- The assessment asks for the cases opened, due or closed in a period, and for the visits that began in it.
CREATE INDEX cases_due ON cases (due_at);
CREATE INDEX cases_closed ON cases (closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX entries_reopened ON entries (at) WHERE action = 'reopen';
