//! Named crash points for recovery tests; nothing at all without the feature.
