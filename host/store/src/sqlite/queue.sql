-- Version 10: queued calls. The transaction of one names the document that holds its request.
ALTER TABLE transactions ADD COLUMN request TEXT;
CREATE INDEX transactions_queued ON transactions (id) WHERE status = 'Queued';
