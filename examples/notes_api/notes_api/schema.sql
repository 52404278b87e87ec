-- Readers do not wait for a writer. The file remembers this.
PRAGMA journal_mode = WAL;

CREATE TABLE IF NOT EXISTS note (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    title TEXT NOT NULL,
    text TEXT NOT NULL,
    created TEXT NOT NULL
);
