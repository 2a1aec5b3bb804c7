-- Version 2. What a start may load instead of replaying everything; the events remain the truth.
CREATE TABLE checkpoints (
    seq INTEGER PRIMARY KEY,      -- of the event that names the state's SHA-256
    state BLOB NOT NULL           -- the encoded state, compressed by zlib
);
