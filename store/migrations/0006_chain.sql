-- The whole chain of a case: parts of several units, extensions, supervision, merging, how often it was reopened.

ALTER TABLE cases
    ADD COLUMN origin          text NOT NULL DEFAULT 'desk' CHECK (origin IN ('alert', 'desk', 'phone', 'api')),
    ADD COLUMN resolution      text NOT NULL DEFAULT '' CHECK (resolution IN ('', 'on_spot', 'followed_up')),
    ADD COLUMN supervision     smallint NOT NULL DEFAULT 0 CHECK (supervision BETWEEN 0 AND 3),
    ADD COLUMN overdue_reason  text NOT NULL DEFAULT '',
    ADD COLUMN extension_asked timestamptz,        -- the deadline that was asked for and not yet decided on
    ADD COLUMN reopened        int NOT NULL DEFAULT 0,
    ADD COLUMN merged_into     bigint REFERENCES cases,
    ADD COLUMN status_before   text,               -- of a merged case: what a split gives back
    ADD COLUMN whistle         boolean NOT NULL DEFAULT false,  -- whether it has rows in case_parts
    ADD CONSTRAINT cases_merged CHECK ((status = 'merged') = (merged_into IS NOT NULL) AND merged_into <> id
        AND (merged_into IS NULL) = (status_before IS NULL));
UPDATE cases c SET origin = 'alert'
    WHERE EXISTS (SELECT FROM entries e WHERE e.case_id = c.id AND e.seq = 1 AND e.action = 'raise');

CREATE TABLE case_parts (  -- the units called to a case, and what for
    case_id       bigint NOT NULL REFERENCES cases,
    unit          text NOT NULL REFERENCES units,
    task          text NOT NULL,
    called_at     timestamptz NOT NULL,
    called_by     text NOT NULL,
    checked_in_at timestamptz,
    done_at       timestamptz,                     -- or withdrawn
    done_note     text NOT NULL DEFAULT '',
    withdrawn     boolean NOT NULL DEFAULT false,
    PRIMARY KEY (case_id, unit)
);
CREATE INDEX case_parts_unit ON case_parts (unit, case_id) WHERE NOT withdrawn;

-- The list is read newest first, by any of these; most cases of a site have ended, and most questions are about the others.
DROP INDEX cases_opened, cases_unit;
CREATE INDEX cases_newest ON cases (opened_at DESC, id DESC);
CREATE INDEX cases_status ON cases (status, opened_at DESC, id DESC);
CREATE INDEX cases_unit ON cases (unit, opened_at DESC, id DESC);
CREATE INDEX cases_area ON cases (area, opened_at DESC, id DESC);
CREATE INDEX cases_category ON cases (category, opened_at DESC, id DESC);
CREATE INDEX cases_not_ended ON cases (opened_at DESC, id DESC) WHERE status NOT IN ('closed', 'void', 'merged');
CREATE INDEX cases_supervised ON cases (opened_at DESC, id DESC) WHERE supervision > 0;
CREATE INDEX cases_merged_into ON cases (merged_into) WHERE merged_into IS NOT NULL;

-- What a person types to find a case: pairs of letters, as Chinese words have no blanks between them and often two letters.
CREATE FUNCTION letter_pairs(words text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS
$$ SELECT coalesce(array_agg(DISTINCT substr(lower(words), n, 2)), '{}') FROM generate_series(1, length(words) - 1) AS n $$;
CREATE INDEX cases_title_pairs ON cases USING gin (letter_pairs(title || ' ' || title_en));
CREATE INDEX cases_number_begins ON cases (number text_pattern_ops);
CREATE INDEX cases_number_ends ON cases (reverse(number) text_pattern_ops);
