"""The service: agreements, batches, runs, releases and the log, over HTTP and on pages."""
