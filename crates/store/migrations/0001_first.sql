-- Everything that is not the core of a row, and not searched for, is JSON in `body`.
-- Integers named `…_at` are Unix milliseconds.

-- The one row by which control planes are fenced; `last_task` outlives the tasks themselves.
CREATE TABLE meta (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    term      INTEGER NOT NULL,
    last_task INTEGER NOT NULL
);
INSERT INTO meta (id, term, last_task) VALUES (1, 0, -1);

CREATE TABLE tasks (
    id           INTEGER PRIMARY KEY,
    project      TEXT    NOT NULL,
    owner        TEXT    NOT NULL,
    name         TEXT,
    priority     INTEGER NOT NULL,
    state        TEXT    NOT NULL,
    submitted_at INTEGER NOT NULL,
    ended_at     INTEGER,
    spec         BLOB    NOT NULL,
    body         TEXT    NOT NULL,
    checksum     INTEGER NOT NULL
);
-- Each index is paid for by every submit. The ids in an entry are the order of a listing.
CREATE INDEX tasks_by_project ON tasks (project);
CREATE INDEX tasks_live ON tasks (project) WHERE ended_at IS NULL;
CREATE INDEX tasks_by_name ON tasks (name, project) WHERE name IS NOT NULL;
CREATE INDEX tasks_ended ON tasks (ended_at) WHERE ended_at IS NOT NULL;

-- How many tasks ended in which way, so that nobody counts five million rows.
CREATE TABLE ended (
    project TEXT    NOT NULL,
    state   TEXT    NOT NULL,
    tasks   INTEGER NOT NULL,
    PRIMARY KEY (project, state)
) WITHOUT ROWID;

-- `tasks` counts the tasks that refer to a specification; the prune that takes the last takes it too.
CREATE TABLE specs (
    hash  BLOB    NOT NULL UNIQUE,
    tasks INTEGER NOT NULL,
    body  TEXT    NOT NULL
);

-- Events and attempts belong to the project and owner of their task.
CREATE TABLE events (
    task    INTEGER NOT NULL,
    number  INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    state   TEXT    NOT NULL,
    cause   TEXT    NOT NULL,
    detail  TEXT,
    actor   TEXT    NOT NULL,
    PRIMARY KEY (task, number)
) WITHOUT ROWID;

CREATE TABLE attempts (
    task       INTEGER NOT NULL,
    attempt    INTEGER NOT NULL,
    placed_at  INTEGER NOT NULL,
    started_at INTEGER,
    ended_at   INTEGER,
    body       TEXT    NOT NULL,
    PRIMARY KEY (task, attempt)
) WITHOUT ROWID;

CREATE TABLE usage (
    task          INTEGER NOT NULL,
    attempt       INTEGER NOT NULL,
    version       INTEGER NOT NULL,
    from_at       INTEGER NOT NULL,
    to_at         INTEGER NOT NULL,
    project       TEXT    NOT NULL,
    owner         TEXT    NOT NULL,
    charged_milli INTEGER NOT NULL,
    memory_mib    INTEGER NOT NULL,
    gpu_milli_ms  INTEGER NOT NULL,
    price_micros  INTEGER NOT NULL,
    cost_micros   INTEGER NOT NULL,
    PRIMARY KEY (task, attempt, version, from_at)
) WITHOUT ROWID;

CREATE TABLE nodes (
    id       INTEGER PRIMARY KEY,
    hostname TEXT    NOT NULL,
    drained  INTEGER NOT NULL
);

CREATE TABLE tokens (
    id         TEXT    PRIMARY KEY,
    hash       BLOB    NOT NULL,
    project    TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    role       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
) WITHOUT ROWID;

CREATE TABLE config (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    body TEXT    NOT NULL
);

CREATE TABLE audit (
    id     INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    actor  TEXT    NOT NULL,
    action TEXT    NOT NULL,
    object TEXT    NOT NULL
);

-- `review_at` is when retention next looks at a key: its age, or later while a task of it lives.
CREATE TABLE keys (
    project   TEXT    NOT NULL,
    key       TEXT    NOT NULL,
    digest    BLOB    NOT NULL,
    tasks     TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    review_at INTEGER NOT NULL,
    PRIMARY KEY (project, key)
) WITHOUT ROWID;
CREATE INDEX keys_by_review ON keys (review_at);
