-- Version 1. Append-only: nothing in the router updates or deletes a row of events.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,      -- from 1, without gaps
    client_order_id TEXT,         -- NULL for events that belong to no order
    payload TEXT NOT NULL,        -- the event as one JSON object
    digest BLOB NOT NULL          -- SHA-256 over the previous digest and the payload
);
CREATE INDEX events_of_order ON events (client_order_id) WHERE client_order_id IS NOT NULL;
