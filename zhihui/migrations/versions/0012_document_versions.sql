-- In which version of its pack's state a document is written; the pack migrates it when it is read.
ALTER TABLE zhihui.document ADD COLUMN state_version integer NOT NULL DEFAULT 1;
