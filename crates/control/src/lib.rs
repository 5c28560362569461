//! The loop that owns the state: one inbox, one plan, one durable transaction per batch.
