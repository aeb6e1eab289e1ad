-- The areas by which work is shared out among workers, each with the number that says whose it is: number modulo workers.
-- A number is given once and kept, so that an area stays with its worker when others are added.
CREATE TABLE shares (
    code   text PRIMARY KEY,
    number int NOT NULL GENERATED ALWAYS AS IDENTITY (MINVALUE 0 START 0) UNIQUE
);
INSERT INTO shares (code) SELECT DISTINCT share FROM devices ORDER BY share;
