-- What is common to SQLite and PostgreSQL: TEXT and BIGINT. Times are milliseconds since 1970 (UTC),
-- truths are 0 and 1, secrets are kept as hashes in hexadecimal, ids of the outside world are UUIDs.

-- A hidden room holds the files of a room that is not kept, and ends with it. `files` and `bytes` count what is here
-- of its files, whole or not.
CREATE TABLE rooms (
    id          BIGINT NOT NULL PRIMARY KEY,
    name        TEXT   NOT NULL,
    folded      TEXT   NOT NULL UNIQUE,
    listed      BIGINT NOT NULL,
    locked      BIGINT NOT NULL,
    password    TEXT,
    capacity    BIGINT,
    expires     BIGINT,
    idle        BIGINT,
    policy      TEXT   NOT NULL,
    created     BIGINT NOT NULL,
    last_active BIGINT NOT NULL,
    last_seq    BIGINT NOT NULL,
    hidden      BIGINT NOT NULL,
    files       BIGINT NOT NULL DEFAULT 0,
    bytes       BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX rooms_by_activity ON rooms (last_active);
CREATE INDEX rooms_by_bytes ON rooms (bytes);

CREATE TABLE bans (
    room    BIGINT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    session TEXT   NOT NULL,
    name    TEXT   NOT NULL,
    address TEXT,
    created BIGINT NOT NULL,
    PRIMARY KEY (room, session)
);

-- What hosts have made people of a kept room, by their sessions.
CREATE TABLE roles (
    room    BIGINT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    session TEXT   NOT NULL,
    role    TEXT   NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (room, session)
);

CREATE TABLE invites (
    id      TEXT   NOT NULL PRIMARY KEY,
    room    BIGINT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    hash    TEXT   NOT NULL UNIQUE,
    role    TEXT   NOT NULL,
    uses    BIGINT,
    used    BIGINT NOT NULL,
    expires BIGINT,
    revoked BIGINT,
    created BIGINT NOT NULL
);
CREATE INDEX invites_by_room ON invites (room);

CREATE TABLE messages (
    room       BIGINT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    seq        BIGINT NOT NULL,
    client_id  TEXT   NOT NULL,
    session    TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    text       TEXT   NOT NULL,
    time       BIGINT NOT NULL,
    to_session TEXT,
    reply_to   BIGINT,
    edited     BIGINT,
    deleted    BIGINT,
    PRIMARY KEY (room, seq)
);
CREATE INDEX messages_by_time ON messages (time);

CREATE TABLE reactions (
    room    BIGINT NOT NULL,
    seq     BIGINT NOT NULL,
    session TEXT   NOT NULL,
    emoji   TEXT   NOT NULL,
    time    BIGINT NOT NULL,
    PRIMARY KEY (room, seq, session, emoji),
    FOREIGN KEY (room, seq) REFERENCES messages (room, seq) ON DELETE CASCADE
);

-- `pieces` counts the parts below.
CREATE TABLE files (
    id         TEXT   NOT NULL PRIMARY KEY,
    room       BIGINT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    name       TEXT   NOT NULL,
    kind       TEXT   NOT NULL,
    size       BIGINT NOT NULL,
    received   BIGINT NOT NULL,
    sha256     TEXT,
    session    TEXT   NOT NULL,
    username   TEXT   NOT NULL,
    to_session TEXT,
    created    BIGINT NOT NULL,
    completed  BIGINT,
    told       BIGINT NOT NULL,
    pieces     BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX files_by_room ON files (room, completed);
CREATE INDEX files_untold ON files (completed) WHERE told = 0;
CREATE INDEX files_by_time ON files (created);

-- The pieces a file's bytes lie in, under random keys.
CREATE TABLE parts (
    file  TEXT   NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    start BIGINT NOT NULL,
    size  BIGINT NOT NULL,
    key   TEXT   NOT NULL UNIQUE,
    PRIMARY KEY (file, start)
);

-- Pieces that belong to no file any more, until they are removed. A row is made before the bytes are
-- written, or in the transaction that lets go of them, so that no crash leaves bytes nobody knows of.
CREATE TABLE graves (
    key TEXT   NOT NULL PRIMARY KEY,
    due BIGINT NOT NULL
);
CREATE INDEX graves_by_due ON graves (due);

CREATE TABLE api_keys (
    id        TEXT   NOT NULL PRIMARY KEY,
    name      TEXT   NOT NULL,
    hash      TEXT   NOT NULL,
    scopes    TEXT   NOT NULL,
    created   BIGINT NOT NULL,
    last_used BIGINT,
    revoked   BIGINT
);

CREATE TABLE outbox (
    id       TEXT   NOT NULL PRIMARY KEY,
    url      TEXT   NOT NULL,
    event    TEXT   NOT NULL,
    body     TEXT   NOT NULL,
    created  BIGINT NOT NULL,
    due      BIGINT NOT NULL,
    attempts BIGINT NOT NULL
);
CREATE INDEX outbox_by_due ON outbox (due);
