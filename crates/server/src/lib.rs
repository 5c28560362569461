//! The HTTP server: routes, authority, problem documents, streams, metrics.
