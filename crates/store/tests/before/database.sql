-- A database as FastGPU 0.1 left it before terms had a row of their own: schema, tasks and programs.
PRAGMA application_id=1179078741;
PRAGMA user_version=1;
BEGIN TRANSACTION;
CREATE TABLE attempts (
    task       INTEGER NOT NULL,
    attempt    INTEGER NOT NULL,
    placed_at  INTEGER NOT NULL,
    started_at INTEGER,
    ended_at   INTEGER,
    body       TEXT    NOT NULL,
    PRIMARY KEY (task, attempt)
) WITHOUT ROWID;
CREATE TABLE audit (
    id     INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    actor  TEXT    NOT NULL,
    action TEXT    NOT NULL,
    object TEXT    NOT NULL
);
CREATE TABLE config (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    body TEXT    NOT NULL
);
CREATE TABLE ended (
    project TEXT    NOT NULL,
    state   TEXT    NOT NULL,
    tasks   INTEGER NOT NULL,
    PRIMARY KEY (project, state)
) WITHOUT ROWID;
INSERT INTO "ended" VALUES('default','cancelled',1);
INSERT INTO "ended" VALUES('default','failed',1);
INSERT INTO "ended" VALUES('default','succeeded',2);
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
CREATE TABLE keys (
    project   TEXT    NOT NULL,
    key       TEXT    NOT NULL,
    digest    BLOB    NOT NULL,
    tasks     TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    review_at INTEGER NOT NULL,
    PRIMARY KEY (project, key)
) WITHOUT ROWID;
CREATE TABLE meta (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    term      INTEGER NOT NULL,
    last_task INTEGER NOT NULL
);
INSERT INTO "meta" VALUES(1,1,253553117201694720);
CREATE TABLE nodes (
    id       INTEGER PRIMARY KEY,
    hostname TEXT    NOT NULL,
    drained  INTEGER NOT NULL
);
CREATE TABLE specs (
    hash  BLOB    NOT NULL UNIQUE,
    tasks INTEGER NOT NULL,
    body  TEXT    NOT NULL
);
INSERT INTO "specs" VALUES(X'D6B12D07EEBE9B75D07351FDC69530F81A0E96AB971EC89D09808F4FC77BF7FB',1,'{"command":["sleep","0.1"],"working_dir":"/data"}');
INSERT INTO "specs" VALUES(X'5E0BA3187521F3010B7F342541CB3442DCB261AB3694F13043DD2531CF2970CA',1,'{"command":["sleep","1"],"working_dir":"/data"}');
INSERT INTO "specs" VALUES(X'4969FCA42E2EACA8A7E0505BB7111D3DFA28C4C93EAA44E31D37EB0B826A2421',1,'{"command":["false"],"working_dir":"/data"}');
INSERT INTO "specs" VALUES(X'3F846AE7A2E197A49B6FFDEB06A3E618498B8FD52DA7F82CD9998CBE4074ECCC',2,'{"command":["true"],"working_dir":"/data"}');
INSERT INTO "specs" VALUES(X'75F0CAF569DE39E5E743CA0F3DC755BD3210927BA22093A5A4A41B3098CEFE25',1,'{"command":[]}');
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
INSERT INTO "tasks" VALUES(253553116257976320,'default','admin','train',7,'succeeded',1796141373705,1796141373842,X'D6B12D07EEBE9B75D07351FDC69530F81A0E96AB971EC89D09808F4FC77BF7FB','{"ask":{"devices_min":1,"devices_max":1,"milli":500,"cap_mib":8192,"cpu_milli":1000,"host_memory_mib":64},"run_max_ms":7200000,"queue_max_ms":10800000,"stop_grace_ms":5000,"expected_ms":3600000,"attained":57500,"retries":2,"backoff_ms":1000,"first_started_at":1796141373727,"attempt":1,"revision":4,"next_event":4,"spec_bytes":197,"state":{"ended":{"outcome":"succeeded","at":1796141373842,"exit":{"at":1796141373831,"how":{"code":0},"cpu_ms":1,"rss_max_kib":2764}}}}',4346899273070772119);
INSERT INTO "tasks" VALUES(253553116501245952,'default','admin',NULL,3,'queued',1796141373763,NULL,X'5E0BA3187521F3010B7F342541CB3442DCB261AB3694F13043DD2531CF2970CA','{"ask":{"devices_min":1,"devices_max":1,"milli":1000},"stop_grace_ms":30000,"revision":1,"next_event":1,"spec_bytes":195,"state":{"queued":{"cause":"held","since":1796141373763}}}',8431104015857013655);
INSERT INTO "tasks" VALUES(253553116643852288,'default','admin',NULL,0,'failed',1796141373797,1796141373842,X'4969FCA42E2EACA8A7E0505BB7111D3DFA28C4C93EAA44E31D37EB0B826A2421','{"ask":{"devices_min":0,"devices_max":0,"milli":0},"stop_grace_ms":30000,"attained":38000,"first_started_at":1796141373804,"attempt":1,"revision":4,"next_event":4,"spec_bytes":170,"state":{"ended":{"outcome":{"failed":"user_error"},"at":1796141373842,"exit":{"at":1796141373812,"how":{"code":1},"cpu_ms":1,"rss_max_kib":2632}}}}',6200728897385120206);
INSERT INTO "tasks" VALUES(253553116782264320,'default','admin','changed',9,'succeeded',1796141373830,1796141391978,X'3F846AE7A2E197A49B6FFDEB06A3E618498B8FD52DA7F82CD9998CBE4074ECCC','{"ask":{"devices_min":0,"devices_max":0,"milli":0},"stop_grace_ms":30000,"attained":4000,"first_started_at":1796141391974,"attempt":1,"revision":6,"next_event":6,"spec_bytes":169,"state":{"ended":{"outcome":"succeeded","at":1796141391978,"exit":{"at":1796141391974,"how":{"code":0},"cpu_ms":1,"rss_max_kib":2636}}}}',5055719645753673233);
INSERT INTO "tasks" VALUES(253553117122002944,'default','admin',NULL,0,'queued',1796141373911,NULL,X'3F846AE7A2E197A49B6FFDEB06A3E618498B8FD52DA7F82CD9998CBE4074ECCC','{"ask":{"devices_min":4,"devices_max":4,"milli":1000},"stop_grace_ms":30000,"revision":1,"next_event":1,"spec_bytes":169,"state":{"queued":{"cause":"capacity","since":1796141373911}}}',-2433817130679022137);
INSERT INTO "tasks" VALUES(253553117201694720,'default','admin',NULL,0,'cancelled',1796141373930,1796141392976,X'75F0CAF569DE39E5E743CA0F3DC755BD3210927BA22093A5A4A41B3098CEFE25','{"ask":{"devices_min":1,"devices_max":1,"milli":250},"work":"reservation","run_max_ms":3600000,"stop_grace_ms":30000,"attained":4761500,"first_started_at":1796141373930,"attempt":1,"revision":4,"next_event":4,"spec_bytes":128,"state":{"ended":{"outcome":"cancelled","at":1796141392976,"exit":null}}}',-396414359462215579);
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
CREATE INDEX tasks_by_project ON tasks (project);
CREATE INDEX tasks_live ON tasks (project) WHERE ended_at IS NULL;
CREATE INDEX tasks_by_name ON tasks (name, project) WHERE name IS NOT NULL;
CREATE INDEX tasks_ended ON tasks (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX keys_by_review ON keys (review_at);
COMMIT;
