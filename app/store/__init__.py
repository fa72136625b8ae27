"""The only home of SQL and of blobs."""
