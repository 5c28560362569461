//! Durable memory of the control plane: SQLite, and a twin in memory.
